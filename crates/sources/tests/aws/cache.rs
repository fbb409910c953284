use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use tribunal_sources::Record;
use tribunal_sources::aws::{DynamoCache, KEY};
use tribunal_sources::clock::Clock;
use tribunal_sources::shared_cache::{MAX_VALUE_BYTES, SharedCache as _};

use crate::local_aws::local;
use crate::support::{Hands, create_table, dynamodb};

const START_MS: u64 = 1_795_506_598_123;
const HOUR: Duration = Duration::from_secs(3_600);

fn environment(config: &SdkConfig, table: &str, hands: &Arc<Hands>) -> DynamoCache {
    DynamoCache::with_clock(config, table, Arc::clone(hands) as Arc<dyn Clock>)
}

fn rows(rows: serde_json::Value) -> Record {
    let serde_json::Value::Array(rows) = rows else { panic!("rows") };
    Record::of(rows)
}

#[tokio::test]
async fn answers_come_back_as_they_were() {
    let Some(config) = local() else { return };
    create_table(&config, "answers").await;
    let hands = Hands::at(START_MS);
    let (a, b) = (environment(&config, "answers", &hands), environment(&config, "answers", &hands));
    let full = rows(json!([
        {"score": 0.1, "tags": ["a'\"#\u{1F980}\u{0}\r\n", null, true], "n": -9_007_199_254_740_993_i64},
        "$where", 3, [[]]
    ]));
    let answers = [
        ("evil.com".to_owned(), full.clone(), HOUR),
        ("2001:db8::1".to_owned(), Record::default(), HOUR),
        ("at-once.com".to_owned(), full.clone(), Duration::from_millis(999)),
        ("large.com".to_owned(), rows(json!(["x".repeat(MAX_VALUE_BYTES)])), HOUR),
        ("largest.com".to_owned(), rows(json!(["x".repeat(MAX_VALUE_BYTES - 4)])), HOUR),
    ];
    a.put("vendor#1", &answers).await.unwrap();
    let asked =
        ["evil.com", "evil.com", "2001:db8::1", "at-once.com", "large.com", "largest.com", "never.com", ""];
    let found = b.get("vendor#1", &asked).await.unwrap();
    assert_eq!(found.len(), 3, "{:?}", found.keys());
    assert_eq!(found["evil.com"], full);
    assert_eq!(found["2001:db8::1"], Record::default());
    assert_eq!(found["largest.com"], answers[4].1);
    assert!(b.get("vendor#2", &asked).await.unwrap().is_empty(), "another query");
    assert!(b.get("vendor#1", &[]).await.unwrap().is_empty());
    a.put("vendor#1", &[]).await.unwrap();
}

#[tokio::test]
async fn expired_answers_are_not_there_though_the_table_has_them() {
    let Some(config) = local() else { return };
    create_table(&config, "expiry").await;
    let hands = Hands::at(START_MS);
    let cache = environment(&config, "expiry", &hands);
    let answer = |lifetime| [("evil.com".to_owned(), rows(json!([1])), lifetime)];
    cache.put("vendor#1", &answer(HOUR)).await.unwrap();
    hands.wait(HOUR - Duration::from_secs(1));
    assert_eq!(cache.get("vendor#1", &["evil.com"]).await.unwrap().len(), 1);
    hands.wait(Duration::from_secs(1));
    assert!(cache.get("vendor#1", &["evil.com"]).await.unwrap().is_empty());
    let scan = Box::pin(dynamodb(&config).scan().table_name("expiry").send()).await.unwrap();
    assert_eq!(scan.count(), 1, "not deleted, and still not read");
    cache.put("vendor#1", &answer(HOUR * 2)).await.unwrap();
    assert_eq!(cache.get("vendor#1", &["evil.com"]).await.unwrap().len(), 1, "written over");
    // The last of two answers about one entity counts.
    let twice = [answer(HOUR)[0].clone(), ("evil.com".to_owned(), rows(json!([2])), HOUR)];
    cache.put("vendor#1", &twice).await.unwrap();
    assert_eq!(cache.get("vendor#1", &["evil.com"]).await.unwrap()["evil.com"], twice[1].1);
}

#[tokio::test]
async fn a_thousand_entities_are_many_requests() {
    let Some(config) = local() else { return };
    create_table(&config, "thousand").await;
    let cache = environment(&config, "thousand", &Hands::at(START_MS));
    let names: Vec<String> = (0..1_000).map(|i| format!("host{i}.example.com")).collect();
    let answers: Vec<_> =
        names.iter().take(130).map(|name| (name.clone(), rows(json!([name])), HOUR)).collect();
    cache.put("vendor#1", &answers).await.unwrap();
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = cache.get("vendor#1", &asked).await.unwrap();
    assert_eq!(found.len(), 130);
    assert!(answers.iter().all(|(name, record, _)| found[name] == *record));
}

#[tokio::test]
async fn what_is_no_answer_is_not_there() {
    let Some(config) = local() else { return };
    create_table(&config, "strange").await;
    let cache = environment(&config, "strange", &Hands::at(START_MS));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let later = AttributeValue::N((START_MS / 1_000 + 60).to_string());
    let strange = [
        ("no-answer", None, Some(later.clone())),
        ("no-json", Some(text("{")), Some(later.clone())),
        ("no-rows", Some(text("{}")), Some(later.clone())),
        ("no-text", Some(AttributeValue::Bool(true)), Some(later.clone())),
        ("no-time", Some(text("[]")), None),
        ("no-number", Some(text("[]")), Some(text("never"))),
        ("sound", Some(text("[]")), Some(later)),
    ];
    for (name, answer, expires_at) in strange {
        let put = dynamodb(&config)
            .put_item()
            .table_name("strange")
            .item(KEY, text(&format!("cache#vendor#1#{name}")));
        let put = answer.into_iter().fold(put, |put, answer| put.item("answer", answer));
        let put = expires_at.into_iter().fold(put, |put, at| put.item("expires_at", at));
        Box::pin(put.send()).await.unwrap();
    }
    let asked = ["no-answer", "no-json", "no-rows", "no-text", "no-time", "no-number", "sound"];
    let found = cache.get("vendor#1", &asked).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["sound"]);
    let error =
        environment(&config, "no-such-table", &Hands::at(0)).get("vendor#1", &asked).await.unwrap_err();
    assert_eq!(error.to_string(), "BatchGetItem on table no-such-table failed");
}
