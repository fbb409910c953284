//! One source of a declaration, and its part in a batch.
//!
//! ```text
//! kind and marking -> memory -> pause -> circuit -> shared cache -> quota -> request -> caches
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tribunal_core::message::SourceStatus;

use crate::breaker::Breaker;
use crate::cache::Cache;
use crate::config::SourceConfig;
use crate::evaluate;
use crate::shared_cache::source_key;
use crate::source::{Record, Replies, Source, SourceError, Subject};
use crate::sources::{Asked, Found, Report, Stores};

/// How long a source that asks to slow down, and does not say for how long, is left alone.
const DEFAULT_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that a source may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(3_600);
/// The longest that the shared cache may take: asking it must not cost what it saves.
const SHARED_CACHE_LIMIT: Duration = Duration::from_millis(150);

/// A source, and what is kept of it between batches.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) config: SourceConfig,
    source: Arc<dyn Source>,
    pub(crate) breaker: Breaker,
    cache: Cache,
    /// Key in the shared cache: another declaration must not read this one's answers.
    cache_key: String,
    /// Until when it asked to be left alone.
    pause: Mutex<Option<Instant>>,
    /// Position of its first feature among those declared.
    first_feature: usize,
}

/// What became of a source's part in a batch.
pub(crate) struct Outcome {
    /// By position of the entity in the batch.
    pub(crate) entities: Vec<(usize, SourceStatus, Option<Record>)>,
    pub(crate) report: Report,
    /// When the entities that the quota left out may be asked about again, by position.
    pub(crate) waits: HashMap<usize, Duration>,
}

impl Entry {
    pub(crate) fn new(
        name: &str,
        config: &SourceConfig,
        source: Arc<dyn Source>,
        first_feature: usize,
    ) -> Self {
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

    pub(crate) fn wants_rescore(&self, attempt: u32) -> bool {
        self.config.quota.is_some_and(|quota| attempt < quota.rescore)
    }

    /// Values and evidence of an answer.
    pub(crate) fn read(&self, record: &Record, asked: &Asked<'_>, now_ms: u64, found: &mut Found) {
        let kind = asked.entity.kind();
        for (at, feature) in self.config.features.iter().enumerate() {
            if feature.kinds_of(&self.config).contains(&kind) {
                found.values[self.first_feature + at] = match feature.near {
                    None => evaluate::feature(feature, &record.rows, now_ms),
                    Some(near) => {
                        let rows = record.near.iter().find(|(network, _)| *network == near);
                        rows.map_or(f32::NAN, |(_, rows)| evaluate::feature(feature, rows, now_ms))
                    }
                };
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
    pub(crate) async fn answer(&self, batch: &[Asked<'_>], stores: &Stores, deadline: Instant) -> Outcome {
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
        let until = Instant::now() + limit;
        if self.is_local() {
            return self.request(batch, part, until, limit).await;
        }
        self.answer_unasked(batch, part, until).await;
        if part.open.is_empty() {
            return;
        }
        if let Some(left) = self.paused() {
            return part.leave_out(left);
        }
        let Some(permit) = self.breaker.permit() else { return part.close(SourceStatus::OpenCircuit) };
        self.read_shared(batch, stores, part, until).await;
        if !part.open.is_empty() {
            self.take_quota(batch, stores, part, until).await;
        }
        if part.open.is_empty() {
            // It was not asked: nothing is learnt, and the circuit stays as it is unless this was its trial.
            return permit.cancel();
        }
        self.request(batch, part, until, limit).await;
        permit.tell(part.healthy);
        self.write_shared(batch, stores, part, until).await;
    }

    /// Answers about the entities that no request is made for. That says nothing of the source, and costs nothing.
    async fn answer_unasked(&self, batch: &[Asked<'_>], part: &mut Part, until: Instant) {
        let requests = self.source.requests(&subjects(batch, &part.open));
        let (asked, unasked): (Vec<_>, Vec<_>) = std::mem::take(&mut part.open)
            .into_iter()
            .zip(requests)
            .partition(|(_, request)| request.is_some());
        part.open = asked.into_iter().map(|(at, _)| at).collect();
        if unasked.is_empty() {
            return;
        }
        let unasked: Vec<usize> = unasked.into_iter().map(|(at, _)| at).collect();
        let replies = Replies::new(unasked.len());
        let subjects = subjects(batch, &unasked);
        let ended = tokio::time::timeout_at(until, self.source.ask(&subjects, &replies)).await;
        debug_assert!(matches!(ended, Ok(Ok(()))), "an answer without a request cannot fail");
        for (at, reply) in unasked.into_iter().zip(replies.into_inner()) {
            match reply {
                Some(Ok(record)) => part.put(at, record),
                _ => part.done.push((at, SourceStatus::Error, None)),
            }
        }
    }

    async fn request(&self, batch: &[Asked<'_>], part: &mut Part, until: Instant, limit: Duration) {
        let subjects = subjects(batch, &part.open);
        let replies = Replies::new(subjects.len());
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let ended = tokio::time::timeout_at(until, self.source.ask(&subjects, &replies)).await;
        let ended = ended.unwrap_or(Err(SourceError::Timeout { limit_ms }));
        let (mut answered, mut failed) = (false, ended.is_err());
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
                    answered = true;
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
                    failed = true;
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
        // A source that asks to slow down is well, and so is one that answers about some.
        part.healthy = answered || !failed || pause.is_some();
        if let Some(wait) = pause {
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
    async fn take_quota(&self, batch: &[Asked<'_>], stores: &Stores, part: &mut Part, until: Instant) {
        let (Some(config), Some(quota)) = (&self.config.quota, &stores.quota) else { return };
        let requests = self.source.requests(&subjects(batch, &part.open));
        let wanted = requests.iter().flatten().max().map_or(0, |last| *last as u64 + 1);
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
        for (at, request) in std::mem::take(&mut part.open).into_iter().zip(requests) {
            let Some(turn) = request.and_then(|request| request.checked_sub(granted)) else {
                part.open.push(at);
                continue;
            };
            let turn = u32::try_from(turn).unwrap_or(u32::MAX);
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

fn subjects<'a>(batch: &[Asked<'a>], positions: &[usize]) -> Vec<Subject<'a>> {
    positions.iter().map(|&at| Subject { entity: batch[at].entity, facts: batch[at].facts }).collect()
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
