//! Times as text: RFC 3339 in UTC with milliseconds, so that they sort.

use jiff::Timestamp;

/// `2026-11-24T07:49:58.123Z` for milliseconds since 1970; times outside the years 0 to 9999 are clamped.
pub fn rfc3339_millis(epoch_ms: u64) -> String {
    let timestamp = i64::try_from(epoch_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX);
    timestamp.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Milliseconds since 1970 of an RFC 3339 text.
///
/// # Errors
/// When the text is not a time, with jiff's reason.
pub fn parse_rfc3339(text: &str) -> Result<u64, jiff::Error> {
    Ok(u64::try_from(text.parse::<Timestamp>()?.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for (ms, text) in [(0, "1970-01-01T00:00:00.000Z"), (1_795_506_598_123, "2026-11-24T07:49:58.123Z")] {
            assert_eq!(rfc3339_millis(ms), text);
            assert_eq!(parse_rfc3339(text).unwrap(), ms);
        }
        assert_eq!(rfc3339_millis(u64::MAX), "9999-12-30T22:00:00.999Z");
        assert!(parse_rfc3339("yesterday").is_err());
    }
}
