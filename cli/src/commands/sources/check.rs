//! `sources check`: asks every source, and shows what each feature got and how long it took.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tribunal_core::Entity;
use tribunal_core::message::SourceStatus;
use tribunal_extract::RANGES;
use tribunal_registry::Registry;
use tribunal_runtime::{chain, now_ms};
use tribunal_sources::config::SourceConfig;
use tribunal_sources::dataset::{Dataset, DatasetHolder};
use tribunal_sources::{Answers, Asked, Declaration, Sources};

use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{escape, foreign, json_line, number, shown, table, write_table};
use crate::show;

/// Longest that a source may take here: its own time limit counts, and no batch's budget.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `sources check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A `sources.toml`.
    file: PathBuf,
    /// Ask about this entity; else each source about the one that its key `check` names.
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
    /// Ask only this source; may be given again.
    #[arg(long, value_name = "SOURCE")]
    only: Vec<String>,
    /// Where published data sets lie: a folder, or s3://bucket; the stack's bucket if not given.
    #[arg(long, value_name = "ADDRESS")]
    registry: Option<String>,
    /// Address ranges made by `tribunal dataset compile`, for sources that read an address's network or country.
    #[arg(long, value_name = "FILE")]
    dataset: Option<PathBuf>,
}

/// How one source fared.
struct Checked {
    name: String,
    adapter: &'static str,
    entity: String,
    status: Option<SourceStatus>,
    ms: f64,
    features: Vec<(String, f32)>,
    evidence: Vec<Value>,
    problem: Option<String>,
}

/// Asks.
pub(super) async fn run(args: Args, globals: &Globals) -> anyhow::Result<Outcome> {
    let declaration = super::read(&args.file)?;
    for name in &args.only {
        if !declaration.sources.contains_key(name) {
            let known: Vec<&str> = declaration.sources.keys().map(String::as_str).collect();
            let message = format!("no source named {name} in {}", shown(&args.file));
            return Err(Failure::usage(message).hint(format!("there are: {}", known.join(", "))).into());
        }
    }
    let given = args.entity.as_deref().map(parse).transpose()?;
    let chosen: Vec<_> = declaration
        .sources
        .iter()
        .filter(|(name, source)| if args.only.is_empty() { source.enabled } else { args.only.contains(name) })
        .collect();
    let published =
        |source: &SourceConfig| source.dataset.as_ref().is_some_and(|dataset| dataset.name.is_some());
    let registry = match &args.registry {
        Some(address) => Some(Registry::open(address)?),
        None if chosen.iter().any(|(_, source)| published(source)) => {
            Some(super::super::models::bucket_registry(&Stack::connect(globals).await?).await?)
        }
        None => None,
    };
    let ranges = args.dataset.as_deref().map(super::super::local::open_ranges).transpose()?;
    let ranges =
        ranges.map(|ranges| Arc::new(DatasetHolder::given(RANGES, Dataset::Ranges(Box::new(ranges)))));
    let context = super::context_of(&args.file, registry, ranges.clone());
    let mut checked = Vec::new();
    for (name, source) in chosen {
        let one = alone(&declaration, name, source);
        let sources = super::open(&shown(&args.file), &one, &context)?;
        let entity = match (&given, &source.check) {
            (Some(entity), _) => entity.clone(),
            (None, Some(check)) => parse(check)?,
            (None, None) => {
                let message = format!("source {name} names no entity to check it with");
                return Err(Failure::usage(message)
                    .hint("give one with --entity, or as its key `check`")
                    .into());
            }
        };
        show::note(&format!("asking {name} about {}", escape(entity.name())));
        checked.push(ask(name, source, &sources, &entity, ranges.as_deref()).await);
    }
    print(&checked, globals)?;
    let failed = checked.iter().filter(|one| one.failed()).count();
    Ok(Outcome::of_refused(failed))
}

fn parse(text: &str) -> anyhow::Result<Entity> {
    Entity::parse(text).map_err(|refusal| Failure::usage(format!("{}: {refusal}", escape(text))).into())
}

/// A declaration of one source, without its caches and quota: it is to be asked.
fn alone(declaration: &Declaration, name: &str, source: &SourceConfig) -> Declaration {
    let mut source = source.clone();
    source.cache.shared = false;
    source.quota = None;
    source.enabled = true;
    Declaration { sources: [(name.to_owned(), source)].into(), ..declaration.clone() }
}

async fn ask(
    name: &str,
    source: &SourceConfig,
    sources: &Sources,
    entity: &Entity,
    ranges: Option<&DatasetHolder>,
) -> Checked {
    let loaded = sources.refresh(PATIENCE).await;
    let facts = entity.address().and_then(|address| {
        let current = ranges?.current()?;
        current.dataset.ranges().map(|ranges| ranges.lookup(address))
    });
    let batch = [Asked { entity, facts: facts.as_ref(), tlp: None, attempt: 0 }];
    let started = Instant::now();
    let mut answers: Answers = sources.ask(&batch, now_ms(), PATIENCE).await;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let problem =
        answers.reports.remove(name).and_then(|report| report.problem).map(|problem| chain(&problem));
    let unloaded = loaded.into_iter().find_map(|(_, refreshed)| match refreshed {
        tribunal_sources::dataset::Refreshed::Failed(error) => Some(chain(&error)),
        _ => None,
    });
    let found = answers.found.remove(0);
    let names = sources.features().iter().map(|feature| feature.name.to_string());
    Checked {
        name: name.to_owned(),
        adapter: source.adapter(),
        entity: entity.name().to_owned(),
        status: found.statuses.get(name).copied(),
        ms,
        features: names.zip(found.values).collect(),
        evidence: found.evidence.iter().map(|item| json!(item)).collect(),
        problem: unloaded.or(problem),
    }
}

impl Checked {
    fn failed(&self) -> bool {
        !matches!(self.status, Some(SourceStatus::Ok | SourceStatus::Empty))
    }

    /// The status, or that the source is not asked about such an entity.
    fn status(&self) -> &'static str {
        self.status.map_or("not_of_its_kinds", SourceStatus::as_str)
    }

    fn to_json(&self) -> Value {
        let number = |value: f32| if value.is_nan() { Value::Null } else { json!(value) };
        let features: serde_json::Map<String, Value> =
            self.features.iter().map(|(name, value)| (name.clone(), number(*value))).collect();
        json!({"source": self.name, "adapter": self.adapter, "entity": self.entity, "status": self.status(),
            "ms": (self.ms * 1e3).round() / 1e3, "features": features, "evidence": self.evidence,
            "problem": self.problem})
    }
}

fn print(checked: &[Checked], globals: &Globals) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if globals.json {
        for one in checked {
            json_line(&mut out, &one.to_json())?;
        }
        return Ok(());
    }
    let mut rows =
        table(globals.screen(), &["source", "asked by", "entity", "status", "time", "feature", "value"]);
    for one in checked {
        let mut first = true;
        let nothing = [("-".to_owned(), f32::NAN)];
        for (feature, value) in if one.features.is_empty() { &nothing[..] } else { &one.features[..] } {
            let value = if value.is_nan() { "missing".to_owned() } else { value.to_string() };
            let lead = |text: String| if first { text } else { String::new() };
            rows.add_row([
                foreign(&lead(one.name.clone())),
                foreign(&lead(one.adapter.to_owned())),
                foreign(&lead(one.entity.clone())),
                foreign(&lead(one.status().to_owned())),
                number(lead(format!("{:.1} ms", one.ms))),
                foreign(feature),
                number(value),
            ]);
            first = false;
        }
    }
    write_table(&mut out, &rows)?;
    for one in checked {
        for item in &one.evidence {
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            let line = format!("{}: {} {} {}", one.name, text("fact"), text("value"), text("first_seen"));
            writeln!(out, "{}", escape(line.trim_end()))?;
        }
    }
    out.flush().context("cannot write")?;
    for one in checked {
        if let Some(problem) = &one.problem {
            show::note(&format!("{}: {}", one.name, escape(problem)));
        }
    }
    Ok(())
}
