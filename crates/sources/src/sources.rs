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

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use tribunal_core::message::{Evidence, SourceStatus};
use tribunal_core::{AddressFacts, Entity, Feature};

use crate::breaker::Breaker;
use crate::cache::Cache;
use crate::config::{Declaration, SourceConfig, Tlp};
use crate::dataset::DatasetHolder;
use crate::evaluate;
use crate::quota::Quota;
use crate::shared_cache::{SharedCache, source_key};
use crate::source::{Record, Replies, Source, SourceError, Subject};

/// How long a source that asks to slow down, and does not say for how long, is left alone.
const DEFAULT_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that a source may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(3_600);
/// The longest that the shared cache may take: asking it must not cost what it saves.
const SHARED_CACHE_LIMIT: Duration = Duration::from_millis(150);
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
    budget: Duration,
    digest: String,
    stores: Stores,
    holders: Vec<Arc<DatasetHolder>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    config: SourceConfig,
    source: Arc<dyn Source>,
    breaker: Breaker,
    cache: Cache,
    /// Key in the shared cache: another declaration must not read this one's answers.
    cache_key: String,
    /// Until when it asked to be left alone.
    pause: Mutex<Option<Instant>>,
    /// Position of its first feature among those declared.
    first_feature: usize,
}

/// What became of a source's part in a batch.
struct Outcome {
    /// By position of the entity in the batch.
    entities: Vec<(usize, SourceStatus, Option<Record>)>,
    report: Report,
    /// When the entities that the quota left out may be asked about again, by position.
    waits: HashMap<usize, Duration>,
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

impl Entry {
    fn new(name: &str, config: &SourceConfig, source: Arc<dyn Source>, first_feature: usize) -> Self {
        Self {
            name: name.to_owned(),
            cache_key: source_key(name, config),
            breaker: Breaker::new(&config.breaker),
            cache: Cache::new(&config.cache),
            config: config.clone(),
            source,
            pause: Mutex::new(None),
            first_feature,
        }
    }

    /// A data set lies in memory: no circuit, no cache.
    const fn is_local(&self) -> bool {
        self.config.dataset.is_some()
    }

    fn wants_rescore(&self, attempt: u32) -> bool {
        self.config.quota.is_some_and(|quota| attempt < quota.rescore)
    }

    /// Values and evidence of an answer.
    fn read(&self, record: &Record, asked: &Asked<'_>, now_ms: u64, found: &mut Found) {
        let kind = asked.entity.kind();
        for (at, feature) in self.config.features.iter().enumerate() {
            if feature.kinds_of(&self.config).contains(&kind) {
                found.values[self.first_feature + at] = evaluate::feature(feature, &record.rows, now_ms);
            }
        }
        found.evidence.extend(evaluate::evidence(
            &self.name,
            &self.config.evidence,
            self.config.link.as_deref(),
            asked.entity.name(),
            &record.rows,
        ));
    }

    /// Its part in a batch, over when the time is up.
    async fn answer(&self, batch: &[Asked<'_>], stores: &Stores, deadline: Instant) -> Outcome {
        let started = Instant::now();
        let mut part = Part::default();
        for (at, asked) in batch.iter().enumerate() {
            if !self.config.kinds.contains(&asked.entity.kind()) {
                continue;
            }
            if asked.tlp.is_some_and(|tlp| tlp > self.config.ceiling()) {
                part.done.push((at, SourceStatus::Skipped, None));
            } else if let Some(record) = self.cache.get(asked.entity.name()).filter(|_| !self.is_local()) {
                part.cached += 1;
                part.put(at, record);
            } else {
                part.open.push(at);
            }
        }
        if !part.open.is_empty() {
            let limit = Duration::from_millis(self.config.timeout_ms)
                .min(deadline.saturating_duration_since(started));
            self.ask_open(batch, stores, &mut part, limit).await;
        }
        let ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        let report = Report {
            ms,
            cached: part.cached,
            problem: part.problem,
            store_problem: part.store_problem,
            statuses: BTreeMap::new(),
        };
        Outcome { entities: part.done, report, waits: part.waits }
    }

    /// Asks about what memory does not know.
    async fn ask_open(&self, batch: &[Asked<'_>], stores: &Stores, part: &mut Part, limit: Duration) {
        if let Some(left) = self.paused() {
            return part.leave_out(left);
        }
        let until = Instant::now() + limit;
        if self.is_local() {
            return self.request(batch, part, until, limit).await;
        }
        let Some(permit) = self.breaker.permit() else { return part.close(SourceStatus::OpenCircuit) };
        self.read_shared(batch, stores, part, until).await;
        if !part.open.is_empty() {
            self.take_quota(stores, part, until).await;
        }
        if part.open.is_empty() {
            // It was not asked: nothing is learnt, and the circuit stays as it is unless this was its trial.
            return permit.cancel();
        }
        self.request(batch, part, until, limit).await;
        permit.tell(part.healthy);
        self.write_shared(batch, stores, part, until).await;
    }

    async fn request(&self, batch: &[Asked<'_>], part: &mut Part, until: Instant, limit: Duration) {
        let subjects: Vec<Subject<'_>> = part
            .open
            .iter()
            .map(|&at| Subject { entity: batch[at].entity, facts: batch[at].facts })
            .collect();
        let replies = Replies::new(subjects.len());
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let ended = tokio::time::timeout_at(until, self.source.ask(&subjects, &replies)).await;
        let ended = ended.unwrap_or(Err(SourceError::Timeout { limit_ms }));
        part.healthy = ended.is_ok();
        let rest = match &ended {
            Err(SourceError::Timeout { .. }) => SourceStatus::Timeout,
            Err(SourceError::Throttled { .. }) => SourceStatus::Quota,
            Ok(()) | Err(_) => SourceStatus::Error,
        };
        let mut pause = match &ended {
            Err(SourceError::Throttled { retry_after }) => Some(self.pause_for(*retry_after)),
            _ => None,
        };
        part.problem = ended.err();
        for (at, reply) in std::mem::take(&mut part.open).into_iter().zip(replies.into_inner()) {
            match reply {
                Some(Ok(record)) => {
                    part.healthy = true;
                    if !self.is_local() {
                        self.cache.put(batch[at].entity.name(), &record);
                        part.fresh.push(at);
                    }
                    part.put(at, record);
                }
                Some(Err(SourceError::Throttled { retry_after })) => {
                    let wait = self.pause_for(retry_after);
                    pause = pause.max(Some(wait));
                    part.done.push((at, SourceStatus::Quota, None));
                }
                Some(Err(error)) => {
                    let slow = matches!(error, SourceError::Timeout { .. });
                    part.done.push((
                        at,
                        if slow { SourceStatus::Timeout } else { SourceStatus::Error },
                        None,
                    ));
                    part.problem = Some(error);
                }
                None => part.done.push((at, rest, None)),
            }
        }
        if let Some(wait) = pause {
            // A source that asks to slow down is well.
            part.healthy = true;
            let left_out = part.done.iter().filter(|(_, status, _)| *status == SourceStatus::Quota);
            part.waits.extend(left_out.map(|(at, ..)| (*at, wait)));
        }
    }

    fn paused(&self) -> Option<Duration> {
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        let left =
            pause.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
        if left.is_none() {
            *pause = None;
        }
        left
    }

    /// Leaves the source alone for as long as it asks.
    fn pause_for(&self, retry_after: Option<Duration>) -> Duration {
        let wait = retry_after.unwrap_or(DEFAULT_PAUSE).min(MAX_PAUSE);
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
        wait
    }

    /// Keeps only as many entities open as there are tokens for.
    async fn take_quota(&self, stores: &Stores, part: &mut Part, until: Instant) {
        let (Some(config), Some(quota)) = (&self.config.quota, &stores.quota) else { return };
        let per_request = self.source.subjects_per_request().max(1);
        let wanted = part.open.len().div_ceil(per_request) as u64;
        let taken = tokio::time::timeout_at(until, quota.take(&self.name, config, wanted)).await;
        let (granted, next_in) = match taken {
            Ok(Ok(grant)) => (usize::try_from(grant.granted).unwrap_or(usize::MAX), grant.next_in),
            Ok(Err(error)) => {
                part.store_problem = Some(error.to_string());
                (0, None)
            }
            Err(_) => {
                part.store_problem = Some("the quota's store did not answer in time".to_owned());
                (0, None)
            }
        };
        // One token comes back after the other: all at once they would find but one.
        let apart = Duration::from_secs(config.per_s).div_f64(config.requests.max(1) as f64);
        let left_out = part.open.split_off(part.open.len().min(granted.saturating_mul(per_request)));
        for (n, at) in left_out.into_iter().enumerate() {
            let turn = u32::try_from(n / per_request).unwrap_or(u32::MAX);
            part.waits.insert(at, next_in.unwrap_or(DEFAULT_PAUSE) + apart.saturating_mul(turn));
            part.done.push((at, SourceStatus::Quota, None));
        }
    }

    async fn read_shared(&self, batch: &[Asked<'_>], stores: &Stores, part: &mut Part, until: Instant) {
        let Some(cache) = stores.cache.as_ref().filter(|_| self.config.cache.shared) else { return };
        let names: Vec<&str> = part.open.iter().map(|&at| batch[at].entity.name()).collect();
        let until = until.min(Instant::now() + SHARED_CACHE_LIMIT);
        let mut known = match tokio::time::timeout_at(until, cache.get(&self.cache_key, &names)).await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => {
                part.store_problem = Some(error.to_string());
                HashMap::new()
            }
            Err(_) => {
                part.store_problem = Some("the shared cache did not answer in time".to_owned());
                HashMap::new()
            }
        };
        for at in std::mem::take(&mut part.open) {
            match known.remove(batch[at].entity.name()) {
                Some(record) => {
                    self.cache.put(batch[at].entity.name(), &record);
                    part.cached += 1;
                    part.put(at, record);
                }
                None => part.open.push(at),
            }
        }
    }

    /// Shares what was learnt: paid for already, so a little of the time that is left is given to it.
    async fn write_shared(&self, batch: &[Asked<'_>], stores: &Stores, part: &mut Part, until: Instant) {
        let Some(cache) =
            stores.cache.as_ref().filter(|_| self.config.cache.shared && !part.fresh.is_empty())
        else {
            return;
        };
        let mut answers = Vec::new();
        for (at, _, record) in &part.done {
            if let Some(record) = record.as_ref().filter(|_| part.fresh.contains(at)) {
                answers.push((
                    batch[*at].entity.name().to_owned(),
                    record.clone(),
                    self.cache.lifetime(record),
                ));
            }
        }
        let until = until.min(Instant::now() + SHARED_CACHE_LIMIT);
        if let Ok(Err(error)) = tokio::time::timeout_at(until, cache.put(&self.cache_key, &answers)).await {
            part.store_problem = Some(error.to_string());
        }
    }
}

/// A source's part in a batch while it is worked on. Entities are positions in the batch.
#[derive(Default)]
struct Part {
    open: Vec<usize>,
    done: Vec<(usize, SourceStatus, Option<Record>)>,
    /// Answered by the source itself, just now.
    fresh: Vec<usize>,
    cached: usize,
    healthy: bool,
    problem: Option<SourceError>,
    store_problem: Option<String>,
    /// When those that a quota left out may be asked about again.
    waits: HashMap<usize, Duration>,
}

impl Part {
    fn put(&mut self, at: usize, record: Record) {
        let status = if record.is_empty() { SourceStatus::Empty } else { SourceStatus::Ok };
        self.done.push((at, status, Some(record)));
    }

    /// No entity that is open is asked about before `wait` is over.
    fn leave_out(&mut self, wait: Duration) {
        self.waits.extend(self.open.iter().map(|at| (*at, wait)));
        self.close(SourceStatus::Quota);
    }

    /// No entity that is open is asked about.
    fn close(&mut self, status: SourceStatus) {
        for at in std::mem::take(&mut self.open) {
            self.done.push((at, status, None));
        }
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
