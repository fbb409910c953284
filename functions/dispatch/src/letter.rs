//! Dead letters: what is refused, and why, in a form that a person and `tribunal dlq` can read.
//!
//! The body is the refused part: the whole message, or its refused entities in the form in which the message came,
//! so that it can be sent again. Attributes carry the reason. A letter fits into what SQS takes ([`MAX_BYTES`] with
//! its attributes, no characters outside XML 1.0); what is cut or replaced for that is said in an attribute.

use tribunal_core::entity::{shown, shown_up_to};

/// Most bytes of an SQS message, attributes included, and of all messages of one request.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most messages in one request.
pub const MAX_REQUEST_LETTERS: usize = 10;
/// Most characters of the reason.
const MAX_REASON_CHARS: usize = 1_000;

/// Names of the message attributes.
pub mod attribute {
    /// Stable code of the reason.
    pub const REASON_CODE: &str = "reason_code";
    /// The reason, for a person.
    pub const REASON: &str = "reason";
    /// Id of the message that was refused, or a part of it.
    pub const MESSAGE_ID: &str = "message_id";
    /// ARN of the queue that it came from.
    pub const SOURCE_QUEUE: &str = "source_queue";
    /// The first refused entity, cut and escaped; absent when the message as a whole is refused.
    pub const ENTITY: &str = "entity";
    /// How many entities are refused for the reason; absent when the message as a whole is refused.
    pub const REFUSED: &str = "refused";
    /// Size of the body in bytes before it was cut, or characters in it replaced.
    pub const ORIGINAL_BYTES: &str = "original_bytes";
}

/// A message for the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Position of the message that it is about.
    pub record: usize,
    /// Text.
    pub body: String,
    /// Attributes of type `String`: name and value, neither empty.
    pub attributes: Vec<(&'static str, String)>,
}

/// The entities of one message that are refused for one reason.
#[derive(Debug)]
pub(crate) struct Refused<'a> {
    /// Position of the message.
    pub(crate) record: usize,
    /// Its id.
    pub(crate) message_id: &'a str,
    /// Its queue.
    pub(crate) source_queue: &'a str,
    /// Code of the reason.
    pub(crate) code: &'static str,
    /// The reason.
    pub(crate) reason: String,
    /// Refused entities; none when the message as a whole is refused.
    pub(crate) entities: Vec<String>,
}

impl Refused<'_> {
    /// The letter with `body` as its text.
    pub(crate) fn letter(&self, body: String) -> Letter {
        let mut attributes = vec![
            (attribute::REASON_CODE, self.code.to_owned()),
            (attribute::REASON, shown_up_to(&self.reason, MAX_REASON_CHARS)),
            (attribute::MESSAGE_ID, shown(self.message_id)),
            (attribute::SOURCE_QUEUE, shown_up_to(self.source_queue, 300)),
        ];
        if let Some(first) = self.entities.first() {
            attributes.push((attribute::ENTITY, shown(first)));
            attributes.push((attribute::REFUSED, self.entities.len().to_string()));
        }
        // Neither SQS nor a reader takes an empty value.
        attributes.retain(|(_, value)| !value.is_empty());
        Letter::new(self.record, body, attributes)
    }
}

impl Letter {
    fn new(record: usize, body: String, mut attributes: Vec<(&'static str, String)>) -> Self {
        for (_, value) in &mut attributes {
            if value.chars().any(|c| !is_allowed(c)) {
                *value = value.chars().map(replace).collect();
            }
        }
        let original_bytes = body.len();
        let mut text = body;
        let mut changed = false;
        if text.chars().any(|c| !is_allowed(c)) {
            text = text.chars().map(replace).collect();
            changed = true;
        }
        if text.is_empty() {
            // SQS takes no empty body; an empty JSON string says the same.
            "\"\"".clone_into(&mut text);
        }
        let mut letter = Self { record, body: text, attributes };
        // The attribute that says so takes room as well.
        let note = attribute_bytes(attribute::ORIGINAL_BYTES, "0000000");
        let over = (letter.bytes() + note).saturating_sub(MAX_BYTES);
        if over > 0 {
            let keep = letter.body.floor_char_boundary(letter.body.len().saturating_sub(over));
            letter.body.truncate(keep);
            changed = true;
        }
        if changed {
            letter.attributes.push((attribute::ORIGINAL_BYTES, original_bytes.to_string()));
        }
        letter
    }

    /// Size as SQS counts it: body, and name, type and value of every attribute.
    pub fn bytes(&self) -> usize {
        let attributes: usize =
            self.attributes.iter().map(|(name, value)| attribute_bytes(name, value)).sum();
        self.body.len() + attributes
    }
}

const fn attribute_bytes(name: &str, value: &str) -> usize {
    name.len() + "String".len() + value.len()
}

/// Positions of letters, in groups that fit into one request each.
pub(crate) fn requests(letters: &[Letter], positions: &[usize]) -> Vec<Vec<usize>> {
    let mut requests: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for &at in positions {
        let size = letters[at].bytes();
        match requests.last_mut() {
            Some(last) if last.len() < MAX_REQUEST_LETTERS && bytes + size <= MAX_BYTES => {
                last.push(at);
                bytes += size;
            }
            _ => {
                requests.push(vec![at]);
                bytes = size;
            }
        }
    }
    requests
}

/// Characters that SQS takes: those of XML 1.0.
const fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

const fn replace(c: char) -> char {
    if is_allowed(c) { c } else { '\u{FFFD}' }
}
