//! The sparse index of the table: which partition a score stands in, and which partitions a reader asks.
//!
//! Partition key `verdict_day`: `<verdict>#<yyyy-mm-dd>#<shard>`, the day (UTC) of the request, the shard 0
//! to 7 by a hash of the entity; sort key `risk`. Only `suspicious` and `malicious` scores are in it: a
//! benign one is of no interest there, and `unknown` and `not_routable` have no risk to be sorted by.

use tribunal_core::Verdict;
use tribunal_core::time::rfc3339_millis;

/// Name of the index.
pub const INDEX: &str = "by_verdict";
/// Its partition key.
pub const VERDICT_DAY: &str = "verdict_day";
/// Its sort key.
pub const RISK: &str = "risk";
/// Partitions per verdict and day: a partition takes 1,000 write units a second.
pub const SHARDS: u64 = 8;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The last day that a time of four-digit years has.
const LAST_DAY: u64 = 2_932_895;

/// Whether scores with this verdict are in the index.
pub const fn is_indexed(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Suspicious | Verdict::Malicious)
}

/// Partition key of a score in the index; `None` when it is not in it. `requested_at` is RFC 3339 in UTC.
pub fn verdict_day(verdict: Verdict, requested_at: &str, entity: &str) -> Option<String> {
    let day = requested_at.get(..10)?;
    is_indexed(verdict).then(|| partition(verdict, day, shard(entity)))
}

/// Every partition of `verdict` between two times (milliseconds since 1970, both days included), latest day
/// first. Nothing for a verdict that is not in the index.
pub fn verdict_days(verdict: Verdict, since_ms: u64, until_ms: u64) -> impl Iterator<Item = String> {
    let (first, last) = (since_ms / DAY_MS, (until_ms / DAY_MS).min(LAST_DAY));
    // An empty range, when the verdict is not in the index.
    let last = if is_indexed(verdict) { last + 1 } else { first };
    (first..last).rev().flat_map(move |day| {
        let text = rfc3339_millis(day * DAY_MS);
        (0..SHARDS).map(move |shard| partition(verdict, text.get(..10).unwrap_or_default(), shard))
    })
}

fn partition(verdict: Verdict, day: &str, shard: u64) -> String {
    format!("{}#{day}#{shard}", verdict.as_str())
}

/// FNV-1a, 64 bits: stable over releases and platforms, unlike the hashes of the standard library.
fn shard(entity: &str) -> u64 {
    let hash = entity.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_alarms_is_in_the_index() {
        let key = |verdict| verdict_day(verdict, "2026-11-24T07:49:58.123Z", "foobar");
        // FNV-1a of "foobar" is 0x85944171f73967e8 (the authors' test vectors).
        assert_eq!(key(Verdict::Malicious).unwrap(), "malicious#2026-11-24#0");
        assert_eq!(key(Verdict::Suspicious).unwrap(), "suspicious#2026-11-24#0");
        for verdict in [Verdict::Benign, Verdict::Unknown, Verdict::NotRoutable] {
            assert_eq!(key(verdict), None);
            assert_eq!(verdict_days(verdict, 0, DAY_MS).count(), 0);
        }
        assert_eq!(verdict_day(Verdict::Malicious, "", "a"), None);
    }

    #[test]
    fn a_reader_asks_every_partition_that_a_writer_fills() {
        let day = 20_416 * DAY_MS;
        let keys: Vec<String> = verdict_days(Verdict::Malicious, day - 1, day + 5).collect();
        assert_eq!(keys.len(), 16);
        assert_eq!(
            (keys[0].as_str(), keys[15].as_str()),
            ("malicious#2025-11-24#0", "malicious#2025-11-23#7")
        );
        for entity in (0..100).map(|i| format!("host{i}.example.com")) {
            let written = verdict_day(Verdict::Malicious, &rfc3339_millis(day), &entity).unwrap();
            assert!(keys.contains(&written), "{written}");
        }
    }

    #[test]
    fn shards_are_evenly_filled() {
        let mut counts = [0_u32; 8];
        for entity in (0..8_000).map(|i| format!("host{i}.example.com")) {
            counts[usize::try_from(shard(&entity)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|n| (900..1_100).contains(n)), "{counts:?}");
    }

    #[test]
    fn hostile_spans_end() {
        assert_eq!(verdict_days(Verdict::Malicious, 5, 4).count(), 8, "the same day");
        assert_eq!(verdict_days(Verdict::Malicious, 2 * DAY_MS, DAY_MS).count(), 0);
        assert_eq!(verdict_days(Verdict::Malicious, u64::MAX, u64::MAX).count(), 0);
        let first = verdict_days(Verdict::Malicious, 0, u64::MAX).next().unwrap();
        assert_eq!(first, "malicious#9999-12-30#0");
    }
}
