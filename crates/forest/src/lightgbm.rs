//! LightGBM's model text, format v2, v3 and v4.
//!
//! Layout: a head of `key=value` lines, then `Tree=i` blocks of the same, then `end of trees` (v2: the importances
//! at once); everything after that changes no prediction and is not read. In a tree, inner nodes count from 0; a
//! child below zero is leaf `-child - 1`. `decision_type`: bit 0 categorical, bit 1 default left, bits 2-3 what is
//! missing (0 nothing, 1 zero, 2 NaN). Source: `src/io/tree.cpp`, `include/LightGBM/tree.h` and
//! `src/boosting/gbdt_model_text.cpp` of LightGBM 4.
//!
//! A split says `x <= threshold` in `f64`. `NaN` where missing is not `NaN` counts as zero. With K trees per
//! iteration (classes), tree i belongs to output i mod K.
//!
//! The versions differ in lines that no prediction needs: v3 added the weights of nodes, v4 linear leaves. All are
//! evaluated as LightGBM 4 evaluates them.
//!
//! Refused by name: linear leaves, objectives that LightGBM does not have.

use std::str::FromStr;

use crate::engine::Prepared;
use crate::error::{ParseError, TreeFault};
use crate::forest::{Aggregation, Forest, check_features, check_outputs, check_trees};
use crate::input::InputStep;
use crate::link::Link;
use crate::tree::{CategoryRule, Missing, Nodes, RawNode, less_than_for_at_most};

const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

/// `key=value` lines up to the next block, with the line that each stands on.
struct Block<'a> {
    first_line: usize,
    /// Line, key and value; a block has about 15, so a search beats a table.
    values: Vec<(usize, &'a str, &'a str)>,
}

/// Lines with their numbers, from 1; without the carriage return.
struct Lines<'a> {
    /// Lines read.
    read: usize,
    lines: std::iter::Peekable<std::iter::Enumerate<std::str::Split<'a, char>>>,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        self.lines.next().map(|(i, line)| {
            self.read = i + 1;
            (i + 1, line.strip_suffix('\r').unwrap_or(line))
        })
    }

    fn starts_block(&mut self) -> bool {
        self.lines.peek().is_none_or(|(_, line)| line.starts_with("Tree=") || is_end(line))
    }

    /// Reads up to the next `Tree=` or what follows the trees.
    fn block(&mut self, first_line: usize) -> Block<'a> {
        let mut values = Vec::with_capacity(20);
        while !self.starts_block() {
            if let Some((number, line)) = self.next() {
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                values.push((number, key, value));
            }
        }
        Block { first_line, values }
    }
}

/// What follows the trees.
fn is_end(line: &str) -> bool {
    ["end of trees", "feature importances:"].iter().any(|end| line.starts_with(end))
}

impl<'a> Block<'a> {
    /// The line and the value of a key, if the block has it.
    fn find(&self, key: &str) -> Option<(usize, &'a str)> {
        self.values.iter().find(|v| v.1 == key).map(|&(line, _, value)| (line, value))
    }

    fn get(&self, key: &str) -> Result<(usize, &'a str), ParseError> {
        self.find(key).ok_or_else(|| ParseError::Text {
            line: self.first_line,
            reason: format!("no {key} in the block that starts here"),
        })
    }

    fn one<T: FromStr>(&self, key: &str) -> Result<T, ParseError> {
        let (line, text) = self.get(key)?;
        text.trim().parse().map_err(|_| not_a_number(line, key, text))
    }

    /// Values separated by spaces; none if the key is absent.
    fn list<T: FromStr>(&self, key: &str) -> Result<Vec<T>, ParseError> {
        let Some((line, text)) = self.find(key) else { return Ok(Vec::new()) };
        text.split_ascii_whitespace().map(|t| t.parse().map_err(|_| not_a_number(line, key, t))).collect()
    }

    fn fixed<T: FromStr>(
        &self,
        tree: usize,
        key: &'static str,
        expected: usize,
    ) -> Result<Vec<T>, ParseError> {
        let values = self.list(key)?;
        match values.len() {
            len if len == expected => Ok(values),
            len => Err(ParseError::Length { tree, array: key, len, expected }),
        }
    }
}

fn not_a_number(line: usize, key: &str, text: &str) -> ParseError {
    let start: String = text.chars().take(40).collect();
    ParseError::Text { line, reason: format!("{key}: {start:?} is not a number of the right kind") }
}

pub(crate) fn from_text(bytes: &[u8]) -> Result<Forest, ParseError> {
    let text = std::str::from_utf8(bytes).map_err(|e| ParseError::Text {
        line: 1 + bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count(),
        reason: "not UTF-8".to_owned(),
    })?;
    let mut lines = Lines { read: 0, lines: text.split('\n').enumerate().peekable() };
    match lines.next() {
        Some((_, "tree")) => {}
        _ => return Err(ParseError::Text { line: 1, reason: "the first line is not \"tree\"".to_owned() }),
    }
    let head = lines.block(1);
    check_version(&head)?;
    let n_outputs = n_outputs(&head)?;
    let (objective, link) = objective(&head)?;
    let names: Vec<String> = head.get("feature_names")?.1.split(' ').map(str::to_owned).collect();
    let highest: i64 = head.one("max_feature_idx")?;
    let n_features = check_features("max_feature_idx", highest.saturating_add(1), Some(&names))?;
    let trees = trees(&mut lines, n_features)?;
    check_n_trees(&head, trees.roots.len())?;
    let tree_outputs = tree_outputs(trees.roots.len(), n_outputs)?;
    Ok(Forest {
        n_features,
        feature_names: Some(names),
        objective,
        link,
        aggregation: Aggregation::sum_f64(n_outputs, head.find("average_output").is_some()),
        n_outputs,
        input: vec![InputStep::FlushTiny],
        trees,
        tree_outputs,
        linear: None,
        prepared: Prepared::default(),
    })
}

fn check_version(head: &Block<'_>) -> Result<(), ParseError> {
    match head.get("version")? {
        (_, "v2" | "v3" | "v4") => Ok(()),
        (line, version) => {
            Err(ParseError::Text { line, reason: format!("version {version:?}, read are v2, v3 and v4") })
        }
    }
}

/// Trees per iteration: one for each output.
fn n_outputs(head: &Block<'_>) -> Result<usize, ParseError> {
    let (line, text) = head.get("num_tree_per_iteration")?;
    let n = text.trim().parse().map_err(|_| not_a_number(line, "num_tree_per_iteration", text))?;
    check_outputs(n)?;
    Ok(n)
}

/// That there are as many trees as the head says, if it does.
fn check_n_trees(head: &Block<'_>, n_trees: usize) -> Result<(), ParseError> {
    match head.find("tree_sizes").map(|(_, sizes)| sizes.split_ascii_whitespace().count()) {
        Some(expected) if expected != n_trees => {
            let reason = format!("{expected} sizes for {n_trees} trees");
            Err(ParseError::Member { member: "tree_sizes", reason })
        }
        _ => Ok(()),
    }
}

/// The output of each tree; empty when there is one output.
fn tree_outputs(n_trees: usize, n_outputs: usize) -> Result<Vec<u16>, ParseError> {
    if !n_trees.is_multiple_of(n_outputs) {
        let reason = format!("{n_trees} trees, not whole iterations of {n_outputs}");
        return Err(ParseError::Member { member: "num_tree_per_iteration", reason });
    }
    // MAX_OUTPUTS fits in u16.
    Ok(if n_outputs == 1 { Vec::new() } else { (0..n_trees).map(|i| (i % n_outputs) as u16).collect() })
}

/// `objective=binary sigmoid:1`: a name, and parameters of it. A model that was trained with a function of the user
/// has none.
fn objective(head: &Block<'_>) -> Result<(String, Link), ParseError> {
    let Some((line, text)) = head.find("objective") else {
        return Ok(("none".to_owned(), Link::Identity));
    };
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or("none");
    let link = match name {
        "binary" | "multiclassova" => {
            let slope = words.find_map(|w| w.strip_prefix("sigmoid:")).unwrap_or("1");
            match slope.parse() {
                Ok(slope) if f64::is_finite(slope) && slope > 0.0 => Link::Logistic { slope },
                _ => return Err(not_a_number(line, "sigmoid", slope)),
            }
        }
        "multiclass" => Link::Softmax,
        "cross_entropy" => Link::Logistic { slope: 1.0 },
        "cross_entropy_lambda" => Link::LogOnePlusExp,
        "poisson" | "gamma" | "tweedie" => Link::Exp,
        "regression" if words.next() == Some("sqrt") => Link::SignedSquare,
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank"
        | "rank_xendcg" | "none" => Link::Identity,
        _ => return Err(ParseError::Unsupported(format!("lightgbm objective {name}"))),
    };
    Ok((name.to_owned(), link))
}

fn trees(lines: &mut Lines<'_>, n_features: usize) -> Result<Nodes, ParseError> {
    let mut trees = Nodes::default();
    loop {
        let Some((line, head)) = lines.next() else {
            let reason = "the file ends without \"end of trees\"".to_owned();
            return Err(ParseError::Text { line: lines.read, reason });
        };
        let index = trees.roots.len();
        if is_end(head) {
            check_trees(index)?;
            trees.drop_partial_covers();
            return Ok(trees);
        }
        check_trees(index + 1)?;
        if head.strip_prefix("Tree=").and_then(|n| n.parse().ok()) != Some(index) {
            return Err(ParseError::Text { line, reason: format!("{head:?} instead of tree {index}") });
        }
        let block = lines.block(line);
        push_tree(&mut trees, index, &block, n_features)?;
    }
}

fn push_tree(
    trees: &mut Nodes,
    index: usize,
    block: &Block<'_>,
    n_features: usize,
) -> Result<(), ParseError> {
    if block.find("is_linear").is_some() && block.one::<u8>("is_linear")? != 0 {
        return Err(ParseError::Unsupported("lightgbm model with linear leaves".to_owned()));
    }
    let leaf_values: Vec<f64> = block.list("leaf_value")?;
    let n_leaves: usize = block.one("num_leaves")?;
    if leaf_values.len() != n_leaves {
        let (array, len) = ("leaf_value", leaf_values.len());
        return Err(ParseError::Length { tree: index, array, len, expected: n_leaves });
    }
    let inner = n_leaves.saturating_sub(1);
    let mut raw = Vec::with_capacity(2 * leaf_values.len());
    if inner > 0 {
        let splits = Splits {
            n_leaves,
            features: block.fixed(index, "split_feature", inner)?,
            thresholds: block.fixed(index, "threshold", inner)?,
            decisions: block.fixed(index, "decision_type", inner)?,
            left: block.fixed(index, "left_child", inner)?,
            right: block.fixed(index, "right_child", inner)?,
        };
        let sets = category_sets(trees, index, block)?;
        for node in 0..inner {
            let at = |fault| ParseError::Tree { tree: index, node, fault };
            raw.push(splits.node(node, &sets).map_err(at)?);
        }
    }
    raw.extend(leaf_values.into_iter().zip(0..).map(|(value, id)| RawNode::Leaf { value, id }));
    trees.push_tree(&raw, &covers(block, raw.len())?, n_features, 0)
}

/// Counts of the inner nodes and leaves; none unless there is one for each.
fn covers(block: &Block<'_>, n_nodes: usize) -> Result<Vec<f64>, ParseError> {
    let mut covers: Vec<f64> = block.list("internal_count")?;
    covers.extend(block.list::<f64>("leaf_count")?);
    if n_nodes == 1 {
        covers = vec![1.0];
    } else if covers.len() != n_nodes {
        covers.clear();
    }
    Ok(covers)
}

/// The split arrays of a tree, all of the same length.
struct Splits {
    n_leaves: usize,
    features: Vec<i64>,
    thresholds: Vec<f64>,
    decisions: Vec<u8>,
    left: Vec<i64>,
    right: Vec<i64>,
}

impl Splits {
    fn node(&self, node: usize, sets: &[u32]) -> Result<RawNode, TreeFault> {
        let (left, right) = (self.child(self.left[node])?, self.child(self.right[node])?);
        let (feature, threshold) = (self.features[node], self.thresholds[node]);
        let decision = self.decisions[node];
        if decision & CATEGORICAL != 0 {
            let wrong = || TreeFault::Categories(format!("{threshold} of {}", sets.len()));
            let set = (threshold >= 0.0 && threshold.fract() == 0.0).then_some(threshold as usize);
            let set = set.and_then(|s| sets.get(s).copied()).ok_or_else(wrong)?;
            return Ok(RawNode::Categorical { feature, rule: CategoryRule::Lightgbm, set, left, right });
        }
        let default_left = decision & DEFAULT_LEFT != 0;
        let missing = match (decision >> 2 & 3, default_left) {
            (0, _) if threshold >= 0.0 => Missing::Left,
            (0, _) => Missing::Right,
            (1, true) => Missing::ZeroLeft,
            (1, false) => Missing::ZeroRight,
            (2, true) => Missing::Left,
            (2, false) => Missing::Right,
            _ => return Err(TreeFault::Value { what: "decision_type", value: f64::from(decision) }),
        };
        let threshold = less_than_for_at_most(threshold)?;
        Ok(RawNode::Numeric { feature, missing, threshold, left, right })
    }

    /// A child's number with the leaves counted after the inner nodes.
    fn child(&self, child: i64) -> Result<i64, TreeFault> {
        let inner = self.n_leaves as i64 - 1;
        match child {
            0.. if child < inner => Ok(child),
            ..0 if !child < self.n_leaves as i64 => Ok(inner + !child),
            _ => Err(TreeFault::Child { child, len: self.n_leaves }),
        }
    }
}

/// Appends the tree's bit sets of categories and gives their positions.
fn category_sets(trees: &mut Nodes, index: usize, block: &Block<'_>) -> Result<Vec<u32>, ParseError> {
    if block.find("cat_boundaries").is_none() {
        return Ok(Vec::new());
    }
    let boundaries: Vec<usize> = block.list("cat_boundaries")?;
    let words: Vec<u32> = block.list("cat_threshold")?;
    let at = |node, reason| ParseError::Tree { tree: index, node, fault: TreeFault::Categories(reason) };
    boundaries
        .windows(2)
        .enumerate()
        .map(|(set, pair)| {
            let of = |reason| at(set, reason);
            let slice = words
                .get(pair[0]..pair[1])
                .ok_or_else(|| of(format!("{} to {} of {} words", pair[0], pair[1], words.len())))?;
            trees.push_words(slice.to_vec()).map_err(of)
        })
        .collect()
}
