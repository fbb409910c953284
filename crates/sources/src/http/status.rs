//! What the status of an answer means, and when a service wants to be asked again.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::config::StatusMeaning;
use crate::open::OpenError;

/// Longest wait that is believed: 31 days.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(31 * 86_400);

/// Meanings of statuses: as declared, else as they usually are.
#[derive(Debug, Clone)]
pub(super) struct Statuses {
    exact: BTreeMap<u16, StatusMeaning>,
    classes: BTreeMap<u16, StatusMeaning>,
}

impl Statuses {
    pub(super) fn new(declared: &BTreeMap<String, StatusMeaning>) -> Result<Self, OpenError> {
        let (mut exact, mut classes) = (BTreeMap::new(), BTreeMap::new());
        for (key, meaning) in declared {
            let refused = || {
                let reason = "must be a status from 100 to 599, or a class from 1xx to 5xx";
                OpenError::new(format!("http.status.{key}"), reason)
            };
            let (map, digits, range) = match key.strip_suffix("xx") {
                Some(class) => (&mut classes, class, 1..=5),
                None => (&mut exact, key.as_str(), 100..=599),
            };
            let is_number = digits.bytes().all(|b| b.is_ascii_digit());
            let code = digits.parse().ok().filter(|code| is_number && range.contains(code));
            map.insert(code.ok_or_else(refused)?, *meaning);
        }
        Ok(Self { exact, classes })
    }

    /// What a status means. Redirects are never followed: they are errors unless declared to mean nothing.
    pub(super) fn meaning(&self, status: StatusCode, headers: &HeaderMap) -> StatusMeaning {
        let code = status.as_u16();
        if let Some(declared) = self.exact.get(&code).or_else(|| self.classes.get(&(code / 100))) {
            return *declared;
        }
        match code {
            204 | 404 => StatusMeaning::Empty,
            200..=299 => StatusMeaning::Answer,
            401 | 403 => StatusMeaning::Refused,
            429 => StatusMeaning::Throttled,
            503 if headers.contains_key(RETRY_AFTER) => StatusMeaning::Throttled,
            _ => StatusMeaning::Error,
        }
    }
}

/// When the service wants to be asked again (RFC 9110 section 10.2.3): seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 has are longer than any wait that is believed.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, retry_after.parse().unwrap())])
    }

    #[test]
    fn waits() {
        let now: jiff::Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("99999999999999999999999", Some(31 * 86_400)),
            ("Fri, 31 Dec 2100 23:59:59 GMT", Some(31 * 86_400)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(&headers(text), now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn exact_before_class_before_default() {
        let declared = [("403", StatusMeaning::Empty), ("4xx", StatusMeaning::Throttled)];
        let statuses = Statuses::new(&declared.map(|(key, value)| (key.to_owned(), value)).into()).unwrap();
        let meaning = |code: u16| statuses.meaning(StatusCode::from_u16(code).unwrap(), &HeaderMap::new());
        assert_eq!(meaning(403), StatusMeaning::Empty);
        assert_eq!(meaning(404), StatusMeaning::Throttled);
        assert_eq!(meaning(200), StatusMeaning::Answer);
        assert_eq!(meaning(302), StatusMeaning::Error);
        assert_eq!(meaning(503), StatusMeaning::Error);
        let service = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(statuses.meaning(service, &headers("1")), StatusMeaning::Throttled);
    }

    #[test]
    fn other_keys_are_refused() {
        for key in ["0xx", "6xx", "99", "600", "4x", "xx", "", "+404", "ok"] {
            let error = Statuses::new(&[(key.to_owned(), StatusMeaning::Empty)].into()).unwrap_err();
            assert_eq!(error.key, format!("http.status.{key}"));
        }
    }
}
