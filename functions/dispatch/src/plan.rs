//! What a batch of messages comes to: executions to run, and letters for the dead-letter queue. Pure.
//!
//! - Every message is judged on its own, and every entity of it.
//! - An entity that several messages ask for is scored once, as asked by the latest of them (no asker is answered
//!   by a score older than its message), under the strictest marking of all. The attempt is that of the latest too: an
//!   entity that is asked for anew begins anew, and one that was queued again goes on counting.
//! - Executions hold at most [`MAX_BATCH_ENTITIES`] entities and [`MAX_BATCH_BYTES`] bytes, filled in the order of
//!   the messages, so that a message is spread over as few as possible.
//! - The same messages come to the same executions with the same batch ids.

use std::collections::HashMap;

use tribunal_core::message::{Item, MAX_BATCH_BYTES, MAX_BATCH_ENTITIES};
use tribunal_core::time::rfc3339_millis;
use tribunal_core::{Entity, Refusal, digest};

use crate::body::{self, Body, MessageRefusal, stricter};
use crate::event::Record;
use crate::letter::{Letter, Refused};

/// What a batch of messages comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be run.
    pub executions: Vec<Execution>,
    /// To be put on the dead-letter queue.
    pub letters: Vec<Letter>,
    /// For the log.
    pub counts: Counts,
}

/// An execution to be run.
#[derive(Debug, PartialEq, Eq)]
pub struct Execution {
    /// Identifies the batch: a digest of what is asked, so that a second delivery has the same.
    pub batch: String,
    /// JSON of a `tribunal_core::message::ExecutionInput`.
    pub input: String,
    /// How many entities it scores.
    pub entities: usize,
    /// Positions of the messages that wait for it, ascending.
    pub records: Vec<usize>,
}

/// Numbers for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entities in all messages; a message that is refused as a whole counts as one, or as many as it lists.
    pub received: usize,
    /// Of these, refused.
    pub refused: usize,
    /// Of these, asked for by an earlier entity of the batch too.
    pub duplicates: usize,
}

/// An entity, and the messages that ask for it.
struct Asked {
    item: Item,
    tlp: Option<&'static str>,
    records: Vec<usize>,
}

/// Plans a batch. `now_ms` stands in for the send time of a message that has none.
pub fn plan(records: &[Record], now_ms: u64) -> Plan {
    let mut planner = Planner::default();
    for (at, record) in records.iter().enumerate() {
        planner.add(at, record, now_ms);
    }
    let Planner { asked, letters, counts, .. } = planner;
    Plan { executions: pack(asked), letters, counts }
}

#[derive(Default)]
struct Planner {
    asked: Vec<Asked>,
    by_name: HashMap<String, usize>,
    letters: Vec<Letter>,
    counts: Counts,
}

impl Planner {
    fn add(&mut self, at: usize, record: &Record, now_ms: u64) {
        match body::parse(&record.body) {
            Ok(body) => self.add_body(at, record, &body, now_ms),
            Err(refusal) => {
                let count = if let MessageRefusal::TooManyEntities { count } = refusal { count } else { 1 };
                self.counts.received += count;
                self.counts.refused += count;
                let refused = refused(at, record, refusal.code(), refusal.to_string());
                self.letters.push(refused.letter(record.body.clone()));
            }
        }
    }

    fn add_body(&mut self, at: usize, record: &Record, body: &Body, now_ms: u64) {
        let requested_at = rfc3339_millis(record.attributes.sent_timestamp.parse().unwrap_or(now_ms));
        let mut groups: Vec<Refused<'_>> = Vec::new();
        self.counts.received += body.entities.len();
        for original in &body.entities {
            match Entity::parse(original) {
                Ok(entity) => {
                    self.ask(at, &entity, &item(&entity, original, &requested_at, record, body), body.tlp);
                }
                Err(refusal) => {
                    self.counts.refused += 1;
                    add_refused(&mut groups, at, record, original, &refusal);
                }
            }
        }
        let whole = groups.len() == 1 && groups[0].entities.len() == body.entities.len();
        for group in groups {
            let text = if whole { record.body.clone() } else { part(&group.entities, body) };
            self.letters.push(group.letter(text));
        }
    }

    fn ask(&mut self, at: usize, entity: &Entity, item: &Item, tlp: Option<&'static str>) {
        let Some(&known) = self.by_name.get(entity.name()) else {
            self.by_name.insert(entity.name().to_owned(), self.asked.len());
            self.asked.push(Asked { item: item.clone(), tlp, records: vec![at] });
            return;
        };
        self.counts.duplicates += 1;
        let asked = &mut self.asked[known];
        asked.tlp = stricter(asked.tlp, tlp);
        if asked.records.last() != Some(&at) {
            asked.records.push(at);
        }
        // Times sort as text. The message id decides between equal ones, so that the order of a batch does not.
        let later =
            (&item.requested_at, &item.request_id) > (&asked.item.requested_at, &asked.item.request_id);
        if later {
            asked.item = item.clone();
        }
    }
}

fn item(entity: &Entity, original: &str, requested_at: &str, record: &Record, body: &Body) -> Item {
    Item {
        entity: entity.name().to_owned(),
        kind: entity.kind(),
        original: original.to_owned(),
        requested_at: requested_at.to_owned(),
        request_id: record.message_id.clone(),
        source: body.source.clone(),
        tlp: body.tlp.map(str::to_owned),
        attempt: body.attempt,
    }
}

fn refused<'a>(at: usize, record: &'a Record, code: &'static str, reason: String) -> Refused<'a> {
    Refused {
        record: at,
        message_id: &record.message_id,
        source_queue: &record.event_source_arn,
        code,
        reason,
        entities: Vec::new(),
    }
}

fn add_refused<'a>(
    groups: &mut Vec<Refused<'a>>,
    at: usize,
    record: &'a Record,
    original: &str,
    refusal: &Refusal,
) {
    let code = refusal.code();
    let index = groups.iter().position(|group| group.code == code).unwrap_or_else(|| {
        groups.push(refused(at, record, code, refusal.to_string()));
        groups.len() - 1
    });
    groups[index].entities.push(original.to_owned());
}

/// The refused part of a message as a message of the same form.
fn part(entities: &[String], body: &Body) -> String {
    let mut part = serde_json::Map::new();
    if body.source.is_none() && body.tlp.is_none() && body.attempt == 0 {
        return serde_json::Value::from(entities).to_string();
    }
    part.insert("entities".to_owned(), entities.into());
    if let Some(source) = &body.source {
        part.insert("source".to_owned(), source.as_str().into());
    }
    if let Some(tlp) = body.tlp {
        part.insert("tlp".to_owned(), tlp.into());
    }
    if body.attempt > 0 {
        part.insert("attempt".to_owned(), body.attempt.into());
    }
    serde_json::Value::Object(part).to_string()
}

/// Bytes of an input besides its items: `{"batch":"b-<32 hex digits>","items":[]}`.
const ENVELOPE_BYTES: usize = 10 + 36 + 10 + 2;

/// An execution while it is filled.
#[derive(Default)]
struct Filling {
    items: Vec<String>,
    bytes: usize,
    identity: String,
    records: Vec<usize>,
}

fn pack(asked: Vec<Asked>) -> Vec<Execution> {
    let mut executions = Vec::new();
    let mut filling = Filling::default();
    for mut one in asked {
        one.item.tlp = one.tlp.map(str::to_owned);
        let json = to_json(&one.item);
        // An item alone always fits: original and source are bounded, and escaping makes six bytes of one at most.
        let full = filling.items.len() == MAX_BATCH_ENTITIES
            || ENVELOPE_BYTES + filling.bytes + json.len() + 1 > MAX_BATCH_BYTES;
        if full && !filling.items.is_empty() {
            executions.push(std::mem::take(&mut filling).close());
        }
        filling.add(&one, json);
    }
    if !filling.items.is_empty() {
        executions.push(filling.close());
    }
    executions
}

#[expect(clippy::expect_used, reason = "an item is texts alone, which JSON always holds")]
fn to_json(item: &Item) -> String {
    serde_json::to_string(item).expect("an item is JSON")
}

impl Filling {
    fn add(&mut self, asked: &Asked, json: String) {
        self.bytes += json.len() + 1;
        self.items.push(json);
        self.records.extend(&asked.records);
        for text in [&asked.item.entity, &asked.item.requested_at, &asked.item.request_id] {
            self.identity.push_str(text);
            self.identity.push('\n');
        }
    }

    fn close(mut self) -> Execution {
        self.records.sort_unstable();
        self.records.dedup();
        let digest = digest::sha256(self.identity.as_bytes());
        let hex = digest.strip_prefix("sha256:").unwrap_or(&digest);
        let batch = format!("b-{}", &hex[..32]);
        let input = format!("{{\"batch\":\"{batch}\",\"items\":[{}]}}", self.items.join(","));
        Execution { batch, input, entities: self.items.len(), records: self.records }
    }
}
