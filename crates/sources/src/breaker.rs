//! A circuit breaker: a source that failed several batches in a row is left alone for a while, then tried by one.
//!
//! ```text
//! closed --failures in a row--> open --after open_s--> half-open (one batch tries) --ok--> closed
//!                                 ^------------------------------ failed --------------'
//! ```
//! It lives as long as the environment, over all its batches.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::BreakerConfig;

/// The breaker of one source.
#[derive(Debug)]
pub(crate) struct Breaker {
    failures: u32,
    open: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failed: u32,
    },
    Open {
        since: Instant,
    },
    /// The next batch tries.
    Due,
    /// One batch tries.
    HalfOpen,
}

/// Leave to ask. Dropped without a word it counts as a failure, so that a batch that is given up in the middle does
/// not keep the circuit half-open for ever.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    told: bool,
}

impl Breaker {
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        Self {
            failures: config.failures.max(1),
            open: Duration::from_secs(config.open_s),
            state: Mutex::new(State::Closed { failed: 0 }),
        }
    }

    /// Leave to ask; none while the circuit is open, or another batch tries.
    pub(crate) fn permit(&self) -> Option<Permit<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => {}
            State::Open { since } if since.elapsed() >= self.open => *state = State::HalfOpen,
            State::Due => *state = State::HalfOpen,
            State::Open { .. } | State::HalfOpen => return None,
        }
        Some(Permit { breaker: self, told: false })
    }

    /// `closed`, `open` or `half_open`.
    pub(crate) fn as_str(&self) -> &'static str {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => "closed",
            State::Open { .. } => "open",
            State::Due | State::HalfOpen => "half_open",
        }
    }

    fn record(&self, ok: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match (*state, ok) {
            (_, true) => State::Closed { failed: 0 },
            (State::Closed { failed }, false) if failed + 1 < self.failures => {
                State::Closed { failed: failed + 1 }
            }
            (State::Open { since }, false) => State::Open { since },
            (State::Closed { .. } | State::Due | State::HalfOpen, false) => {
                State::Open { since: Instant::now() }
            }
        };
    }
}

impl Permit<'_> {
    /// The source was not asked after all: nothing is learnt. A trial is left to the next batch.
    pub(crate) fn cancel(mut self) {
        self.told = true;
        let mut state = self.breaker.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::HalfOpen = *state {
            *state = State::Due;
        }
    }

    /// What became of asking.
    pub(crate) fn tell(mut self, ok: bool) {
        self.told = true;
        self.breaker.record(ok);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.record(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(&BreakerConfig { failures: 3, open_s: 30 })
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.permit().unwrap().tell(false);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_one_batch_tries() {
        let breaker = breaker();
        fail(&breaker, 2);
        breaker.permit().unwrap().tell(true);
        fail(&breaker, 2);
        assert_eq!(breaker.as_str(), "closed");
        fail(&breaker, 1);
        assert!(breaker.permit().is_none());
        tokio::time::advance(Duration::from_secs(30)).await;
        let trial = breaker.permit().unwrap();
        assert!(breaker.permit().is_none(), "a second batch must not try");
        assert_eq!(breaker.as_str(), "half_open");
        trial.tell(false);
        assert!(breaker.permit().is_none(), "a failed trial opens it for the whole time again");
        tokio::time::advance(Duration::from_secs(30)).await;
        breaker.permit().unwrap().tell(true);
        assert_eq!(breaker.as_str(), "closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_asks_nothing_is_left_to_the_next_batch() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(Duration::from_secs(30)).await;
        breaker.permit().unwrap().cancel();
        breaker.permit().unwrap().tell(true);
        assert_eq!(breaker.as_str(), "closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_is_given_up_counts_as_failed() {
        let breaker = breaker();
        fail(&breaker, 2);
        drop(breaker.permit());
        assert_eq!(breaker.as_str(), "open");
        tokio::time::advance(Duration::from_secs(30)).await;
        drop(breaker.permit());
        assert_eq!(breaker.as_str(), "open");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(breaker.permit().is_some());
    }
}
