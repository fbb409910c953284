//! Writing the compiled form.

use bytemuck::Zeroable;

use super::{Header, MAGIC, MAX_GOLDEN_ROWS, Preamble, Source, VERSION, packed};
use crate::engine::lines::{LINE, LinesBuilder};
use crate::error::PredictError;
use crate::forest::Forest;
use crate::tree::{Node, Nodes};

/// Golden rows that are made when the caller gives none.
const GOLDEN_ROWS: usize = 4;

impl Forest {
    /// The forest as a compiled file, which [`crate::Format::Compiled`] reads.
    ///
    /// `golden` are row-major rows whose margins are verified whenever the file is loaded, at most 64; with none, a
    /// few are made from the forest's own thresholds.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] when `golden` does not hold whole rows; [`PredictError::Corrupt`] when the
    /// forest was itself loaded from a file that is not sound.
    pub fn compile(&self, source: &Source, golden: &[f32]) -> Result<Vec<u8>, PredictError> {
        self.n_rows(golden)?;
        let nodes = self.nodes()?;
        let made;
        let golden = if golden.is_empty() {
            made = self.golden_rows(nodes);
            &made
        } else {
            &golden[..golden.len().min(MAX_GOLDEN_ROWS * self.n_features)]
        };
        let mut margins = Vec::new();
        self.margins_with(crate::Engine::Reference, golden, &mut margins)?;
        let (trees, trees_arena) = packed::pack(nodes, self.aggregation.is_f32());
        let layout = self.prepared.layout(self).map(crate::engine::Layout::parts);
        let header = Header {
            n_features: self.n_features,
            feature_names: self.feature_names.clone(),
            objective: self.objective.clone(),
            n_outputs: self.n_outputs,
            link: self.link,
            aggregation: self.aggregation.clone(),
            input: self.input.clone(),
            tree_outputs: self.tree_outputs.clone(),
            linear: self.linear.clone(),
            source: source.clone(),
            trees,
            trees_lines: trees_arena.len(),
            layout_lines: layout.as_ref().map_or(0, |(_, arena)| arena.len()),
            layout: layout.as_ref().map(|(meta, _)| meta.clone()),
            golden_rows: golden.len() / self.n_features,
        };
        // Maps have string keys and no number is infinite or NaN: writing does not fail.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let mut file = LinesBuilder::default();
        file.extend(&[Preamble::zeroed()]);
        file.extend(&header);
        file.align(LINE);
        file.extend(trees_arena.as_slice());
        if let Some((_, arena)) = layout {
            file.extend(arena.as_slice());
        }
        file.extend(golden);
        file.align(LINE);
        file.extend(&margins);
        file.align(LINE);
        Ok(seal(file, header.len()))
    }

    /// Rows of the splits' own thresholds, the values below them, and missing ones.
    fn golden_rows(&self, nodes: &Nodes) -> Vec<f32> {
        let mut thresholds = vec![Vec::new(); self.n_features];
        for node in &nodes.nodes {
            if let Node::Numeric { feature, threshold, .. } = *node
                && thresholds[usize::from(feature)].len() < 2 * GOLDEN_ROWS
            {
                thresholds[usize::from(feature)].push(threshold);
            }
        }
        (0..GOLDEN_ROWS * self.n_features)
            .map(|i| {
                let (row, feature) = (i / self.n_features, i % self.n_features);
                let of = &thresholds[feature];
                match (i + row) % 5 {
                    4 => f32::NAN,
                    k => of
                        .get((row * 3 + feature) % of.len().max(1))
                        .map_or(row as f32, |t| if k % 2 == 0 { *t } else { t.next_down() }),
                }
            })
            .collect()
    }
}

/// Fills in the preamble.
fn seal(file: LinesBuilder, header_bytes: usize) -> Vec<u8> {
    let mut bytes = file.into_bytes();
    let mut preamble = Preamble {
        magic: MAGIC,
        version: VERSION.to_le(),
        // Names and outputs are bounded: a header is far below 4 GiB.
        header_bytes: (header_bytes as u32).to_le(),
        file_bytes: (bytes.len() as u64).to_le(),
        checksum: 0,
        reserved: [0; 9],
    };
    bytes[..LINE].copy_from_slice(bytemuck::bytes_of(&preamble));
    preamble.checksum = crc32fast::hash(&bytes).to_le();
    bytes[..LINE].copy_from_slice(bytemuck::bytes_of(&preamble));
    bytes
}
