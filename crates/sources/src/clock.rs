//! Wall-clock time for what outlives a process: buckets, expiry. Milliseconds since 1970.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Says what time it is.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that never goes back: it stands still until the one beneath it has caught up.
#[derive(Debug)]
pub(crate) struct Steady {
    clock: Arc<dyn Clock>,
    last: AtomicU64,
}

impl Steady {
    pub(crate) const fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: AtomicU64::new(0) }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        let now = self.clock.now_ms();
        self.last.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Hands(AtomicU64);

    impl Clock for Hands {
        fn now_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_steady_clock_never_goes_back() {
        let hands = Arc::new(Hands(AtomicU64::new(5)));
        let steady = Steady::new(Arc::clone(&hands) as Arc<dyn Clock>);
        for (given, said) in [(5, 5), (9, 9), (3, 9), (8, 9), (10, 10)] {
            hands.0.store(given, Ordering::Relaxed);
            assert_eq!(steady.now_ms(), said, "{given}");
        }
        assert!(SystemClock.now_ms() > 1_700_000_000_000);
    }
}
