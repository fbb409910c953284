//! Changes of an entity's verdict, each told once: what the entity stands at, and the event when that changes.
//!
//! ```text
//! Score -> confirm (one conditional write; the usual end) -> record with the change pending -> event -> settle
//! ```
//! An entity's standing is one item of a table of its own: the verdict of its newest request, and the change that is
//! still to be told. It moves forward in `scored_key` only, so that a late delivery changes nothing. A change is
//! written down together with the new verdict, before it is told; whoever finds one that was not told, a second
//! delivery or the entity's next score, claims it for [`LEASE_MS`], tells it, and strikes it out. Two claims of one
//! change cannot both hold, since a claim is a conditional write too.
//!
//! What cannot be had: an environment that dies between telling and striking out leaves a change that is told
//! again. Both events have the same `id`, by which a receiver knows the second.
//!
//! An `unknown` verdict says something of the models and nothing of the entity: it neither moves the standing nor is it
//! told. The first score of an entity is a change, from nothing, if it is an alarm.

mod bus;
mod change;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, StreamExt};
use tribunal_core::{Score, Verdict};

pub use bus::{BusError, EventBridge, EventBus};
pub use change::{Change, DETAIL_TYPE, MAX_REASON_TEXTS, SOURCE};
pub use table::{Confirmed, DynamoVerdicts, Next, Pending, Standing, VerdictTable};

use crate::bounds::{MAX_REASON_BYTES, cut};
use crate::items::ScoreItem;
use crate::store::StoreError;

/// How long a change is somebody's to tell: longer than an environment runs, so that its claim ends after it.
pub const LEASE_MS: u64 = 10_000;
/// Entities at a time, as for the scores.
const CONCURRENCY: usize = 16;
/// Most times that others may get in between before an entity is given up.
const ROUNDS: usize = 6;

/// What came of a batch's verdicts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Changes that were told.
    pub told: usize,
    /// Changes that the bus did not take: they wait in the table.
    pub untold: usize,
    /// Entities with a change that another delivery is telling.
    pub held: usize,
    /// The bus's first reason.
    pub error: Option<String>,
    /// The worst failure of the table.
    pub failure: Option<StoreError>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.told += other.told;
        self.untold += other.untold;
        self.held += other.held;
        self.error = self.error.take().or(other.error);
        self.failure = match (self.failure.take(), other.failure) {
            (Some(a), Some(b)) => Some(if b.fault() > a.fault() { b } else { a }),
            (a, b) => a.or(b),
        };
    }

    const fn held() -> Self {
        Self { told: 0, untold: 0, held: 1, error: None, failure: None }
    }
}

/// Whether a verdict is one of the entity, and not of the models or of its kind of address.
const fn counts(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Benign | Verdict::Suspicious | Verdict::Malicious)
}

/// What verdicts are followed with.
#[derive(Debug)]
pub struct Follower<'a, T, B, C> {
    table: &'a T,
    bus: &'a B,
    /// Milliseconds since 1970.
    clock: C,
    /// Whether the bus failed: it is not asked again for this batch, changes are only written down.
    is_down: AtomicBool,
}

/// How it goes on with an entity.
enum Step {
    Again(Tally),
    End(Tally),
}

impl<'a, T: VerdictTable, B: EventBus, C: Fn() -> u64> Follower<'a, T, B, C> {
    /// For one batch.
    pub const fn new(table: &'a T, bus: &'a B, clock: C) -> Self {
        Self { table, bus, clock, is_down: AtomicBool::new(false) }
    }

    /// Follows all scores; those of one entity one after the other, oldest request first.
    pub async fn follow_all(&self, items: &[ScoreItem]) -> Tally {
        let mut counted: Vec<&ScoreItem> = items.iter().filter(|item| counts(item.score.verdict)).collect();
        counted.sort_by_key(|item| (&item.score.entity, &item.score.scored_key));
        let entities = counted.chunk_by(|a, b| a.score.entity == b.score.entity);
        let mut tallies =
            stream::iter(entities).map(|scores| self.follow_entity(scores)).buffer_unordered(CONCURRENCY);
        let mut sum = Tally::default();
        while let Some(tally) = tallies.next().await {
            sum.add(tally);
        }
        sum
    }

    async fn follow_entity(&self, scores: &[&ScoreItem]) -> Tally {
        let mut sum = Tally::default();
        for item in scores {
            let tally = self.follow(&item.score, item.expires_at).await;
            sum.add(tally.unwrap_or_else(|error| Tally { failure: Some(error), ..Tally::default() }));
        }
        sum
    }

    async fn follow(&self, score: &Score, expires_at: u64) -> Result<Tally, StoreError> {
        let next = Next {
            entity: &score.entity,
            verdict: score.verdict.as_str(),
            scored_key: &score.scored_key,
            expires_at,
            starts_quietly: score.verdict == Verdict::Benign,
        };
        let mut sum = Tally::default();
        for _ in 0..ROUNDS {
            let standing = match self.table.confirm(&next).await? {
                Confirmed::Same => return Ok(sum),
                Confirmed::Not(standing) => standing,
            };
            let step = match standing {
                Some(Standing { pending: Some(pending), scored_key, .. }) => {
                    self.resume(&next, &scored_key, pending).await?
                }
                Some(standing) if standing.scored_key.as_str() >= next.scored_key => return Ok(sum),
                // Another delivery was in between.
                Some(standing) if standing.verdict == next.verdict => Step::Again(Tally::default()),
                before => self.change(&next, before, score).await?,
            };
            match step {
                Step::Again(tally) => sum.add(tally),
                Step::End(tally) => {
                    sum.add(tally);
                    return Ok(sum);
                }
            }
        }
        sum.add(Tally::held());
        Ok(sum)
    }

    /// Writes a change down, and tells it.
    async fn change(
        &self,
        next: &Next<'_>,
        before: Option<Standing>,
        score: &Score,
    ) -> Result<Step, StoreError> {
        let change = Change::of(before.as_ref().map(|standing| standing.verdict.as_str()), score);
        let until_ms = (self.clock)().saturating_add(LEASE_MS);
        let pending = Pending { id: change.id.clone(), detail: change.detail(), until_ms };
        if !self.table.record(next, before.as_ref(), &pending).await? {
            return Ok(Step::Again(Tally::default()));
        }
        Ok(Step::End(self.tell(next.entity, &pending).await?))
    }

    /// Tells a change that somebody wrote down and did not tell.
    async fn resume(
        &self,
        next: &Next<'_>,
        standing_key: &str,
        pending: Pending,
    ) -> Result<Step, StoreError> {
        let now = (self.clock)();
        let is_newer = standing_key < next.scored_key;
        if pending.until_ms > now {
            let concerns = standing_key <= next.scored_key;
            return Ok(Step::End(if concerns { Tally::held() } else { Tally::default() }));
        }
        let until_ms = now.saturating_add(LEASE_MS);
        if !self.table.claim(next.entity, &pending, until_ms).await? {
            return Ok(Step::Again(Tally::default()));
        }
        let tally = self.tell(next.entity, &Pending { until_ms, ..pending }).await?;
        // What was told last decides whether this score is a change.
        Ok(if is_newer && tally.untold == 0 { Step::Again(tally) } else { Step::End(tally) })
    }

    /// Tells a claimed change and strikes it out; one that the bus does not take is anybody's again.
    async fn tell(&self, entity: &str, pending: &Pending) -> Result<Tally, StoreError> {
        let error = if self.is_down.load(Ordering::Relaxed) {
            None
        } else {
            match self.bus.put(&pending.detail).await {
                Ok(()) => {
                    self.table.settle(entity, &pending.id).await?;
                    return Ok(Tally { told: 1, ..Tally::default() });
                }
                Err(error) => {
                    self.is_down.store(true, Ordering::Relaxed);
                    Some(cut(&tribunal_runtime::chain(&error), MAX_REASON_BYTES))
                }
            }
        };
        self.table.claim(entity, pending, 0).await?;
        Ok(Tally { untold: 1, error, ..Tally::default() })
    }
}

/// Follows the verdicts of a batch whose scores are written.
pub trait Follow {
    /// What came of it. May be dropped half way: what is not told then is told later.
    fn follow(&self, items: &[ScoreItem]) -> impl Future<Output = Tally>;
}

/// A table of standings, and the bus that changes are told on.
#[derive(Debug, Clone)]
pub struct Verdicts<T, B> {
    /// Where standings are kept.
    pub table: T,
    /// Where changes go.
    pub bus: B,
}

impl<T: VerdictTable, B: EventBus> Follow for Verdicts<T, B> {
    async fn follow(&self, items: &[ScoreItem]) -> Tally {
        Follower::new(&self.table, &self.bus, tribunal_runtime::now_ms).follow_all(items).await
    }
}
