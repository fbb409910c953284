//! How large items are: what a usual one costs, and that no input makes one that the table refuses.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use tribunal_core::ensemble::{EnsembleDefinition, MAX_MEMBERS, MAX_PROFILES};
use tribunal_core::message::{
    EnsembleInput, Evidence, Explanation, MAX_EXPLAINED, MAX_GRAMS, PredictionBatch, PredictionOutcome, Row,
    SourceFeatures, SourceStatus,
};

use super::support::{SCORED_AT, batch, definition_json, input, row};
use crate::items::{Item, ScoreItem};
use crate::score::score_batch;
use crate::{MAX_EVIDENCE, MAX_FEATURES, MAX_LINK_BYTES, MAX_REASONS, MAX_SOURCES};

/// Bytes of an item, by the rules of DynamoDB's documentation ("item sizes and formats"), rounded up.
fn size(item: &Item) -> usize {
    fn of(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(text) => text.len().div_ceil(2) + 1,
            AttributeValue::B(blob) => blob.as_ref().len(),
            AttributeValue::L(list) => 3 + list.iter().map(|v| 1 + of(v)).sum::<usize>(),
            AttributeValue::M(map) => 3 + map.iter().map(|(k, v)| 1 + k.len() + of(v)).sum::<usize>(),
            _ => 1,
        }
    }
    item.iter().map(|(name, value)| name.len() + of(value)).sum()
}

fn definition(members: &[&str], more: &serde_json::Value) -> EnsembleDefinition {
    let member = |model: &&str| json!({"model": model, "weight": {"domain": 0.873_214_56, "ip": 1.0}});
    let mut definition = definition_json();
    definition["members"] = members.iter().map(member).collect();
    for (field, value) in more.as_object().unwrap() {
        definition[field] = value.clone();
    }
    EnsembleDefinition::parse(definition.to_string().as_bytes()).unwrap()
}

/// A model's answer for one row: every feature that it names moves the margin alike.
fn explained(model: &str, i: usize, gram: &str) -> PredictionBatch {
    let first = u32::try_from(i * 5).unwrap();
    let grams: Vec<(String, f32)> = (0..if gram.is_empty() { 0 } else { MAX_GRAMS })
        .map(|g| (format!("{g}{gram}"), 0.123_456_7))
        .collect();
    let top = if gram.is_empty() {
        (first..).take(MAX_EXPLAINED).map(|at| (at, 0.312_345_6)).collect()
    } else {
        vec![]
    };
    let explanation =
        Explanation { base: -0.5, base_probability: 0.287_654_3, margin: 3.0, top, rest: 0.412_345_6, grams };
    PredictionBatch { explanations: vec![Some(explanation)], ..batch(model, &[Some(0.912_345_67)]) }
}

fn size_of(definition: &EnsembleDefinition, input: &EnsembleInput) -> usize {
    crate::check(input).unwrap();
    let score = score_batch(definition, "sha256:d", input, SCORED_AT).remove(0);
    let values = &input.features.rows[0].values;
    let vector = values.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
    size(&ScoreItem { score, vector, expires_at: 1_800_000_000 }.to_item().unwrap())
}

fn fact(fact: &str, value: &str) -> Evidence {
    let (source, fact, value) = ("ip-ranges".to_owned(), fact.to_owned(), value.to_owned());
    Evidence { source, fact, value, first_seen: None, last_seen: None, link: None }
}

/// As in production: five models, digests, a UUID, two facts, 160 features, ten reasons.
#[test]
fn a_usual_item_costs_three_write_units_and_four_with_reasons() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let mut row = row("login-secure-account.example.org", "0b8f4c4e-5d7e-4c27-9a54-6f1d8a3b2c10/12");
    row.evidence = vec![fact("autonomous system", "AS64500 Example Hosting"), fact("country", "NL")];
    row.sources.insert("ip-ranges".to_owned(), SourceStatus::Ok);
    row.values = vec![Some(0.5); 160];
    let members = ["xgboost", "lightgbm", "catboost", "forest", "characters"];
    let predictions = members.iter().enumerate().map(|(i, model)| {
        let gram = if *model == "characters" { "acco" } else { "" };
        PredictionOutcome::Answered(PredictionBatch { digest: digest.clone(), ..explained(model, i, gram) })
    });
    let mut input = input(vec![row], predictions.collect());
    input.features.features = (0..160).map(|i| format!("name_feature_of_length_{i:03}")).collect();
    (input.features.schema, input.features.batch) =
        (digest, "0b8f4c4e-5d7e-4c27-9a54-6f1d8a3b2c10".to_owned());
    let definition = definition(&members, &json!({"valid_hours": {"domain": 24, "ip": 24}}));
    let bytes = size_of(&definition, &input);
    assert!((3_072..4_096).contains(&bytes), "{bytes} bytes");
    for outcome in &mut input.predictions {
        let PredictionOutcome::Answered(batch) = outcome else { panic!("answered") };
        batch.explanations.clear();
    }
    let bytes = size_of(&definition, &input);
    assert!((1_536..3_072).contains(&bytes), "{bytes} bytes without reasons");
}

fn largest_row(long: &str) -> Row {
    let mut row = row(&"a".repeat(253), &"r".repeat(256));
    long.clone_into(&mut row.item.original);
    row.values = vec![Some(1.0); MAX_FEATURES];
    let fact = Evidence {
        source: long.to_owned(),
        first_seen: Some(long.to_owned()),
        last_seen: Some(long.to_owned()),
        link: Some("l".repeat(MAX_LINK_BYTES)),
        ..fact(long, long)
    };
    row.evidence = vec![fact; 1_000];
    row.sources = (0..1_000).map(|i| (format!("{i:05}{long}"), SourceStatus::OpenCircuit)).collect();
    row.evidence_dropped = usize::MAX;
    row
}

#[test]
fn the_largest_item_is_far_below_the_limit() {
    let long = "\u{1F980}".repeat(10_000);
    let row = largest_row(&long);
    let names: Vec<String> = (0..MAX_MEMBERS).map(|i| format!("{}{i}", "m".repeat(63))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let predictions = names.iter().enumerate().map(|(i, model)| {
        let answer = explained(model, i * 2, "");
        let (version, digest) = (long.clone(), long.clone());
        PredictionOutcome::Answered(PredictionBatch {
            version,
            digest,
            bounds: vec![Some((0.0, 1.0))],
            ..answer
        })
    });
    let mut input = input(vec![row], predictions.collect());
    input.features.features = (0..MAX_FEATURES).map(|i| format!("{i}{long}")).collect();
    input.features.source_ms =
        input.features.rows[0].sources.keys().map(|name| (name.clone(), u32::MAX)).collect();
    let run = |first| SourceFeatures {
        source: format!("{first}{long}"),
        kind: long.clone(),
        first,
        count: 1,
        phrases: vec![long.clone()],
    };
    input.features.source_features = (0..200).map(run).collect();
    (input.features.batch, input.features.schema) = (long.clone(), long.clone());
    let thresholds = json!({"suspicious": 1, "malicious": 2});
    let profiles: BTreeMap<String, _> = (0..MAX_PROFILES)
        .map(|i| (format!("{}{i}", "p".repeat(63)), json!({"domain": thresholds, "ip": thresholds})))
        .collect();
    let entry = json!({
        "match": "a".repeat(63), "action": "deny", "reason": "r".repeat(256), "expires": "2999-01-01T00:00:00Z",
    });
    let definition = definition(&names, &json!({"profiles": profiles, "lists": [entry]}));
    let bytes = size_of(&definition, &input);
    let score = score_batch(&definition, "sha256:d", &input, SCORED_AT).remove(0);
    assert_eq!(
        (score.evidence.len(), score.sources.len(), score.source_ms.len()),
        (MAX_EVIDENCE, MAX_SOURCES, MAX_SOURCES)
    );
    assert_eq!(score.reasons.len(), MAX_REASONS);
    assert!(score.interval.is_some() && score.groups.len() > 50, "{}", score.groups.len());
    assert!((140_000..200_000).contains(&bytes), "{bytes} bytes");
}
