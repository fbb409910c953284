use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tribunal_core::message::{FeatureBatch, MAX_ATTEMPT, Rescore, Row};

use super::support::{block_on, input, row};
use crate::requeue::{EntityQueue, Message, Outcome, QueueError, Requeue, Sent, requeue, send_all};

fn rescore(entity: &str, after_s: u64) -> Rescore {
    Rescore { entity: entity.to_owned(), after_s }
}

fn batch(rows: Vec<Row>, rescore: Vec<Rescore>) -> FeatureBatch {
    FeatureBatch { rescore, ..input(rows, Vec::new()).features }
}

fn read(message: &Message) -> (u32, Value) {
    (message.delay_s, serde_json::from_str(&message.body).unwrap())
}

#[test]
fn entities_are_grouped_by_what_a_message_says_once() {
    let mut rows: Vec<Row> = ["a.com", "b.com", "c.com", "d.com", "e.com"].map(|e| row(e, "r")).to_vec();
    rows[2].item.tlp = None;
    rows[3].item.source = None;
    rows[4].item.attempt = 3;
    let names = ["a.com", "b.com", "c.com", "d.com", "e.com"];
    let batch = batch(rows, names.map(|name| rescore(name, 30)).to_vec());
    let Requeue { messages, left_out } = requeue(&batch);
    assert_eq!(left_out, 0);
    assert_eq!(
        messages.iter().map(read).collect::<Vec<_>>(),
        [
            (30, json!({"entities": ["hxxp://d.com/"], "tlp": "amber", "attempt": 1})),
            (30, json!({"entities": ["hxxp://c.com/"], "source": "feed", "attempt": 1})),
            (
                30,
                json!({"entities": ["hxxp://a.com/", "hxxp://b.com/"],
                        "source": "feed", "tlp": "amber", "attempt": 1})
            ),
            (30, json!({"entities": ["hxxp://e.com/"], "source": "feed", "tlp": "amber", "attempt": 4})),
        ]
    );
    assert_eq!(messages[2].entities, 2);
}

#[test]
fn delays_are_what_sqs_takes_and_the_earliest_counts() {
    let rows = ["a.com", "b.com", "c.com"].map(|e| row(e, "r")).to_vec();
    let times = [("a.com", 0), ("b.com", u64::MAX), ("c.com", 700), ("c.com", 20), ("c.com", 500)];
    let batch = batch(rows, times.map(|(e, s)| rescore(e, s)).to_vec());
    let delays: Vec<(u32, usize)> =
        requeue(&batch).messages.iter().map(|m| (m.delay_s, m.entities)).collect();
    assert_eq!(delays, [(1, 1), (20, 1), (900, 1)]);
}

#[test]
fn strangers_and_who_came_too_often_are_left_out() {
    let mut often = row("often.com", "r");
    often.item.attempt = MAX_ATTEMPT;
    let mut hostile = row("hostile.com", "r");
    hostile.item.attempt = u32::MAX;
    let names = ["often.com", "hostile.com", "stranger.com"];
    let batch = batch(vec![often, hostile], names.map(|name| rescore(name, 1)).to_vec());
    assert_eq!(requeue(&batch), Requeue { messages: Vec::new(), left_out: 3 });
    assert_eq!(requeue(&self::batch(vec![row("a.com", "r")], Vec::new())), Requeue::default());
}

#[test]
fn the_text_that_was_asked_for_is_kept_only_where_it_means_the_entity() {
    let mut rows = ["a.com", "b.com", "c.com"].map(|e| row(e, "r")).to_vec();
    rows[0].item.original = "http://A.com/\u{FFFE}\u{FFFF}\"x".to_owned();
    rows[1].item.original = "other.com".to_owned();
    rows[2].item.original = String::new();
    rows.iter_mut().for_each(|row| row.item.source = Some("s".repeat(1_000)));
    let batch = batch(rows, ["a.com", "b.com", "c.com"].map(|e| rescore(e, 1)).to_vec());
    let messages = requeue(&batch).messages;
    let (_, body) = read(&messages[0]);
    assert_eq!(body["entities"], json!(["http://A.com/\u{FFFE}\u{FFFF}\"x", "b.com", "c.com"]));
    assert!(body["source"].as_str().unwrap().len() <= 128);
    assert!(!messages[0].body.contains(['\u{FFFE}', '\u{FFFF}']), "SQS takes neither as it is");
}

/// A queue that gives the answers of a list, then none.
struct Scripted(Mutex<Vec<Result<Sent, QueueError>>>);

impl EntityQueue for Scripted {
    async fn send(&self, messages: &[Message]) -> Result<Sent, QueueError> {
        assert!((1..=10).contains(&messages.len()));
        let next = self.0.lock().unwrap().pop();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn sent(messages: usize, mut answers: Vec<Result<Sent, QueueError>>) -> Outcome {
    let message = Message { body: String::new(), entities: 2, delay_s: 1 };
    answers.reverse();
    let queue = Scripted(Mutex::new(answers));
    block_on(send_all(&queue, &vec![message; messages], Duration::from_millis(20)))
}

#[test]
fn what_the_queue_does_not_take_is_counted() {
    let ok = || Ok(Sent::default());
    let outcome = sent(23, vec![ok(), ok(), ok()]);
    assert_eq!((outcome.queued, outcome.failed, outcome.error), (46, 0, None));
    let some = || Ok(Sent { failed: vec![0, 2, 99], code: Some("Throttled".to_owned()) });
    let refused = || Err(QueueError("connection refused".into()));
    let outcome = sent(23, vec![some(), refused(), ok()]);
    assert_eq!((outcome.queued, outcome.failed), (16 + 6, 4 + 20));
    assert_eq!(outcome.error.as_deref(), Some("Throttled"));
    let outcome = sent(1, vec![refused()]);
    assert_eq!(outcome.error.as_deref(), Some("SendMessageBatch failed: connection refused"));
    let outcome = sent(15, vec![ok()]);
    assert_eq!((outcome.queued, outcome.failed), (20, 10), "the second request had no answer in time");
    assert_eq!(outcome.error.as_deref(), Some("no time left after 20 ms"));
}
