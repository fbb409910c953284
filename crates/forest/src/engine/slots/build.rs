//! Which slots a forest needs, and each split's code.

use std::collections::{BTreeMap, HashMap};

use super::{CHUNK, Category, CodedSplit, Entry, LINE, MAX_SLOTS, RULES, Slots, SlotsMeta, UNUSED, WIDE};
use crate::engine::lines::LinesBuilder;
use crate::forest::Forest;
use crate::tree::{CategoryRule, Missing, Node, Nodes};

/// Whether zero is missing, and a feature: plain entries come first.
type Key = (bool, u16);

/// The thresholds of a key, ascending, and the first of its chunks' numbers.
struct Thresholds {
    sorted: Vec<f32>,
    chunk: usize,
}

impl Slots {
    /// The slots of a forest, and one split per node (the default for leaves); `None` when it needs more than
    /// [`MAX_SLOTS`].
    pub(crate) fn build(forest: &Forest) -> Option<(Self, Vec<CodedSplit>)> {
        let nodes = &forest.trees;
        let thresholds = thresholds(nodes)?;
        let mut entries = entries(&thresholds)?;
        let ranks: Vec<Option<Rank>> = nodes.nodes.iter().map(|&node| rank(node, &thresholds)).collect();
        let mut n_slots = assign(&mut entries, &ranks)?;
        let sets = Sets::build(nodes, &mut n_slots)?;
        let splits = (nodes.nodes.iter().zip(&ranks).enumerate())
            .map(|(at, (node, rank))| match (rank, node) {
                (Some(rank), _) => CodedSplit { slot: rank.slot(&entries) as u8, rank: rank.rank },
                (None, Node::Categorical { .. }) => {
                    CodedSplit { slot: sets.slots.get(&at).copied().unwrap_or_default(), rank: 1 }
                }
                (None, _) => CodedSplit::default(),
            })
            .collect();
        let slots = write(n_slots, &thresholds, &entries, &sets);
        Self::from_parts(slots.0, slots.1.finish(), forest.n_features).ok().map(|slots| (slots, splits))
    }
}

/// Whether zero is missing at a split, too.
fn zero_is_missing(missing: Missing) -> bool {
    matches!(missing, Missing::ZeroLeft | Missing::ZeroRight)
}

/// Every threshold that occurs; `None` when there are too many chunks for [`MAX_SLOTS`].
fn thresholds(nodes: &Nodes) -> Option<BTreeMap<Key, Thresholds>> {
    let mut found: BTreeMap<Key, Vec<f32>> = BTreeMap::new();
    for node in &nodes.nodes {
        if let Node::Numeric { feature, missing, threshold, .. } = *node {
            let of = found.entry((zero_is_missing(missing), feature)).or_default();
            if !threshold.is_nan() {
                of.push(normal(threshold));
            }
        }
        if found.len() > MAX_SLOTS {
            return None;
        }
    }
    let mut chunk = 0;
    let thresholds = found
        .into_iter()
        .map(|(key, mut sorted)| {
            sorted.sort_unstable_by(f32::total_cmp);
            sorted.dedup();
            let first = chunk;
            chunk += chunked(&sorted).count();
            (key, Thresholds { sorted, chunk: first })
        })
        .collect();
    (chunk <= MAX_SLOTS).then_some(thresholds)
}

/// The two zeros are one threshold.
fn normal(threshold: f32) -> f32 {
    if threshold == 0.0 { 0.0 } else { threshold }
}

/// One entry per chunk, in the chunks' order, without slots yet.
fn entries(thresholds: &BTreeMap<Key, Thresholds>) -> Option<Vec<Entry>> {
    let mut line = 0;
    (thresholds.iter().flat_map(|(key, of)| chunked(&of.sorted).map(|chunk| (key.1, chunk.len()))))
        .map(|(feature, len)| {
            let entry = Entry { feature, right: UNUSED, left: UNUSED, line: u16::try_from(line).ok()? };
            line += lines_of(len);
            Some(entry)
        })
        .collect()
}

/// The chunks of a key; one, if it has no thresholds but `NaN`.
fn chunked(sorted: &[f32]) -> impl Iterator<Item = &[f32]> {
    let n = sorted.len().div_ceil(CHUNK).max(1);
    (0..n).map(move |i| &sorted[i * CHUNK..sorted.len().min((i + 1) * CHUNK)])
}

fn lines_of(len: usize) -> usize {
    len.div_ceil(WIDE).max(1)
}

/// A numeric split's place.
#[derive(Clone, Copy)]
struct Rank {
    /// Number of the chunk's entry.
    entry: usize,
    missing_left: bool,
    rank: u8,
}

impl Rank {
    fn slot(self, entries: &[Entry]) -> u16 {
        let entry = entries[self.entry];
        if self.missing_left { entry.left } else { entry.right }
    }
}

fn rank(node: Node, thresholds: &BTreeMap<Key, Thresholds>) -> Option<Rank> {
    let Node::Numeric { feature, missing, threshold, .. } = node else { return None };
    let missing_left = matches!(missing, Missing::Left | Missing::ZeroLeft);
    let of = thresholds.get(&(zero_is_missing(missing), feature))?;
    if threshold.is_nan() {
        return Some(Rank { entry: of.chunk, missing_left, rank: u8::MAX });
    }
    let index = of.sorted.partition_point(|&t| t < threshold);
    Some(Rank { entry: of.chunk + index / CHUNK, missing_left, rank: (index % CHUNK + 1) as u8 })
}

/// Gives a slot to every direction that occurs; the number of slots.
fn assign(entries: &mut [Entry], ranks: &[Option<Rank>]) -> Option<usize> {
    for rank in ranks.iter().flatten() {
        let entry = &mut entries[rank.entry];
        *(if rank.missing_left { &mut entry.left } else { &mut entry.right }) = 0;
    }
    let mut n_slots = 0;
    for slot in entries.iter_mut().flat_map(|entry| [&mut entry.right, &mut entry.left]) {
        if *slot != UNUSED {
            *slot = u16::try_from(n_slots).ok()?;
            n_slots += 1;
        }
    }
    (n_slots <= MAX_SLOTS).then_some(n_slots)
}

/// The categorical splits.
#[derive(Default)]
struct Sets {
    categories: Vec<Category>,
    words: Vec<u32>,
    /// Slot of each categorical node.
    slots: HashMap<usize, u8>,
}

impl Sets {
    fn build(nodes: &Nodes, n_slots: &mut usize) -> Option<Self> {
        let mut sets = Self::default();
        let mut known: HashMap<(u16, u8, &[u32]), u8> = HashMap::new();
        for (at, node) in nodes.nodes.iter().enumerate() {
            let Node::Categorical { feature, rule, set, .. } = *node else { continue };
            let words = &*nodes.sets[set as usize];
            let rule = number_of(rule);
            let slot = match known.get(&(feature, rule, words)) {
                Some(&slot) => slot,
                None => {
                    let slot = u8::try_from(*n_slots).ok()?;
                    *n_slots += 1;
                    known.insert((feature, rule, words), slot);
                    let (word, n) = (u32::try_from(sets.words.len()).ok()?, u32::try_from(words.len()).ok()?);
                    sets.categories.push(Category { feature, slot, rule, word, words: n });
                    sets.words.extend_from_slice(words);
                    slot
                }
            };
            sets.slots.insert(at, slot);
        }
        Some(sets)
    }
}

fn number_of(rule: CategoryRule) -> u8 {
    // Every rule is in the list.
    RULES.iter().position(|&r| r == rule).unwrap_or_default() as u8
}

/// Writes the arena.
fn write(
    n_slots: usize,
    thresholds: &BTreeMap<Key, Thresholds>,
    entries: &[Entry],
    sets: &Sets,
) -> (SlotsMeta, LinesBuilder) {
    let chunks: Vec<&[f32]> = thresholds.values().flat_map(|of| chunked(&of.sorted)).collect();
    let n_zero =
        thresholds.iter().filter(|((zero, _), _)| *zero).map(|(_, of)| chunked(&of.sorted).count()).sum();
    let meta = SlotsMeta {
        n_slots,
        n_plain: entries.len() - n_zero,
        n_zero,
        n_threshold_lines: chunks.iter().map(|chunk| lines_of(chunk.len())).sum(),
        n_categories: sets.categories.len(),
        n_words: sets.words.len(),
    };
    let mut arena = LinesBuilder::default();
    arena.extend(entries);
    arena.align(LINE);
    for chunk in &chunks {
        arena.extend(&pivots(chunk));
    }
    for chunk in &chunks {
        let mut lines = vec![f32::NAN; lines_of(chunk.len()) * WIDE];
        lines[..chunk.len()].copy_from_slice(chunk);
        arena.extend(&lines);
    }
    arena.extend(&sets.categories);
    arena.align(LINE);
    arena.extend(&sets.words);
    arena.align(LINE);
    (meta, arena)
}

/// The last threshold of every line but the last.
fn pivots(chunk: &[f32]) -> [f32; WIDE] {
    let mut pivots = [f32::NAN; WIDE];
    for (i, pivot) in pivots.iter_mut().take(lines_of(chunk.len()) - 1).enumerate() {
        *pivot = chunk[i * WIDE + WIDE - 1];
    }
    pivots
}
