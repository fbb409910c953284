//! A model of two parts, small enough to be computed by hand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::{Value, json};
use tribunal_core::digest::sha256;
use tribunal_core::entity::SpecialUse;
use tribunal_core::message::{FeatureBatch, Item, MAX_BATCH_ENTITIES, PredictionBatch, Row};
use tribunal_core::{Entity, ErrorName};
use tribunal_registry::Registry;
use tribunal_runtime::{EventLog, Invocation, Step as _, chain};

use crate::{LoadError, Predict, PredictError, Predictor, RETRY_AFTER};

mod following;
mod reasons;

/// One split: `feature 1 <= 7.5` (missing left) gives 0.25, else 0.75; and one that reads feature 0 alike.
fn domain_forest() -> Value {
    let tree = |feature: i32, low: f64, high: f64| {
        json!({"children_left": [1, -1, -1], "children_right": [2, -1, -1], "feature": [feature, -1, -1],
               "threshold": [7.5, 0, 0], "missing_go_to_left": [1, 0, 0], "value": [0.5, low, high],
               "cover": [8, 4, 4]})
    };
    json!({"format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": 2,
           "feature_names": ["length", "digits"], "trees": [tree(1, 0.25, 0.75), tree(0, 0.5, 1.0)]})
}

struct Model {
    forest: Value,
    part: Value,
}

impl Model {
    fn new() -> Self {
        let part = json!({"kinds": ["domain"], "file": "domain.json", "format": "tribunal-forest-json",
                          "features": ["length", "digits"], "explain_from": 0.5});
        Self { forest: domain_forest(), part }
    }

    async fn publish(&self, store: &InMemory) {
        self.publish_bytes(store, self.forest.to_string().into_bytes()).await;
    }

    async fn publish_bytes(&self, store: &InMemory, file: Vec<u8>) {
        let mut part = self.part.clone();
        part["sha256"] = sha256(&file).into();
        part["bytes"] = file.len().into();
        let manifest = json!({"name": "small", "version": "1", "parts": [part]}).to_string();
        let pointer = json!({"version": "1", "digest": sha256(manifest.as_bytes())}).to_string();
        for (path, bytes) in [
            ("models/small/versions/1/domain.json", file),
            ("models/small/versions/1/manifest.json", manifest.into_bytes()),
            ("models/small/current.json", pointer.into_bytes()),
        ] {
            store.put(&Path::from(path), Bytes::from(bytes).into()).await.unwrap();
        }
    }

    async fn load(&self) -> Result<Predictor, LoadError> {
        let store = InMemory::new();
        self.publish(&store).await;
        Predictor::load(&Registry::with_store(Arc::new(store), "memory"), "small").await
    }
}

fn row(entity: &str, values: &[Option<f32>]) -> Row {
    let parsed = Entity::parse(entity).unwrap();
    let item = Item {
        entity: parsed.name().to_owned(),
        kind: parsed.kind(),
        original: entity.to_owned(),
        requested_at: "2026-06-01T00:00:00.000Z".to_owned(),
        request_id: "r".to_owned(),
        source: None,
        tlp: None,
        attempt: 0,
    };
    Row {
        item,
        special: None,
        values: values.to_vec(),
        evidence: Vec::new(),
        sources: Default::default(),
        evidence_dropped: 0,
    }
}

fn batch(features: &[&str], rows: Vec<Row>) -> FeatureBatch {
    FeatureBatch {
        batch: "b".to_owned(),
        schema: "sha256:s".to_owned(),
        features: features.iter().map(|f| (*f).to_owned()).collect(),
        rows,
        refused: Vec::new(),
        rescore: Vec::new(),
        source_ms: Default::default(),
        source_features: Vec::new(),
    }
}

#[tokio::test]
async fn features_are_found_by_name_and_missing_is_missing() {
    let predictor = Model::new().load().await.unwrap();
    let rows = || {
        vec![
            row("a.com", &[Some(99.0), Some(9.0), Some(3.0)]),
            row("b.com", &[None, Some(9.0), None]),
            row("c.com", &[None, None, Some(8.0)]),
        ]
    };
    for _ in 0..2 {
        let answer = predictor.predict(&batch(&["other", "digits", "length"], rows())).unwrap();
        assert_eq!(answer.probabilities, [Some(0.625), Some(0.625), Some(0.625)]);
        assert!(answer.abstentions.is_empty());
    }
    // The same digest over another order of names: a person's event may say so.
    let answer = predictor.predict(&batch(&["length", "digits", "other"], rows())).unwrap();
    assert_eq!(answer.probabilities, [Some(0.875), Some(0.625), Some(0.375)]);
    assert_eq!((answer.model.as_str(), answer.version.as_str()), ("small", "1"));
    assert_eq!(answer.digest, predictor.digest());
}

#[tokio::test]
async fn contributions_are_of_what_was_seen_strongest_first() {
    let predictor = Model::new().load().await.unwrap();
    let rows = vec![row("a.com", &[Some(9.0), Some(8.0)]), row("b.com", &[None, Some(1.0)])];
    let answer = predictor.predict(&batch(&["length", "digits"], rows)).unwrap();
    assert_eq!(answer.probabilities, [Some(0.875), Some(0.375)]);
    let first = answer.explanations[0].as_ref().unwrap();
    assert_eq!(first.top, [(0, 0.125), (1, 0.125)]);
    assert_eq!((first.base, first.margin, first.rest), (0.625, 0.875, 0.0));
    assert_eq!(answer.explanations[1], None, "0.375 is below explain_from");
    let everything = Model { part: with(&Model::new().part, "explain_from", json!(0.0)), ..Model::new() };
    let answer = everything.load().await.unwrap();
    let answer = answer.predict(&batch(&["length", "digits"], vec![row("b.com", &[None, None])])).unwrap();
    assert_eq!(answer.explanations[0].as_ref().unwrap().top, [(0, -0.125), (1, -0.125)]);
}

#[tokio::test]
async fn what_the_model_does_not_cover_is_an_abstention() {
    let predictor = Model::new().load().await.unwrap();
    let special = Row { special: Some(SpecialUse::Localhost), ..row("localhost", &[]) };
    let rows = vec![row("192.0.2.1", &[None, None]), row("a.com", &[None, None]), special];
    let answer = predictor.predict(&batch(&["length", "digits"], rows.clone())).unwrap();
    assert_eq!(answer.probabilities, [None, Some(0.375), None]);
    assert_eq!(answer.explanations.len(), 3);
    assert_eq!(answer.abstentions, ["kind_not_covered: ip"]);
    let answer = predictor.predict(&batch(&["length", "other"], rows)).unwrap();
    assert_eq!(answer.probabilities, [None, None, None]);
    assert_eq!(answer.abstentions, ["feature_unknown: digits", "kind_not_covered: ip"]);
    let none = predictor.predict(&batch(&[], Vec::new())).unwrap();
    assert!(none.probabilities.is_empty() && none.abstentions.is_empty());
}

#[tokio::test]
async fn an_optional_feature_may_be_absent_and_is_then_missing() {
    let part = with(&Model::new().part, "optional", json!(["digits"]));
    let predictor = Model { part, ..Model::new() }.load().await.unwrap();
    for digits in [None, Some(9.0)] {
        let missing = batch(&["length", "digits"], vec![row("a.com", &[Some(9.0), digits])]);
        let missing = predictor.predict(&missing).unwrap();
        let absent = predictor.predict(&batch(&["length"], vec![row("a.com", &[Some(9.0)])])).unwrap();
        assert_eq!(absent.probabilities == missing.probabilities, digits.is_none());
        assert!(absent.probabilities[0].is_some() && absent.abstentions.is_empty());
    }
    let answer = predictor.predict(&batch(&["digits"], vec![row("a.com", &[Some(9.0)])])).unwrap();
    assert_eq!(answer.abstentions, ["feature_unknown: length"]);
}

#[tokio::test]
async fn a_batch_that_is_not_of_the_contract_is_refused() {
    let predictor = Model::new().load().await.unwrap();
    let one = row("a.com", &[None, None]);
    let cases = [
        (batch(&["length", "digits"], vec![one.clone(); MAX_BATCH_ENTITIES + 1]), "51 rows, the limit is 50"),
        (batch(&["length"], vec![one.clone()]), "row 0 has 2 values for 1 features"),
        (batch(&["length", "digits"], vec![row("a.com", &[])]), "row 0 has 0 values for 2 features"),
        (batch(&["a", "a"], vec![one]), "feature a is named twice"),
        (
            batch(&["length", "digits"], vec![row("a.com", &[None, Some(f32::INFINITY)])]),
            "row 0: value of digits does not fit",
        ),
    ];
    for (batch, expected) in cases {
        let error = predictor.predict(&batch).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let name = if matches!(error, PredictError::TooManyRows { .. }) {
            ErrorName::BatchTooLarge
        } else {
            ErrorName::InvalidInput
        };
        assert_eq!(error.error_name(), name);
    }
}

fn with(value: &Value, field: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[field] = new;
    value
}

/// The same forest in the format's version 2, with some members replaced.
fn of_version_2(members: &[(&str, Value)]) -> Value {
    let mut forest = domain_forest();
    for (name, value) in
        [("version", json!(2)), ("link", json!({"name": "probability"}))].iter().chain(members)
    {
        forest[*name] = value.clone();
    }
    forest
}

fn linear_of_two_outputs() -> Value {
    json!({"format": "tribunal-forest", "version": 2, "n_features": 2, "feature_names": ["length", "digits"],
           "n_outputs": 2, "link": {"name": "softmax"},
           "linear": {"weights": [1.0, 2.0, 3.0, 4.0], "start": [0.0, 0.0]}})
}

#[tokio::test]
async fn a_compiled_model_answers_as_its_source() {
    let source = domain_forest().to_string();
    let forest =
        tribunal_forest::Forest::parse(source.as_bytes(), tribunal_forest::Format::TribunalForest).unwrap();
    let of = tribunal_forest::Source {
        format: tribunal_forest::Format::TribunalForest,
        sha256: "0".repeat(64),
        bytes: source.len() as u64,
    };
    let compiled = forest.compile(&of, &[]).unwrap();
    let store = InMemory::new();
    let mut model = Model::new();
    model.part["format"] = "tribunal-compiled".into();
    model.publish_bytes(&store, compiled).await;
    let compiled = Predictor::load(&Registry::with_store(Arc::new(store), "memory"), "small").await.unwrap();
    let rows = || vec![row("a.com", &[Some(99.0), Some(9.0)]), row("b.com", &[None, Some(3.0)])];
    let expected = Model::new().load().await.unwrap().predict(&batch(&["length", "digits"], rows())).unwrap();
    let answer = compiled.predict(&batch(&["length", "digits"], rows())).unwrap();
    assert_eq!(answer.probabilities, expected.probabilities);
    assert_eq!(answer.explanations, expected.explanations);
}

#[tokio::test]
async fn a_file_that_does_not_fit_its_manifest_is_refused() {
    let (forest, part) = (domain_forest(), Model::new().part);
    let cases = [
        (forest.clone(), with(&part, "format", json!("pickle")), "format \"pickle\" is not known"),
        (forest.clone(), with(&part, "format", json!("xgboost-ubj")), "cannot be run as xgboost-ubj"),
        (
            forest.clone(),
            with(&part, "features", json!(["length"])),
            "reads 2 features, but its manifest names 1",
        ),
        (
            forest.clone(),
            with(&part, "features", json!(["digits", "length"])),
            "feature 0 is \"length\", but its manifest says \"digits\"",
        ),
        (with(&forest, "trees", json!(1)), part.clone(), "cannot be run as tribunal-forest-json"),
        (forest.clone(), with(&part, "format", json!("onnx")), "onnx is not served as it is; compile it"),
        (of_version_2(&[("link", json!({"name": "identity"}))]), part.clone(), "does not give a probability"),
        (linear_of_two_outputs(), part.clone(), "gives 2 values a row, must give one"),
    ];
    for (forest, part, expected) in cases {
        let error = Model { forest, part }.load().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("models/small/versions/1/domain.json"), "{error}");
        assert_eq!(error.error_name(), ErrorName::ModelUnavailable);
    }
    let renamed = Model { part: with(&part, "features", json!(["a", "b"])), forest };
    assert!(renamed.load().await.is_ok(), "a file's other names say nothing about the order");
}

async fn ask(function: &Predict) -> Result<Vec<Option<f32>>, (ErrorName, String)> {
    let batch = batch(&["length", "digits"], vec![row("a.com", &[Some(9.0), Some(9.0)])]);
    let answer = function.handle(batch, &Invocation::default(), &mut EventLog::new("predict")).await;
    answer.map(|a| a.probabilities).map_err(|error| (error.name(), chain(&error)))
}

#[tokio::test(start_paused = true)]
async fn a_missing_model_is_named_and_picked_up_once_it_is_there() {
    let store = Arc::new(InMemory::new());
    let shared: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&store);
    let function = Predict::start(Registry::with_store(shared, "memory"), "small").await;
    let (name, cause) = ask(&function).await.unwrap_err();
    assert_eq!(name, ErrorName::ModelUnavailable);
    assert!(cause.contains("models/small/current.json") && cause.contains("no such object"), "{cause}");
    Model::new().publish(&store).await;
    assert_eq!(ask(&function).await.unwrap_err().0, ErrorName::ModelUnavailable, "not asked again at once");
    tokio::time::advance(RETRY_AFTER).await;
    assert_eq!(ask(&function).await.unwrap(), [Some(0.875)]);
    store.delete(&Path::from("models/small/current.json")).await.unwrap();
    assert_eq!(ask(&function).await.unwrap(), [Some(0.875)], "what is loaded stays");
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_model_is_named() {
    let store = Arc::new(InMemory::new());
    Model::new().publish(&store).await;
    let path = Path::from("models/small/versions/1/domain.json");
    let mut bytes = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.put(&path, Bytes::from(bytes).into()).await.unwrap();
    let function = Predict::start(Registry::with_store(store, "memory"), "small").await;
    let (name, cause) = ask(&function).await.unwrap_err();
    assert_eq!(name, ErrorName::ModelUnavailable);
    assert!(cause.contains("models/small/versions/1/domain.json has digest"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_is_transient() {
    let store = InMemory::new();
    Model::new().publish(&store).await;
    let wait_get_per_call = Duration::from_secs(60);
    let slow = ThrottledStore::new(store, ThrottleConfig { wait_get_per_call, ..ThrottleConfig::default() });
    let began = tokio::time::Instant::now();
    let function = Predict::start(Registry::with_store(Arc::new(slow), "slow"), "small").await;
    assert!(began.elapsed() < Duration::from_secs(10), "Lambda ends an initialisation after 10 s");
    let (name, cause) = ask(&function).await.unwrap_err();
    assert_eq!(name, ErrorName::StoreUnavailable);
    assert!(cause.contains("\"small\": slow did not answer within 8000 ms"), "{cause}");
}
