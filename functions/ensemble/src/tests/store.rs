use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tribunal_core::ErrorName;
use tribunal_runtime::chain;

use super::support::{Memory, SCORED_AT, block_on, definition, input, row, unanimous};
use super::wire;
use crate::items::{Item, ScoreItem};
use crate::score::score_batch;
use crate::store::{Fault, ScoreStore, StoreError, Written, write_all};

const MINUTE: Duration = Duration::from_secs(60);

fn item(entity: &str, request_id: &str, risk: f32) -> Item {
    let input = input(vec![row(entity, request_id)], unanimous(1, risk));
    let score = score_batch(&definition(), "sha256:d", &input, SCORED_AT).remove(0);
    ScoreItem { score, vector: vec![1.5, f32::NAN], expires_at: 1 }.to_item().unwrap()
}

fn items(n: usize) -> Vec<Item> {
    (0..n).map(|i| item(&format!("host{i}.example.com"), "r", 0.9)).collect()
}

/// What every store has to do.
async fn contract(store: &impl ScoreStore) {
    let put = async |entity, request, risk| store.put_new(item(entity, request, risk)).await.unwrap();
    assert_eq!(put("evil.com", "r1", 0.875).await, Written::New);
    assert_eq!(put("evil.com", "r1", 0.875).await, Written::AlreadyThere, "the same message again");
    assert_eq!(put("evil.com", "r1", 0.1).await, Written::AlreadyThere, "whatever the score says now");
    assert_eq!(put("evil.com", "r2", 0.9).await, Written::New, "another request");
    assert_eq!(put("evil.org", "r1", 0.9).await, Written::New, "another entity of the same request");
    let twice = [items(3), items(5)].concat();
    assert_eq!(write_all(store, twice, MINUTE).await.unwrap(), 5);
}

#[test]
fn the_memory_table_keeps_the_contract() {
    block_on(async {
        let memory = Memory::default();
        contract(&memory).await;
        assert_eq!(memory.items.lock().unwrap().len(), 8);
    });
}

#[test]
fn the_dynamodb_table_keeps_the_contract() {
    block_on(async {
        let server = wire::serve(None).await;
        contract(&server.store).await;
        let seen = server.seen.lock().unwrap();
        assert_eq!((seen.items.len(), seen.requests), (8, 13));
        let first = seen.items.values().find(|item| {
            item["entity"]["S"] == "evil.com" && item["scored_key"]["S"].as_str().unwrap().ends_with("#r1")
        });
        assert_eq!(first.unwrap()["risk"]["N"], "87.5", "the first stays");
    });
}

#[test]
fn faults_have_the_names_that_a_state_machine_matches() {
    let cases = [
        (400, "ProvisionedThroughputExceededException", ErrorName::StoreThrottled),
        (400, "RequestLimitExceeded", ErrorName::StoreThrottled),
        (400, "ThrottlingException", ErrorName::StoreThrottled),
        (429, "SomethingNew", ErrorName::StoreThrottled),
        (500, "InternalServerError", ErrorName::StoreUnavailable),
        (503, "SomethingNew", ErrorName::StoreUnavailable),
        (400, "TransactionConflictException", ErrorName::StoreUnavailable),
        (400, "ResourceNotFoundException", ErrorName::StoreRefused),
        (400, "AccessDeniedException", ErrorName::StoreRefused),
        (400, "ValidationException", ErrorName::StoreRefused),
        (400, "UnrecognizedClientException", ErrorName::StoreRefused),
    ];
    block_on(join_all(cases.map(async |(status, name, expected)| {
        let server = wire::serve(Some((status, name))).await;
        let error = server.store.put_new(item("evil.com", "r1", 0.9)).await.unwrap_err();
        assert_eq!(error.error_name(), expected, "{name}");
        let text = chain(&error);
        assert!(
            text.starts_with("cannot write score 2026-11-24T07:49:58.123Z#r1 to table scores: "),
            "{text}"
        );
        assert!(!text.contains("evil.com"), "an entity is not logged: {text}");
        let requests = server.seen.lock().unwrap().requests;
        assert!((1..=3).contains(&requests), "{name}: {requests} attempts");
        if expected == ErrorName::StoreRefused {
            assert_eq!(requests, 1, "{name} is not mended by trying again");
        }
    })));
}

#[test]
fn a_table_that_is_not_there_is_unavailable() {
    block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let store = wire::store_at(&format!("http://{}", listener.local_addr().unwrap()));
        drop(listener);
        let error = store.put_new(item("evil.com", "r1", 0.9)).await.unwrap_err();
        assert_eq!(error.error_name(), ErrorName::StoreUnavailable);
    });
}

#[test]
fn one_failed_write_does_not_keep_the_others_from_being_written() {
    block_on(async {
        let memory = Memory::default();
        memory.faults.lock().unwrap().insert("host7.example.com".to_owned(), Fault::Refused);
        memory.faults.lock().unwrap().insert("host9.example.com".to_owned(), Fault::Throttled);
        memory.faults.lock().unwrap().insert("host30.example.com".to_owned(), Fault::Unavailable);
        let error = write_all(&memory, items(50), MINUTE).await.unwrap_err();
        assert_eq!(error.error_name(), ErrorName::StoreThrottled, "it deserves another try");
        assert_eq!(memory.items.lock().unwrap().len(), 47);
        memory.faults.lock().unwrap().clear();
        assert_eq!(write_all(&memory, items(50), MINUTE).await.unwrap(), 3, "only the rest is new");
    });
}

#[test]
fn writes_are_concurrent_and_bounded() {
    block_on(async {
        let memory = Memory { delay: Some(Duration::from_millis(5)), ..Memory::default() };
        assert_eq!(write_all(&memory, items(50), MINUTE).await.unwrap(), 50);
        assert_eq!(memory.most_under_way.load(Ordering::SeqCst), 16);
    });
}

#[test]
fn time_that_is_used_up_is_said() {
    block_on(async {
        let memory = Memory { delay: Some(MINUTE), ..Memory::default() };
        let started = Instant::now();
        let error = write_all(&memory, items(3), Duration::from_millis(20)).await.unwrap_err();
        assert!(started.elapsed() < MINUTE);
        assert!(matches!(error, StoreError::OutOfTime { written: 0, of: 3, budget_ms: 20 }), "{error}");
        assert_eq!(error.error_name(), ErrorName::StoreUnavailable);
    });
}
