//! The extract step: entities to feature vectors and evidence.
//!
//! ```text
//! ExtractInput (a dispatcher's items, or {"entities": [...]}) -> Extraction -> FeatureBatch (rows, refused)
//! ```
//! Every entity is parsed here, also those that a dispatcher parsed before: a state machine can be started by
//! anybody who may, and what is not in normal form would become a key that nobody finds. What is not an
//! entity is reported in `refused`; it never fails the others. Entities for which scoring makes no sense
//! (`special`) get a row without values, and no source is asked.
//!
//! All rows share one vector, of `f32` in the order of the schema; a value of another kind, or one that is
//! not known, is `null`. What is known of addresses comes from the data set [`RANGES`]; the sources that are declared
//! (`tribunal_sources`) add features of their own at the end of the vector, and evidence. What does not answer is
//! missing, the source's status says why, and nothing fails.
//!
//! [`Extraction`] is pure: [`Extraction::read`] gives the questions, [`Extraction::answer`] takes the answers.
//! [`Extract`] is the function around it. It keeps a [`Desk`]: data sets and sources, loaded before the first event
//! and looked at again beside later ones.

mod desk;
mod extraction;
mod input;
mod ranges;
mod step;

pub use desk::{Asking, DeclaredError, Desk, LOOK_AFTER};
pub use extraction::{Extraction, ExtractionError, MAX_OUTPUT_BYTES, OutputTooLarge, Questions};
pub use input::InputError;
pub use ranges::{RANGES, Ranges};
pub use step::Extract;

#[cfg(test)]
mod dead_tests;
#[cfg(test)]
mod tests;
