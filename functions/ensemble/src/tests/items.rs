use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;
use tribunal_core::{Score, SpecialUse, Verdict};

use super::support::{SCORED_AT, answered, definition, failed, input, row, unanimous};
use crate::items::{Item, ItemError, ScoreItem, key, key_of, score_from_item};
use crate::score::score_batch;

fn score(p: f32) -> Score {
    score_batch(&definition(), "sha256:d", &input(vec![row("evil.com", "r1")], unanimous(1, p)), SCORED_AT)
        .remove(0)
}

fn item_of(score: Score) -> Item {
    ScoreItem { score, vector: vec![1.5, f32::NAN], expires_at: 1_800_000_000 }.to_item().unwrap()
}

fn attributes(item: &Item) -> Vec<&str> {
    let mut names: Vec<&str> = item.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_item_has_the_documented_attributes() {
    let item = item_of(score(0.875));
    assert_eq!(
        attributes(&item),
        [
            "agreement",
            "batch",
            "ensemble",
            "entity",
            "evidence",
            "expires_at",
            "kind",
            "original",
            "predictors",
            "quorum",
            "reasons",
            "requested_at",
            "risk",
            "schema",
            "scored_at",
            "scored_key",
            "source",
            "sources",
            "tlp",
            "vector",
            "verdict",
            "verdict_day",
        ]
    );
    assert_eq!(item["entity"], AttributeValue::S("evil.com".to_owned()));
    assert_eq!(item["scored_key"], AttributeValue::S("2026-11-24T07:49:58.123Z#r1".to_owned()));
    assert_eq!(item["risk"], AttributeValue::N("87.5".to_owned()));
    assert_eq!(item["expires_at"], AttributeValue::N("1800000000".to_owned()));
    assert_eq!(item["vector"], AttributeValue::B(Blob::new([0, 0, 0xc0, 0x3f, 0, 0, 0xc0, 0x7f])));
    let day = item["verdict_day"].as_s().unwrap();
    assert!(day.starts_with("malicious#2026-11-24#"), "{day}");
}

#[test]
fn what_is_not_in_the_index_has_no_index_key() {
    for (p, verdict, indexed) in [
        (0.25, Verdict::Benign, false),
        (0.5, Verdict::Suspicious, true),
        (1.0, Verdict::Malicious, true),
        (f32::NAN, Verdict::Unknown, false),
    ] {
        let score = score(p);
        assert_eq!(score.verdict, verdict);
        let item = item_of(score);
        assert_eq!(item.contains_key("verdict_day"), indexed, "{verdict:?}");
        // A key of an index must have its type or not be there: a null would be refused.
        assert_eq!(item.contains_key("risk"), verdict != Verdict::Unknown, "{verdict:?}");
        assert!(!item.values().any(AttributeValue::is_null), "{verdict:?}");
    }
}

#[test]
fn an_item_is_read_back_as_it_was() {
    let mut special = row("printer.local", "r2");
    (special.special, special.values) = (Some(SpecialUse::Local), Vec::new());
    let rows = vec![row("evil.com", "r1"), special, row("1.2.3.4", "r3")];
    let predictions = vec![
        answered("xgboost", &[Some(0.1), None, Some(0.3)]),
        answered("lightgbm", &[Some(1e-40), None, None]),
        failed("forest", "ModelUnavailable", r#"{"errorMessage":"gone"}"#),
    ];
    for score in score_batch(&definition(), "sha256:d", &input(rows, predictions), SCORED_AT) {
        let read = score_from_item(item_of(score.clone())).unwrap();
        assert_eq!(read.score, score);
        assert_eq!(read.expires_at, 1_800_000_000);
        assert_eq!(read.vector.len(), 2);
        assert!(read.vector[0] == 1.5 && read.vector[1].is_nan());
    }
}

#[test]
fn what_is_no_score_is_refused() {
    let mut short = item_of(score(0.5));
    short.insert("vector".to_owned(), AttributeValue::B(Blob::new([1, 2, 3])));
    assert!(matches!(score_from_item(short), Err(ItemError::Vector { bytes: 3 })));
    let mut other = item_of(score(0.5));
    other.insert("verdict".to_owned(), AttributeValue::N("1".to_owned()));
    assert!(matches!(score_from_item(other), Err(ItemError::NotAScore(_))));
    assert!(matches!(score_from_item(Item::new()), Err(ItemError::NotAScore(_))));
}

#[test]
fn a_key_is_the_items_own() {
    let score = score(0.5);
    let (key, item) = (key(&key_of(&score)), item_of(score));
    assert_eq!(key.len(), 2);
    assert!(key.iter().all(|(name, value)| item[name] == *value));
}

proptest! {
    #[test]
    fn every_number_survives_the_table(
        p in prop::collection::vec(prop::option::of(0.0..=1.0_f32), 3),
        vector in prop::collection::vec(any::<u32>(), 0..80),
    ) {
        let mut predictions = vec![answered("lightgbm", &p[1..2]), answered("forest", &p[2..])];
        predictions.push(answered("xgboost", &p[..1]));
        let input = input(vec![row("evil.com", "r1")], predictions);
        let score = score_batch(&definition(), "sha256:d", &input, SCORED_AT).remove(0);
        let item = ScoreItem {
            score: score.clone(),
            vector: vector.iter().copied().map(f32::from_bits).collect(),
            expires_at: 1,
        };
        let read = score_from_item(item.to_item().unwrap()).unwrap();
        prop_assert_eq!(read.score, score);
        let bits: Vec<u32> = read.vector.iter().map(|v| v.to_bits()).collect();
        prop_assert_eq!(bits, vector);
    }
}
