//! XGBoost's old binary format (`save_model` up to 2.x without a suffix that says otherwise, and the only one
//! of 0.x).
//!
//! Layout, little-endian: `binf` (not in 0.x); 136 bytes of learner parameters (base score `f32`, features
//! `u32`, classes `i32`, whether attributes and metrics follow `i32`, major and minor version `u32`, targets
//! `u32`, and what is not needed); objective and booster, each a `u64` length and its text; the booster.
//! * gbtree: 160 bytes of parameters (the first: number of trees `i32`), the trees, each tree's output `i32`;
//! * dart: as gbtree, then `u64` count and weights `f32`;
//! * gblinear: 136 bytes, then `u64` count and weights `f32`.
//!
//! A tree: 148 bytes of parameters (nodes, deleted nodes and size of leaves are the 2nd, 3rd and 6th `i32`),
//! its nodes, 20 bytes each (parent, left child, right child `i32`, feature `u32` with default left in the
//! highest bit, threshold or leaf value `f32`), and 16 bytes of statistics each (gain, sum of hessians,
//! weight `f32`, leaves below `i32`). Deleted nodes are not reached from the root.
//!
//! Then attributes: `u64` count, and key and value of each as texts; before 1.0 also the greatest step of
//! `count:poisson` as a text, and the names of metrics. A file ends there. In a pickle of 1.x
//! (`CONFIG-offset:`, the length of the rest `i64`) a configuration in JSON follows, which is not read.
//!
//! Hostile input: counts are held against the bytes that are left before anything is taken.
//!
//! Source: `src/learner.cc`, `src/gbm/gbtree_model.cc`, `src/gbm/gblinear_model.h`, `src/tree/tree_model.cc`
//! of 1.2.1 and 1.7.6; `src/learner.cc` of 0.90. Refused: `bs64`, which XGBoost itself no longer reads.

use super::json::Text;
use super::tree::{Tree, TreeParam};
use super::{Model, Part, Version, build};
use crate::Format;
use crate::error::ParseError;
use crate::forest::Forest;

const MAGIC: &[u8] = b"binf";
const CONFIG: &[u8] = b"CONFIG-offset:";
/// Least size of a tree: parameters and one node.
const TREE_BYTES: usize = 148 + NODE_BYTES;
const NODE_BYTES: usize = 20 + 16;
/// Longest name of an objective or a booster.
const MAX_NAME: usize = 1 << 10;

pub(crate) fn from_binary(bytes: &[u8]) -> Result<Forest, ParseError> {
    let mut reader = Reader { bytes, at: 0 };
    if bytes.starts_with(CONFIG) {
        reader.at = CONFIG.len();
        let length = reader.count("byte of the model", 1)?;
        reader.bytes = &bytes[..reader.at + length];
    }
    let model = reader.model()?;
    match reader.left() {
        0 => build(model),
        more => Err(reader.error(format!("{more} bytes after the end of the model"))),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn error(&self, reason: String) -> ParseError {
        ParseError::Bytes { format: Format::XgboostBinary, offset: self.at, reason }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], ParseError> {
        let Some(taken) = self.bytes.get(self.at..).and_then(|rest| rest.get(..n)) else {
            return Err(self.error(format!("{n} bytes expected, {} left", self.left())));
        };
        self.at += n;
        Ok(taken)
    }

    /// `n` values of four bytes.
    fn words(&mut self, n: usize) -> Result<&'a [[u8; 4]], ParseError> {
        Ok(self.take(n.saturating_mul(4))?.as_chunks::<4>().0)
    }

    /// A `u64` count of things of at least `size` bytes.
    fn count(&mut self, what: &str, size: usize) -> Result<usize, ParseError> {
        let mut value = [0; 8];
        value.copy_from_slice(self.take(8)?);
        self.fits(i128::from(u64::from_le_bytes(value)), what, size)
    }

    fn fits(&self, count: i128, what: &str, size: usize) -> Result<usize, ParseError> {
        match usize::try_from(count) {
            Ok(n) if n.checked_mul(size).is_some_and(|bytes| bytes <= self.left()) => Ok(n),
            _ => Err(self.error(format!("{count} x {what}, but {} bytes are left", self.left()))),
        }
    }

    fn text(&mut self) -> Result<&'a [u8], ParseError> {
        let length = self.count("byte of text", 1)?;
        self.take(length)
    }

    fn name(&mut self) -> Result<String, ParseError> {
        let text = self.text()?;
        match std::str::from_utf8(text) {
            Ok(name) if name.len() <= MAX_NAME => Ok(name.to_owned()),
            _ => Err(self.error(format!("a name of {} bytes that is not text", text.len()))),
        }
    }

    fn floats(&mut self) -> Result<Vec<f32>, ParseError> {
        let n = self.count("weight", 4)?;
        Ok(self.words(n)?.iter().map(|w| f32::from_le_bytes(*w)).collect())
    }

    fn model(&mut self) -> Result<Model, ParseError> {
        if self.bytes[self.at..].starts_with(MAGIC) {
            self.at += MAGIC.len();
        }
        let header = self.words(34)?;
        let unsigned = |i: usize| u32::from_le_bytes(header[i]);
        let version = Version(unsigned(5), unsigned(6));
        let (has_attributes, has_metrics) = (unsigned(3) != 0, unsigned(4) != 0);
        let (objective, booster) = (self.name()?, self.name()?);
        let part = match booster.as_str() {
            "gblinear" => {
                self.take(136)?;
                Part::Linear(self.floats()?)
            }
            "gbtree" | "dart" => self.trees(booster == "dart")?,
            _ => return Err(ParseError::Unsupported(format!("xgboost booster {booster}"))),
        };
        if has_attributes {
            self.texts(2)?;
        }
        if version.base_is_margin() {
            self.old_end(&objective, has_metrics)?;
        }
        Ok(Model {
            version,
            objective,
            base_score: vec![f32::from_le_bytes(header[0])],
            n_features: i64::from(unsigned(1)),
            n_classes: i64::from(i32::from_le_bytes(header[2])),
            n_targets: i64::from(unsigned(7)),
            feature_names: Vec::new(),
            part,
        })
    }

    /// What versions before 1.0 wrote last.
    fn old_end(&mut self, objective: &str, has_metrics: bool) -> Result<(), ParseError> {
        if objective == "count:poisson" {
            self.text()?;
        }
        if has_metrics {
            self.texts(1)?;
        }
        Ok(())
    }

    /// A list with so many texts in an entry, which are not kept.
    fn texts(&mut self, each: usize) -> Result<(), ParseError> {
        let n = self.count("list of texts", 8 * each)?;
        (0..n * each).try_for_each(|_| self.text().map(drop))
    }

    fn trees(&mut self, dart: bool) -> Result<Part, ParseError> {
        let n_trees = i32::from_le_bytes(self.words(40)?[0]);
        let n_trees = self.fits(i128::from(n_trees), "tree", TREE_BYTES)?;
        let mut trees = Vec::with_capacity(n_trees);
        for _ in 0..n_trees {
            trees.push(self.tree()?);
        }
        let outputs = self.words(n_trees)?.iter().map(|o| i64::from(i32::from_le_bytes(*o))).collect();
        let weights = if dart && n_trees != 0 { self.floats()? } else { Vec::new() };
        Ok(Part::Trees { trees, outputs, weights, dart })
    }

    fn tree(&mut self) -> Result<Tree, ParseError> {
        let params = self.words(37)?;
        let param = |i: usize| i32::from_le_bytes(params[i]);
        // Before 1.0 a value was kept for each node when this was not zero; nobody set it.
        if param(5) > 1 {
            return Err(ParseError::Unsupported(
                "xgboost-binary model with leaves that are vectors".to_owned(),
            ));
        }
        let n_nodes = self.fits(i128::from(param(1)), "node", NODE_BYTES)?;
        let num_deleted = Text(param(2).to_string());
        let nodes = self.words(n_nodes * 5)?.as_chunks::<5>().0;
        let statistics = self.words(n_nodes * 4)?.as_chunks::<4>().0;
        let feature = |node: &[[u8; 4]; 5]| u32::from_le_bytes(node[3]);
        Ok(Tree {
            left_children: nodes.iter().map(|node| i32::from_le_bytes(node[1])).collect(),
            right_children: nodes.iter().map(|node| i32::from_le_bytes(node[2])).collect(),
            split_indices: nodes.iter().map(|node| (feature(node) & 0x7FFF_FFFF) as i32).collect(),
            default_left: nodes.iter().map(|node| feature(node) >> 31 == 1).collect(),
            split_conditions: nodes.iter().map(|node| f32::from_le_bytes(node[4])).collect(),
            sum_hessian: statistics.iter().map(|s| f32::from_le_bytes(s[1])).collect(),
            tree_param: TreeParam { num_deleted, ..TreeParam::default() },
            ..Tree::default()
        })
    }
}
