//! What the local AWS cannot be made to show: a race that is always lost, a table that is always busy, a service that
//! answers nonsense. A server of the tests' own says so, and counts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tribunal_sources::Record;
use tribunal_sources::aws::{DynamoCache, DynamoQuota, RACES, SecretsManager};
use tribunal_sources::clock::Clock;
use tribunal_sources::config::QuotaConfig;
use tribunal_sources::quota::{Grant, Quota as _};
use tribunal_sources::secret::SecretStore as _;
use tribunal_sources::shared_cache::SharedCache as _;

use crate::local_aws::client_of;
use crate::support::Hands;

type Seen = Arc<Mutex<Vec<String>>>;

/// Answers every request by `answer` of operation and body, and keeps the names of the operations.
async fn serve(answer: fn(&str, &Value) -> (u16, Value)) -> (String, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let handle = async move |headers: HeaderMap, body: String| -> Response {
        let target = headers["x-amz-target"].to_str().unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let (status, answer) = answer(&operation, &serde_json::from_str(&body).unwrap());
        kept.lock().unwrap().push(operation);
        let kind = [("content-type", "application/x-amz-json-1.0")];
        (StatusCode::from_u16(status).unwrap(), kind, answer.to_string()).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/", post(handle));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}"), seen)
}

fn count(seen: &Seen, operation: &str) -> usize {
    seen.lock().unwrap().iter().filter(|name| *name == operation).count()
}

/// A bucket with 7 tokens of an hour each, as another environment leaves it every time.
fn always_lost(operation: &str, _: &Value) -> (u16, Value) {
    let number = |n: u64| json!({"N": n.to_string()});
    let item = json!({"key": {"S": "quota#vendor"}, "units": number(7 * 3_600_000),
                      "per_token": number(3_600_000), "at_ms": number(5)});
    match operation {
        "GetItem" => (200, json!({ "Item": item })),
        _ => (400, json!({"__type": "ConditionalCheckFailedException", "message": "lost", "Item": item})),
    }
}

#[tokio::test]
async fn a_race_that_is_always_lost_ends_and_grants_nothing() {
    let (endpoint, seen) = serve(always_lost).await;
    let hands = Hands::at(5);
    let environment = DynamoQuota::with_clock(&client_of(&endpoint), "t", hands as Arc<dyn Clock>);
    let config = QuotaConfig { requests: 1, per_s: 3_600, burst: Some(9), rescore: 2 };
    let grant = environment.take("vendor", &config, 1).await.unwrap();
    assert_eq!(grant, Grant { granted: 0, next_in: Some(Duration::from_secs(1)) });
    assert_eq!(count(&seen, "GetItem"), 1);
    assert_eq!(count(&seen, "UpdateItem"), usize::try_from(RACES).unwrap() + 1);
}

fn always_busy(operation: &str, body: &Value) -> (u16, Value) {
    let undone = body["RequestItems"].clone();
    let name = if operation == "BatchGetItem" { "UnprocessedKeys" } else { "UnprocessedItems" };
    (200, json!({ name: undone }))
}

#[tokio::test]
async fn a_table_that_is_always_busy_is_left_alone() {
    let (endpoint, seen) = serve(always_busy).await;
    let cache = DynamoCache::with_clock(&client_of(&endpoint), "t", Hands::at(0) as Arc<dyn Clock>);
    assert!(cache.get("vendor#1", &["a.com", "b.com"]).await.unwrap().is_empty());
    assert_eq!(count(&seen, "BatchGetItem"), 4);
    let answer = ("a.com".to_owned(), Record::default(), Duration::from_secs(60));
    cache.put("vendor#1", &[answer]).await.unwrap();
    assert_eq!(count(&seen, "BatchWriteItem"), 4);
}

fn nonsense(_: &str, _: &Value) -> (u16, Value) {
    (200, json!({"Name": ["hunter2"], "SecretString": {"hunter2": 1}}))
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_shown() {
    let (endpoint, _) = serve(nonsense).await;
    let store = SecretsManager::new(&client_of(&endpoint));
    let error = store.secret("tribunal/plain").await.unwrap_err();
    assert_eq!(error.to_string(), "Secrets Manager cannot be reached: its answer cannot be read");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}
