//! 100 entities, 6 services that take 50 ms for each answer: how long asking about all of them takes.
//!
//! The services are HTTP servers on loopback, on threads of their own; they are asked as in production, on one thread,
//! by a declaration. Entities are new in every run, so that no answer is cached. The first run makes the connections.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tokio::runtime::Runtime;
use tribunal_core::Entity;
use tribunal_core::message::SourceStatus;
use tribunal_sources::{Answers, Asked, Context, Declaration, Sources};

use crate::fleet::{Fleet, risk};
use crate::spread::{Spread, ms, rounded};

pub(crate) const ENTITIES: usize = 100;
pub(crate) const SERVICES: usize = 6;
pub(crate) const DELAY_MS: u64 = 50;
/// Time after the slowest source's own.
pub(crate) const TARGET_MS: f64 = 80.0;

/// One way of asking.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    /// `batched`: one request about all entities; `per entity`: one request about each.
    pub(crate) mode: &'static str,
    /// Requests to a service at once.
    pub(crate) concurrency: usize,
    /// Requests to a service.
    pub(crate) requests: usize,
    /// What a service itself takes, at this concurrency.
    pub(crate) slowest_source_ms: u64,
    /// The first batch, which makes the connections.
    pub(crate) first_ms: f64,
    /// The batches after it.
    pub(crate) ms: Spread,
    /// What they take beyond the slowest source.
    pub(crate) beyond_ms: Spread,
}

#[derive(Debug, Serialize)]
pub(crate) struct Concurrent {
    pub(crate) entities: usize,
    pub(crate) sources: usize,
    pub(crate) delay_ms: u64,
    pub(crate) cases: Vec<Case>,
}

pub(crate) fn measure(quick: bool) -> Result<Concurrent> {
    let fleet = Fleet::start(SERVICES, Duration::from_millis(DELAY_MS))?;
    let runs = if quick { 5 } else { 40 };
    let mut cases = vec![case(&fleet, true, 8, runs)?];
    for concurrency in [64, 32, 8] {
        cases.push(case(&fleet, false, concurrency, if quick { 2 } else { 5 })?);
    }
    Ok(Concurrent { entities: ENTITIES, sources: SERVICES, delay_ms: DELAY_MS, cases })
}

fn case(fleet: &Fleet, is_batched: bool, concurrency: usize, runs: usize) -> Result<Case> {
    let text = declaration(&fleet.ports, is_batched, concurrency)?;
    let declaration = Declaration::parse(&text, |_| false)?;
    let (sources, unopened) = Sources::open(&declaration, &Context::local());
    ensure!(unopened.is_empty(), "{unopened:?}");
    // As a function runs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let first = run(&runtime, &sources, 0).context("first run")?;
    let mut times = Vec::with_capacity(runs);
    for n in 1..=runs {
        times.push(run(&runtime, &sources, n).with_context(|| format!("run {n}"))?);
    }
    let requests = if is_batched { 1 } else { ENTITIES };
    let slowest_source_ms = requests.div_ceil(concurrency) as u64 * DELAY_MS;
    let beyond = times.iter().map(|time| time - slowest_source_ms as f64).collect();
    Ok(Case {
        mode: if is_batched { "batched" } else { "per entity" },
        concurrency,
        requests,
        slowest_source_ms,
        first_ms: rounded(first),
        ms: Spread::of(times),
        beyond_ms: Spread::of(beyond),
    })
}

fn declaration(ports: &[u16], is_batched: bool, concurrency: usize) -> Result<String> {
    let mut text = String::from("[budget]\ntimeout_ms = 6000\n");
    for (number, port) in ports.iter().enumerate() {
        write!(text, "[sources.s{number}]\ntimeout_ms = 6000\nconcurrency = {concurrency}\n")?;
        write!(text, "[sources.s{number}.http]\ntls = false\nallow_private = true\n")?;
        if is_batched {
            write!(text, "method = \"POST\"\nurl = \"http://127.0.0.1:{port}/many\"\nrows = \"/rows\"\n")?;
            write!(text, "body = '{{\"entities\": {{entities}}}}'\nkey = \"entity\"\n")?;
        } else {
            writeln!(text, "url = \"http://127.0.0.1:{port}/one/{{entity}}\"")?;
        }
        write!(text, "[[sources.s{number}.features]]\nname = \"risk_{number}\"\nfield = \"risk\"\n")?;
        writeln!(text, "transform = [\"max\"]")?;
    }
    Ok(text)
}

/// Milliseconds of one batch, whose answers are checked after the clock has stopped.
fn run(runtime: &Runtime, sources: &Sources, n: usize) -> Result<f64> {
    let entities: Result<Vec<Entity>, _> =
        (0..ENTITIES).map(|i| Entity::parse(&format!("host-{i}.batch-{n}-site.com"))).collect();
    let entities = entities?;
    let batch: Vec<Asked<'_>> =
        entities.iter().map(|entity| Asked { entity, facts: None, tlp: None, attempt: 0 }).collect();
    let started = Instant::now();
    let answers = runtime.block_on(sources.ask(&batch, 0, Duration::from_secs(6)));
    let took = started.elapsed();
    check(&entities, &answers)?;
    Ok(ms(took))
}

fn check(entities: &[Entity], answers: &Answers) -> Result<()> {
    ensure!(answers.found.len() == entities.len(), "{} answers", answers.found.len());
    for (entity, found) in entities.iter().zip(&answers.found) {
        for number in 0..SERVICES {
            let name = entity.name();
            let (value, status) = (found.values[number], found.statuses.get(&format!("s{number}")));
            let expected = risk(number, name);
            let is_right = match expected {
                Some(risk) => value == risk as f32 && status == Some(&SourceStatus::Ok),
                None => value.is_nan() && status == Some(&SourceStatus::Empty),
            };
            ensure!(is_right, "s{number} says {value} ({status:?}) of {name}, not {expected:?}");
        }
    }
    Ok(())
}
