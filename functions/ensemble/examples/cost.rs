//! Says what a full batch costs the ensemble: 50 entities, five explained members, one of which reads the text, a silent
//! source, 10,000 entries in the lists; from the event's bytes to the items of the table.
//!
//!     cargo run --release -p tribunal-ensemble --example cost
//!
//! Everything is made up. Times are processor time of one thread; that every score adds up is asserted in the timed
//! loop.

use std::error::Error;
use std::time::Instant;

use serde_json::{Value, json};
use tribunal_core::Score;
use tribunal_core::ensemble::{EnsembleDefinition, Lists};
use tribunal_core::message::{EnsembleInput, MAX_BATCH_ENTITIES};
use tribunal_ensemble::items::ScoreItem;
use tribunal_ensemble::{Loaded, check, score_loaded};

const MODELS: [&str; 5] = ["xgboost", "lightgbm", "catboost", "forest", "characters"];
const FEATURES: usize = 160;
const REPEATS: u32 = 200;
const TIME: &str = "2026-11-24T07:49:58.123Z";

fn main() -> Result<(), Box<dyn Error>> {
    let definition = EnsembleDefinition::parse(&serde_json::to_vec(&definition())?)?;
    let loaded = Loaded { lists: Lists::of(&definition), digest: "sha256:d".to_owned(), definition };
    let event = serde_json::to_vec(&event())?;
    let read = || -> Result<EnsembleInput, Box<dyn Error>> {
        let input: EnsembleInput = serde_json::from_slice(&event)?;
        check(&input)?;
        Ok(input)
    };
    let input = read()?;
    let items: Vec<ScoreItem> = score_loaded(&loaded, &input, TIME)
        .into_iter()
        .zip(&input.features.rows)
        .map(|(score, row)| {
            let vector = row.values.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
            ScoreItem { score, vector, expires_at: 1 }
        })
        .collect();
    let reading = micros(|| Ok(read()?.features.rows.len() == MAX_BATCH_ENTITIES))?;
    let scoring = micros(|| {
        let scores = score_loaded(&loaded, &input, TIME);
        Ok(scores.len() == MAX_BATCH_ENTITIES && scores.iter().all(adds_up))
    })?;
    let writing = micros(|| {
        let made: Result<Vec<_>, _> = items.iter().map(ScoreItem::to_item).collect();
        Ok(made?.iter().all(|item| item.contains_key("reasons")))
    })?;
    #[expect(clippy::print_stdout, reason = "an example")]
    {
        println!("event of {} bytes read and checked: {reading:7.0} us", event.len());
        println!("scored, explained, judged:          {scoring:7.0} us");
        println!("items of the table made:            {writing:7.0} us");
        println!("together:                           {:7.0} us", reading + scoring + writing);
    }
    Ok(())
}

/// Microseconds of processor time of a step, which says whether its answer is right.
fn micros(step: impl Fn() -> Result<bool, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let clock = Instant::now();
    let start = processor_ns(clock);
    for _ in 0..REPEATS {
        assert!(step()?, "the answer is wrong");
    }
    Ok((processor_ns(clock) - start) / 1e3 / f64::from(REPEATS))
}

/// Processor time of this thread in nanoseconds; the clock's where the system does not tell.
fn processor_ns(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = told.and_then(|text| text.split(' ').next()?.parse().ok());
    first.unwrap_or_else(|| start.elapsed().as_secs_f64() * 1e9)
}

fn adds_up(score: &Score) -> bool {
    let told: f64 = score.reasons.iter().map(|reason| reason.points).sum();
    let Some(((risk, base), other)) = score.risk.zip(score.base_risk).zip(score.other_points) else {
        return false;
    };
    score.interval.is_some() && !score.reasons.is_empty() && (base + told + other - risk).abs() < 1e-6
}

fn definition() -> Value {
    let member = |model: &str| json!({"model": model, "weight": {"domain": 0.7, "ip": 1.0}});
    let thresholds = json!({"suspicious": 50, "malicious": 75});
    let per_kind = json!({"domain": thresholds, "ip": thresholds});
    let entry = |i: u32| json!({"match": format!("*.d{i}.example"), "action": "deny", "reason": "incident"});
    json!({
        "version": "1",
        "members": MODELS.map(member),
        "method": {"domain": {"method": "logistic", "bias": -0.25}, "ip": {"method": "mean"}},
        "quorum": {"domain": 3, "ip": 2},
        "thresholds": per_kind,
        "profiles": {"block": per_kind, "hunt": per_kind},
        "calibration": {"domain": {"method": "platt", "a": 1.1, "b": 0.1}},
        "lists": (0..10_000).map(entry).collect::<Vec<_>>(),
        "half_life_hours": {"dataset": 72, "http": 24},
        "valid_hours": {"domain": 24, "ip": 6},
        "created": TIME,
    })
}

fn event() -> Value {
    let row = |i: usize| {
        json!({
            "entity": format!("login.secure-account{i}.example"),
            "kind": "domain",
            "original": format!("hxxp://login.secure-account{i}.example/"),
            "requested_at": TIME,
            "request_id": format!("0b8f4c4e-5d7e-4c27-9a54-6f1d8a3b2c10/{i}"),
            "values": (0..FEATURES).map(|f| (f % 7 != i % 7).then_some(0.37 * (f + i) as f32)).collect::<Vec<_>>(),
            "sources": {"feeds": "ok", "late": "timeout"},
        })
    };
    json!({
        "features": {
            "batch": "b",
            "schema": "sha256:s",
            "features": (0..FEATURES).map(|f| format!("a_feature_of_usual_length_{f}")).collect::<Vec<_>>(),
            "rows": (0..MAX_BATCH_ENTITIES).map(row).collect::<Vec<_>>(),
            "source_features": [
                {"source": "feeds", "kind": "dataset", "first": 100, "count": 30},
                {"source": "late", "kind": "http", "first": 130, "count": 30},
            ],
        },
        "predictions": MODELS.iter().enumerate().map(|(m, model)| prediction(m, model)).collect::<Vec<_>>(),
    })
}

fn prediction(m: usize, model: &str) -> Value {
    let rows = || 0..MAX_BATCH_ENTITIES;
    let p = |i: usize| 0.5 + 0.009 * ((i + 7 * m) % 50) as f32;
    let explanation = |i: usize| {
        let top: Vec<_> = (0..10).map(|t| ((11 * t + 3 * i + m) % FEATURES, 0.9 / (t + 1) as f32)).collect();
        let grams = json!([["secu", 0.7], ["acco", 0.6], ["logi", 0.5], ["xamp", 0.4]]);
        let text = json!({"base": -1, "base_probability": 0.3, "margin": 1.7, "top": [], "rest": 0.5, "grams": grams});
        let trees = json!({"base": -1, "base_probability": 0.3, "margin": 2.0, "top": top, "rest": 0.4});
        if model == "characters" { text } else { trees }
    };
    json!({
        "model": model,
        "version": "1",
        "digest": format!("sha256:{}", "a".repeat(64)),
        "probabilities": rows().map(p).collect::<Vec<_>>(),
        "explanations": rows().map(explanation).collect::<Vec<_>>(),
        "bounds": rows().map(|i| (0.5 * p(i), 0.99)).collect::<Vec<_>>(),
    })
}
