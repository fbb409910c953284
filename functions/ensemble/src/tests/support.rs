//! Inputs, and a table in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tribunal_core::Kind;
use tribunal_core::ensemble::EnsembleDefinition;
use tribunal_core::message::{
    CaughtError, EnsembleInput, FeatureBatch, Item as Request, PredictionBatch, PredictionOutcome, Row,
    ScoreKey,
};

use crate::items::{ENTITY, Item, SCORED_KEY};
use crate::store::{Fault, ScoreStore, StoreError, Written};

pub(crate) const REQUESTED_AT: &str = "2026-11-24T07:49:58.123Z";
pub(crate) const SCORED_AT: &str = "2026-11-24T07:49:59.000Z";

pub(crate) fn definition_json() -> Value {
    json!({
        "version": "7",
        "members": [
            {"model": "xgboost", "weight": {"domain": 2.0, "ip": 1.0}},
            {"model": "lightgbm", "weight": {"domain": 1.0, "ip": 1.0}},
            {"model": "forest", "weight": {"domain": 1.0, "ip": 0.0}},
        ],
        "quorum": {"domain": 2, "ip": 2},
        "thresholds": {
            "domain": {"suspicious": 50.0, "malicious": 75.0},
            "ip": {"suspicious": 50.0, "malicious": 75.0},
        },
        "created": REQUESTED_AT,
    })
}

pub(crate) fn definition() -> EnsembleDefinition {
    EnsembleDefinition::parse(definition_json().to_string().as_bytes()).unwrap()
}

pub(crate) fn row(entity: &str, request_id: &str) -> Row {
    Row {
        item: Request {
            entity: entity.to_owned(),
            kind: if entity.parse::<std::net::IpAddr>().is_ok() { Kind::Ip } else { Kind::Domain },
            original: format!("hxxp://{entity}/"),
            requested_at: REQUESTED_AT.to_owned(),
            request_id: request_id.to_owned(),
            source: Some("feed".to_owned()),
            tlp: Some("amber".to_owned()),
            attempt: 0,
        },
        special: None,
        values: vec![Some(1.5), None],
        evidence: Vec::new(),
        sources: BTreeMap::new(),
        evidence_dropped: 0,
    }
}

pub(crate) fn input(rows: Vec<Row>, predictions: Vec<PredictionOutcome>) -> EnsembleInput {
    let features = FeatureBatch {
        batch: "b-1".to_owned(),
        schema: "sha256:schema".to_owned(),
        features: vec!["length".to_owned(), "digits".to_owned()],
        rows,
        refused: Vec::new(),
        rescore: Vec::new(),
        source_ms: BTreeMap::new(),
        source_features: Vec::new(),
    };
    EnsembleInput { features, predictions }
}

pub(crate) fn batch(model: &str, probabilities: &[Option<f32>]) -> PredictionBatch {
    PredictionBatch {
        model: model.to_owned(),
        version: "3".to_owned(),
        digest: format!("sha256:{model}"),
        probabilities: probabilities.to_vec(),
        explanations: Vec::new(),
        bounds: Vec::new(),
        abstentions: Vec::new(),
    }
}

pub(crate) fn answered(model: &str, probabilities: &[Option<f32>]) -> PredictionOutcome {
    PredictionOutcome::Answered(batch(model, probabilities))
}

pub(crate) fn failed(model: &str, error: &str, cause: &str) -> PredictionOutcome {
    let error = CaughtError { error: error.to_owned(), cause: cause.to_owned() };
    PredictionOutcome::Failed { model: model.to_owned(), error }
}

/// All three models say the same of `rows` rows.
pub(crate) fn unanimous(rows: usize, p: f32) -> Vec<PredictionOutcome> {
    ["xgboost", "lightgbm", "forest"].iter().map(|model| answered(model, &vec![Some(p); rows])).collect()
}

/// A table in memory, which can be told to fail.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) items: Mutex<HashMap<ScoreKey, Item>>,
    /// Faults by entity.
    pub(crate) faults: Mutex<HashMap<String, Fault>>,
    /// Time that a write takes.
    pub(crate) delay: Option<Duration>,
    pub(crate) under_way: AtomicUsize,
    /// Most writes under way at once.
    pub(crate) most_under_way: AtomicUsize,
}

pub(crate) fn key(item: &Item) -> ScoreKey {
    let text = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        other => panic!("{name} is {other:?}"),
    };
    ScoreKey { entity: text(ENTITY), scored_key: text(SCORED_KEY) }
}

impl ScoreStore for Memory {
    async fn put_new(&self, item: Item) -> Result<Written, StoreError> {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(self.delay.unwrap_or_default()).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let key = key(&item);
        if let Some(fault) = self.faults.lock().unwrap().get(&key.entity) {
            let source = format!("{fault:?}, said the table").into();
            let (scored_key, table) = (key.scored_key, "memory".to_owned());
            return Err(StoreError::Put { scored_key, table, fault: *fault, source });
        }
        let mut items = self.items.lock().unwrap();
        if items.contains_key(&key) {
            return Ok(Written::AlreadyThere);
        }
        items.insert(key, item);
        Ok(Written::New)
    }
}

/// `async` tests on one thread, as the function runs.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
