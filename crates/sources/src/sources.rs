//! All sources of a declaration, asked about a batch within one budget.
//!
//! ```text
//! entities of a batch -> by source, all at once: kind and marking -> memory -> circuit -> shared cache -> quota -> ask
//!                     -> per entity: values of the declared features, evidence, status of every source
//! ```
//! - One deadline for the batch, one for each source inside it. A source that is slow costs its own time, once; what
//!   it said until then counts. Nothing is asked twice.
//! - No answer is a missing value (`NaN`) and a status; an answer that says nothing is an answer.
//! - Circuit, caches and pauses live as long as the value: an environment keeps one over all its batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use tribunal_core::message::{Evidence, SourceFeatures, SourceStatus};
use tribunal_core::{AddressFacts, Entity, Feature};

use crate::config::{Declaration, Tlp};
use crate::dataset::DatasetHolder;
use crate::entry::Entry;
use crate::quota::Quota;
use crate::shared_cache::SharedCache;
use crate::source::{Source, SourceError};

/// An entity that a quota left out is not scored again before this.
const MIN_RESCORE: Duration = Duration::from_secs(1);
/// The longest that a queue delays a message. When tokens come back later than that, an entity is not scored again for
/// them: it would only be counted out.
const MAX_RESCORE: Duration = Duration::from_secs(900);

/// An entity of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// In normal form.
    pub entity: &'a Entity,
    /// What the data set of address ranges says of it, if it is an address.
    pub facts: Option<&'a AddressFacts>,
    /// Its marking, if it has one.
    pub tlp: Option<Tlp>,
    /// How many times it was queued again for a quota.
    pub attempt: u32,
}

/// What the sources say of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// One value for each declared feature; `NaN` is missing.
    pub values: Vec<f32>,
    /// Facts, by source.
    pub evidence: Vec<Evidence>,
    /// The status of every source that has to do with its kind.
    pub statuses: BTreeMap<String, SourceStatus>,
    /// When it is to be scored again, if a quota left it out.
    pub rescore_after: Option<Duration>,
}

/// What the sources say of a batch.
#[derive(Debug, Default)]
pub struct Answers {
    /// One per entity, in their order.
    pub found: Vec<Found>,
    /// How each source fared, by name.
    pub reports: BTreeMap<String, Report>,
}

/// How a source fared with a batch: for the log, the metrics, and a person who checks it.
#[derive(Debug, Default)]
pub struct Report {
    /// Milliseconds from the first question to the last answer.
    pub ms: u32,
    /// Entities by status.
    pub statuses: BTreeMap<&'static str, usize>,
    /// Entities answered from memory or the shared cache.
    pub cached: usize,
    /// What went wrong, if anything did: the last failure.
    pub problem: Option<SourceError>,
    /// Whether quota or shared cache could not be asked.
    pub store_problem: Option<String>,
}

/// What sources share.
#[derive(Debug, Clone, Default)]
pub struct Stores {
    /// Counts requests over all environments; without one a declared quota counts in this process alone.
    pub quota: Option<Arc<dyn Quota>>,
    /// Answers of all environments.
    pub cache: Option<Arc<dyn SharedCache>>,
}

/// The sources of a declaration.
#[derive(Debug)]
pub struct Sources {
    entries: Vec<Entry>,
    features: Vec<Feature>,
    runs: Vec<SourceFeatures>,
    budget: Duration,
    digest: String,
    stores: Stores,
    holders: Vec<Arc<DatasetHolder>>,
}

impl Sources {
    /// Sources that are open, by their names in the declaration.
    pub fn new(
        declaration: &Declaration,
        mut open: BTreeMap<String, Arc<dyn Source>>,
        stores: Stores,
    ) -> Self {
        let mut first_feature = 0;
        let mut entries = Vec::new();
        for (name, config) in declaration.asked() {
            if let Some(source) = open.remove(name) {
                entries.push(Entry::new(name, config, source, first_feature));
            }
            first_feature += config.features.len();
        }
        Self {
            entries,
            features: declaration.features(),
            runs: declaration.runs(),
            budget: Duration::from_millis(declaration.budget.timeout_ms),
            digest: declaration.digest(),
            stores,
            holders: Vec::new(),
        }
    }

    pub(crate) fn with_holders(self, holders: Vec<Arc<DatasetHolder>>) -> Self {
        Self { holders, ..self }
    }

    /// The data sets that it reads.
    pub fn holders(&self) -> &[Arc<DatasetHolder>] {
        &self.holders
    }

    /// The declared features, in the order of [`Found::values`].
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Whose the features are, counted from the first declared one.
    pub fn runs(&self) -> &[SourceFeatures] {
        &self.runs
    }

    /// Digest of how the features are made.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Names of the sources, and whether each one's circuit is `closed`, `open` or `half_open`.
    pub fn circuits(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.breaker.as_str()))
    }

    /// Asks about every entity of a batch. It takes at most the declared budget, or `limit` if that is less.
    /// `now_ms` is the time that ages are counted to.
    pub async fn ask(&self, batch: &[Asked<'_>], now_ms: u64, limit: Duration) -> Answers {
        let deadline = Instant::now() + self.budget.min(limit);
        let outcomes =
            join_all(self.entries.iter().map(|entry| entry.answer(batch, &self.stores, deadline))).await;
        let mut answers = Answers {
            found: batch.iter().map(|_| Found::nothing(self.features.len())).collect(),
            reports: BTreeMap::new(),
        };
        for (entry, outcome) in self.entries.iter().zip(outcomes) {
            let mut report = outcome.report;
            for (at, status, record) in outcome.entities {
                *report.statuses.entry(status.as_str()).or_default() += 1;
                let found = &mut answers.found[at];
                found.statuses.insert(entry.name.clone(), status);
                if let Some(record) = record {
                    entry.read(&record, &batch[at], now_ms, found);
                }
                let wait = outcome.waits.get(&at).filter(|wait| **wait <= MAX_RESCORE);
                if let Some(wait) = wait.filter(|_| entry.wants_rescore(batch[at].attempt)) {
                    found.rescore_after = found.rescore_after.max(Some((*wait).max(MIN_RESCORE)));
                }
            }
            answers.reports.insert(entry.name.clone(), report);
        }
        answers
    }
}

impl Found {
    fn nothing(features: usize) -> Self {
        Self {
            values: vec![f32::NAN; features],
            evidence: Vec::new(),
            statuses: BTreeMap::new(),
            rescore_after: None,
        }
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
