//! The plan on hostile messages, and the dispatcher on services that fail.

use crate::event::{Record, RecordAttributes};
use crate::letter::{Letter, attribute};

mod letters;
mod plans;
mod runs;

const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:tribunal-entities";

/// A message, sent `seconds` after 1970.
fn record(id: &str, seconds: u64, body: &str) -> Record {
    Record {
        message_id: id.to_owned(),
        body: body.to_owned(),
        attributes: RecordAttributes { sent_timestamp: (seconds * 1_000).to_string() },
        event_source_arn: QUEUE_ARN.to_owned(),
    }
}

fn value<'a>(letter: &'a Letter, name: &str) -> Option<&'a str> {
    letter.attributes.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
}

fn code(letter: &Letter) -> &str {
    value(letter, attribute::REASON_CODE).unwrap_or_default()
}
