//! Whole scores through the table: every field there is, and those of the release before.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tribunal_core::{Score, Verdict};

use crate::items::{ScoreItem, score_from_item};

/// A score with every field set.
fn whole() -> Value {
    let digest = format!("sha256:{}", "a".repeat(64));
    let member = |model: &str| {
        json!({
            "model": model, "version": "2026-11-24", "digest": digest, "probability": 0.912_345_67_f32,
            "weight": 1.25, "points": 7.012_345_678_901_234, "reason": "abstained: kind_not_covered",
        })
    };
    let reason = |n: i32| {
        json!({
            "feature": format!("feature_{n}"), "value": -0.1_f32, "points": -1.234_567_890_123_456_7,
            "source": "feeds", "text": "seen on 3 feeds, first 2 days ago",
        })
    };
    let predictors = ["xgboost", "lightgbm", "catboost", "forest", "characters"].map(member);
    let reasons = (0..10).map(reason).collect::<Vec<_>>();
    json!({
        "entity": "login-secure.example.org", "scored_key": "2026-11-24T07:49:58.123Z#r", "kind": "domain",
        "original": "hxxp://login-secure.example.org/", "source": "gateway", "tlp": "amber", "attempt": 2,
        "requested_at": "2026-11-24T07:49:58.123Z", "scored_at": "2026-11-24T07:49:59.000Z", "batch": "b-1",
        "risk": 91.234_567, "verdict": "malicious", "agreement": 0.987_654_3_f32,
        "quorum": {"met": true, "needed": 2, "answered": 5},
        "predictors": predictors,
        "interval": {"low": 0.1, "high": 99.999_999},
        "base_risk": 33.333_333_333_333_336,
        "reasons": reasons,
        "other_points": -0.000_000_000_000_1,
        "groups": [
            {"source": "entity", "kind": "entity", "points": 12.5},
            {"source": "feeds", "kind": "dataset", "points": -3.25, "half_life_hours": 168.0},
        ],
        "profiles": {"mail": "suspicious", "proxy": "benign"},
        "listed": {"action": "deny", "entry": ".example.org", "reason": "case 7", "expires": "2027-01-01T00:00:00Z"},
        "valid_until": "2026-11-25T07:49:59.000Z",
        "evidence": [{
            "source": "feeds", "fact": "seen", "value": "3", "first_seen": "2026-11-22T00:00:00Z",
            "last_seen": "2026-11-24T00:00:00Z", "link": "https://feed.example/x",
        }],
        "evidence_dropped": 1,
        "sources": {"feeds": "ok", "reputation": "open_circuit"},
        "source_ms": {"feeds": 12},
        "special": "local",
        "schema": digest,
        "ensemble": {"version": "2", "digest": digest},
    })
}

#[test]
fn every_field_of_a_score_survives_the_table() {
    let score: Score = serde_json::from_value(whole()).unwrap();
    // Nothing of the text above was dropped: the score has exactly these fields, and all of them.
    let Value::Object(fields) = serde_json::to_value(&score).unwrap() else { panic!("not an object") };
    let expected: Vec<String> = whole().as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields.keys().cloned().collect::<Vec<_>>(), expected);
    let item = ScoreItem { score: score.clone(), vector: vec![1.5], expires_at: 7 }.to_item().unwrap();
    assert!(item.contains_key("verdict_day") && !item.values().any(AttributeValue::is_null));
    let read = score_from_item(item).unwrap();
    assert_eq!(read.score, score, "also the last bit of every number");
    assert_eq!((read.vector, read.expires_at), (vec![1.5], 7));
}

#[test]
fn a_score_of_the_release_before_is_read() {
    let mut old = whole();
    let fields = old.as_object_mut().unwrap();
    for new in
        ["interval", "base_risk", "reasons", "other_points", "groups", "profiles", "listed", "valid_until"]
    {
        assert!(fields.remove(new).is_some(), "{new}");
    }
    for predictor in fields["predictors"].as_array_mut().unwrap() {
        predictor.as_object_mut().unwrap().remove("points");
    }
    fields.insert("contributions".to_owned(), json!([{"feature": "a", "value": 1.0, "contribution": 0.5}]));
    let mut item: crate::items::Item = serde_dynamo::aws_sdk_dynamodb_1::to_item(&old).unwrap();
    item.insert("verdict_day".to_owned(), AttributeValue::S("malicious#2026-11-24#0".to_owned()));
    let read = score_from_item(item).unwrap().score;
    assert_eq!((read.verdict, read.risk), (Verdict::Malicious, Some(91.234_567)));
    assert!(read.reasons.is_empty() && read.groups.is_empty() && read.interval.is_none());
    assert!(read.predictors.iter().all(|predictor| predictor.points.is_none()));
}
