//! Row by row with AVX-512 VBMI: byte permutations look up the codes of 64 nodes at once, and one compare answers all
//! of them.
//!
//! - Tops: the answers of all nodes are a bit each, and sixteen walks go down the bits side by side. Slots and
//!   ranks lie apart for this ([`Planes`]).
//! - Exits: the seven nodes of each of eight lines are brought together and answered at once; the seven bits say, by
//!   a table, which leaf it is.

#![expect(unsafe_code, reason = "vectors, and unchecked reads of lines, whose numbers are bounded")]

use std::arch::x86_64::*;

use bytemuck::Zeroable;

use super::build::node_offset;
use super::rows::Cursor;
use super::{EXIT_LEVELS, Heap};
use crate::engine::Isa;
use crate::engine::lines::{LINE, Line, Lines};
use crate::engine::slots::{CodedSplit, Codes};

/// Trees of a chunk: their tops are walked before the first of their exits is read, which is on its way by then.
const CHUNK: usize = 64;
/// Walks that go down side by side.
const LANES: usize = 16;
/// Lines that are answered at once.
const SIDE: usize = 8;
/// Rows that take a chunk one after the other, while it is near.
const BLOCK: usize = 16;
/// Exits that a tree has to have: fewer than a byte of them are not worth it.
const MIN_EXITS: usize = 8;
const MAX_EXITS: usize = 32;

/// The tops' nodes, 64 by 64: slots and ranks.
#[derive(Debug)]
pub(super) struct Planes(Lines);

impl Planes {
    fn new(tops: &[CodedSplit]) -> Self {
        let planes = tops.chunks(LINE).flat_map(|nodes| {
            let mut planes = [Line::zeroed(); 2];
            for (i, node) in nodes.iter().enumerate() {
                (planes[0].0[i], planes[1].0[i]) = (node.slot, node.rank);
            }
            planes
        });
        Self(planes.collect::<Vec<_>>().into())
    }
}

impl Heap {
    /// Whether [`Heap::add_avx512`] takes trees of so many exits.
    pub(super) const fn has_avx512(exits: usize) -> bool {
        exits >= MIN_EXITS
    }

    /// Adds all leaves to the rows' sums.
    pub(super) fn add_avx512<const EXITS: usize>(&self, rows: &[f32], sums: &mut [f64]) {
        assert!(Self::has_avx512(EXITS) && EXITS <= MAX_EXITS);
        let (n_features, n_outputs) = (self.slots.n_features(), self.meta.trees.len());
        if rows.len() == n_features {
            // SAFETY: an engine is chosen only where `Isa::is_available` says that the processor has its instructions.
            return unsafe { self.add_block_avx512::<EXITS, 1>(rows, sums) };
        }
        for (rows, sums) in rows.chunks(BLOCK * n_features).zip(sums.chunks_mut(BLOCK * n_outputs)) {
            // SAFETY: as above.
            unsafe { self.add_block_avx512::<EXITS, BLOCK>(rows, sums) };
        }
    }

    /// At most `ROWS` rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
    fn add_block_avx512<const EXITS: usize, const ROWS: usize>(&self, rows: &[f32], sums: &mut [f64]) {
        let planes = self.planes.get_or_init(|| Planes::new(self.tops()));
        let mut codes = [const { Codes::new() }; ROWS];
        for (row, codes) in rows.chunks_exact(self.slots.n_features()).zip(&mut codes) {
            self.slots.codes(Isa::Avx512, row, codes);
        }
        let mut leaves = [0.0; CHUNK];
        let mut cursor = Cursor::new(&self.meta.trees);
        let chunks =
            planes.0.cast::<[Line; 2]>().chunks(CHUNK * EXITS / LINE).zip(self.exits().chunks(CHUNK * EXITS));
        for (planes, exits) in chunks {
            let mut after = cursor;
            for (codes, sums) in codes.iter().zip(sums.chunks_exact_mut(self.meta.trees.len())) {
                walk::<EXITS>(planes, exits, codes, &mut leaves);
                after = cursor.add(&leaves, sums);
            }
            cursor = after;
        }
    }
}

/// Takes a row through a chunk; replaces the first of the leaves, one for each `EXITS` lines.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
#[inline]
fn walk<const EXITS: usize>(planes: &[[Line; 2]], exits: &[Line], codes: &Codes, leaves: &mut [f32; CHUNK]) {
    let codes: [__m512i; 4] = std::array::from_fn(|i| load(&codes.0.as_chunks().0[i]));
    let mut offsets = [0_u32; CHUNK];
    exits_of::<EXITS>(planes, codes, exits.len(), &mut offsets);
    let n_trees = exits.len() / EXITS;
    let exits = exits.as_ptr().cast::<u8>();
    for &offset in offsets.iter().take(n_trees) {
        _mm_prefetch::<_MM_HINT_T0>(exits.wrapping_add(offset as usize).cast());
    }
    let mut answers = [0_u64; CHUNK / SIDE];
    for (offsets, answers) in
        offsets.as_chunks::<SIDE>().0.iter().zip(&mut answers).take(n_trees.div_ceil(SIDE))
    {
        // SAFETY: `exits_of` gives offsets of whole lines in `exits`.
        *answers = unsafe { lines_answers(exits, offsets, codes) };
    }
    let in_line = leaves_of(&answers);
    for (leaf, (offset, in_line)) in leaves.iter_mut().zip(offsets.iter().zip(in_line)).take(n_trees) {
        // SAFETY: likewise, and `leaves_of` gives offsets of leaves in a line, which are aligned.
        *leaf = unsafe { exits.add(*offset as usize + usize::from(in_line)).cast::<f32>().read() };
    }
}

/// Takes a row through a chunk's tops; the offsets in bytes of the exits that it comes to, inside of so many lines.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
#[inline]
fn exits_of<const EXITS: usize>(
    planes: &[[Line; 2]],
    codes: [__m512i; 4],
    lines: usize,
    offsets: &mut [u32; CHUNK],
) {
    // A bit for each node, `EXITS` for each tree.
    let mut answers = [0_u64; CHUNK * MAX_EXITS / LINE];
    for ([slots, ranks], answers) in planes.iter().zip(&mut answers) {
        *answers = answers_of(load(&slots.0), load(&ranks.0), codes);
    }
    let answers: &[u8] = bytemuck::cast_slice(&answers);
    let one = _mm512_set1_epi32(1);
    let last = _mm512_set1_epi32(lines as i32 - 1);
    // Positions are counted from `EXITS`; a tree's first line from its number.
    let mut first =
        _mm512_mullo_epi32(load_u32(&std::array::from_fn(|i| i as u32)), _mm512_set1_epi32(EXITS as i32));
    first = _mm512_sub_epi32(first, _mm512_set1_epi32(EXITS as i32));
    for (answers, offsets) in answers.chunks_exact(LANES * EXITS / 8).zip(offsets.as_chunks_mut::<LANES>().0)
    {
        // SAFETY: sixteen trees' answers, of 32, 16 or 8 bits each.
        let answers = unsafe {
            match EXITS {
                32 => _mm512_loadu_si512(answers.as_ptr().cast()),
                16 => _mm512_cvtepu16_epi32(_mm256_loadu_si256(answers.as_ptr().cast())),
                _ => _mm512_cvtepu8_epi32(_mm_loadu_si128(answers.as_ptr().cast())),
            }
        };
        let mut position = one;
        for _ in 0..EXITS.trailing_zeros() {
            let left = _mm512_and_si512(_mm512_srlv_epi32(answers, position), one);
            position = _mm512_add_epi32(_mm512_add_epi32(position, position), left);
        }
        let line = _mm512_min_epu32(_mm512_add_epi32(first, position), last);
        first = _mm512_add_epi32(first, _mm512_set1_epi32((LANES * EXITS) as i32));
        // SAFETY: sixteen offsets.
        unsafe { _mm512_storeu_si512(offsets.as_mut_ptr().cast(), _mm512_slli_epi32::<6>(line)) };
    }
}

/// Whether the row goes left at each of 64 nodes.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn answers_of(slots: __m512i, ranks: __m512i, codes: [__m512i; 4]) -> u64 {
    let low = _mm512_permutex2var_epi8(codes[0], slots, codes[1]);
    let high = _mm512_permutex2var_epi8(codes[2], slots, codes[3]);
    let codes = _mm512_mask_blend_epi8(_mm512_movepi8_mask(slots), low, high);
    _mm512_cmplt_epu8_mask(codes, ranks)
}

/// Nodes of an exit's line, level by level.
const NODES: usize = (1 << EXIT_LEVELS) - 1;

/// Where the slots and the ranks of a line's nodes are, for each of four lines. Behind the last node comes one that is
/// not looked at.
const PARTS: [u8; 64] = {
    let mut parts = [0; 64];
    let mut i = 0_usize;
    while i < 64 {
        let node = i % 8;
        let level = (node + 1).ilog2() as usize;
        let at = if node < NODES { node_offset(level, node + 1 - (1 << level)) } else { 0 };
        parts[i] = (at + i / 8 % 2) as u8;
        i += 1;
    }
    parts
};

/// Where the leaf is in its line, by the answers of the line's nodes.
const LEAVES: [u8; 1 << NODES] = {
    let mut leaves = [0; 1 << NODES];
    let mut answers = 0_usize;
    while answers < leaves.len() {
        let mut node = 1;
        while node <= NODES {
            node = 2 * node + (answers >> (node - 1) & 1);
        }
        leaves[answers] = (8 * (node - NODES - 1)) as u8;
        answers += 1;
    }
    leaves
};

/// The answers of the nodes of eight lines, a byte per line.
///
/// # Safety
/// A line at each of the offsets from `exits`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
unsafe fn lines_answers(exits: *const u8, offsets: &[u32; SIDE], codes: [__m512i; 4]) -> u64 {
    let parts = load(&PARTS);
    // Eight slots and eight ranks of each: of the even lines, and of the odd ones.
    let [mut even, mut odd] = [_mm512_setzero_si512(); 2];
    for (i, pair) in offsets.as_chunks::<2>().0.iter().enumerate() {
        let lanes = 0xffff << (16 * i);
        // SAFETY: whole lines, aligned.
        let [first, second] = pair.map(|at| unsafe { _mm512_load_si512(exits.add(at as usize).cast()) });
        even = _mm512_mask_permutexvar_epi8(even, lanes, parts, first);
        odd = _mm512_mask_permutexvar_epi8(odd, lanes, parts, second);
    }
    answers_of(_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd), codes)
}

/// Offsets in their lines of the leaves that 64 lines' answers lead to.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn leaves_of(answers: &[u64; CHUNK / SIDE]) -> [u8; CHUNK] {
    let (leaves, _) = LEAVES.as_chunks();
    let answers = load(bytemuck::cast_ref(answers));
    let mut found = [0; CHUNK];
    // SAFETY: 64 bytes; no alignment asked for.
    unsafe {
        let leaves = _mm512_permutex2var_epi8(load(&leaves[0]), answers, load(&leaves[1]));
        _mm512_storeu_si512(found.as_mut_ptr().cast(), leaves);
    }
    found
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes; no alignment asked for.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_u32(numbers: &[u32; LANES]) -> __m512i {
    // SAFETY: 64 bytes; no alignment asked for.
    unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
}
