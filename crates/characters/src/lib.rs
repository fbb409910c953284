//! A small network over the characters of a host name: the part format `tribunal-charnet`.
//!
//! ```text
//! host -> text (at most 48 symbols) + suffix
//!      -> convolutions over the symbols, each filter's greatest value, at least 0   (i16, as table look-ups)
//!      -> with the suffix's vector: one hidden layer, at least 0                    (i32)
//!      -> margin: log odds that the name is malicious                               (f64)
//! ```
//! All arithmetic is in integers, whose sums do not depend on an order: the margin is the trainer's to the bit,
//! on any processor. A convolution over one-hot symbols is a sum of rows of a table, so a name costs some
//! microseconds and no multiplication until the hidden layer. `FORMAT.md` beside this crate has the file's layout and
//! the rules for the text, in full.
//!
//! [`CharacterModel::parse`] takes a file from anyone: counts are held to limits and to the file's length before
//! memory is taken, and a file whose sums could overflow is refused. [`CharacterModel::margin`] takes any
//! text and does not fail.
//!
//! It reads the name in its normal form, as `tribunal-core` writes it, and does not normalise. It knows nothing
//! of calibration: a margin becomes a probability elsewhere.

mod explain;
mod model;
mod parse;
mod text;

pub use explain::{Explanation, MAX_GRAMS};
pub use model::CharacterModel;
pub use parse::{FORMAT, MAX_BYTES, ParseError};
pub use text::MAX_SYMBOLS;
