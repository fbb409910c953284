//! The models of a fresh checkout answer as their trainers do.
//!
//! Beside every model lies `golden.json`: feature vectors (or made-up hosts, for a model that reads the text), and what
//! the trainer said of them when the model was published: its margin as bits, and its calibrated probability. The margin is held bit for bit, the probability to
//! the last bit of an `f32` (it passes through `exp`, of which platforms have more than one), and through
//! everything a function does: registry, manifest, features by name, rows in another order.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::ops::Range;

use serde::Deserialize;
use tribunal_characters::CharacterModel;
use tribunal_core::entity::Kind;
use tribunal_core::message::{
    FeatureBatch, Item, MAX_BATCH_ENTITIES, MAX_PREDICTION_BYTES, MAX_PREDICTION_FRAME_BYTES, Row,
    SourceFeatures, SourceStatus,
};
use tribunal_forest::{Forest, Format};
use tribunal_predict::Predictor;
use tribunal_registry::{LoadedModel, Registry};

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");

#[derive(Deserialize)]
struct Golden {
    parts: Vec<GoldenPart>,
}

#[derive(Deserialize)]
struct GoldenPart {
    kind: Kind,
    features: Vec<String>,
    /// One per row, of a model that reads the entity itself.
    #[serde(default)]
    hosts: Vec<String>,
    rows: Vec<Vec<Option<f32>>>,
    margin_type: String,
    margin_bits: Vec<String>,
    probability: Vec<f64>,
}

async fn shipped() -> Vec<(LoadedModel, Golden)> {
    let registry = Registry::open(MODELS).unwrap();
    let mut shipped = Vec::new();
    for name in registry.models().await.unwrap() {
        let model = registry.load_model(&name).await.unwrap();
        let path = format!("{MODELS}/models/{name}/versions/{}/golden.json", model.manifest.version);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        shipped.push((model, serde_json::from_str(&text).unwrap()));
    }
    assert!(shipped.len() >= 3, "at least three models are shipped");
    shipped
}

/// The vectors as extract would give them, but with the features in reverse order, so that only names can
/// find them.
fn batch(golden: &GoldenPart, range: Range<usize>) -> FeatureBatch {
    let item = |i: usize| Item {
        entity: golden.hosts.get(i).map_or("golden", String::as_str).to_owned(),
        kind: golden.kind,
        original: "golden".to_owned(),
        requested_at: "2026-06-01T00:00:00.000Z".to_owned(),
        request_id: "golden".to_owned(),
        source: None,
        tlp: None,
        attempt: 0,
    };
    let row = |i: usize| Row {
        item: item(i),
        special: None,
        values: golden.rows[i].iter().rev().copied().collect(),
        evidence: Vec::new(),
        sources: std::collections::BTreeMap::new(),
        evidence_dropped: 0,
    };
    FeatureBatch {
        batch: "golden".to_owned(),
        schema: "sha256:golden".to_owned(),
        features: golden.features.iter().rev().cloned().collect(),
        rows: range.map(row).collect(),
        refused: Vec::new(),
        rescore: Vec::new(),
        source_ms: std::collections::BTreeMap::new(),
        source_features: Vec::new(),
    }
}

#[tokio::test]
async fn probabilities_are_the_trainers() {
    for (model, golden) in shipped().await {
        let predictor = Predictor::from_model(&model).unwrap();
        for part in &golden.parts {
            let what = format!("{} {}", predictor.model(), part.kind.as_str());
            let mut found = Vec::new();
            for first in (0..part.rows.len()).step_by(MAX_BATCH_ENTITIES) {
                let range = first..part.rows.len().min(first + MAX_BATCH_ENTITIES);
                // Through JSON, as between two functions.
                let text = serde_json::to_string(&batch(part, range)).unwrap();
                let answer = predictor.predict(&serde_json::from_str(&text).unwrap()).unwrap();
                assert!(answer.abstentions.is_empty(), "{what}: {:?}", answer.abstentions);
                found.extend(answer.probabilities);
            }
            assert!(part.rows.len() >= 10 && found.len() == part.probability.len(), "{what}");
            for (i, (found, expected)) in found.iter().zip(&part.probability).enumerate() {
                let (found, expected) = (found.unwrap(), *expected as f32);
                let ulps = found.to_bits().abs_diff(expected.to_bits());
                assert!(ulps <= 1, "{what}, row {i}: {found:e}, the trainer says {expected:e}");
            }
        }
    }
}

fn margins(format: &str, bytes: &[u8], part: &GoldenPart) -> Vec<f64> {
    let Some(format) = Format::ALL.into_iter().find(|f| f.as_str() == format) else {
        let model = CharacterModel::parse(bytes).unwrap();
        return part.hosts.iter().map(|host| model.margin(host)).collect();
    };
    let rows: Vec<f32> = part.rows.iter().flatten().map(|v| v.unwrap_or(f32::NAN)).collect();
    let mut margins = Vec::new();
    Forest::parse(bytes, format).unwrap().margins(&rows, &mut margins).unwrap();
    margins
}

#[tokio::test]
async fn margins_are_the_trainers_bit_for_bit() {
    for (model, golden) in shipped().await {
        for part in &golden.parts {
            let what = format!("{} {}", model.manifest.name, part.kind.as_str());
            let (manifest, bytes) = model.parts.iter().find(|(p, _)| p.kinds.contains(&part.kind)).unwrap();
            assert_eq!(manifest.features, part.features, "{what}");
            let margins = margins(&manifest.format, bytes, part);
            let bits: Vec<String> = match part.margin_type.as_str() {
                "float32" => margins.iter().map(|m| format!("{:08x}", (*m as f32).to_bits())).collect(),
                "float64" => margins.iter().map(|m| format!("{:016x}", m.to_bits())).collect(),
                other => panic!("{what}: margin type {other}"),
            };
            assert_eq!(bits, part.margin_bits, "{what}");
        }
    }
}

/// Made-up rows near golden ones: some of their features are those of a source that did not answer.
fn silent(golden: &GoldenPart) -> FeatureBatch {
    let mut batch = batch(golden, 0..golden.rows.len());
    let features = golden.features.len();
    let run = |source: &str, first, count| SourceFeatures {
        source: source.to_owned(),
        kind: "http".to_owned(),
        first,
        count,
        phrases: Vec::new(),
    };
    // A model that reads the text alone has none.
    if features > 0 {
        batch.source_features = vec![run("late", 0, 3), run("fine", 3, 2), run("late", features - 2, 2)];
    }
    for row in &mut batch.rows {
        row.sources.insert("late".to_owned(), SourceStatus::Timeout);
        row.sources.insert("fine".to_owned(), SourceStatus::Ok);
    }
    batch
}

#[tokio::test]
async fn explanations_add_up_to_the_trainers_margin() {
    for (mut model, golden) in shipped().await {
        model.parts.iter_mut().for_each(|(part, _)| part.explain_from = 0.0);
        let predictor = Predictor::from_model(&model).unwrap();
        for part in &golden.parts {
            let (manifest, bytes) = model.parts.iter().find(|(p, _)| p.kinds.contains(&part.kind)).unwrap();
            let format = Format::ALL.into_iter().find(|f| f.as_str() == manifest.format);
            let Some(format) = format else { continue };
            let forest = Forest::parse(bytes, format).unwrap();
            let answer = predictor.predict(&batch(part, 0..part.rows.len())).unwrap();
            for ((row, why), p) in part.rows.iter().zip(&answer.explanations).zip(&answer.probabilities) {
                let why = why.as_ref().unwrap();
                let row: Vec<f32> = row.iter().map(|v| v.unwrap_or(f32::NAN)).collect();
                let (expected, mut margin) = (forest.contributions(&row).unwrap(), Vec::new());
                forest.margins(&row, &mut margin).unwrap();
                let top: f32 = why.top.iter().map(|(_, value)| value).sum();
                assert!((why.base + top + why.rest - why.margin).abs() < 1e-5, "{why:?}");
                assert!((f64::from(why.margin) - margin[0]).abs() < 1e-6);
                assert!((f64::from(why.base) - expected.expected[0]).abs() < 1e-6);
                assert!((0.0..=1.0).contains(&why.base_probability) && p.is_some());
                // The batch has the features in reverse order.
                let own = |position: u32| expected.values[part.features.len() - 1 - position as usize];
                assert!(why.top.iter().all(|&(i, value)| (own(i) - f64::from(value)).abs() < 1e-6));
                assert!(why.top.is_sorted_by(|a, b| a.1.abs() >= b.1.abs()), "{why:?}");
                let told: f64 = why.top.iter().map(|&(i, _)| own(i)).sum();
                let others = expected.values.iter().sum::<f64>() - told;
                // The margin is the trainer's, whose sum may be in 32 bits.
                assert!((others - f64::from(why.rest)).abs() < 1e-4, "{others} is {}", why.rest);
            }
        }
    }
}

#[tokio::test]
async fn bounds_hold_whatever_a_silent_source_would_have_said() {
    for (model, golden) in shipped().await {
        let predictor = Predictor::from_model(&model).unwrap();
        // What reads the text alone has no source to wait for.
        for part in golden.parts.iter().filter(|part| part.hosts.is_empty()) {
            let asked = silent(part);
            let bounds = predictor.predict(&asked).unwrap().bounds;
            assert_eq!(bounds.len(), asked.rows.len());
            let mut moved = 0;
            for draw in 0..20_u32 {
                let mut said = asked.clone();
                let features = said.features.len();
                for (i, row) in said.rows.iter_mut().enumerate() {
                    for (j, value) in row.values.iter_mut().enumerate() {
                        if j < 3 || j >= features - 2 {
                            let hash = (i as u32 * 977 + j as u32 * 131 + draw).wrapping_mul(2_654_435_769);
                            *value = (!hash.is_multiple_of(7)).then_some((hash >> 8) as f32 / 1e6 - 2.0);
                        }
                    }
                }
                for (bounds, p) in bounds.iter().zip(predictor.predict(&said).unwrap().probabilities) {
                    let ((low, high), p) = (bounds.unwrap(), p.unwrap());
                    assert!(low <= p && p <= high, "{p} is not in {low} to {high}: {}", predictor.model());
                    moved += usize::from(low < high);
                }
            }
            assert!(moved > 0, "{} reads none of them", predictor.model());
        }
    }
}

/// Whatever the models say of a full batch has its share of what a state machine carries.
#[tokio::test]
async fn a_full_answer_keeps_to_its_share_of_the_state() {
    for (mut model, golden) in shipped().await {
        model.parts.iter_mut().for_each(|(part, _)| part.explain_from = 0.0);
        let predictor = Predictor::from_model(&model).unwrap();
        for part in &golden.parts {
            let mut asked = silent(part);
            asked.rows = asked.rows.iter().cycle().take(MAX_BATCH_ENTITIES).cloned().collect();
            let answer = predictor.predict(&asked).unwrap();
            assert!(
                answer.explanations.iter().all(Option::is_some) && answer.bounds.iter().all(Option::is_some)
            );
            let bytes = serde_json::to_vec(&answer).unwrap().len();
            let limit = MAX_PREDICTION_FRAME_BYTES + MAX_BATCH_ENTITIES * MAX_PREDICTION_BYTES;
            assert!(bytes <= limit, "{} says {bytes} bytes, the limit is {limit}", predictor.model());
        }
    }
}
