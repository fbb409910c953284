use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tribunal_core::message::ExecutionInput;
use tribunal_runtime::{EventLog, Invocation, Step, now_ms};

use super::{code, record};
use crate::Dispatch;
use crate::event::{BatchResponse, Record, SqsEvent};
use crate::letter::Letter;
use crate::ports::{CallError, DeadLetters, Ended, Executions, Rejected};

/// What a fake execution does with the entities of its input.
enum Script {
    Score,
    FailWith { entity: &'static str, error: &'static str },
    Hang { entity: &'static str },
    CannotCall,
    Output(&'static str),
}

struct FakeMachine {
    script: Script,
    calls: RefCell<Vec<(String, Option<String>)>>,
}

impl FakeMachine {
    fn new(script: Script) -> Self {
        Self { script, calls: RefCell::default() }
    }
}

fn succeeded(output: &str) -> Ended {
    Ended {
        succeeded: true,
        status: "SUCCEEDED".to_owned(),
        output: Some(output.to_owned()),
        ..Ended::default()
    }
}

impl Executions for FakeMachine {
    async fn run(&self, name: &str, input: &str, trace_header: Option<&str>) -> Result<Ended, CallError> {
        self.calls.borrow_mut().push((name.to_owned(), trace_header.map(str::to_owned)));
        let input: ExecutionInput = serde_json::from_str(input).unwrap();
        let has = |entity: &str| input.items.iter().any(|item| item.entity == entity);
        let scored = format!("{{\"scored\": {}, \"refused\": []}}", input.items.len());
        match self.script {
            Script::FailWith { entity, error } if has(entity) => Ok(Ended {
                status: "FAILED".to_owned(),
                error: Some(error.to_owned()),
                cause: Some(format!("about {entity}")),
                ..Ended::default()
            }),
            Script::Hang { entity } if has(entity) => std::future::pending().await,
            Script::CannotCall => {
                let source = Box::new(std::io::Error::other("connection refused"));
                Err(CallError { operation: "StartSyncExecution", source })
            }
            Script::Output(output) => Ok(succeeded(output)),
            _ => Ok(succeeded(&scored)),
        }
    }
}

/// A queue that answers its requests by the script first, then takes everything.
#[derive(Default)]
struct FakeQueue {
    script: RefCell<VecDeque<Result<Vec<Rejected>, ()>>>,
    requests: RefCell<Vec<Vec<Letter>>>,
}

impl FakeQueue {
    fn answering(script: impl IntoIterator<Item = Result<Vec<Rejected>, ()>>) -> Self {
        Self { script: RefCell::new(script.into_iter().collect()), ..Self::default() }
    }

    fn codes(&self) -> Vec<Vec<String>> {
        self.requests.borrow().iter().map(|r| r.iter().map(|l| code(l).to_owned()).collect()).collect()
    }
}

impl DeadLetters for FakeQueue {
    async fn send(&self, letters: &[&Letter]) -> Result<Vec<Rejected>, CallError> {
        self.requests.borrow_mut().push(letters.iter().map(|l| (*l).clone()).collect());
        self.script.borrow_mut().pop_front().unwrap_or_else(|| Ok(Vec::new())).map_err(|()| CallError {
            operation: "SendMessageBatch",
            source: Box::new(std::io::Error::other("access denied")),
        })
    }
}

fn rejected(position: usize, code: &str, may_pass: bool) -> Rejected {
    Rejected { position, code: code.to_owned(), may_pass }
}

struct Ran {
    failed: Vec<String>,
    log: Value,
    line: String,
    machine: FakeMachine,
    queue: FakeQueue,
}

fn run_for(seconds: u64, machine: FakeMachine, queue: FakeQueue, records: Vec<Record>) -> Ran {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let dispatch = Dispatch::new(machine, queue);
    let invocation = Invocation {
        request_id: "0a-req".to_owned(),
        deadline_ms: now_ms() + seconds * 1_000,
        trace_header: Some("Root=1-5759e988".to_owned()),
    };
    let mut log = EventLog::new("dispatch");
    let response: BatchResponse =
        runtime.block_on(dispatch.handle(SqsEvent { records }, &invocation, &mut log)).unwrap();
    let line = log.to_line(0);
    Ran {
        failed: response.batch_item_failures.into_iter().map(|f| f.item_identifier).collect(),
        log: serde_json::from_str(&line).unwrap(),
        line,
        machine: dispatch.executions,
        queue: dispatch.dead_letters,
    }
}

fn run(script: Script, queue: FakeQueue, records: Vec<Record>) -> Ran {
    run_for(180, FakeMachine::new(script), queue, records)
}

/// A message with as many entities as fill an execution.
fn full(id: &str, first: &str) -> Record {
    let list: Vec<String> =
        std::iter::once(first.to_owned()).chain((1..50).map(|i| format!("{id}-{i}.com"))).collect();
    record(id, 1, &json!(list).to_string())
}

#[test]
fn a_scored_batch_leaves_the_queue() {
    let records = vec![record("m-1", 1, "evil.com"), record("m-2", 1, "[\"evil.com\", \"10.0.0.0/8\"]")];
    let ran = run(Script::Score, FakeQueue::default(), records);
    assert_eq!(ran.failed, Vec::<String>::new());
    assert_eq!(ran.queue.codes(), [["cidr"]]);
    let calls = ran.machine.calls.borrow();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].0.starts_with("b-") && calls[0].0.ends_with("-0a-req"), "{}", calls[0].0);
    assert_eq!(calls[0].1.as_deref(), Some("Root=1-5759e988"));
    for (field, value) in [
        ("MessagesReceived", 2),
        ("EntitiesReceived", 3),
        ("EntitiesRefused", 1),
        ("Duplicates", 1),
        ("Executions", 1),
        ("ExecutionsFailed", 0),
        ("DeadLetters", 1),
        ("MessagesFailed", 0),
    ] {
        assert_eq!(ran.log[field], value, "{field}");
    }
}

#[test]
fn an_empty_batch_does_nothing() {
    let ran = run(Script::CannotCall, FakeQueue::default(), Vec::new());
    assert_eq!((ran.failed.len(), ran.machine.calls.borrow().len(), ran.queue.codes().len()), (0, 0, 0));
}

#[test]
fn only_messages_of_a_failed_execution_come_back() {
    let script = Script::FailWith { entity: "broken.com", error: "StoreUnavailable" };
    let records = vec![full("m-1", "a.com"), full("m-2", "broken.com"), full("m-3", "c.com")];
    let ran = run(script, FakeQueue::default(), records);
    assert_eq!(ran.failed, ["m-2"]);
    assert_eq!(ran.log["ExecutionsFailed"], 1);
    let failure = &ran.log["execution_failures"][0];
    assert_eq!(failure["error"], "StoreUnavailable");
    assert!(failure["cause"].as_str().unwrap().contains("execution ended FAILED with StoreUnavailable"));
}

#[test]
fn a_message_spread_over_two_executions_fails_with_either() {
    let list: Vec<String> = (0..60).map(|i| format!("spread-{i}.com")).collect();
    let records = vec![record("m-1", 1, &json!(list).to_string()), record("m-2", 1, "last.com")];
    // The second execution has the end of the first message, and the second message.
    let script = Script::FailWith { entity: "spread-59.com", error: "States.Timeout" };
    assert_eq!(run(script, FakeQueue::default(), records.clone()).failed, ["m-1", "m-2"]);
    let script = Script::FailWith { entity: "spread-0.com", error: "States.Timeout" };
    assert_eq!(run(script, FakeQueue::default(), records).failed, ["m-1"]);
}

#[test]
fn every_message_that_asked_for_an_entity_fails_with_it() {
    let script = Script::FailWith { entity: "evil.com", error: "ModelUnavailable" };
    let records = vec![record("m-1", 1, "evil.com"), record("m-2", 1, "hxxp://evil[.]com")];
    assert_eq!(run(script, FakeQueue::default(), records).failed, ["m-1", "m-2"]);
}

#[test]
fn the_log_names_errors_and_no_entity() {
    let script = Script::FailWith { entity: "secret-name.com", error: "InvalidInput" };
    let records = vec![record("m-1", 1, "secret-name.com"), record("m-2", 1, "secret-net.com/\0")];
    let ran = run(script, FakeQueue::default(), records);
    assert_eq!(ran.failed, ["m-1"]);
    assert_eq!(ran.log["execution_failures"][0]["error"], "InvalidInput");
    assert!(!ran.line.contains("secret"), "{}", ran.line);
}

#[test]
fn an_execution_that_cannot_be_run_or_understood_fails_its_messages() {
    for (script, error) in [
        (Script::CannotCall, "ExecutionNotRun"),
        (Script::Output("not json"), "OutputUnreadable"),
        (Script::Output("{}"), "OutputUnreadable"),
        (Script::Output(r#"{"scored": 0}"#), "ScoresIncomplete"),
        (Script::Output(r#"{"scored": 1, "refused": [{"original": "x"}]}"#), "ScoresIncomplete"),
    ] {
        let ran = run(script, FakeQueue::default(), vec![record("m-1", 1, "evil.com")]);
        assert_eq!(ran.failed, ["m-1"], "{error}");
        assert_eq!(ran.log["execution_failures"][0]["error"], error);
    }
    let ran = run(Script::CannotCall, FakeQueue::default(), vec![record("m-1", 1, "evil.com")]);
    let cause = ran.log["execution_failures"][0]["cause"].as_str().unwrap().to_owned();
    assert_eq!(cause, "cannot run the execution: StartSyncExecution failed: connection refused");
}

#[test]
fn the_answer_is_given_before_the_invocation_ends() {
    let records = vec![full("m-1", "slow.com"), full("m-2", "quick.com"), record("m-3", 1, "10.0.0.0/8")];
    let started = now_ms();
    let ran = run(Script::Hang { entity: "slow.com" }, FakeQueue::default(), records.clone());
    // Time is virtual: the wait for the execution took none.
    assert!(now_ms() - started < 30_000);
    assert_eq!(ran.failed, ["m-1"]);
    assert_eq!(ran.queue.codes(), [["cidr"]]);
    assert_eq!(ran.log["execution_failures"][0]["error"], "OutOfTime");

    // With no time to wait, nothing is started; what is refused is refused still.
    let ran = run_for(5, FakeMachine::new(Script::Score), FakeQueue::default(), records);
    assert_eq!((ran.failed, ran.machine.calls.borrow().len()), (vec!["m-1".to_owned(), "m-2".to_owned()], 0));
    assert_eq!(ran.queue.codes(), [["cidr"]]);
}

#[test]
fn rejected_letters_are_sent_again_alone() {
    let queue = FakeQueue::answering([
        Ok(vec![rejected(0, "ServiceUnavailable", true), rejected(2, "ServiceUnavailable", true)]),
        Ok(vec![rejected(1, "ServiceUnavailable", true)]),
    ]);
    let records = vec![record("m-1", 1, "com"), record("m-2", 1, "a b"), record("m-3", 1, "1/8")];
    let ran = run(Script::Score, queue, records);
    assert_eq!(ran.failed, Vec::<String>::new());
    let expected: [&[&str]; 3] = [&["single_label", "several", "cidr"], &["single_label", "cidr"], &["cidr"]];
    assert_eq!(ran.queue.codes(), expected);
    assert_eq!(ran.log["DeadLetters"], 3);
}

#[test]
fn a_message_whose_letter_is_not_taken_is_kept() {
    // For ever, at once, and because the queue cannot be reached.
    let busy = || Ok(vec![rejected(0, "ServiceUnavailable", true)]);
    for (script, requests) in [
        (vec![busy(), busy(), busy(), busy()], 4),
        (vec![Ok(vec![rejected(0, "InvalidMessageContents", false)])], 1),
        (vec![Err(())], 1),
    ] {
        let records = vec![record("m-1", 1, "com"), record("m-2", 1, "kept.com")];
        let ran = run(Script::Score, FakeQueue::answering(script), records);
        assert_eq!(ran.failed, ["m-1"]);
        assert_eq!(ran.queue.requests.borrow().len(), requests);
        assert_eq!(ran.log["DeadLetters"], 0);
        assert_eq!(ran.log["dead_letter_errors"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn refused_entities_of_a_message_that_comes_back_are_not_told_twice() {
    let script = || Script::FailWith { entity: "broken.com", error: "StoreThrottled" };
    let records = vec![record("m-1", 1, "[\"broken.com\", \"com\"]"), record("m-2", 1, "net")];
    let ran = run(script(), FakeQueue::default(), records.clone());
    assert_eq!(ran.failed, ["m-1"]);
    assert_eq!(ran.queue.codes(), [["single_label"]]);
    assert_eq!(ran.queue.requests.borrow()[0][0].record, 1);
    // Once the fault is gone, they are.
    let ran = run(Script::Score, FakeQueue::default(), vec![records[0].clone()]);
    assert_eq!((ran.failed.len(), ran.queue.codes()), (0, vec![vec!["single_label".to_owned()]]));
}

#[test]
fn executions_run_side_by_side_within_their_bound() {
    struct Slow {
        running: RefCell<usize>,
        most: RefCell<usize>,
    }
    impl Executions for Slow {
        async fn run(&self, _: &str, _: &str, _: Option<&str>) -> Result<Ended, CallError> {
            *self.running.borrow_mut() += 1;
            let running = *self.running.borrow();
            let most = (*self.most.borrow()).max(running);
            *self.most.borrow_mut() = most;
            tokio::time::sleep(Duration::from_secs(1)).await;
            *self.running.borrow_mut() -= 1;
            Ok(succeeded(r#"{"scored": 50}"#))
        }
    }
    let records: Vec<Record> = (0..40).map(|i| full(&format!("m-{i}"), &format!("first-{i}.com"))).collect();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let slow = Slow { running: RefCell::new(0), most: RefCell::new(0) };
    let dispatch = Dispatch::new(slow, FakeQueue::default());
    let mut log = EventLog::new("dispatch");
    let response =
        runtime.block_on(dispatch.handle(SqsEvent { records }, &Invocation::default(), &mut log)).unwrap();
    assert_eq!(response, BatchResponse::default());
    assert_eq!(*dispatch.executions.most.borrow(), 16);
}

#[test]
fn the_event_and_the_answer_have_the_names_of_lambda() {
    let event: SqsEvent = serde_json::from_value(json!({"Records": [{
        "messageId": "m-1", "receiptHandle": "r", "body": "evil.com", "md5OfBody": "", "awsRegion": "us-east-1",
        "attributes": {"SentTimestamp": "1700000000000", "ApproximateReceiveCount": "1"},
        "messageAttributes": {}, "eventSource": "aws:sqs", "eventSourceARN": "arn:q",
    }]}))
    .unwrap();
    let first = &event.records[0];
    assert_eq!(
        (first.message_id.as_str(), first.body.as_str(), first.event_source_arn.as_str()),
        ("m-1", "evil.com", "arn:q")
    );
    assert_eq!(first.attributes.sent_timestamp, "1700000000000");
    assert!(serde_json::from_value::<SqsEvent>(json!({"neither": "nor"})).is_err());
    let failure = crate::ItemFailure { item_identifier: "m-1".to_owned() };
    let response = BatchResponse { batch_item_failures: vec![failure] };
    assert_eq!(
        serde_json::to_value(response).unwrap(),
        json!({"batchItemFailures": [{"itemIdentifier": "m-1"}]})
    );
}
