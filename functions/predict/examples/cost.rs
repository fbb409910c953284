//! Says what a batch of 50 rows costs the models of a registry: probabilities alone, with explanations, with bounds.
//!
//!     cargo run --release -p tribunal-predict --example cost -- models
//!
//! Rows are the goldens' of each model, over and over. Times are processor time of one thread.

use std::error::Error;
use std::time::Instant;

use serde_json::Value;
use tribunal_core::Kind;
use tribunal_core::message::{FeatureBatch, Item, MAX_BATCH_ENTITIES, Row, SourceFeatures, SourceStatus};
use tribunal_predict::Predictor;
use tribunal_registry::Registry;

/// Calls that are timed together: a system may count processor time in milliseconds.
const REPEATS: u32 = 50;
/// Features that no source answered for.
const SILENT: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder of a registry")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(&folder))
}

async fn run(folder: &str) -> Result<(), Box<dyn Error>> {
    let registry = Registry::open(folder)?;
    for name in registry.models().await? {
        let mut model = registry.load_model(&name).await?;
        model.parts.iter_mut().for_each(|(part, _)| part.explain_from = 0.0);
        let mut plain = Predictor::from_model(&model)?;
        let explaining = Predictor::from_model(&model)?;
        plain.leave_out_contributions();
        let path = format!("{folder}/models/{name}/versions/{}/golden.json", model.manifest.version);
        let golden: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        for part in golden["parts"].as_array().into_iter().flatten() {
            let mut batch = batch(part)?;
            let (probabilities, explanations) = (micros(&plain, &batch)?, micros(&explaining, &batch)?);
            for row in &mut batch.rows {
                row.sources.insert("late".to_owned(), SourceStatus::Timeout);
            }
            let bounds = micros(&explaining, &batch)?;
            #[expect(clippy::print_stdout, reason = "an example")]
            {
                println!(
                    "{name:10} {:6}: {probabilities:7.0} us, explained {explanations:7.0} us, bounded too {bounds:7.0} us",
                    part["kind"].as_str().unwrap_or_default()
                );
            }
        }
    }
    Ok(())
}

/// Microseconds of a call.
fn micros(predictor: &Predictor, batch: &FeatureBatch) -> Result<f64, Box<dyn Error>> {
    let clock = Instant::now();
    let start = processor_ns(clock);
    for _ in 0..REPEATS {
        let answer = predictor.predict(batch)?;
        if answer.probabilities.iter().any(Option::is_none) {
            return Err("a row has no probability".into());
        }
    }
    Ok((processor_ns(clock) - start) / 1e3 / f64::from(REPEATS))
}

/// Processor time of this thread in nanoseconds; the clock's where the system does not tell.
fn processor_ns(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = told.and_then(|text| text.split(' ').next()?.parse().ok());
    first.unwrap_or_else(|| start.elapsed().as_secs_f64() * 1e9)
}

fn batch(part: &Value) -> Result<FeatureBatch, Box<dyn Error>> {
    let features: Vec<String> = serde_json::from_value(part["features"].clone())?;
    let kind: Kind = serde_json::from_value(part["kind"].clone())?;
    let rows: Vec<Vec<Option<f32>>> = serde_json::from_value(part["rows"].clone())?;
    let row = |values: &Vec<Option<f32>>| Row {
        item: Item {
            entity: "golden.example".to_owned(),
            kind,
            original: "golden.example".to_owned(),
            requested_at: "2026-06-01T00:00:00.000Z".to_owned(),
            request_id: "golden".to_owned(),
            source: None,
            tlp: None,
            attempt: 0,
        },
        special: None,
        values: values.clone(),
        evidence: Vec::new(),
        sources: Default::default(),
        evidence_dropped: 0,
    };
    let (first, count) = (features.len().saturating_sub(SILENT), features.len().min(SILENT));
    let late = SourceFeatures {
        source: "late".to_owned(),
        kind: "http".to_owned(),
        first,
        count,
        phrases: Vec::new(),
    };
    Ok(FeatureBatch {
        batch: "cost".to_owned(),
        schema: "sha256:cost".to_owned(),
        features,
        rows: rows.iter().cycle().take(MAX_BATCH_ENTITIES).map(row).collect(),
        refused: Vec::new(),
        rescore: Vec::new(),
        source_ms: Default::default(),
        source_features: vec![late],
    })
}
