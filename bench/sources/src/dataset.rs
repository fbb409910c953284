//! A data set of a million names and 400,000 ranges: time to load it, memory, lookups on one core; beside it what
//! others offer for the same list.
//!
//! The library's own example (`crates/sources/examples/dataset.rs`) builds the file and measures it, in a process for
//! each run, so that the memory is that of the data set alone. Its rates are of a million lookups in random order, the
//! best of several passes, with every answer checked inside of the timed loop; the figures here are medians over the
//! processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::rivals::RIVALS;
use crate::spread::Spread;

pub(crate) const TARGET_LOAD_MS: f64 = 1_000.0;
pub(crate) const TARGET_BYTES: f64 = 100e6;
pub(crate) const TARGET_LOOKUPS: f64 = 1e6;
/// The lookups of one key; the others walk over parents or make rows of JSON.
const PLAIN: [&str; 5] = ["domain_hit", "domain_miss", "ipv4_hit", "ipv4_miss", "ipv6_hit"];

/// One process's report.
#[derive(Debug, Deserialize)]
struct Run {
    load_ms: f64,
    memory_bytes: Option<u64>,
    #[serde(default)]
    bytes: u64,
    lookups_per_second: BTreeMap<String, f64>,
}

/// One structure, over several processes.
#[derive(Debug, Serialize)]
pub(crate) struct Structure {
    pub(crate) name: String,
    pub(crate) load_ms: Spread,
    /// Resident memory that it added.
    pub(crate) memory_bytes: Spread,
    /// By kind of lookup.
    pub(crate) lookups_per_second: BTreeMap<String, Spread>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) domains: u64,
    pub(crate) ranges: u64,
    pub(crate) file_bytes: u64,
    pub(crate) ours: Structure,
    pub(crate) rivals: Vec<Structure>,
}

impl Measured {
    /// The slowest lookup of one key, and its rate.
    pub(crate) fn slowest(&self) -> Option<(&str, Spread)> {
        let plain = self.ours.lookups_per_second.iter().filter(|(what, _)| PLAIN.contains(&what.as_str()));
        let slowest = plain.min_by(|a, b| a.1.median.total_cmp(&b.1.median));
        slowest.map(|(what, rate)| (what.as_str(), *rate))
    }
}

pub(crate) fn measure(quick: bool) -> Result<Measured> {
    let own = std::env::current_exe()?;
    let example = own.with_file_name("dataset");
    ensure!(example.is_file(), "{} is not built", example.display());
    let folder = tempfile::tempdir()?;
    let file: PathBuf = folder.path().join("generated.tds");
    let list = folder.path().join("generated.csv");
    output(Command::new(&example).arg("--build").arg(&file))?;
    output(Command::new(&example).arg("--csv").arg(&list))?;
    // The rivals in between: what else the machine does meets all alike.
    let (mut ours, mut rivals) = (Vec::new(), RIVALS.map(|_| Vec::new()));
    for _ in 0..if quick { 1 } else { 3 } {
        ours.push(run(Command::new(&example).arg("--measure").arg(&file))?);
        for (name, runs) in RIVALS.iter().zip(&mut rivals) {
            runs.push(run(Command::new(&own).arg("--rival").arg(name).arg("--list").arg(&list))?);
        }
    }
    let (domains, ranges) = count(&std::fs::read_to_string(&list)?);
    let file_bytes = ours.first().map_or(0, |run| run.bytes);
    Ok(Measured {
        domains,
        ranges,
        file_bytes,
        ours: structure("data set", &ours)?,
        rivals: RIVALS
            .iter()
            .zip(&rivals)
            .map(|(name, runs)| structure(name, runs))
            .collect::<Result<Vec<_>>>()?,
    })
}

/// Names and ranges of a list.
fn count(list: &str) -> (u64, u64) {
    let keys = || list.lines().skip(1).filter_map(|line| line.split(',').next());
    let ranges = keys().filter(|key| key.contains('/')).count() as u64;
    (keys().count() as u64 - ranges, ranges)
}

fn structure(name: &str, runs: &[Run]) -> Result<Structure> {
    let memory: Option<Vec<f64>> =
        runs.iter().map(|run| run.memory_bytes.map(|bytes| bytes as f64)).collect();
    let kinds = runs.first().map(|run| run.lookups_per_second.keys()).into_iter().flatten();
    let rates = kinds.map(|kind| {
        let rates = runs.iter().filter_map(|run| run.lookups_per_second.get(kind).copied()).collect();
        (kind.clone(), Spread::of(rates))
    });
    Ok(Structure {
        name: name.to_owned(),
        load_ms: Spread::of(runs.iter().map(|run| run.load_ms).collect()),
        memory_bytes: Spread::of(memory.context("no resident memory in /proc")?),
        lookups_per_second: rates.collect(),
    })
}

fn run(command: &mut Command) -> Result<Run> {
    let text = output(command)?;
    serde_json::from_slice(&text).with_context(|| format!("{command:?}"))
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", Path::new(command.get_program()).display());
    Ok(output.stdout)
}
