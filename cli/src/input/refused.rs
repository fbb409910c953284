//! An entity that is not sent or scored, and why.

use serde::Serialize;
use tribunal_core::Entity;
use tribunal_core::message::{MAX_ORIGINAL_BYTES, RefusedEntity};

use super::{Given, MAX_LINE_BYTES};
use crate::output::{cut, escape};

/// Most bytes of the text that are shown again.
const SHOWN_BYTES: usize = 256;

/// A refused entity, as `--json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Refused {
    /// Line of the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// What was given, cut to 256 bytes.
    pub(crate) original: String,
    /// Stable code of the reason.
    pub(crate) code: String,
    /// The reason, for a person.
    pub(crate) reason: String,
}

impl Refused {
    pub(crate) fn new(line: Option<u64>, original: &str, code: &str, reason: &str) -> Self {
        Self {
            line,
            original: cut(original, SHOWN_BYTES).into_owned(),
            code: code.to_owned(),
            reason: reason.to_owned(),
        }
    }

    pub(super) fn line_too_long(line: Option<u64>, bytes: &[u8]) -> Self {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned();
        let reason = format!("the line has more than {MAX_LINE_BYTES} bytes");
        Self::new(line, &start, "line_too_long", &reason)
    }

    pub(super) fn not_utf8(line: Option<u64>, bytes: &[u8]) -> Self {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned();
        Self::new(line, &start, "not_utf8", "the text is not UTF-8: save the file as UTF-8")
    }

    /// For standard error: `line 3: evil[.]com/24: cidr: a network, not an address`.
    pub(crate) fn describe(&self) -> String {
        let place = self.line.map_or_else(String::new, |line| format!("line {line}: "));
        format!("{place}{}: {}: {}", escape(&self.original), self.code, escape(&self.reason))
    }
}

impl From<RefusedEntity> for Refused {
    fn from(refused: RefusedEntity) -> Self {
        Self::new(None, &refused.original, &refused.code, &refused.reason)
    }
}

/// The entity that a text names, or why it names none.
pub(crate) fn normalise(given: &Given) -> Result<Entity, Refused> {
    if given.text.len() > MAX_ORIGINAL_BYTES {
        let reason = format!("{} bytes, of at most {MAX_ORIGINAL_BYTES}", given.text.len());
        return Err(Refused::new(given.line, &given.text, "too_long", &reason));
    }
    Entity::parse(&given.text)
        .map_err(|refusal| Refused::new(given.line, &given.text, refusal.code(), &refusal.to_string()))
}
