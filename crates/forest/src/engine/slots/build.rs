//! Which slots a forest needs, and each split's code.

use std::collections::{BTreeMap, HashMap};

use super::{
    CHUNK, Category, CodedSplit, Entry, LINE, MAX_SLOTS, NO_SKIP, RULES, Slots, SlotsMeta, UNUSED, WHOLE,
    WIDE,
};
use crate::engine::lines::LinesBuilder;
use crate::forest::Forest;
use crate::tree::{CategoryRule, Missing, Node, Nodes};

impl Slots {
    /// The slots of a forest, and one split per node (the default for leaves); `None` when it needs more than
    /// [`MAX_SLOTS`].
    pub(crate) fn build(forest: &Forest) -> Option<(Self, Vec<CodedSplit>)> {
        let nodes = &forest.trees;
        let keys = Keys::of(nodes)?;
        let mut chunks = keys.chunks()?;
        let mut n_slots = assign(&mut chunks)?;
        let sets = Sets::build(nodes, &mut n_slots)?;
        let split = |(at, &node): (usize, &Node)| match node {
            Node::Numeric { feature, missing, threshold, .. } => {
                let (chunk, rank) = keys.rank(feature, missing, threshold)?;
                Some(chunks[chunk].split(is_left(missing), rank))
            }
            Node::Categorical { .. } => sets.slots.get(&at).map(|&slot| CodedSplit { slot, rank: 1 }),
            Node::Leaf { .. } | Node::Vector { .. } => Some(CodedSplit::default()),
        };
        let splits = nodes.nodes.iter().enumerate().map(split).collect::<Option<_>>()?;
        let (meta, arena) = write(n_slots, &chunks, &sets);
        Self::from_parts(meta, arena.finish(), forest.n_features).ok().map(|slots| (slots, splits))
    }
}

fn is_left(missing: Missing) -> bool {
    matches!(missing, Missing::Left | Missing::ZeroLeft)
}

fn zero_is_missing(missing: Missing) -> bool {
    matches!(missing, Missing::ZeroLeft | Missing::ZeroRight)
}

/// Whether zero is missing, and a feature.
type Key = (bool, u16);

/// A threshold, and the directions in which missing values go at splits that have it.
#[derive(Clone, Copy)]
struct Threshold {
    value: f32,
    right: bool,
    left: bool,
}

/// The thresholds of a key, ascending, `NaN` last.
struct Thresholds {
    sorted: Vec<Threshold>,
    /// Number of the first of the chunks.
    chunk: usize,
    /// Thresholds that a right and a left slot can do without, if there is one chunk of [`WHOLE`].
    skips: Option<[u16; 2]>,
}

impl Thresholds {
    fn new(mut sorted: Vec<Threshold>) -> Self {
        sorted.sort_unstable_by(|a, b| a.value.total_cmp(&b.value));
        sorted.dedup_by(|again, first| {
            let same = again.value.to_bits() == first.value.to_bits();
            (first.right, first.left) = (first.right | same & again.right, first.left | same & again.left);
            same
        });
        let skip = |used: fn(&Threshold) -> bool| sorted.iter().position(|t| !used(t)).map(|at| at as u16);
        let skips = match (sorted.len(), skip(|t| t.right), skip(|t| t.left)) {
            (WHOLE, Some(right), Some(left)) => Some([right, left]),
            _ => None,
        };
        Self { sorted, chunk: 0, skips }
    }

    fn chunk_len(&self) -> usize {
        if self.skips.is_some() { WHOLE } else { CHUNK }
    }
}

/// The two zeros are one threshold, and so are all `NaN`.
fn normal(threshold: f32) -> f32 {
    match threshold {
        0.0 => 0.0,
        t if t.is_nan() => f32::NAN,
        t => t,
    }
}

/// The thresholds of all keys.
struct Keys(BTreeMap<Key, Thresholds>);

impl Keys {
    /// `None` when there are too many for [`MAX_SLOTS`].
    fn of(nodes: &Nodes) -> Option<Self> {
        let mut found: BTreeMap<Key, Vec<Threshold>> = BTreeMap::new();
        for node in &nodes.nodes {
            if let Node::Numeric { feature, missing, threshold, .. } = *node {
                let left = is_left(missing);
                let of = found.entry((zero_is_missing(missing), feature)).or_default();
                of.push(Threshold { value: normal(threshold), right: !left, left });
            }
            if found.len() > MAX_SLOTS {
                return None;
            }
        }
        let mut keys: BTreeMap<_, _> =
            found.into_iter().map(|(key, found)| (key, Thresholds::new(found))).collect();
        let mut n_chunks = 0;
        for (zero, skips) in [(false, false), (false, true), (true, false), (true, true)] {
            for (_, of) in keys.iter_mut().filter(|(key, of)| (key.0, of.skips.is_some()) == (zero, skips)) {
                of.chunk = n_chunks;
                n_chunks += of.sorted.len().div_ceil(of.chunk_len());
            }
        }
        (n_chunks <= MAX_SLOTS).then_some(Self(keys))
    }

    /// All chunks, in the order of their numbers, without slots.
    fn chunks(&self) -> Option<Vec<Chunk<'_>>> {
        let mut keys: Vec<(&Key, &Thresholds)> = self.0.iter().collect();
        keys.sort_unstable_by_key(|(_, of)| of.chunk);
        let mut line = 0;
        let chunks = keys.into_iter().flat_map(|(key, of)| {
            of.sorted.chunks(of.chunk_len()).map(move |thresholds| (key, of.skips, thresholds))
        });
        chunks
            .map(|(&(zero, feature), skips, thresholds)| {
                let [skip_right, skip_left] = skips.unwrap_or([NO_SKIP; 2]);
                let first = u16::try_from(line).ok()?;
                line += thresholds.len().div_ceil(WIDE);
                let (right, left) = (UNUSED, UNUSED);
                let entry = Entry { feature, right, left, line: first, skip_right, skip_left };
                Some(Chunk { zero, thresholds, entry })
            })
            .collect()
    }

    /// A threshold's chunk, and its number there, from 0.
    fn rank(&self, feature: u16, missing: Missing, threshold: f32) -> Option<(usize, usize)> {
        let of = self.0.get(&(zero_is_missing(missing), feature))?;
        let value = normal(threshold);
        let index = of.sorted.partition_point(|t| t.value.total_cmp(&value).is_lt());
        Some((of.chunk + index / of.chunk_len(), index % of.chunk_len()))
    }
}

/// Thresholds that have slots of their own.
struct Chunk<'a> {
    zero: bool,
    thresholds: &'a [Threshold],
    entry: Entry,
}

impl Chunk<'_> {
    fn split(&self, missing_left: bool, index: usize) -> CodedSplit {
        let (slot, skip) = match missing_left {
            true => (self.entry.left, self.entry.skip_left),
            false => (self.entry.right, self.entry.skip_right),
        };
        // At most 255: of 256 thresholds one is skipped.
        let rank = if index > usize::from(skip) { index } else { index + 1 };
        CodedSplit { slot: slot as u8, rank: rank as u8 }
    }

    /// The last threshold of every line but the last.
    fn pivots(&self) -> [f32; WIDE] {
        let mut pivots = [f32::NAN; WIDE];
        let lines = self.thresholds.chunks(WIDE);
        for (pivot, line) in pivots.iter_mut().zip(lines.take(self.n_lines() - 1)) {
            *pivot = line[WIDE - 1].value;
        }
        pivots
    }

    fn lines(&self) -> Vec<f32> {
        let mut values: Vec<f32> = self.thresholds.iter().map(|t| t.value).collect();
        values.resize(self.n_lines() * WIDE, f32::NAN);
        values
    }

    fn n_lines(&self) -> usize {
        self.thresholds.len().div_ceil(WIDE)
    }
}

/// Gives a slot to every direction that occurs; the number of slots.
fn assign(chunks: &mut [Chunk<'_>]) -> Option<usize> {
    let mut n_slots = 0;
    for chunk in chunks {
        let used = [chunk.thresholds.iter().any(|t| t.right), chunk.thresholds.iter().any(|t| t.left)];
        let slots = [&mut chunk.entry.right, &mut chunk.entry.left];
        for slot in slots.into_iter().zip(used).filter_map(|(slot, used)| used.then_some(slot)) {
            *slot = n_slots;
            n_slots += 1;
        }
    }
    Some(usize::from(n_slots)).filter(|&n| n <= MAX_SLOTS)
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
fn write(n_slots: usize, chunks: &[Chunk<'_>], sets: &Sets) -> (SlotsMeta, LinesBuilder) {
    let n_zero = chunks.iter().filter(|chunk| chunk.zero).count();
    let skips = |chunk: &&Chunk<'_>| !chunk.zero && chunk.entry.skip_right != NO_SKIP;
    let n_skip = chunks.iter().filter(skips).count();
    let meta = SlotsMeta {
        n_slots,
        n_plain: chunks.len() - n_zero - n_skip,
        n_skip,
        n_zero,
        n_threshold_lines: chunks.iter().map(Chunk::n_lines).sum(),
        n_categories: sets.categories.len(),
        n_words: sets.words.len(),
    };
    let mut arena = LinesBuilder::default();
    arena.extend(&chunks.iter().map(|chunk| chunk.entry).collect::<Vec<_>>());
    arena.align(LINE);
    for chunk in chunks {
        arena.extend(&chunk.pivots());
    }
    for chunk in chunks {
        arena.extend(&chunk.lines());
    }
    arena.extend(&sets.categories);
    arena.align(LINE);
    arena.extend(&sets.words);
    arena.align(LINE);
    (meta, arena)
}
