//! A batch of 50 while no source answers: how long it takes until it is scored, and by what.
//!
//! Real endpoints on loopback: one that accepts and says nothing, one whose queue of connections is full (the first
//! packet is never answered), one where nobody listens, one that takes datagrams. Every source may take longer than the
//! whole budget, so that the budget alone ends it. The first batches ask all sources; then the circuits are open.
//! Every feature and score is held against those without sources.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tokio::runtime::Runtime;
use tribunal_core::Score;
use tribunal_core::message::{FeatureBatch, SourceStatus};
use tribunal_extract::Extraction;
use tribunal_sources::{Context, Declaration, Sources};

use crate::fleet::Dead;
use crate::generator::name as generated;
use crate::scoring::Scoring;
use crate::spread::{Spread, ms, rounded};

pub(crate) const ENTITIES: usize = 50;
/// Time after the budget.
pub(crate) const TARGET_MS: f64 = 100.0;
/// Batches that fail until a circuit opens: the default.
const FAILURES: usize = 5;

/// Sources by name: the table that asks, and what is wrong with the server.
const SOURCES: [(&str, &str); 11] = [
    ("http", "mute"),
    ("http", "deaf"),
    ("http", "closed"),
    ("batch", "mute"),
    ("mysql", "mute"),
    ("mysql", "deaf"),
    ("mysql", "closed"),
    ("mongodb", "mute"),
    ("mongodb", "closed"),
    ("dns", "udp"),
    ("dns", "mute"),
];

/// Batches with one budget.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) budget_ms: u64,
    /// From the entities to their scores, while every source is asked.
    pub(crate) asked_ms: Spread,
    /// What that takes beyond the budget.
    pub(crate) beyond_ms: Spread,
    /// While the circuits are open.
    pub(crate) open_circuit_ms: Spread,
}

#[derive(Debug, Serialize)]
pub(crate) struct Dying {
    pub(crate) entities: usize,
    pub(crate) sources: Vec<String>,
    /// Models that vote.
    pub(crate) models: usize,
    /// The same batch without sources.
    pub(crate) without_sources_ms: f64,
    pub(crate) cases: Vec<Case>,
}

/// What the batch is without sources.
struct Expected {
    features: FeatureBatch,
    scores: Vec<Score>,
}

pub(crate) fn measure(models: &Path, quick: bool) -> Result<Dying> {
    let dead = Dead::start()?;
    // As a function runs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let scoring = runtime.block_on(Scoring::load(models)).context("the models")?;
    let entities = entities();
    let extraction = Extraction::new()?;
    let mut times = Vec::new();
    let mut alone = || -> Result<Expected> {
        let started = Instant::now();
        let (features, scores) = runtime.block_on(scoring.score(&extraction, None, &entities))?;
        times.push(ms(started.elapsed()));
        Ok(Expected { features, scores })
    };
    let expected = alone()?;
    for _ in 0..10 {
        alone()?;
    }
    ensure!(expected.scores.len() == ENTITIES && expected.scores.iter().all(|score| score.risk.is_some()));
    let budgets: &[u64] = if quick { &[300] } else { &[2_500, 500] };
    let cases: Result<Vec<Case>> = budgets
        .iter()
        .map(|&budget_ms| case(&runtime, &scoring, &dead, budget_ms, &entities, &expected))
        .collect();
    Ok(Dying {
        entities: ENTITIES,
        sources: SOURCES.iter().map(|(table, fault)| name(table, fault)).collect(),
        models: scoring.members(),
        without_sources_ms: rounded(Spread::of(times).median),
        cases: cases?,
    })
}

/// Names and addresses of many shapes.
fn entities() -> Vec<String> {
    let shapes = |i: usize| match i % 5 {
        3 => format!("{}.{}.{}.{i}", 11 + i, 7 * i % 250, 13 * i % 250),
        _ => generated(i as u64),
    };
    (0..ENTITIES).map(shapes).collect()
}

fn name(table: &str, fault: &str) -> String {
    format!("{table}-{fault}")
}

fn declaration(dead: &Dead, budget_ms: u64) -> Result<String> {
    let mut text = format!("[budget]\ntimeout_ms = {budget_ms}\n");
    let ports = dead.ports();
    for (table, fault) in SOURCES {
        let name = name(table, fault);
        let port = ports.get(fault).with_context(|| format!("no port is {fault}"))?;
        writeln!(text, "[sources.{name}]\ntimeout_ms = 6000")?;
        match table {
            "http" => {
                write!(text, "[sources.{name}.http]\nurl = \"http://127.0.0.1:{port}/{{entity}}\"\n")?;
                writeln!(text, "tls = false\nallow_private = true")?;
            }
            "batch" => {
                write!(
                    text,
                    "[sources.{name}.http]\nmethod = \"POST\"\nurl = \"http://127.0.0.1:{port}/\"\n"
                )?;
                write!(text, "body = '{{\"of\": {{entities}}}}'\nkey = \"entity\"\n")?;
                writeln!(text, "tls = false\nallow_private = true")?;
            }
            "mysql" => {
                write!(text, "[sources.{name}.mysql]\ntls = false\nkey = \"entity\"\n")?;
                writeln!(text, "connection = {{ url = \"mysql://reader@127.0.0.1:{port}/intel\" }}")?;
                writeln!(text, "query = \"SELECT entity, n FROM seen WHERE entity IN (:entities)\"")?;
            }
            "mongodb" => {
                write!(
                    text,
                    "[sources.{name}.mongodb]\ntls = false\nkey = \"entity\"\ndatabase = \"intel\"\n"
                )?;
                writeln!(text, "connection = {{ url = \"mongodb://127.0.0.1:{port}/\" }}")?;
                writeln!(
                    text,
                    "collection = \"seen\"\nfilter = {{ entity = {{ \"$in\" = \":entities\" }} }}"
                )?;
            }
            _ => {
                let is_tcp = fault != "udp";
                write!(text, "kinds = [\"domain\"]\n[sources.{name}.dns]\ntcp = {is_tcp}\n")?;
                writeln!(text, "resolvers = [\"127.0.0.1:{port}\"]")?;
            }
        }
        let feature = name.replace('-', "_");
        writeln!(text, "[[sources.{name}.features]]\nname = \"{feature}\"\ntransform = [\"count\"]")?;
    }
    Ok(text)
}

fn case(
    runtime: &Runtime,
    scoring: &Scoring,
    dead: &Dead,
    budget_ms: u64,
    entities: &[String],
    expected: &Expected,
) -> Result<Case> {
    let declaration = Declaration::parse(&declaration(dead, budget_ms)?, |_| false)?;
    let (sources, unopened) = Sources::open(&declaration, &Context::local());
    ensure!(unopened.is_empty(), "{unopened:?}");
    let extraction = Extraction::with_features(sources.features(), sources.digest(), sources.runs())?;
    let run = |statuses: &[SourceStatus]| -> Result<f64> {
        let started = Instant::now();
        let (features, scores) = runtime.block_on(scoring.score(&extraction, Some(&sources), entities))?;
        let took = ms(started.elapsed());
        check(&features, &scores, expected, statuses)?;
        Ok(took)
    };
    let asked = [SourceStatus::Timeout, SourceStatus::Error];
    let asked: Result<Vec<f64>> = (0..FAILURES).map(|_| run(&asked)).collect();
    let asked = asked.context("while the sources are asked")?;
    let open: Result<Vec<f64>> = (0..2 * FAILURES).map(|_| run(&[SourceStatus::OpenCircuit])).collect();
    Ok(Case {
        budget_ms,
        beyond_ms: Spread::of(asked.iter().map(|ms| ms - budget_ms as f64).collect()),
        asked_ms: Spread::of(asked),
        open_circuit_ms: Spread::of(open.context("while the circuits are open")?),
    })
}

/// That nothing but the sources' status is different from the batch without sources.
fn check(
    features: &FeatureBatch,
    scores: &[Score],
    expected: &Expected,
    statuses: &[SourceStatus],
) -> Result<()> {
    ensure!(features.rows.len() == ENTITIES && scores.len() == ENTITIES);
    for (row, alone) in features.rows.iter().zip(&expected.features.rows) {
        let (built_in, declared) = row.values.split_at(alone.values.len());
        ensure!(built_in == alone.values, "{}: other features", row.item.entity);
        ensure!(declared.len() == SOURCES.len() && declared.iter().all(Option::is_none), "{declared:?}");
        for (source, status) in &row.sources {
            let is_asked = !alone.sources.contains_key(source);
            ensure!(!is_asked || statuses.contains(status), "{source} is {status:?}");
        }
        ensure!(row.sources.len() >= alone.sources.len() + SOURCES.len() - 2, "{:?}", row.sources);
    }
    for (score, alone) in scores.iter().zip(&expected.scores) {
        let mut score = score.clone();
        score.sources.clone_from(&alone.sources);
        score.source_ms.clone_from(&alone.source_ms);
        score.schema.clone_from(&alone.schema);
        ensure!(score == *alone, "{}: another score", alone.entity);
    }
    Ok(())
}
