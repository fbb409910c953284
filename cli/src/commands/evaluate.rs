//! `evaluate`: scores a labelled file in this process, and says how good the scores are.
//!
//! The steps are those of `score --local`: features, every member, the ensemble. Memory holds one number per row and
//! member, not the rows. Rows without a risk (not routable, no quorum) are counted and left out of the figures.

mod metrics;
mod report;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;
use tribunal_core::message::{Item, MAX_BATCH_ENTITIES};
use tribunal_core::{Entity, Kind, Score};

use super::features::read::{Record, Records};
use super::local::{self, pool};
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::input::{Given, normalise};
use crate::output::{shown, thousands};
use crate::show;

/// Most values of a group that are told apart; the rest is `(other)`.
const MAX_GROUP_VALUES: usize = 1_000;

/// Arguments of `evaluate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tribunal evaluate labelled.csv --dataset datasets/ip-ranges.bin\n  \
    tribunal evaluate labelled.csv --group source --group family --json\n\n\
    The file: CSV with a header, a column `entity` and a column `label` (1, malicious, true; 0, benign, false).")]
pub(crate) struct Args {
    /// The labelled file.
    file: PathBuf,
    /// The folder with the models and the ensemble definition.
    #[arg(long, default_value = "models", env = "TRIBUNAL_MODELS", value_name = "FOLDER")]
    models: PathBuf,
    /// A file of `tribunal dataset compile`; without it, the data set `ip-ranges` of the folder.
    #[arg(long, value_name = "FILE")]
    dataset: Option<PathBuf>,
    /// A `sources.toml`: its sources are asked too.
    #[arg(long, value_name = "FILE")]
    sources: Option<PathBuf>,
    /// Tell the figures for every value of this column too; may be given again.
    #[arg(long, value_name = "COLUMN")]
    group: Vec<String>,
    /// Resamples of the bootstrap intervals; 0 for none.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000))]
    bootstrap: u32,
    /// Seed of the resamples.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// A labelled entity on its way.
struct Labelled {
    item: Item,
    malicious: bool,
    groups: Vec<String>,
}

/// What is kept of a kind's rows.
#[derive(Default)]
pub(super) struct Rows {
    labels: Vec<bool>,
    risks: Vec<f64>,
    /// By name of the member; `NaN` where it abstained.
    members: BTreeMap<String, Vec<f32>>,
    /// For every group, the number of each row's value in its names.
    groups: Vec<Vec<u32>>,
    /// Rows without a risk.
    unscored: usize,
}

/// Names of the values of a group, in the order in which they were met.
#[derive(Default)]
pub(super) struct Values {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Values {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name = if self.names.len() < MAX_GROUP_VALUES { name } else { "(other)" };
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(name.to_owned()).or_insert(next);
        if number == next {
            self.names.push(name.to_owned());
        }
        number
    }
}

/// Everything that was scored.
#[derive(Default)]
pub(super) struct Scored {
    kinds: BTreeMap<Kind, Rows>,
    values: Vec<Values>,
    refused: usize,
}

/// Evaluates.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let steps = local::open(&args.models, args.dataset.as_deref(), args.sources.as_deref()).await?;
    let steps = steps.without_reasons();
    for problem in steps.problems() {
        show::note(&format!("warning: {}", crate::output::escape(&problem)));
    }
    let name = shown(&args.file);
    let file = File::open(&args.file).with_context(|| format!("cannot open {name}"))?;
    let records = Records::open(Box::new(file)).with_context(|| format!("cannot read {name}"))?;
    check_columns(&records.columns(), &args, &name)?;
    let mut input = Input { records, groups: &args.group, name: &name, refused: 0 };
    let mut scored =
        Scored { values: args.group.iter().map(|_| Values::default()).collect(), ..Scored::default() };
    let progress = show::progress::bytes(None);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut done = 0;
    pool::in_order(
        workers,
        || input.next_batch(),
        |batch: Vec<Labelled>| {
            let items: Vec<Item> = batch.iter().map(|row| row.item.clone()).collect();
            steps.score(&items).map(|scores| (batch, scores))
        },
        |scores: anyhow::Result<(Vec<Labelled>, Vec<Score>)>| {
            let (batch, scores) = scores?;
            done += batch.len();
            progress.set_message(format!("{} scored", thousands(done)));
            scored.add(&batch, &scores);
            Ok(())
        },
    )?;
    progress.finish_and_clear();
    scored.refused = input.refused;
    if scored.kinds.is_empty() {
        return Err(Failure::usage(format!("{name} has no entity that can be scored")).into());
    }
    report::write(&scored, &args.group, args.bootstrap as usize, args.seed, &globals)?;
    Ok(Outcome::of_refused(scored.refused))
}

fn check_columns(columns: &[String], args: &Args, name: &str) -> anyhow::Result<()> {
    for column in args.group.iter().map(String::as_str).chain(["label"]) {
        if !columns.iter().any(|known| known == column) {
            let message = format!("{name} has no column {column}");
            let hint = format!("its columns are: {}", columns.join(", "));
            return Err(Failure::usage(message).hint(hint).into());
        }
    }
    Ok(())
}

/// The labelled rows of a file.
struct Input<'a> {
    records: Records,
    groups: &'a [String],
    name: &'a str,
    refused: usize,
}

impl Input<'_> {
    fn next_batch(&mut self) -> anyhow::Result<Option<Vec<Labelled>>> {
        let mut batch = Vec::new();
        while batch.len() < MAX_BATCH_ENTITIES {
            let Some(record) = self.records.next() else { break };
            let Ok(record) = record? else {
                self.refused += 1;
                continue;
            };
            let line = record.line.unwrap_or(0);
            let label = record.carried.get("label").and_then(Value::as_str).unwrap_or_default();
            let malicious = parse_label(label).ok_or_else(|| {
                let shown = crate::output::escape(label).into_owned();
                let message = format!("{}:{line}: label {shown:?} is none", self.name);
                Failure::usage(message).hint("a label is 1, malicious or true; or 0, benign or false")
            })?;
            match self.row(record, malicious) {
                Some(row) => batch.push(row),
                None => self.refused += 1,
            }
        }
        Ok(if batch.is_empty() { None } else { Some(batch) })
    }

    fn row(&self, record: Record, malicious: bool) -> Option<Labelled> {
        let text =
            |column: &String| record.carried.get(column).and_then(Value::as_str).unwrap_or("").to_owned();
        let groups = self.groups.iter().map(text).collect();
        let given = Given { line: record.line, text: record.text };
        let entity: Entity = normalise(&given).ok()?;
        let requested_at = tribunal_core::time::rfc3339_millis(tribunal_runtime::now_ms());
        Some(Labelled { item: local::item(&entity, given, &requested_at), malicious, groups })
    }
}

fn parse_label(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "malicious" | "true" => Some(true),
        "0" | "benign" | "false" => Some(false),
        _ => None,
    }
}

impl Scored {
    fn add(&mut self, batch: &[Labelled], scores: &[Score]) {
        for (row, score) in batch.iter().zip(scores) {
            let rows = self.kinds.entry(row.item.kind).or_default();
            let Some(risk) = score.risk else {
                rows.unscored += 1;
                continue;
            };
            rows.labels.push(row.malicious);
            rows.risks.push(risk / 100.0);
            for member in &score.predictors {
                // A member that is new here abstained from all rows before.
                let probabilities = rows.members.entry(member.model.clone()).or_default();
                probabilities.resize(rows.labels.len() - 1, f32::NAN);
                probabilities.push(member.probability.unwrap_or(f32::NAN));
            }
            rows.groups.resize_with(self.values.len(), Vec::new);
            for ((numbers, values), name) in rows.groups.iter_mut().zip(&mut self.values).zip(&row.groups) {
                numbers.push(values.number(name));
            }
        }
    }
}
