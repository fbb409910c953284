//! Packs entities into messages, and messages into batches, within SQS's limits.

use serde_json::json;

use crate::aws::queue::{MAX_BATCH_BYTES, MAX_BATCH_MESSAGES};
use crate::input::Refused;

/// Most entities of one message: what dispatch takes.
pub(super) const MAX_MESSAGE_ENTITIES: usize = 100;
/// Most bytes of the entities of one message, as JSON. Far below SQS's 1 MiB, so that a batch holds several.
pub(super) const MAX_MESSAGE_BYTES: usize = 200_000;
/// What a message has around its entities: names of members, brackets, source and marking.
const ENVELOPE_BYTES: usize = 1_024;

/// Messages to be sent in one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Bodies.
    pub(super) bodies: Vec<String>,
    /// Entities in each.
    pub(super) counts: Vec<usize>,
    bytes: usize,
}

/// Packs entities in the order in which they come.
#[derive(Debug)]
pub(super) struct Packer {
    source: Option<String>,
    tlp: Option<String>,
    entities: Vec<String>,
    entity_bytes: usize,
    batch: Batch,
}

impl Packer {
    pub(super) fn new(source: Option<&str>, tlp: Option<&str>) -> Self {
        Self {
            source: source.map(Into::into),
            tlp: tlp.map(Into::into),
            entities: Vec::new(),
            entity_bytes: 0,
            batch: Batch::default(),
        }
    }

    /// Adds an entity; gives the batch that is full, if one is.
    pub(super) fn add(&mut self, entity: &str) -> Result<Option<Batch>, Refused> {
        let bytes = json_bytes(entity) + 1;
        if bytes > MAX_MESSAGE_BYTES {
            let reason = format!("{bytes} bytes as JSON, of at most {MAX_MESSAGE_BYTES} in a message");
            return Err(Refused::new(None, entity, "too_long", &reason));
        }
        let full =
            self.entities.len() == MAX_MESSAGE_ENTITIES || self.entity_bytes + bytes > MAX_MESSAGE_BYTES;
        let batch = if full { self.close_message() } else { None };
        self.entities.push(entity.to_owned());
        self.entity_bytes += bytes;
        Ok(batch)
    }

    /// What is left: at most two batches.
    pub(super) fn finish(&mut self) -> Vec<Batch> {
        let mut batches: Vec<Batch> = self.close_message().into_iter().collect();
        if !self.batch.bodies.is_empty() {
            batches.push(std::mem::take(&mut self.batch));
        }
        batches
    }

    /// Adds the message to the batch; gives the batch before it when that is full.
    fn close_message(&mut self) -> Option<Batch> {
        if self.entities.is_empty() {
            return None;
        }
        let count = self.entities.len();
        let body = self.body();
        let full =
            self.batch.bodies.len() == MAX_BATCH_MESSAGES || self.batch.bytes + body.len() > MAX_BATCH_BYTES;
        let before = full.then(|| std::mem::take(&mut self.batch));
        self.batch.bytes += body.len();
        self.batch.bodies.push(body);
        self.batch.counts.push(count);
        before
    }

    fn body(&mut self) -> String {
        let mut value = json!({"entities": std::mem::take(&mut self.entities)});
        self.entity_bytes = 0;
        if let Some(source) = &self.source {
            value["source"] = source.as_str().into();
        }
        if let Some(tlp) = &self.tlp {
            value["tlp"] = tlp.as_str().into();
        }
        // SQS refuses a message with either of these two, escaped they are harmless.
        value.to_string().replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
    }
}

/// Bytes of a text as JSON, at most: every character that JSON must escape takes six.
fn json_bytes(text: &str) -> usize {
    let escaped = |c: char| c.is_ascii_control() || matches!(c, '"' | '\\' | '\u{fffe}' | '\u{ffff}');
    2 + text.chars().map(|c| if escaped(c) { 6 } else { c.len_utf8() }).sum::<usize>()
}

const _: () = assert!(MAX_MESSAGE_BYTES + ENVELOPE_BYTES < MAX_BATCH_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(texts: impl IntoIterator<Item = String>) -> Vec<Batch> {
        let mut packer = Packer::new(Some("feed"), Some("amber+strict"));
        let mut batches = Vec::new();
        for text in texts {
            batches.extend(packer.add(&text).unwrap());
        }
        batches.extend(packer.finish());
        batches
    }

    #[test]
    fn a_hundred_entities_make_a_message_and_ten_messages_a_batch() {
        let batches = pack((0..1_101).map(|i| format!("e{i}.com")));
        let counts: Vec<&[usize]> = batches.iter().map(|b| b.counts.as_slice()).collect();
        assert_eq!(counts, [&[100; 10][..], &[100, 1][..]]);
        let first: serde_json::Value = serde_json::from_str(&batches[0].bodies[0]).unwrap();
        assert_eq!(first["entities"][99], "e99.com");
        assert_eq!((&first["source"], &first["tlp"]), (&json!("feed"), &json!("amber+strict")));
        assert!(pack([]).is_empty());
    }

    #[test]
    fn no_batch_is_over_the_limit_of_bytes_and_nothing_is_lost() {
        let batches = pack((0..2_000).map(|i| format!("{i}\u{1}\"\u{ffff}{}", "x".repeat(i % 2_048))));
        assert_eq!(batches.iter().flat_map(|b| &b.counts).sum::<usize>(), 2_000);
        for batch in &batches {
            assert!(batch.bodies.len() <= MAX_BATCH_MESSAGES);
            assert!(batch.bodies.iter().map(String::len).sum::<usize>() <= MAX_BATCH_BYTES);
            for body in &batch.bodies {
                assert!(body.len() <= MAX_MESSAGE_BYTES + ENVELOPE_BYTES);
                assert!(!body.contains('\u{ffff}'));
            }
        }
        let order: Vec<String> = batches
            .iter()
            .flat_map(|b| &b.bodies)
            .flat_map(|body| {
                let value: serde_json::Value = serde_json::from_str(body).unwrap();
                value["entities"].as_array().unwrap().clone()
            })
            .map(|v| v.as_str().unwrap().split('\u{1}').next().unwrap().to_owned())
            .collect();
        assert_eq!(order, (0..2_000).map(|i| i.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_text_that_no_message_holds_is_refused() {
        let refused = Packer::new(None, None).add(&"\u{1}".repeat(40_000)).unwrap_err();
        assert_eq!(refused.code, "too_long");
        assert!(refused.reason.contains("240003 bytes"), "{}", refused.reason);
    }
}
