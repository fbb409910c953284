//! The lexicon: everything that is fitted in training and shipped as data.
//!
//! Sections, each of which may be absent (the features that need it are missing then):
//!
//! | section | holds |
//! |---|---|
//! | `words` | word -> frequency, a finite-state map |
//! | `ngram.benign`, `ngram.generated`, `ngram.phishing` | character language models (see `ngram.rs`) |
//! | `rates.tld`, `rates.asn`, `rates.country` | key -> smoothed share of malicious ones, and how many there were |
//! | `hosting.asn` | number of an autonomous system -> share of its addresses that are hosting |
//!
//! A lexicon is searched where it lies: opening one checks its digest and builds nothing.

mod compile;
mod ngram;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use fst::Map;
use tribunal_core::container::{Container, ContainerError};

pub use compile::compile;
pub(crate) use ngram::NgramModel;

/// The file's format; its size is held down since it is linked into a function whose whole archive has a
/// limit.
pub(crate) const FORMAT: Container = Container { magic: *b"TRIBLEX\0", version: 1, max_bytes: 4 << 20 };

static EMBEDDED: &[u8] = include_bytes!("../../data/lexicon.bin");

/// Names of the language models.
pub(crate) const MODELS: [&str; 3] = ["benign", "generated", "phishing"];
/// Names of the rate tables.
pub(crate) const RATES: [&str; 3] = ["tld", "asn", "country"];
pub(crate) const WORDS: &str = "words";
pub(crate) const HOSTING: &str = "hosting.asn";
/// Key under which a rate table holds the rate of keys that it does not know.
pub(crate) const PRIOR: &[u8] = b"*";
/// A word's value is its distance from 10⁹ per billion, in tenths of a decade.
pub(crate) const NATS_PER_WORD_STEP: f32 = std::f32::consts::LN_10 / 10.0;

/// Why a lexicon cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum LexiconError {
    /// Not a lexicon, cut short, or changed; or more than one may hold.
    #[error("the lexicon file")]
    File(#[from] ContainerError),
    /// A language model's section has an impossible size.
    #[error("language model of {bytes} bytes: its table of grams does not fit")]
    Model {
        /// Of the section.
        bytes: usize,
    },
    /// A line of a file to compile is not of its format.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// Name of the file.
        file: String,
        /// From one.
        line: usize,
        /// What is wrong, with the value.
        reason: String,
    },
    /// A finite-state map could not be built or read.
    #[error("finite-state map of section {section}")]
    Map {
        /// Of the lexicon.
        section: String,
        /// Why.
        #[source]
        source: fst::Error,
    },
}

/// A checked lexicon.
pub struct Lexicon {
    bytes: Cow<'static, [u8]>,
    sections: Vec<(String, Range<usize>)>,
    digest: String,
}

/// What a lexicon holds, for a person.
#[derive(Debug, Clone, serde::Serialize)]
pub struct SectionSummary {
    /// Name.
    pub name: String,
    /// Size.
    pub bytes: usize,
    /// Words, grams of order four, or keys.
    pub entries: usize,
}

impl std::fmt::Debug for Lexicon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the bytes: they are a million.
        f.debug_struct("Lexicon").field("digest", &self.digest).field("bytes", &self.bytes.len()).finish()
    }
}

impl Lexicon {
    /// The lexicon that is linked into this program; checked once.
    pub fn embedded() -> Result<&'static Self, LexiconError> {
        static OPENED: OnceLock<Lexicon> = OnceLock::new();
        if let Some(lexicon) = OPENED.get() {
            return Ok(lexicon);
        }
        let lexicon = Self::open(Cow::Borrowed(EMBEDDED))?;
        Ok(OPENED.get_or_init(|| lexicon))
    }

    /// Checks `bytes`, the content of a lexicon file.
    pub fn open(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, LexiconError> {
        let bytes = bytes.into();
        let sections = FORMAT.read(&bytes)?;
        let digest = tribunal_core::digest::sha256(&bytes);
        let lexicon = Self { bytes, sections, digest };
        for model in MODELS {
            lexicon.model(model)?;
        }
        for section in
            RATES.map(|name| format!("rates.{name}")).iter().map(String::as_str).chain([WORDS, HOSTING])
        {
            lexicon.map(section)?;
        }
        Ok(lexicon)
    }

    /// Digest of the whole file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Size of the whole file.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Every section.
    pub fn summary(&self) -> Result<Vec<SectionSummary>, LexiconError> {
        let mut out = Vec::with_capacity(self.sections.len());
        for (name, range) in &self.sections {
            let entries = if name.starts_with("ngram.") {
                NgramModel::grams(&self.bytes[range.clone()]) as usize
            } else {
                self.map(name)?.map_or(0, |map| map.len())
            };
            out.push(SectionSummary { name: name.clone(), bytes: range.len(), entries });
        }
        Ok(out)
    }

    fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.iter().find(|(tag, _)| tag == name).map(|(_, range)| &self.bytes[range.clone()])
    }

    pub(crate) fn model(&self, name: &str) -> Result<Option<NgramModel<'_>>, LexiconError> {
        self.section(&format!("ngram.{name}")).map(NgramModel::open).transpose()
    }

    pub(crate) fn map(&self, section: &str) -> Result<Option<Map<&[u8]>>, LexiconError> {
        self.section(section)
            .map(Map::new)
            .transpose()
            .map_err(|source| LexiconError::Map { section: section.to_owned(), source })
    }

    pub(crate) fn rates(&self, name: &str) -> Result<Option<RateTable<'_>>, LexiconError> {
        Ok(self.map(&format!("rates.{name}"))?.map(RateTable::new))
    }
}

/// Smoothed shares by key.
pub(crate) struct RateTable<'a> {
    map: Map<&'a [u8]>,
    prior: Option<f32>,
}

impl<'a> RateTable<'a> {
    pub(crate) fn new(map: Map<&'a [u8]>) -> Self {
        let prior = map.get(PRIOR).map(|value| unpack_rate(value).0);
        Self { map, prior }
    }

    /// Rate and support of `key`; of a key that is not known the prior with support zero, if there is a
    /// prior.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(f32, f32)> {
        match self.map.get(key) {
            Some(value) => Some(unpack_rate(value)),
            None => self.prior.map(|rate| (rate, 0.0)),
        }
    }
}

/// Rate in steps of 1/65535 above the support, so that equal rates share their high bits.
pub(crate) fn pack_rate(rate: f64, support: u32) -> u64 {
    ((rate * 65_535.0).round() as u64) << 32 | u64::from(support)
}

fn unpack_rate(value: u64) -> (f32, f32) {
    ((value >> 32) as f32 / 65_535.0, (value & 0xffff_ffff) as f32)
}

#[cfg(test)]
mod tests;
