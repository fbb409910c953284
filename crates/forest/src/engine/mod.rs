//! From rows to margins: the engines, and which of them takes a call.
//!
//! The reference engine is slow and obviously right: it walks the nodes of the file. The fast engines give the same
//! bits. They differ by the instructions that they use; all of them run on a [`Layout`], which the shape of the
//! forest decides, and choose between a kernel for single rows and one for many by the number of rows.

mod direct;
mod fetch;
mod heap;
mod isa;
mod leafwise;
pub(crate) mod lines;
mod oblivious;
pub(crate) mod pages;
mod real;
mod reference;
mod slots;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::compiled::{Packed, Source};
use crate::error::PredictError;
use crate::forest::{Aggregation, Forest};
use crate::tree::Nodes;
use direct::{Direct, DirectMeta};
use heap::{Heap, HeapMeta};
use leafwise::{Leafwise, LeafwiseMeta};
use lines::Lines;
use oblivious::{Oblivious, ObliviousMeta};

pub(crate) use isa::Isa;

/// A way to compute margins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// Walks the nodes of the file one by one.
    Reference,
    /// Plain Rust, for every processor.
    Portable,
    /// aarch64.
    Neon,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, DQ, VL, VBMI).
    Avx512,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Self; 5] = [Self::Reference, Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// In reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// The engines that can take `forest` on this processor, slowest first.
    pub fn available(forest: &Forest) -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|engine| {
                engine.isa().is_none_or(|isa| isa.is_available() && forest.prepared.layout(forest).is_some())
            })
            .collect()
    }

    fn isa(self) -> Option<Isa> {
        match self {
            Self::Reference => None,
            Self::Portable => Some(Isa::Portable),
            Self::Neon => Some(Isa::Neon),
            Self::Avx2 => Some(Isa::Avx2),
            Self::Avx512 => Some(Isa::Avx512),
        }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The trees once more, laid out for the fast engines. The first that can take a forest is the one that is used.
#[derive(Debug)]
pub(crate) enum Layout {
    /// Every node of a level asks the same.
    Oblivious(Oblivious),
    /// At most eight levels, `f32` sums.
    Heap(Heap),
    /// Trees of any shape with at most 256 slots.
    Leafwise(Leafwise),
    /// Any trees.
    Direct(Direct),
}

/// What a layout knows besides its lines; part of a compiled file's header.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum LayoutMeta {
    /// See [`Layout::Oblivious`].
    Oblivious(ObliviousMeta),
    /// See [`Layout::Heap`].
    Heap(HeapMeta),
    /// See [`Layout::Leafwise`].
    Leafwise(LeafwiseMeta),
    /// See [`Layout::Direct`].
    Direct(DirectMeta),
}

impl Layout {
    /// `None`: no layout takes this forest (linear models).
    fn build(forest: &Forest) -> Option<Self> {
        let oblivious = Oblivious::build(forest).map(Self::Oblivious);
        let heap = || Heap::build(forest).map(Self::Heap);
        let leafwise = || Leafwise::build(forest).map(Self::Leafwise);
        let direct = || Direct::build(forest).map(Self::Direct);
        oblivious.or_else(heap).or_else(leafwise).or_else(direct)
    }

    /// Sums of whole rows that went through [`Forest::transformed`], `n x n_outputs`: each starts from
    /// [`Forest::start`], takes the leaves of its output in tree order, and is not yet finished.
    fn sums(&self, forest: &Forest, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        match self {
            Self::Oblivious(oblivious) => oblivious.sums(forest, isa, rows, sums),
            Self::Heap(heap) => heap.sums(forest, isa, rows, sums),
            Self::Leafwise(leafwise) => leafwise.sums(forest, isa, rows, sums),
            Self::Direct(direct) => direct.sums(forest, isa, rows, sums),
        }
    }

    /// The instructions for a call of so many rows, where the processor's best are `best`.
    fn isa(&self, best: Isa, n_rows: usize) -> Isa {
        match self {
            Self::Heap(_) => Heap::isa(best, n_rows),
            Self::Oblivious(_) | Self::Leafwise(_) | Self::Direct(_) => best,
        }
    }

    /// In reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Oblivious(_) => "oblivious",
            Self::Heap(_) => "heap",
            Self::Leafwise(_) => "leafwise",
            Self::Direct(_) => "direct",
        }
    }

    /// What a compiled file keeps.
    pub(crate) fn parts(&self) -> (LayoutMeta, &Lines) {
        match self {
            Self::Oblivious(oblivious) => {
                let (meta, lines) = oblivious.parts();
                (LayoutMeta::Oblivious(meta.clone()), lines)
            }
            Self::Heap(heap) => {
                let (meta, lines) = heap.parts();
                (LayoutMeta::Heap(meta.clone()), lines)
            }
            Self::Leafwise(leafwise) => {
                let (meta, lines) = leafwise.parts();
                (LayoutMeta::Leafwise(meta.clone()), lines)
            }
            Self::Direct(direct) => {
                let (meta, lines) = direct.parts();
                (LayoutMeta::Direct(meta.clone()), lines)
            }
        }
    }

    /// The layout of a compiled file, checked: whatever the file holds, the kernels read within `lines`.
    pub(crate) fn from_parts(
        meta: LayoutMeta,
        lines: Lines,
        n_features: usize,
        n_outputs: usize,
    ) -> Result<Self, String> {
        match meta {
            LayoutMeta::Oblivious(meta) => {
                Oblivious::from_parts(meta, lines, n_features, n_outputs).map(Self::Oblivious)
            }
            LayoutMeta::Heap(meta) => Heap::from_parts(meta, lines, n_features, n_outputs).map(Self::Heap),
            LayoutMeta::Leafwise(meta) => {
                Leafwise::from_parts(meta, lines, n_features, n_outputs).map(Self::Leafwise)
            }
            LayoutMeta::Direct(meta) => {
                Direct::from_parts(meta, lines, n_features, n_outputs).map(Self::Direct)
            }
        }
    }
}

/// What is made from a forest when it is first needed, or came with a compiled file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prepared {
    layout: OnceLock<Option<Arc<Layout>>>,
    /// The trees, where the file holds a layout.
    packed: Option<Packed>,
    source: Option<Source>,
}

impl Prepared {
    /// From a compiled file.
    pub(crate) fn set(&mut self, layout: Layout, packed: Packed, source: Source) {
        self.layout = OnceLock::from(Some(Arc::new(layout)));
        self.packed = Some(packed);
        self.source = Some(source);
    }

    /// From a compiled file without a layout.
    pub(crate) fn set_source(&mut self, source: Source) {
        self.source = Some(source);
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    pub(crate) fn packed(&self) -> Option<&Packed> {
        self.packed.as_ref()
    }

    pub(crate) fn layout(&self, forest: &Forest) -> Option<&Layout> {
        self.layout.get_or_init(|| Layout::build(forest).map(Arc::new)).as_deref()
    }
}

impl Forest {
    /// Builds the fast engines' layout now, so that the first call to [`Forest::margins`] does not have to.
    pub fn prepare(&self) {
        self.prepared.layout(self);
    }

    /// Margins of row-major `rows`, `n x n_outputs`, replacing the contents of `out`, by the fastest engine.
    ///
    /// XGBoost: the raw margin; LightGBM: the raw score; CatBoost: `RawFormulaVal`; averaged trees: the mean, which
    /// is the probability; isolation forest: the mean path length.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] when `rows` does not hold whole rows.
    pub fn margins(&self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        out.clear();
        let n_rows = self.n_rows(rows)?;
        match self.prepared.layout(self) {
            Some(layout) => self.layout_margins(layout, layout.isa(Isa::best(), n_rows), rows, out),
            None => self.reference_margins(self.nodes()?, rows, out),
        }
        Ok(())
    }

    /// As [`Forest::margins`], by one engine.
    ///
    /// # Errors
    /// As for [`Forest::margins`]; [`PredictError::NoEngine`] when the engine cannot take the forest here.
    pub fn margins_with(&self, engine: Engine, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        out.clear();
        self.n_rows(rows)?;
        let Some(isa) = engine.isa() else {
            self.reference_margins(self.nodes()?, rows, out);
            return Ok(());
        };
        let layout = self.prepared.layout(self).filter(|_| isa.is_at_hand());
        let layout = layout.ok_or(PredictError::NoEngine { engine: engine.as_str() })?;
        self.layout_margins(layout, isa, rows, out);
        Ok(())
    }

    /// The nodes, unpacked if the forest came from a compiled file.
    pub(crate) fn nodes(&self) -> Result<&Nodes, PredictError> {
        let Some(packed) = self.prepared.packed() else { return Ok(&self.trees) };
        packed
            .nodes(self.n_features, self.n_outputs)
            .map_err(|reason| PredictError::Corrupt { reason: reason.to_owned() })
    }

    fn layout_margins(&self, layout: &Layout, isa: Isa, rows: &[f32], out: &mut Vec<f64>) {
        let mut buffer = Vec::new();
        let rows = self.transformed(rows, &mut buffer);
        out.resize(rows.len() / self.n_features * self.n_outputs, 0.0);
        layout.sums(self, isa, rows, out);
        self.finish(out);
    }

    /// Where the sum of an output starts; an `f32` where sums are `f32`.
    pub(crate) fn start(&self, output: usize) -> f64 {
        match &self.aggregation {
            Aggregation::SumF32 { base, base_last: false, .. } => f64::from(base[output]),
            Aggregation::SumF64 { start, .. } => start[output],
            Aggregation::SumF32 { .. } | Aggregation::Mean => 0.0,
        }
    }

    /// What a tree's leaf adds to the sum: its value, times the tree's weight if trees have weights.
    pub(crate) fn addend(&self, tree: usize, value: f64) -> f64 {
        match &self.aggregation {
            Aggregation::SumF32 { tree_weights: Some(weights), .. } => {
                f64::from(weights[tree] * value as f32)
            }
            _ => value,
        }
    }

    /// From finished sums to margins, in place.
    pub(crate) fn finish(&self, sums: &mut [f64]) {
        let n = self.trees_per_output();
        match &self.aggregation {
            Aggregation::SumF32 { base, base_last, mean, .. } if *base_last || *mean => {
                for (i, sum) in sums.iter_mut().enumerate() {
                    let total = if *mean { *sum as f32 / n as f32 } else { *sum as f32 };
                    *sum = f64::from(if *base_last { total + base[i % self.n_outputs] } else { total });
                }
            }
            Aggregation::SumF64 { scale, bias, .. } if *scale != 1.0 || !bias.is_empty() => {
                for (i, sum) in sums.iter_mut().enumerate() {
                    let bias = bias.get(i % self.n_outputs).copied().unwrap_or_default();
                    *sum = *sum * scale + bias;
                }
            }
            Aggregation::SumF32 { .. } | Aggregation::SumF64 { .. } => {}
            Aggregation::Mean => sums.iter_mut().for_each(|sum| *sum /= n as f64),
        }
    }

    /// Number of rows in `rows`.
    pub(crate) fn n_rows(&self, rows: &[f32]) -> Result<usize, PredictError> {
        if rows.len().is_multiple_of(self.n_features) {
            Ok(rows.len() / self.n_features)
        } else {
            Err(PredictError::RowLength { len: rows.len(), n_features: self.n_features })
        }
    }

    /// Rows as the trees see them: `rows` themselves, or their image in `buffer`.
    pub(crate) fn transformed<'a>(&self, rows: &'a [f32], buffer: &'a mut Vec<f32>) -> &'a [f32] {
        if self.input.is_empty() {
            return rows;
        }
        buffer.clear();
        buffer.extend_from_slice(rows);
        self.input.iter().for_each(|step| step.apply(buffer, self.n_features));
        buffer
    }
}
