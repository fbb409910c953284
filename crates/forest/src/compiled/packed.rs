//! The trees of a compiled file: small, and unpacked only when someone asks for more than margins.
//!
//! Nodes stand in preorder, so one bit a node (split or leaf) says where every child is. Splits are numbers of
//! entries in a table of the splits that occur. Every array starts on a cache line, in the order of [`Arrays`].

use std::collections::HashMap;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::engine::lines::{LINE, Lines, LinesBuilder};
use crate::tree::{CategoryRule, Missing, Node, Nodes};
use crate::{MAX_DEPTH, MAX_NODES, MAX_TREES};

/// Counts and widths, from which the place of every array follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackedMeta {
    pub(crate) n_trees: usize,
    pub(crate) n_nodes: usize,
    pub(crate) n_leaves: usize,
    pub(crate) max_depth: usize,
    /// Entries of the table of splits.
    n_table: usize,
    /// Bytes of a split's number: 2 or 4.
    split_width: usize,
    /// Bytes of a leaf's value: 4 (`f32`) or 8 (`f64`); a vector's is its position in `vectors`.
    leaf_width: usize,
    /// Bytes of a leaf's number as the trainer counts it: 2 or 4.
    id_width: usize,
    /// Bytes of a cover: 4 or 8; 0 when there are none.
    pub(crate) cover_width: usize,
    n_sets: usize,
    set_words: usize,
    /// Values of all leaves that are vectors; 0 when leaves are scalars.
    pub(crate) n_vectors: usize,
}

/// An entry of the table of splits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
struct Split {
    /// 0 to 3: numeric, by what is missing; from 4: categorical, by rule.
    kind: u16,
    feature: u16,
    /// Bits of the threshold, or number of the set.
    value: u32,
}

/// Where each array is, in bytes.
struct Arrays {
    tree_nodes: Range<usize>,
    is_split: Range<usize>,
    splits: Range<usize>,
    table: Range<usize>,
    leaves: Range<usize>,
    ids: Range<usize>,
    covers: Range<usize>,
    set_lengths: Range<usize>,
    sets: Range<usize>,
    vectors: Range<usize>,
    end: usize,
}

impl Arrays {
    /// Sums cannot overflow: [`PackedMeta::check`] bounds every count.
    fn of(meta: &PackedMeta) -> Self {
        let mut end = 0_usize;
        let mut next = |count: usize, width: usize| {
            let start = end.next_multiple_of(LINE);
            end = start + count * width;
            start..end
        };
        let n_splits = meta.n_nodes - meta.n_leaves;
        Self {
            tree_nodes: next(meta.n_trees, 4),
            is_split: next(meta.n_nodes.div_ceil(64), 8),
            splits: next(n_splits, meta.split_width),
            table: next(meta.n_table, size_of::<Split>()),
            leaves: next(meta.n_leaves, meta.leaf_width),
            ids: next(meta.n_leaves, meta.id_width),
            covers: next(meta.n_nodes, meta.cover_width),
            set_lengths: next(meta.n_sets, 4),
            sets: next(meta.set_words, 4),
            vectors: next(meta.n_vectors, 8),
            end,
        }
    }
}

impl PackedMeta {
    /// Every count within the crate's limits, and the arena as long as they say.
    pub(crate) fn check(&self, arena_bytes: usize) -> Result<(), String> {
        let counts = [
            ("trees", self.n_trees, MAX_TREES),
            ("nodes", self.n_nodes, MAX_NODES),
            ("leaves", self.n_leaves, self.n_nodes),
            ("edges of the longest walk", self.max_depth, MAX_DEPTH),
            ("different splits", self.n_table, MAX_NODES),
            ("sets", self.n_sets, MAX_NODES),
            ("words of sets", self.set_words, MAX_NODES),
            ("values of vectors", self.n_vectors, MAX_NODES),
        ];
        if let Some((what, value, limit)) = counts.into_iter().find(|(_, value, limit)| value > limit) {
            return Err(format!("{value} {what}, more than the limit {limit}"));
        }
        let widths = [
            ("split", self.split_width, [2, 4, 4]),
            ("leaf", self.leaf_width, [4, 8, 8]),
            ("number of a leaf", self.id_width, [2, 4, 4]),
            ("cover", self.cover_width, [0, 4, 8]),
        ];
        if let Some((what, width, _)) = widths.into_iter().find(|(_, width, of)| !of.contains(width)) {
            return Err(format!("a {what} of {width} bytes"));
        }
        let expected = Arrays::of(self).end.next_multiple_of(LINE);
        match arena_bytes == expected {
            true => Ok(()),
            false => Err(format!("trees of {arena_bytes} bytes, expected {expected}")),
        }
    }
}

/// Packs the trees; the inverse of [`unpack`].
pub(crate) fn pack(nodes: &Nodes, single: bool) -> (PackedMeta, Lines) {
    let mut table: Vec<Split> = Vec::new();
    let mut numbers: HashMap<Split, u32> = HashMap::new();
    let (mut splits, mut leaves, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_split = vec![0_u64; nodes.nodes.len().div_ceil(64)];
    for (i, (node, &id)) in nodes.nodes.iter().zip(&nodes.leaf_ids).enumerate() {
        let split = match *node {
            Node::Leaf { value } => Err(value),
            Node::Vector { at } => Err(f64::from(at)),
            Node::Numeric { feature, missing, threshold, .. } => {
                Ok(Split { kind: missing as u16, feature, value: threshold.to_bits() })
            }
            Node::Categorical { feature, rule, set, .. } => {
                Ok(Split { kind: 4 + rule as u16, feature, value: set })
            }
        };
        match split {
            Err(value) => {
                leaves.push(value);
                ids.push(id);
            }
            Ok(split) => {
                is_split[i / 64] |= 1 << (i % 64);
                splits.push(*numbers.entry(split).or_insert_with(|| {
                    table.push(split);
                    table.len() as u32 - 1
                }));
            }
        }
    }
    // A vector's position is a whole number, exact in `f64` only.
    let single = single && nodes.vectors.is_empty();
    let covers_single = nodes.covers.iter().all(|&c| f64::from(c as f32) == c);
    let meta = PackedMeta {
        n_trees: nodes.roots.len(),
        n_nodes: nodes.nodes.len(),
        n_leaves: leaves.len(),
        max_depth: nodes.max_depth,
        n_table: table.len(),
        split_width: if table.len() <= 1 << 16 { 2 } else { 4 },
        leaf_width: if single { 4 } else { 8 },
        id_width: if ids.iter().all(|&id| id < 1 << 16) { 2 } else { 4 },
        cover_width: match (nodes.covers.is_empty(), covers_single) {
            (true, _) => 0,
            (false, true) => 4,
            (false, false) => 8,
        },
        n_sets: nodes.sets.len(),
        set_words: nodes.sets.iter().map(|set| set.len()).sum(),
        n_vectors: nodes.vectors.len(),
    };
    let mut arena = LinesBuilder::default();
    let ends = nodes.roots.iter().skip(1).copied().chain([nodes.nodes.len() as u32]);
    put(&mut arena, &nodes.roots.iter().zip(ends).map(|(start, end)| end - start).collect::<Vec<u32>>());
    put(&mut arena, &is_split);
    put_integers(&mut arena, &splits, meta.split_width);
    put(&mut arena, &table);
    put_floats(&mut arena, &leaves, meta.leaf_width);
    put_integers(&mut arena, &ids, meta.id_width);
    put_floats(&mut arena, &nodes.covers, meta.cover_width);
    put(&mut arena, &nodes.sets.iter().map(|set| set.len() as u32).collect::<Vec<u32>>());
    put(&mut arena, &nodes.sets.iter().flat_map(|set| set.iter().copied()).collect::<Vec<u32>>());
    put(&mut arena, &nodes.vectors);
    (meta, arena.finish())
}

fn put<T: Pod>(arena: &mut LinesBuilder, values: &[T]) {
    arena.align(LINE);
    arena.extend(values);
}

fn put_integers(arena: &mut LinesBuilder, values: &[u32], width: usize) {
    if width == 2 {
        put(arena, &values.iter().map(|&v| v as u16).collect::<Vec<u16>>());
    } else {
        put(arena, values);
    }
}

fn put_floats(arena: &mut LinesBuilder, values: &[f64], width: usize) {
    if width == 4 {
        put(arena, &values.iter().map(|&v| v as f32).collect::<Vec<f32>>());
    } else {
        put(arena, values);
    }
}

/// Integers of 2 or 4 bytes, or floats of 4 or 8.
enum Column<'a> {
    Narrow(&'a [u16]),
    Wide(&'a [u32]),
    Single(&'a [f32]),
    Double(&'a [f64]),
}

impl<'a> Column<'a> {
    fn integers(bytes: &'a [u8], width: usize) -> Self {
        match width {
            2 => Self::Narrow(bytemuck::cast_slice(bytes)),
            _ => Self::Wide(bytemuck::cast_slice(bytes)),
        }
    }

    fn floats(bytes: &'a [u8], width: usize) -> Self {
        match width {
            8 => Self::Double(bytemuck::cast_slice(bytes)),
            _ => Self::Single(bytemuck::cast_slice(bytes)),
        }
    }

    fn integer(&self, i: usize) -> u32 {
        match self {
            Self::Narrow(values) => u32::from(values[i]),
            Self::Wide(values) => values[i],
            Self::Single(_) | Self::Double(_) => 0,
        }
    }

    fn float(&self, i: usize) -> f64 {
        match self {
            Self::Single(values) => f64::from(values[i]),
            Self::Double(values) => values[i],
            Self::Narrow(_) | Self::Wide(_) => 0.0,
        }
    }
}

/// The arrays of an arena that [`PackedMeta::check`] has passed.
struct Reader<'a> {
    splits: Column<'a>,
    table: &'a [Split],
    leaves: Column<'a>,
    n_features: usize,
    n_outputs: usize,
    meta: PackedMeta,
}

/// The trees again, checked: each is a tree, no deeper than the limit, and of this many features and outputs.
pub(crate) fn unpack(
    meta: PackedMeta,
    arena: &Lines,
    n_features: usize,
    n_outputs: usize,
) -> Result<Nodes, String> {
    let bytes: &[u8] = arena.cast();
    meta.check(bytes.len())?;
    let at = Arrays::of(&meta);
    let reader = Reader {
        splits: Column::integers(&bytes[at.splits], meta.split_width),
        table: bytemuck::cast_slice(&bytes[at.table]),
        leaves: Column::floats(&bytes[at.leaves], meta.leaf_width),
        n_features,
        n_outputs,
        meta,
    };
    let mut nodes = Nodes {
        sets: sets(bytemuck::cast_slice(&bytes[at.set_lengths]), bytemuck::cast_slice(&bytes[at.sets]))?,
        vectors: bytemuck::cast_slice(&bytes[at.vectors]).to_vec(),
        ..Nodes::default()
    };
    if meta.cover_width > 0 {
        let covers = Column::floats(&bytes[at.covers], meta.cover_width);
        nodes.covers = (0..meta.n_nodes).map(|i| covers.float(i)).collect();
    }
    if nodes.covers.iter().any(|c| !(c.is_finite() && *c >= 0.0)) {
        return Err("a cover is negative or not finite".to_owned());
    }
    let ids = Column::integers(&bytes[at.ids], meta.id_width);
    reader.trees(&mut nodes, bytemuck::cast_slice(&bytes[at.tree_nodes]), &bytes[at.is_split], &ids)?;
    Ok(nodes)
}

fn sets(lengths: &[u32], words: &[u32]) -> Result<Vec<Box<[u32]>>, String> {
    let mut rest = words;
    let mut sets = Vec::with_capacity(lengths.len());
    for &length in lengths {
        let (set, after) = rest.split_at_checked(length as usize).ok_or("a set is longer than all sets")?;
        sets.push(set.into());
        rest = after;
    }
    if rest.is_empty() { Ok(sets) } else { Err(format!("{} words in no set", rest.len())) }
}

impl Reader<'_> {
    fn trees(
        &self,
        nodes: &mut Nodes,
        tree_nodes: &[u32],
        is_split: &[u8],
        ids: &Column<'_>,
    ) -> Result<(), String> {
        let bits: &[u64] = bytemuck::cast_slice(is_split);
        nodes.nodes.reserve(self.meta.n_nodes);
        nodes.leaf_ids = vec![0; self.meta.n_nodes];
        let (mut n_splits, mut n_leaves) = (0, 0);
        for (tree, &count) in tree_nodes.iter().enumerate() {
            let start = nodes.nodes.len();
            let end = start.saturating_add(count as usize);
            let mut depth = 0;
            let mut deepest = 0;
            let mut pending: Vec<(usize, usize)> = Vec::new();
            for i in start..end.min(self.meta.n_nodes) {
                deepest = deepest.max(depth);
                if bits[i / 64] >> (i % 64) & 1 == 1 {
                    if n_splits >= self.meta.n_nodes - self.meta.n_leaves || depth >= MAX_DEPTH {
                        return Err(format!("tree {tree} has too many splits"));
                    }
                    nodes.nodes.push(self.split(n_splits, nodes)?);
                    n_splits += 1;
                    pending.push((i, depth));
                    depth += 1;
                    continue;
                }
                if n_leaves >= self.meta.n_leaves {
                    return Err(format!("tree {tree} has too many leaves"));
                }
                nodes.nodes.push(self.leaf(n_leaves, nodes)?);
                nodes.leaf_ids[i] = ids.integer(n_leaves);
                n_leaves += 1;
                match pending.pop() {
                    Some((parent, at)) if i + 1 < end => {
                        nodes.set_right(parent, i + 1);
                        depth = at + 1;
                    }
                    None if i + 1 == end => {}
                    _ => return Err(format!("tree {tree} is not a tree")),
                }
            }
            if nodes.nodes.len() != end || count == 0 || !pending.is_empty() {
                return Err(format!("tree {tree} ends early"));
            }
            nodes.roots.push(start as u32);
            nodes.depths.push(deepest);
            nodes.max_depth = nodes.max_depth.max(deepest);
        }
        let all = nodes.nodes.len() == self.meta.n_nodes && nodes.max_depth == self.meta.max_depth;
        if all { Ok(()) } else { Err("the trees do not have the declared nodes and depth".to_owned()) }
    }

    fn split(&self, i: usize, nodes: &Nodes) -> Result<Node, String> {
        let number = self.splits.integer(i) as usize;
        let split =
            self.table.get(number).ok_or_else(|| format!("split {number} of {}", self.table.len()))?;
        let (feature, right) = (split.feature, 0);
        if usize::from(feature) >= self.n_features {
            return Err(format!("splits on feature {feature}, the model has {}", self.n_features));
        }
        let rule = match split.kind {
            0..4 => {
                let missing = [Missing::Left, Missing::Right, Missing::ZeroLeft, Missing::ZeroRight]
                    [usize::from(split.kind)];
                return Ok(Node::Numeric { feature, missing, threshold: f32::from_bits(split.value), right });
            }
            4 => CategoryRule::Lightgbm,
            5 => CategoryRule::XgboostMissingLeft,
            6 => CategoryRule::XgboostMissingRight,
            7 => CategoryRule::MemberLeft,
            8 => CategoryRule::MemberOrMissingLeft,
            9 => CategoryRule::MemberRight,
            kind => return Err(format!("split of kind {kind}")),
        };
        match (split.value as usize) < nodes.sets.len() {
            true => Ok(Node::Categorical { feature, rule, set: split.value, right }),
            false => Err(format!("set {} of {}", split.value, nodes.sets.len())),
        }
    }

    fn leaf(&self, i: usize, nodes: &Nodes) -> Result<Node, String> {
        let value = self.leaves.float(i);
        if nodes.vectors.is_empty() {
            return match value.is_finite() {
                true => Ok(Node::Leaf { value }),
                false => Err(format!("a leaf is {value}")),
            };
        }
        let at = value as usize;
        match at as f64 == value && at.saturating_add(self.n_outputs) <= nodes.vectors.len() {
            true => Ok(Node::Vector { at: at as u32 }),
            false => Err(format!("vector at {value} of {} values", nodes.vectors.len())),
        }
    }
}
