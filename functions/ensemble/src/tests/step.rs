use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tribunal_core::message::{EnsembleInput, EnsembleOutput, RefusedEntity, Rescore, Row};
use tribunal_core::{ErrorName, SpecialUse};
use tribunal_runtime::{EventLog, FunctionError, Invocation, Step, chain, now_ms};

use super::definition::{definitions, publish};
use super::support::{Memory, answered, block_on, definition_json, failed, input, row, unanimous};
use crate::items::{ScoreItem, score_from_item};
use crate::requeue::{EntityQueue, Message, QueueError, Sent};
use crate::step::{Ensemble, Ttl};
use crate::store::{Fault, StoreError};
use crate::verdict::{Follow, Tally};

fn step() -> Ensemble<Memory> {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), "7", &definition_json().to_string());
    let definitions = block_on(definitions(folder.path(), Duration::MAX));
    Ensemble::new(definitions, Memory::default(), Ttl::parse("90").unwrap())
}

fn handle<Q: EntityQueue, V: Follow>(
    step: &Ensemble<Memory, Q, V>,
    input: EnsembleInput,
) -> (Result<EnsembleOutput, FunctionError>, Value) {
    let mut log = EventLog::new("ensemble");
    let invocation = Invocation { deadline_ms: now_ms() + 60_000, ..Invocation::default() };
    let result = block_on(step.handle(input, &invocation, &mut log));
    (result, serde_json::from_str(&log.to_line(0)).unwrap())
}

fn rows(n: usize) -> Vec<Row> {
    (0..n).map(|i| row(&format!("host{i}.com"), "r")).collect()
}

#[test]
fn a_batch_is_scored_written_counted_and_answered() {
    let step = step();
    let mut special = row("10.0.0.1", "r");
    (special.special, special.values) = (Some(SpecialUse::Private), Vec::new());
    let mut input = input(
        [rows(3), vec![special]].concat(),
        vec![
            answered("xgboost", &[Some(0.9), Some(0.1), None, None]),
            answered("lightgbm", &[Some(0.9), Some(0.1), Some(0.5), None]),
            failed("forest", "ModelUnavailable", ""),
            answered("newcomer", &[]),
        ],
    );
    input.features.refused =
        vec![RefusedEntity { original: "x".to_owned(), code: "empty".to_owned(), reason: "why".to_owned() }];
    let (output, log) = handle(&step, input.clone());
    let output = output.unwrap();
    assert_eq!((output.batch.as_str(), output.scored, output.abstained), ("b-1", 4, 1));
    assert_eq!(output.refused, input.features.refused);
    assert_eq!(output.scores[0].entity, "host0.com");
    assert_eq!(output.scores[0].scored_key, "2026-11-24T07:49:58.123Z#r");
    for (name, count) in [
        ("EntitiesScored", 4),
        ("Abstentions", 1),
        ("PredictorsMissing", 1),
        ("VerdictMalicious", 1),
        ("VerdictBenign", 1),
        ("VerdictUnknown", 1),
        ("VerdictNotRoutable", 1),
        ("VerdictSuspicious", 0),
        ("predictions_of_strangers", 1),
        ("already_there", 0),
    ] {
        assert_eq!(log[name], count, "{name}");
    }
    assert!(!log.to_string().contains("host0"), "no entity in the log: {log}");
    let items = step.store().items.lock().unwrap();
    assert_eq!(items.len(), 4);
    for key in &output.scores {
        let read = score_from_item(items[key].clone()).unwrap();
        assert!(read.expires_at > now_ms() / 1000 + 89 * 86_400, "{}", read.expires_at);
        let vector: Vec<u32> = read.vector.iter().map(|v| v.to_bits()).collect();
        let expected =
            if read.score.special.is_some() { vec![] } else { vec![1.5_f32.to_bits(), f32::NAN.to_bits()] };
        assert_eq!(vector, expected);
    }
}

#[test]
fn the_same_event_twice_gives_one_item_each() {
    let step = step();
    let input = input(rows(50), unanimous(50, 0.9));
    let (first, _) = handle(&step, input.clone());
    let before = step.store().items.lock().unwrap().clone();
    let (second, log) = handle(&step, input);
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(log["already_there"], 50);
    assert_eq!(*step.store().items.lock().unwrap(), before, "the first score stays");
}

#[test]
fn an_entity_twice_in_a_batch_is_written_once() {
    let step = step();
    let rows = vec![row("a.com", "r"), row("a.com", "r"), row("a.com", "r2")];
    let (output, log) = handle(&step, input(rows, unanimous(3, 0.9)));
    assert_eq!((output.unwrap().scores.len(), &log["already_there"]), (2, &Value::from(0)));
}

/// A queue that keeps what it is sent, or fails.
#[derive(Default)]
struct Kept {
    messages: Mutex<Vec<Message>>,
    fails: bool,
}

impl EntityQueue for Kept {
    async fn send(&self, messages: &[Message]) -> Result<Sent, QueueError> {
        if self.fails {
            return Err(QueueError("no route".into()));
        }
        self.messages.lock().unwrap().extend_from_slice(messages);
        Ok(Sent::default())
    }
}

#[test]
fn entities_are_queued_again_once_their_scores_are_written() {
    let event = |n: usize| {
        let mut input = input(rows(n), unanimous(n, 0.9));
        input.features.rescore = vec![Rescore { entity: "host1.com".to_owned(), after_s: 60 }];
        input
    };
    let with = |fails| step().with_queue(Some(Kept { fails, ..Kept::default() }));
    let step = with(false);
    let (output, log) = handle(&step, event(2));
    assert_eq!(output.unwrap().scored, 2);
    assert_eq!((&log["EntitiesRequeued"], &log["RequeueFailures"]), (&json!(1), &json!(0)));
    let messages = step.queue().unwrap().messages.lock().unwrap().clone();
    let body = r#"{"entities":["hxxp://host1.com/"],"source":"feed","tlp":"amber","attempt":1}"#;
    assert_eq!(messages, [Message { body: body.to_owned(), entities: 1, delay_s: 60 }]);

    let failing = with(true);
    let (output, log) = handle(&failing, event(2));
    assert_eq!(output.unwrap().scored, 2, "the first score stands");
    assert_eq!((&log["EntitiesRequeued"], &log["RequeueFailures"]), (&json!(0), &json!(1)));
    assert_eq!(log["requeue_error"], "SendMessageBatch failed: no route");

    let step = with(false);
    step.store().faults.lock().unwrap().insert("host0.com".to_owned(), Fault::Throttled);
    handle(&step, event(2)).0.unwrap_err();
    assert!(step.queue().unwrap().messages.lock().unwrap().is_empty(), "not before all are written");

    let (output, log) = handle(&self::step(), event(2));
    assert_eq!((output.unwrap().scored, &log["rescore"]), (2, &json!("no queue")));
}

/// Gives this tally, once.
struct Canned(Mutex<Option<Tally>>);

impl Follow for Canned {
    async fn follow(&self, items: &[ScoreItem]) -> Tally {
        assert_eq!(items.len(), 2);
        self.0.lock().unwrap().take().unwrap()
    }
}

#[test]
fn verdicts_are_followed_and_fail_a_batch_only_where_another_try_helps() {
    let failure = |fault| {
        let source = "said the table".into();
        Some(StoreError::Verdict { table: "verdicts".to_owned(), fault, source })
    };
    let refused = "cannot write a verdict to table verdicts: said the table";
    let untold = Tally { told: 3, untold: 2, error: Some("no".to_owned()), ..Tally::default() };
    for (tally, expected, told, untold, error) in [
        (untold, Ok(2), 3, 2, json!("no")),
        (Tally { failure: failure(Fault::Refused), ..Tally::default() }, Ok(2), 0, 1, json!(refused)),
        (
            Tally { failure: failure(Fault::Throttled), ..Tally::default() },
            Err(ErrorName::StoreThrottled),
            0,
            0,
            json!(null),
        ),
        (Tally { held: 1, ..Tally::default() }, Err(ErrorName::StoreUnavailable), 0, 0, json!(null)),
    ] {
        let step = step().with_verdicts(Some(Canned(Mutex::new(Some(tally)))));
        let (result, log) = handle(&step, input(rows(2), unanimous(2, 0.9)));
        assert_eq!(result.map(|output| output.scored).map_err(|error| error.name()), expected);
        assert_eq!((&log["VerdictChanges"], &log["EventFailures"]), (&json!(told), &json!(untold)));
        assert_eq!(log.get("event_error").cloned().unwrap_or_default(), error);
        assert_eq!(step.store().items.lock().unwrap().len(), 2, "scores are written before");
    }
}

#[test]
fn verdicts_that_take_too_long_are_left_to_the_next_score() {
    struct Never;
    impl Follow for Never {
        async fn follow(&self, _: &[ScoreItem]) -> Tally {
            std::future::pending().await
        }
    }
    let step = step().with_verdicts(Some(Never));
    let mut log = EventLog::new("ensemble");
    let invocation = Invocation { deadline_ms: now_ms() + 900, ..Invocation::default() };
    let output = block_on(step.handle(input(rows(1), unanimous(1, 0.9)), &invocation, &mut log)).unwrap();
    assert_eq!(output.scored, 1);
    assert!(log.to_line(0).contains("no time left after"), "{}", log.to_line(0));
}

#[test]
fn an_empty_batch_is_fine() {
    let (output, _) = handle(&step(), input(Vec::new(), unanimous(0, 0.5)));
    let output = output.unwrap();
    assert_eq!((output.scored, output.scores.len()), (0, 0));
    assert_eq!(serde_json::to_value(&output).unwrap()["batchItemFailures"], serde_json::json!([]));
}

#[test]
fn events_that_are_not_of_the_contract_have_names() {
    let mut cases = vec![(rows(51), ErrorName::BatchTooLarge, "batch has 51 entities; at most 50")];
    let mut bad = |change: fn(&mut Row), text| {
        let mut rows = rows(2);
        change(&mut rows[1]);
        cases.push((rows, ErrorName::InvalidInput, text));
    };
    bad(|r| r.item.entity.clear(), "features.rows[1].entity has 0 bytes; 1 to 253 are allowed");
    bad(|r| r.item.entity = "a".repeat(254), "features.rows[1].entity has 254 bytes; 1 to 253 are allowed");
    bad(|r| r.item.request_id.clear(), "features.rows[1].request_id has 0 bytes; 1 to 256 are allowed");
    bad(|r| r.item.request_id = "r".repeat(257), "features.rows[1].request_id has 257 bytes");
    bad(
        |r| "yesterday".clone_into(&mut r.item.requested_at),
        "features.rows[1].requested_at is not an RFC 3339 time",
    );
    bad(|r| r.values.clear(), "features.rows[1].values has 0 values; 2 features are named");
    bad(|r| r.values.push(None), "features.rows[1].values has 3 values; 2 features are named");
    for (rows, name, text) in cases {
        let step = step();
        let n = rows.len();
        let error = handle(&step, input(rows, unanimous(n, 0.5))).0.unwrap_err();
        assert_eq!(error.name(), name, "{text}");
        assert!(chain(&error).contains(text), "{}", chain(&error));
        assert!(step.store().items.lock().unwrap().is_empty());
    }
}

#[test]
fn a_store_that_fails_fails_the_batch_by_name() {
    for (fault, name) in [
        (Fault::Throttled, ErrorName::StoreThrottled),
        (Fault::Unavailable, ErrorName::StoreUnavailable),
        (Fault::Refused, ErrorName::StoreRefused),
    ] {
        let step = step();
        step.store().faults.lock().unwrap().insert("host1.com".to_owned(), fault);
        let (result, log) = handle(&step, input(rows(3), unanimous(3, 0.5)));
        assert_eq!(result.unwrap_err().name(), name);
        assert_eq!(log.get("EntitiesScored"), None, "not counted as scored");
    }
}

#[test]
fn without_a_definition_every_event_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let definitions = block_on(definitions(folder.path(), Duration::MAX));
    let step = Ensemble::new(definitions, Memory::default(), Ttl::parse("1").unwrap());
    for _ in 0..2 {
        let error = handle(&step, input(rows(1), unanimous(1, 0.5))).0.unwrap_err();
        assert_eq!(error.name(), ErrorName::EnsembleUnavailable);
        assert!(chain(&error).contains("ensemble/current.json"), "{}", chain(&error));
    }
}

#[test]
fn the_time_to_live_is_bounded_and_named() {
    assert_eq!(Ttl::parse("90").unwrap().expires_at(1_500), 1 + 90 * 86_400);
    assert!(Ttl::parse("1").is_ok() && Ttl::parse("3650").is_ok());
    for bad in ["0", "3651", "-1", "", "90 days", "1.5", "99999999999999999999"] {
        let error = Ttl::parse(bad).unwrap_err().to_string();
        let expected = format!("TRIBUNAL_SCORE_TTL_DAYS is {bad:?}; whole days from 1 to 3650 are allowed");
        assert_eq!(error, expected);
    }
}
