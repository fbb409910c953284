//! CatBoost's binary format, `.cbm`.
//!
//! Layout: "CBM1", the size of the core (u32, or 0xFFFFFFFF and u64), the core, which is a FlatBuffers table
//! `TModelCore`, and parts for categorical, text and embedding features, which are not read. Trees that are not
//! oblivious are lists of steps: the distances to the left and to the right child, where zero ends the walk with
//! the leaf of the step.

use std::collections::HashMap;

use super::build::{Builder, Features, Leaf, NanTreatment};
use super::flatbuffer::{Buffer, Table};
use super::loss::Parameters;
use super::schema;
use crate::Format;
use crate::error::{ParseError, TreeFault};
use crate::forest::Forest;
use crate::format::CBM_MAGIC;

/// The version that all of CatBoost's releases write.
const FORMAT_VERSION: &str = "FlabuffersModel_v1";

pub(crate) fn from_cbm(bytes: &[u8]) -> Result<Forest, ParseError> {
    let core = core(bytes)?.root()?;
    let version = core.string(schema::core::FORMAT_VERSION)?;
    if version != FORMAT_VERSION {
        let version: String = version.chars().take(40).collect();
        return Err(core.error(0, format!("format version {version:?}, must be {FORMAT_VERSION:?}")));
    }
    let trees = core
        .table(schema::core::MODEL_TREES)?
        .ok_or_else(|| core.error(schema::core::MODEL_TREES, "no trees".to_owned()))?;
    let dimension = trees.i32(schema::trees::APPROX_DIMENSION, 0)?;
    let n_outputs = usize::try_from(dimension).unwrap_or_default();
    let mut builder = Builder::new(features(trees, bytes.len())?, n_outputs)?;
    Arrays::read(trees, n_outputs)?.push_trees(&mut builder)?;
    let scale = trees.f64(schema::trees::SCALE, 1.0)?;
    let mut bias = trees.values(schema::trees::MULTI_BIAS, f64::from_le_bytes)?;
    if bias.is_empty() {
        bias = vec![trees.f64(schema::trees::BIAS, 0.0)?; n_outputs];
    }
    builder.finish(parameters(core)?.objective()?, scale, bias)
}

/// The core's bytes, whose length the file gives.
fn core(bytes: &[u8]) -> Result<Buffer<'_>, ParseError> {
    let error = |offset, reason| ParseError::Bytes { format: Format::CatboostCbm, offset, reason };
    let body = bytes
        .strip_prefix(CBM_MAGIC)
        .ok_or_else(|| error(0, "the file does not start with \"CBM1\"".to_owned()))?;
    let cut = || error(4, "the file ends within the core's size".to_owned());
    let (short, rest) = body.split_first_chunk::<4>().ok_or_else(cut)?;
    let (size, rest) = match u32::from_le_bytes(*short) {
        u32::MAX => {
            let (long, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
            (u64::from_le_bytes(*long), rest)
        }
        short => (u64::from(short), rest),
    };
    let core = usize::try_from(size)
        .ok()
        .and_then(|size| rest.get(..size))
        .ok_or_else(|| error(4, format!("the core has {size} bytes, but {} bytes are left", rest.len())))?;
    Ok(Buffer::new(core, bytes.len() - rest.len()))
}

/// The training parameters, which are JSON.
fn parameters(core: Table<'_>) -> Result<Parameters, ParseError> {
    for entry in core.tables(schema::core::INFO_MAP)?.iter() {
        let entry = entry?;
        if entry.is_string(schema::key_value::KEY, "params")? {
            let value = entry.string(schema::key_value::VALUE)?;
            return serde_json::from_str(value)
                .map_err(|source| ParseError::Json { format: Format::CatboostCbm, source });
        }
    }
    Ok(Parameters::default())
}

/// Reads the features, and the borders in the order in which trees number them.
struct FeatureReader<'a> {
    trees: Table<'a>,
    features: Features,
    /// Of the categorical features, by their own index: flat index and name.
    categorical: HashMap<i32, (u16, &'a str)>,
    /// Offsets may lead to one place more than once: what was read in sum is held against the file's length.
    read: usize,
    file_len: usize,
}

fn features(trees: Table<'_>, file_len: usize) -> Result<Features, ParseError> {
    let (features, categorical) = (Features::default(), HashMap::new());
    let mut reader = FeatureReader { trees, features, categorical, read: 0, file_len };
    reader.numbers()?;
    reader.others()?;
    let (text, borders) = (schema::trees::ESTIMATED_FEATURES, schema::estimated_feature::BORDERS);
    reader.unsupported(text, borders, "catboost split on a text or embedding feature")?;
    reader.one_hot()?;
    let (statistics, borders) = (schema::trees::CTR_FEATURES, schema::ctr_feature::BORDERS);
    reader.unsupported(statistics, borders, "catboost split on a categorical feature's statistic")?;
    Ok(reader.features)
}

impl FeatureReader<'_> {
    fn count(&mut self, table: Table<'_>, bytes: usize) -> Result<(), ParseError> {
        self.read = self.read.saturating_add(bytes);
        if self.read > self.file_len {
            return Err(table.error(0, format!("features of more than the file's {} bytes", self.file_len)));
        }
        Ok(())
    }

    fn numbers(&mut self) -> Result<(), ParseError> {
        for feature in self.trees.tables(schema::trees::FLOAT_FEATURES)?.iter() {
            let feature = feature?;
            let borders = feature.values(schema::float_feature::BORDERS, f32::from_le_bytes)?;
            let name = feature.string(schema::float_feature::ID)?;
            self.count(feature, 4 + name.len() + 4 * borders.len())?;
            let flat_index = feature.i32(schema::float_feature::FLAT_INDEX, -1)?;
            let flat_index = self.features.push(i64::from(flat_index), name)?;
            self.features.push_borders(flat_index, &borders, nan_treatment(feature)?);
        }
        Ok(())
    }

    /// Features that have a place in the row.
    fn others(&mut self) -> Result<(), ParseError> {
        let categorical = schema::trees::CAT_FEATURES;
        for kind in [categorical, schema::trees::TEXT_FEATURES, schema::trees::EMBEDDING_FEATURES] {
            for feature in self.trees.tables(kind)?.iter() {
                let feature = feature?;
                let name = feature.string(schema::feature::ID)?;
                self.count(feature, 4 + name.len())?;
                let flat_index = feature.i32(schema::feature::FLAT_INDEX, -1)?;
                let flat_index = self.features.push(i64::from(flat_index), name)?;
                if kind == categorical {
                    let index = feature.i32(schema::feature::INDEX, -1)?;
                    self.categorical.insert(index, (flat_index, name));
                }
            }
        }
        Ok(())
    }

    fn one_hot(&mut self) -> Result<(), ParseError> {
        for feature in self.trees.tables(schema::trees::ONE_HOT_FEATURES)?.iter() {
            let feature = feature?;
            let hashes = feature.values(schema::one_hot_feature::VALUES, u32::from_le_bytes)?;
            self.count(feature, 4 + 4 * hashes.len())?;
            let index = feature.i32(schema::feature::INDEX, -1)?;
            let &(flat_index, name) = self.categorical.get(&index).ok_or_else(|| {
                let what = "one-hot values of a categorical feature";
                feature.error(schema::feature::INDEX, format!("{what} {index} that the model does not have"))
            })?;
            self.features.push_values(flat_index, name, hashes.into_iter());
        }
        Ok(())
    }

    /// Borders that are not evaluated.
    fn unsupported(&mut self, kind: usize, borders: usize, what: &str) -> Result<(), ParseError> {
        for feature in self.trees.tables(kind)?.iter() {
            let feature = feature?;
            let borders = feature.count(borders, 4)?;
            self.count(feature, 4 + 4 * borders)?;
            self.features.push_unsupported(what, borders);
        }
        Ok(())
    }
}

fn nan_treatment(feature: Table<'_>) -> Result<NanTreatment, ParseError> {
    let number = schema::float_feature::NAN_TREATMENT;
    match (feature.u8(schema::float_feature::HAS_NANS)?, feature.u8(number)?) {
        (0, 0..=2) | (_, 0) => Ok(NanTreatment::Nothing),
        (_, 1) => Ok(NanTreatment::Least),
        (_, 2) => Ok(NanTreatment::Greatest),
        (_, other) => Err(feature.error(number, format!("treatment {other} of NaN, known are 0 to 2"))),
    }
}

/// The arrays of all trees, one tree after the other.
struct Arrays {
    splits: Vec<i32>,
    sizes: Vec<i32>,
    leaf_values: Vec<f64>,
    leaf_weights: Vec<f64>,
    /// Distances to the left and to the right child; empty in a model of oblivious trees.
    steps: Vec<(u16, u16)>,
    /// Position of each step's leaf in `leaf_values`.
    step_leaves: Vec<u32>,
    /// Leaves that steps may still lead to: as many as there are, since no two lead to one.
    leaves_left: usize,
}

impl Arrays {
    fn read(trees: Table<'_>, n_outputs: usize) -> Result<Self, ParseError> {
        let sizes = trees.values(schema::trees::TREE_SIZES, i32::from_le_bytes)?;
        let starts = trees.values(schema::trees::TREE_START_OFFSETS, i32::from_le_bytes)?;
        let mut end = 0_i64;
        let follow = starts.len() == sizes.len()
            && starts.iter().zip(&sizes).all(|(&start, &size)| {
                let follows = i64::from(start) == end;
                end += i64::from(size);
                follows
            });
        if !starts.is_empty() && !follow {
            let reason = "the trees do not follow each other".to_owned();
            return Err(trees.error(schema::trees::TREE_START_OFFSETS, reason));
        }
        let pair = |step: [u8; 4]| {
            let [l0, l1, r0, r1] = step;
            (u16::from_le_bytes([l0, l1]), u16::from_le_bytes([r0, r1]))
        };
        let leaf_values = trees.values(schema::trees::LEAF_VALUES, f64::from_le_bytes)?;
        Ok(Self {
            splits: trees.values(schema::trees::TREE_SPLITS, i32::from_le_bytes)?,
            sizes,
            leaves_left: leaf_values.len() / n_outputs,
            leaf_values,
            leaf_weights: trees.values(schema::trees::LEAF_WEIGHTS, f64::from_le_bytes)?,
            steps: trees.values(schema::trees::STEP_NODES, pair)?,
            step_leaves: trees.values(schema::trees::NODE_TO_LEAF, u32::from_le_bytes)?,
        })
    }

    fn push_trees(mut self, builder: &mut Builder) -> Result<(), ParseError> {
        let oblivious = self.steps.is_empty() && self.step_leaves.is_empty();
        let (mut start, mut first_leaf) = (0, 0);
        let all_splits = std::mem::take(&mut self.splits);
        for size in std::mem::take(&mut self.sizes) {
            let end = usize::try_from(size).ok().and_then(|size| size.checked_add(start));
            let splits = end.and_then(|end| all_splits.get(start..end)).ok_or_else(|| {
                let reason = format!("{size} of tree {} at {start} of {}", builder.tree(), all_splits.len());
                ParseError::Member { member: "TreeSizes", reason }
            })?;
            if oblivious {
                first_leaf = self.push_oblivious(builder, splits, first_leaf)?;
            } else {
                self.push_steps(builder, splits, start)?;
            }
            start += splits.len();
        }
        Ok(())
    }

    /// Adds an oblivious tree whose leaves start at leaf `first`; gives the first leaf of the next tree.
    fn push_oblivious(
        &self,
        builder: &mut Builder,
        splits: &[i32],
        first: usize,
    ) -> Result<usize, ParseError> {
        let n_outputs = builder.n_outputs();
        // The builder bounds the depth: what is too deep gets no values here.
        let end = first.saturating_add(1_usize.checked_shl(splits.len() as u32).unwrap_or(usize::MAX));
        let values = self.leaf_values.get(first * n_outputs..end.saturating_mul(n_outputs));
        let weights = if self.leaf_weights.is_empty() { None } else { self.leaf_weights.get(first..end) };
        if !self.leaf_weights.is_empty() && weights.is_none() {
            let (len, array) = (self.leaf_weights.len(), "LeafWeights");
            return Err(ParseError::Length { tree: builder.tree(), array, len, expected: end });
        }
        let borders: Vec<i64> = splits.iter().map(|&split| i64::from(split)).collect();
        builder.push_oblivious(&borders, values.unwrap_or_default(), weights.unwrap_or_default())?;
        Ok(end)
    }

    /// Adds a tree of steps that stand at `start` and have `splits`.
    fn push_steps(&mut self, builder: &mut Builder, splits: &[i32], start: usize) -> Result<(), ParseError> {
        let (tree, size) = (builder.tree(), splits.len());
        let range = start..start + size;
        let (steps, leaves) = match (self.steps.get(range.clone()), self.step_leaves.get(range)) {
            (Some(steps), Some(leaves)) => (steps.to_vec(), leaves.to_vec()),
            _ => {
                let (len, array) = (self.steps.len().min(self.step_leaves.len()), "NonSymmetricStepNodes");
                return Err(ParseError::Length { tree, array, len, expected: start + size });
            }
        };
        let ends = |step: &&(u16, u16)| step.0 == 0 || step.1 == 0;
        let first = steps.iter().zip(&leaves).filter(|(step, _)| ends(step)).map(|(_, &leaf)| leaf).min();
        // Steps, and behind them the leaves of those that are a split with a leaf on one side.
        let mut one_sided = Vec::new();
        for (node, &(left, right)) in steps.iter().enumerate() {
            let mut child = |distance: u16| {
                let child = node + usize::from(distance);
                if distance == 0 {
                    one_sided.push(leaves[node]);
                    return Ok((size + one_sided.len() - 1) as i64);
                }
                let fault = TreeFault::Child { child: child as i64, len: size };
                if child < size { Ok(child as i64) } else { Err(ParseError::Tree { tree, node, fault }) }
            };
            if (left, right) == (0, 0) {
                self.push_leaf(builder, leaves[node], first)?;
            } else {
                let (left, right) = (child(left)?, child(right)?);
                builder.push_split(i64::from(splits[node]), left, right)?;
            }
        }
        one_sided.into_iter().try_for_each(|leaf| self.push_leaf(builder, leaf, first))?;
        builder.finish_tree()
    }

    /// Adds the leaf whose values start at `at`; `first` is where those of the tree's first leaf do.
    fn push_leaf(&mut self, builder: &mut Builder, at: u32, first: Option<u32>) -> Result<(), ParseError> {
        let n_outputs = builder.n_outputs();
        let bad = |reason| ParseError::Member { member: "NonSymmetricNodeIdToLeafId", reason };
        self.leaves_left = self
            .leaves_left
            .checked_sub(1)
            .ok_or_else(|| bad(format!("tree {} leads to more leaves than the model has", builder.tree())))?;
        let start = at as usize;
        let values = self.leaf_values.get(start..start.saturating_add(n_outputs));
        let values = values.filter(|_| start.is_multiple_of(n_outputs)).ok_or_else(|| {
            let len = self.leaf_values.len();
            bad(format!("leaf {at} of tree {}, there are {len} values", builder.tree()))
        })?;
        let weight = self.leaf_weights.get(start / n_outputs).copied();
        let id = (at - first.unwrap_or(at).min(at)) / n_outputs as u32;
        builder.push_leaf(&Leaf { values, weight, id })
    }
}
