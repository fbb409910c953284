//! Codes of many rows, by row and by slot, for the kernels that take many rows at once.

use super::tables::{BIAS, COLUMN};
use crate::engine::Isa;
use crate::engine::slots::{Codes, MAX_SLOTS, Slots};

/// Rows of a block.
pub(super) const BLOCK: usize = COLUMN;
/// Rows of a tile: their codes stay in the second cache while trees go by.
pub(super) const TILE: usize = 8 * BLOCK;

/// Codes of a block of rows, biased by [`BIAS`].
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Block {
    /// By slot.
    pub(super) columns: [[u8; BLOCK]; MAX_SLOTS],
    /// By row.
    pub(super) rows: [[u8; MAX_SLOTS]; BLOCK],
}

/// Codes of at most [`TILE`] rows.
pub(super) struct Tile {
    blocks: Vec<Block>,
    codes: Codes,
}

impl Tile {
    /// Room for so many rows.
    pub(super) fn new(rows: usize) -> Self {
        let block = Block { columns: [[0; BLOCK]; MAX_SLOTS], rows: [[0; MAX_SLOTS]; BLOCK] };
        Self { blocks: vec![block; rows.min(TILE).div_ceil(BLOCK)], codes: Codes::new() }
    }

    /// The blocks of `rows`; what is behind the last row is whatever was there.
    pub(super) fn fill(&mut self, slots: &Slots, isa: Isa, rows: &[f32]) -> &[Block] {
        let block_values = BLOCK * slots.n_features();
        for (rows, block) in rows.chunks(block_values).zip(&mut self.blocks) {
            for (i, row) in rows.chunks_exact(slots.n_features()).enumerate() {
                slots.codes(isa, row, &mut self.codes);
                let codes = self.codes.0.iter().take(MAX_SLOTS);
                block.rows[i].iter_mut().zip(codes).for_each(|(biased, &code)| *biased = code ^ BIAS);
                let columns = &mut block.columns[..slots.n_slots()];
                columns.iter_mut().zip(&block.rows[i]).for_each(|(column, &code)| column[i] = code);
            }
        }
        &self.blocks[..rows.len().div_ceil(block_values)]
    }
}
