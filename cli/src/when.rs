//! Times as an analyst gives them: a span back from now, a day, or a moment.
//!
//! Accepted: `90s`, `15m`, `24h`, `7d`, `2w` (a whole number and one unit); `2026-11-24` (midnight UTC); RFC
//! 3339 (`2026-11-24T07:00:00Z`). Everything else is refused with what is accepted: a typing error must not
//! become another window.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use tribunal_core::time::parse_rfc3339;

/// Milliseconds of a day.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// A span such as `24h`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("not a span: {text:?} (give a whole number and one of s, m, h, d, w: 24h)");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(count * seconds))
}

/// A point in time, given as a moment, a day, or a span back from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Before now.
    Ago(Duration),
    /// Milliseconds since 1970.
    At(u64),
}

impl When {
    /// Parses as the module says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(span) = span(text) {
            return Ok(Self::Ago(span));
        }
        // Jiff reads further forms of a date (`20261124`): one form is enough.
        if text.len() == 10 && text.as_bytes()[4] == b'-' && text.parse::<Date>().is_ok() {
            return parse_rfc3339(&format!("{text}T00:00:00Z")).map(Self::At).map_err(|e| e.to_string());
        }
        if text.contains('T') && text.parse::<Timestamp>().is_ok() {
            return parse_rfc3339(text).map(Self::At).map_err(|e| e.to_string());
        }
        Err(format!(
            "not a time: {text:?} (give a span back from now such as 24h or 7d, a day such as 2026-11-24, or \
             an RFC 3339 time such as 2026-11-24T07:00:00Z)"
        ))
    }

    /// Milliseconds since 1970; never before.
    pub(crate) fn millis(self, now_ms: u64) -> u64 {
        match self {
            Self::Ago(span) => now_ms.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            Self::At(ms) => ms,
        }
    }
}

/// `12 s`, `5 min`, `3 h`, `2 d`: how long ago.
pub(crate) fn age(then_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1_000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_521_600_000; // 2026-11-24T12:00:00Z

    #[test]
    fn spans_and_times_are_read_strictly() {
        assert_eq!(span("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(span("2w"), Ok(Duration::from_secs(1_209_600)));
        for wrong in
            ["", "h", "24", "24 h", "-1h", "+1h", "1.5h", "24hours", "9999999999d", "24H", "٣h", "1ü"]
        {
            assert!(span(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(When::parse("2026-11-24").unwrap().millis(NOON), NOON - 43_200_000);
        assert_eq!(When::parse("2026-11-24T12:00:00Z"), Ok(When::At(NOON)));
        assert_eq!(When::parse("2026-11-24T13:00:00+01:00"), Ok(When::At(NOON)));
        assert_eq!(When::parse("24h").unwrap().millis(NOON), NOON - DAY_MS);
        for wrong in ["yesterday", "20261124", "2026-13-01", "2026-11-31", "2026-11-24T12:00", "", "2026-11"]
        {
            assert!(When::parse(wrong).unwrap_err().contains("such as 24h"), "{wrong:?}");
        }
    }

    #[test]
    fn an_age_is_rounded_down() {
        assert_eq!(age(0, 119_999), "119 s");
        assert_eq!(age(0, 7_199_000), "119 min");
        assert_eq!(age(0, DAY_MS), "24 h");
        assert_eq!(age(0, 3 * DAY_MS), "3 d");
        assert_eq!(age(5, 0), "0 s");
    }
}
