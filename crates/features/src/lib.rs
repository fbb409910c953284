//! Pure feature extraction: from an entity, and what is known of its address, to a vector of numbers.
//!
//! [`Extractor::extract`] writes one `f32` per feature of the [schema](Extractor::schema). A vector has the
//! features of every kind of entity; those of another kind are missing. Missing is `NaN`; every other value
//! is finite and within the range that the schema states.
//!
//! What is fitted in training (words, language models, rates) is a [`Lexicon`], shipped as one file and
//! searched where it lies. What is knowledge (brands, keywords, providers) is text in `data/`.
//!
//! This crate does no I/O, asks no one and knows no labels.

mod brands;
mod definition;
mod extractor;
mod groups;
pub mod lexicon;
mod lists;
mod markdown;
mod name;
pub mod phrases;
mod trie;

pub use extractor::{ExtractError, Extractor, WIDTH, schema};
pub use lexicon::{Lexicon, LexiconError, SectionSummary};
pub use markdown::markdown;

/// Whether a built-in feature is computed from what a data set says of the address, and missing without one.
pub fn from_address_facts(feature: &str) -> bool {
    ["asn_", "as_name_", "network_", "country_", "ip_hosting_range"]
        .iter()
        .any(|start| feature.starts_with(start))
}
