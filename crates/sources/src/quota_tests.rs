use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

fn config(requests: u64, per_s: u64, burst: Option<u64>) -> QuotaConfig {
    QuotaConfig { requests, per_s, burst, rescore: 2 }
}

/// Time that a test moves.
#[derive(Debug, Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

const fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

#[test]
fn fractions_of_tokens_are_kept() {
    // 3 per second: a token every 333 1/3 ms.
    let config = config(3, 1, Some(2));
    let mut bucket = Bucket::full(&config, 1_000);
    for (at, wanted, granted, next_in) in [
        (1_000, 3, 2, ms(334)),
        (1_333, 1, 0, ms(1)),
        (1_334, 1, 1, ms(333)),
        (1_667, 1, 1, ms(333)),
        (2_000, 1, 1, None),
        (2_000, 1, 0, ms(334)),
        (9_000, 0, 0, None),
        (9_000, 9, 2, ms(334)),
    ] {
        let (next, grant) = bucket.take(&config, at, wanted);
        let expected = Grant { granted, next_in: if granted < wanted { next_in } else { None } };
        assert_eq!(grant, expected, "at {at}");
        bucket = next;
    }
}

#[test]
fn a_clock_that_goes_back_brings_nothing() {
    let config = config(1, 1, Some(1));
    let (bucket, _) = Bucket::full(&config, 10_000).take(&config, 10_000, 1);
    let (bucket, grant) = bucket.take(&config, 4_000, 1);
    assert_eq!(grant, Grant { granted: 0, next_in: ms(7_000) }, "10,000 + 1,000, seen from 4,000");
    assert_eq!(bucket.take(&config, 11_000, 1).1.granted, 1);
}

#[test]
fn another_configuration_keeps_the_tokens() {
    let old = config(10, 1, Some(8));
    let (bucket, _) = Bucket::full(&old, 0).take(&old, 0, 3);
    assert_eq!(bucket.level(&config(10, 3_600, Some(8)), 0).tokens, 5);
    let smaller = bucket.level(&config(10, 1, Some(4)), 0);
    assert_eq!(smaller, Level { tokens: 4, capacity: 4, next_in: None });
    assert_eq!(
        bucket.level(&config(10, 1, Some(100)), 100),
        Level { tokens: 6, capacity: 100, next_in: ms(100) }
    );
}

#[test]
fn what_was_stored_is_what_is_read() {
    let config = config(5, 60, None);
    let (bucket, _) = Bucket::full(&config, 123).take(&config, 456, 2);
    let (units, per_token, at_ms) = bucket.parts();
    assert_eq!(Bucket::stored(units, per_token, at_ms), Some(bucket));
    assert_eq!(bucket.full_at(&config), 456 + 2 * 12_000);
    assert_eq!(Bucket::stored(1, 0, 1), None);
}

#[test]
fn hostile_numbers_end() {
    for config in
        [config(0, 0, Some(0)), config(u64::MAX, u64::MAX, Some(u64::MAX)), config(0, u64::MAX, None)]
    {
        let bucket = Bucket::stored(u128::MAX, 1, 5).unwrap();
        let (bucket, grant) = bucket.take(&config, u64::MAX, u64::MAX);
        assert!(grant.granted <= capacity(&config));
        assert!(bucket.level(&config, 0).tokens <= capacity(&config));
        assert!(bucket.full_at(&config) >= 5);
    }
}

#[tokio::test]
async fn sources_have_buckets_of_their_own_in_memory() {
    let hands = Arc::new(Hands::default());
    let quota = MemoryQuota::new(Arc::clone(&hands) as Arc<dyn Clock>);
    let config = config(1, 10, Some(2));
    assert_eq!(quota.take("a", &config, 5).await.unwrap(), Grant { granted: 2, next_in: ms(10_000) });
    assert_eq!(quota.take("b", &config, 1).await.unwrap(), Grant { granted: 1, next_in: None });
    hands.0.store(10_000, Ordering::Relaxed);
    assert_eq!(
        quota.level("a", &config).await.unwrap(),
        Level { tokens: 1, capacity: 2, next_in: ms(10_000) }
    );
    assert_eq!(quota.level("a", &config).await.unwrap().tokens, 1, "looking takes nothing");
    assert_eq!(quota.level("never asked", &config).await.unwrap().tokens, 2);
}

proptest! {
    /// Over every window of every history, at the finest grain: no more than the burst and what has come, and
    /// no less than what was there.
    #[test]
    fn never_more_than_burst_and_rate(
        (requests, per_s, burst) in (1_u64..=50, 1_u64..=40, 1_u64..=20),
        steps in prop::collection::vec((0_u64..5_000, 0_u64..30), 1..60),
    ) {
        let config = config(requests, per_s, Some(burst));
        let mut bucket = Bucket::full(&config, 0);
        let mut now = 0;
        let mut history: Vec<(u64, u64)> = Vec::new();
        for (wait, wanted) in steps {
            now += wait;
            let before = bucket.level(&config, now).tokens;
            let (next, grant) = bucket.take(&config, now, wanted);
            prop_assert_eq!(grant.granted, wanted.min(before));
            prop_assert_eq!(grant.next_in.is_some(), grant.granted < wanted);
            if let Some(next_in) = grant.next_in {
                let at = now + u64::try_from(next_in.as_millis()).unwrap();
                prop_assert_eq!(next.level(&config, at).tokens, 1, "there is a token when it is said to be");
                prop_assert_eq!(next.level(&config, at - 1).tokens, 0, "and none before");
            }
            bucket = next;
            history.push((now, grant.granted));
        }
        for (i, (from, _)) in history.iter().enumerate() {
            let mut sum = 0;
            for (until, granted) in &history[i..] {
                sum += granted;
                let come = requests * (until - from) / (per_s * 1_000);
                prop_assert!(sum <= burst + come, "{sum} from {from} to {until}");
            }
        }
    }

    /// Looking at a bucket in between changes nothing of what is granted later.
    #[test]
    fn refilling_in_steps_is_refilling_at_once(
        (requests, per_s, burst) in (1_u64..=50, 1_u64..=40, 1_u64..=20),
        waits in prop::collection::vec(0_u64..10_000, 1..30),
    ) {
        let config = config(requests, per_s, Some(burst));
        let (empty, _) = Bucket::full(&config, 0).take(&config, 0, burst);
        let mut stepped = empty;
        let mut now = 0;
        for wait in waits {
            now += wait;
            stepped = stepped.at(&config, now);
        }
        prop_assert_eq!(stepped, empty.at(&config, now));
    }
}
