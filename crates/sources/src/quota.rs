//! How often a source may still be asked: a bucket of tokens for each source, one token for one request.
//!
//! ```text
//! wanted requests -> Quota::take -> Grant: how many may be made now, and when the next token comes
//! ```
//! The arithmetic ([`Bucket`]) is exact and pure. A token is `per_s * 1000` units, and every millisecond brings
//! `requests` units, so that no fraction of a token is ever lost or made up. In any span of time no more than
//! `burst + requests * span / per_s` tokens are granted.
//!
//! Time is the wall clock of whoever asks, since it is shared by processes. It never goes back: a bucket that was
//! last touched by a clock that is ahead stands still until the others have caught up. A clock that is ahead by a
//! second makes the tokens of that second come a second early, once.
//!
//! A quota that cannot be read refuses: an error means that nothing was granted, and the source's status is `quota`.
//! To ask on would be to spend money or a contract's allowance without a limit, as often as the store fails.
//!
//! What it does not do: it does not give tokens back, and a grant that is not used is lost. It does not wait.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Steady, SystemClock};
use crate::config::QuotaConfig;
use crate::source::Cause;

/// What was granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grant {
    /// Requests that may be made now, at most as many as were wanted.
    pub granted: u64,
    /// Until the next token, when fewer were granted than wanted.
    pub next_in: Option<Duration>,
}

/// How full a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Requests that could be made now.
    pub tokens: u64,
    /// Most that the bucket holds.
    pub capacity: u64,
    /// Until the next token; `None` when the bucket is full.
    pub next_in: Option<Duration>,
}

/// Where the buckets are kept.
///
/// Asking may take as long as the store does: the caller bounds it. A future that is dropped may have taken tokens,
/// which are lost then.
#[async_trait::async_trait]
pub trait Quota: Send + Sync + fmt::Debug {
    /// Takes up to `wanted` tokens of `source`.
    ///
    /// # Errors
    /// When the bucket cannot be read or written. Nothing is granted then.
    async fn take(&self, source: &str, config: &QuotaConfig, wanted: u64) -> Result<Grant, Cause>;

    /// How many tokens `source` has; takes none.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    async fn level(&self, source: &str, config: &QuotaConfig) -> Result<Level, Cause>;
}

/// Most tokens that a bucket of this configuration holds.
pub fn capacity(config: &QuotaConfig) -> u64 {
    config.burst.unwrap_or(config.requests)
}

/// Units of one token.
fn per_token(config: &QuotaConfig) -> u128 {
    u128::from(config.per_s.max(1)) * 1_000
}

/// A bucket as it was at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// What it held.
    units: u128,
    /// Units of one token when that was written; never 0.
    per_token: u128,
    /// When it held that.
    at_ms: u64,
}

impl Bucket {
    /// A full one: that of a source that was never asked.
    pub fn full(config: &QuotaConfig, now_ms: u64) -> Self {
        let per_token = per_token(config);
        Self { units: u128::from(capacity(config)).saturating_mul(per_token), per_token, at_ms: now_ms }
    }

    /// One that was stored; `None` if that cannot be one.
    pub const fn stored(units: u128, per_token: u128, at_ms: u64) -> Option<Self> {
        if per_token == 0 { None } else { Some(Self { units, per_token, at_ms }) }
    }

    /// What it held, units of one token, and when: what [`Bucket::stored`] takes.
    pub const fn parts(&self) -> (u128, u128, u64) {
        (self.units, self.per_token, self.at_ms)
    }

    /// As it is at `now_ms`: what has come since then is added, up to what it holds at most. Another `per_s` than
    /// it was written with leaves the number of tokens as it is, rounded down to a unit.
    #[must_use]
    pub fn at(self, config: &QuotaConfig, now_ms: u64) -> Self {
        let Self { units: most, per_token, .. } = Self::full(config, now_ms);
        let units = if per_token == self.per_token {
            self.units
        } else {
            self.units.saturating_mul(per_token) / self.per_token
        };
        let elapsed = u128::from(now_ms.saturating_sub(self.at_ms));
        let come = elapsed * u128::from(config.requests);
        Self { units: units.saturating_add(come).min(most), per_token, at_ms: self.at_ms.max(now_ms) }
    }

    /// Takes up to `wanted` tokens at `now_ms`; yields the bucket after that.
    pub fn take(self, config: &QuotaConfig, now_ms: u64, wanted: u64) -> (Self, Grant) {
        let mut bucket = self.at(config, now_ms);
        let granted = wanted.min(bucket.tokens());
        bucket.units = bucket.units.saturating_sub(u128::from(granted) * bucket.per_token);
        let next_in = (granted < wanted).then(|| bucket.next_in(config, now_ms));
        (bucket, Grant { granted, next_in })
    }

    /// How full it is at `now_ms`.
    pub fn level(self, config: &QuotaConfig, now_ms: u64) -> Level {
        let bucket = self.at(config, now_ms);
        let (tokens, capacity) = (bucket.tokens(), capacity(config));
        let next_in = (tokens < capacity).then(|| bucket.next_in(config, now_ms));
        Level { tokens, capacity, next_in }
    }

    /// When it is full again, if nothing is taken; milliseconds since 1970.
    pub fn full_at(self, config: &QuotaConfig) -> u64 {
        let missing = Self::full(config, self.at_ms).units.saturating_sub(self.units);
        self.at_ms.saturating_add(wait_ms(missing, config))
    }

    fn tokens(&self) -> u64 {
        u64::try_from(self.units / self.per_token).unwrap_or(u64::MAX)
    }

    /// From `now_ms` until the number of whole tokens grows.
    fn next_in(&self, config: &QuotaConfig, now_ms: u64) -> Duration {
        let missing = self.per_token - self.units % self.per_token;
        let at = self.at_ms.saturating_add(wait_ms(missing, config));
        Duration::from_millis(at.saturating_sub(now_ms))
    }
}

/// Milliseconds until `units` have come, rounded up.
fn wait_ms(units: u128, config: &QuotaConfig) -> u64 {
    u64::try_from(units.div_ceil(u128::from(config.requests.max(1)))).unwrap_or(u64::MAX)
}

/// Buckets in memory: those of one process alone.
#[derive(Debug)]
pub struct MemoryQuota {
    clock: Steady,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl MemoryQuota {
    /// Full buckets, by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Steady::new(clock), buckets: Mutex::default() }
    }
}

impl Default for MemoryQuota {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

#[async_trait::async_trait]
impl Quota for MemoryQuota {
    async fn take(&self, source: &str, config: &QuotaConfig, wanted: u64) -> Result<Grant, Cause> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        let bucket = buckets.get(source).copied().unwrap_or_else(|| Bucket::full(config, now));
        let (bucket, grant) = bucket.take(config, now, wanted);
        buckets.insert(source.to_owned(), bucket);
        Ok(grant)
    }

    async fn level(&self, source: &str, config: &QuotaConfig) -> Result<Level, Cause> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        let bucket = buckets.get(source).copied().unwrap_or_else(|| Bucket::full(config, now));
        Ok(bucket.level(config, now))
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
