//! Why a model file or a call was refused. Messages give the place, the offending value and the limit.

use crate::Format;

/// Why a file is not a model that can be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not well-formed JSON, or a member has the wrong type; the source gives line and column.
    #[error("{format} model is not readable")]
    Json {
        /// The format that was asked for.
        format: Format,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Not well-formed UBJSON, or a member has the wrong type.
    #[error("xgboost-ubj model is not readable at byte {offset}: {reason}")]
    Ubj {
        /// Offset from the start of the file.
        offset: usize,
        /// What was found there.
        reason: String,
    },
    /// Not a well-formed protocol buffer, or not one of ONNX.
    #[error("onnx model is not readable at byte {offset}: {reason}")]
    Onnx {
        /// Offset from the start of the file.
        offset: usize,
        /// What was found there.
        reason: String,
    },
    /// A compiled file is not as it must be.
    #[error("tribunal-compiled model is not readable: {reason}")]
    Compiled {
        /// What was found.
        reason: String,
    },
    /// A binary file is not as it must be.
    #[error("{format} model is not readable at byte {offset}: {reason}")]
    Bytes {
        /// The format that was asked for; a pickle's content has its own, and its own offsets.
        format: Format,
        /// Offset from the start of the file.
        offset: usize,
        /// What was found there.
        reason: String,
    },
    /// A line of LightGBM's text is not as it must be.
    #[error("lightgbm-text model is not readable at line {line}: {reason}")]
    Text {
        /// Line, from 1.
        line: usize,
        /// What was found there.
        reason: String,
    },
    /// A member outside the trees is missing or out of range.
    #[error("{member}: {reason}")]
    Member {
        /// Name of the member in the file.
        member: &'static str,
        /// The value, and what it must be.
        reason: String,
    },
    /// A tree is not a tree, or a node of it is not sound.
    #[error("tree {tree}, node {node}: {fault}")]
    Tree {
        /// Position of the tree in the file.
        tree: usize,
        /// Number of the node in the file (LightGBM: leaves are counted after the inner nodes).
        node: usize,
        /// What is wrong.
        fault: TreeFault,
    },
    /// The arrays of a tree do not have the same length.
    #[error("tree {tree}: {array} has {len} values, expected {expected}")]
    Length {
        /// Position of the tree in the file.
        tree: usize,
        /// Name of the array in the file.
        array: &'static str,
        /// Its length.
        len: usize,
        /// The length that it must have.
        expected: usize,
    },
    /// A sound model of a kind that this crate does not evaluate.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// More than the limit.
    #[error("model has {value} {what}, more than the limit {limit}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        value: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// What is wrong with a node.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeFault {
    /// A child's number is not that of a node.
    #[error("child {child} is outside of the tree's {len} nodes")]
    Child {
        /// The number.
        child: i64,
        /// Number of nodes.
        len: usize,
    },
    /// Reached on two ways: a cycle, or two parents.
    #[error("reached twice from the root: a cycle, or a node with two parents")]
    ReachedTwice,
    /// Not reached from the root.
    #[error("{unreachable} nodes are not reached from the root, expected {expected}")]
    Unreachable {
        /// How many are not.
        unreachable: usize,
        /// How many nodes the file declares as deleted.
        expected: usize,
    },
    /// Deeper than the limit.
    #[error("deeper than the limit {limit}")]
    TooDeep {
        /// [`crate::MAX_DEPTH`].
        limit: usize,
    },
    /// Splits on a feature that the model does not have.
    #[error("splits on feature {feature}, the model has {n_features}")]
    Feature {
        /// Its number.
        feature: i64,
        /// How many there are.
        n_features: usize,
    },
    /// Threshold, leaf value or cover is not a number that makes sense.
    #[error("{what} is {value}")]
    Value {
        /// What it is.
        what: &'static str,
        /// The value.
        value: f64,
    },
    /// The set of categories of a categorical split is not sound.
    #[error("set of categories: {0}")]
    Categories(String),
    /// A tree has no node.
    #[error("the tree is empty")]
    Empty,
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// The slice does not hold whole rows.
    #[error("{len} values are not whole rows of {n_features} features")]
    RowLength {
        /// Length of the slice.
        len: usize,
        /// Features of a row.
        n_features: usize,
    },
    /// The unknown features are neither those of one row nor those of all.
    #[error("{len} marks of unknown features, must be {expected} or as many as there are values")]
    UnknownLength {
        /// Length of the slice.
        len: usize,
        /// Features of a row.
        expected: usize,
    },
    /// The model is a regression.
    #[error("objective {objective} does not give a probability")]
    NoProbability {
        /// Name of the objective.
        objective: String,
    },
    /// The engine cannot take this forest on this processor.
    #[error("engine {engine} cannot take this model on this processor")]
    NoEngine {
        /// Its name.
        engine: &'static str,
    },
    /// A compiled file whose checksum holds and whose trees do not: it was made to deceive.
    #[error("the compiled model's trees are not sound: {reason}")]
    Corrupt {
        /// What was found.
        reason: String,
    },
    /// The file holds no covers (sums of hessians, counts of samples), which contributions are weighted with.
    #[error("the model holds no covers, contributions cannot be computed")]
    NoCovers,
}
