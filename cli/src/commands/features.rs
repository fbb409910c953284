//! `features`: vectors of entities, computed in this process by the code that production runs.
//!
//! Entities come from arguments, a file or standard input: plain lines, CSV with a column `entity`, or JSON
//! lines with a field `entity`. Other columns and fields are carried through, so that a training set keeps
//! its labels; columns that have the name of a feature, `entity` or `kind` are replaced. A missing value is
//! an empty cell or `null`.
//!
//! Memory does not grow with the input. What is refused is left out, counted by reason on standard error.

pub(super) mod read;
mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use indicatif::ProgressBar;
use serde_json::{Map, Value};
use tribunal_core::message::MAX_BATCH_ENTITIES;
use tribunal_core::{AddressFacts, Entity, FeatureSchema};
use tribunal_extract::RANGES;
use tribunal_features::{Extractor, Lexicon, WIDTH};
use tribunal_registry::Registry;
use tribunal_sources::Asked;
use tribunal_sources::dataset::{Dataset, DatasetHolder, Loaded};

use super::asker::Asker;

use crate::exit::{Failure, Outcome};
use crate::input::{Given, normalise};
use crate::output::{counted, json_line, shown, table, thousands, write_table};
use read::{Record, Records};
use write::Rows;

/// Form of the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A header and one row per entity.
    Csv,
    /// One object per entity.
    Jsonl,
}

/// Arguments of `features`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tribunal features paypa1-login.example\n  \
    tribunal features --file train.csv --dataset ranges.bin -o features.csv\n  tribunal features --schema")]
pub(crate) struct Args {
    /// Domain names and IP addresses.
    #[arg(value_name = "ENTITY")]
    entities: Vec<String>,
    /// Read entities from a file; `-` is standard input (also when nothing is given and it is not a
    /// terminal).
    #[arg(long, short, value_name = "PATH", conflicts_with = "entities")]
    file: Option<PathBuf>,
    /// Form of the output; `jsonl` with --json, else `csv`.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<OutputFormat>,
    /// Write to a file instead of standard output.
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Use this lexicon instead of the one that is built in.
    #[arg(long, value_name = "PATH")]
    lexicon: Option<PathBuf>,
    /// Address ranges made by `tribunal dataset compile`; without them the features of networks are missing.
    #[arg(long, value_name = "PATH")]
    dataset: Option<PathBuf>,
    /// A `sources.toml`: the features that its sources declare are added, and the sources asked. Secrets come from the
    /// environment (`tribunal sources --help`).
    #[arg(long, value_name = "FILE")]
    sources: Option<PathBuf>,
    /// Where data sets that the sources name lie: a folder, or s3://bucket.
    #[arg(long, value_name = "ADDRESS", requires = "sources")]
    registry: Option<String>,
    /// Print the schema: every feature with its unit, range and meaning.
    #[arg(long, conflicts_with_all = ["entities", "file", "format", "dataset"])]
    schema: bool,
    /// Print the schema as the page docs/features.md.
    #[arg(long, requires = "schema")]
    markdown: bool,
}

/// Computes vectors, or prints the schema.
pub(crate) fn run(args: Args, json: bool) -> anyhow::Result<Outcome> {
    let replaced = args.lexicon.as_deref().map(open_lexicon).transpose()?;
    let lexicon = match &replaced {
        Some(lexicon) => lexicon,
        None => Lexicon::embedded().context("the built-in lexicon")?,
    };
    let extractor = Extractor::new(lexicon).context("the lexicon cannot be used")?;
    let ranges = args.dataset.as_deref().map(open_ranges).transpose()?;
    let asker =
        args.sources.as_deref().map(|file| open_asker(file, args.registry.as_deref(), ranges.as_ref()));
    let asker = asker.transpose()?;
    let declared = asker.as_ref().map(|asker| (asker.sources().digest(), asker.sources().features()));
    let (digest, features) = declared.unwrap_or_default();
    let schema = extractor.schema().clone().extended(("sources", digest), features);
    if args.schema {
        let out = open_output(args.output.as_deref())?;
        return print_schema(&schema, out, json, args.markdown);
    }
    let format = args.format.unwrap_or(if json { OutputFormat::Jsonl } else { OutputFormat::Csv });
    let records = open_records(args.entities, args.file.as_deref())?;
    let mut rows = Rows::new(open_output(args.output.as_deref())?, format, schema.names());
    let batch = Batch {
        extractor: &extractor,
        ranges: ranges.as_ref().and_then(|ranges| ranges.current()),
        asker: asker.as_ref(),
        waiting: Vec::new(),
    };
    let counts = extract_all(records, batch, &mut rows)?;
    rows.finish()?;
    counts.report();
    Ok(Outcome::of_refused(counts.refused()))
}

fn open_lexicon(path: &Path) -> anyhow::Result<Lexicon> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", shown(path)))?;
    Lexicon::open(bytes).with_context(|| format!("{} cannot be used as a lexicon", shown(path)))
}

fn open_ranges(path: &Path) -> anyhow::Result<Arc<DatasetHolder>> {
    let ranges = super::local::open_ranges(path)?;
    Ok(Arc::new(DatasetHolder::given(RANGES, Dataset::Ranges(Box::new(ranges)))))
}

fn open_output(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match path {
        None => Box::new(BufWriter::with_capacity(1 << 16, io::stdout())),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot create {}", shown(path)))?;
            Box::new(BufWriter::with_capacity(1 << 16, file))
        }
    })
}

fn open_records(entities: Vec<String>, file: Option<&Path>) -> anyhow::Result<Records> {
    if !entities.is_empty() {
        return Ok(Records::of_texts(entities));
    }
    match file {
        Some(path) if path != Path::new("-") => {
            let file = File::open(path).with_context(|| format!("cannot open {}", shown(path)))?;
            Records::open(Box::new(file)).with_context(|| format!("cannot read {}", shown(path)))
        }
        None if io::stdin().is_terminal() => Err(Failure::usage("no entities given")
            .hint("give them as arguments, with --file PATH, or on standard input")
            .into()),
        _ => Records::open(Box::new(io::stdin())).context("cannot read standard input"),
    }
}

/// How many were extracted, and how many refused and why.
#[derive(Default)]
struct Counts {
    extracted: usize,
    /// By code: how many, and the first one.
    refused: BTreeMap<String, (usize, String)>,
}

impl Counts {
    fn refused(&self) -> usize {
        self.refused.values().map(|(count, _)| count).sum()
    }

    fn report(&self) {
        let refused = self.refused();
        if refused == 0 && self.extracted < 2 {
            return;
        }
        let mut lines = format!(
            "{} extracted, {} refused\n",
            counted(self.extracted, "entity", "entities"),
            thousands(refused)
        );
        for (code, (count, first)) in &self.refused {
            lines.push_str(&format!("  {code}: {}, the first: {first}\n", thousands(*count)));
        }
        // Standard error is closed: there is nobody to tell.
        _ = io::stderr().lock().write_all(lines.as_bytes());
    }
}

/// The sources of a file; the address ranges are shared with it.
fn open_asker(
    file: &Path,
    registry: Option<&str>,
    ranges: Option<&Arc<DatasetHolder>>,
) -> anyhow::Result<Asker> {
    let registry = registry.map(Registry::open).transpose()?;
    Asker::open(file, registry, ranges.map(Arc::clone))
}

/// An entity whose features are to be written.
struct Waiting {
    entity: Entity,
    facts: Option<AddressFacts>,
    carried: Map<String, Value>,
}

/// Entities that are asked about at once, in their order.
struct Batch<'a> {
    extractor: &'a Extractor<'a>,
    ranges: Option<Arc<Loaded>>,
    asker: Option<&'a Asker>,
    waiting: Vec<Waiting>,
}

impl Batch<'_> {
    fn add(&mut self, entity: Entity, carried: Map<String, Value>) {
        let facts = entity
            .address()
            .and_then(|address| Some(self.ranges.as_ref()?.dataset.ranges()?.lookup(address)));
        self.waiting.push(Waiting { entity, facts, carried });
    }

    /// Writes the features of all that wait.
    fn write(&mut self, columns: &[String], rows: &mut Rows) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        // As in production: nobody is asked about what is not routable.
        let routable = waiting.iter().filter(|one| one.entity.special().is_none());
        let asked: Vec<Asked<'_>> = routable
            .map(|one| Asked { entity: &one.entity, facts: one.facts.as_ref(), tlp: None, attempt: 0 })
            .collect();
        let answers = self.asker.map(|asker| asker.ask(&asked)).unwrap_or_default();
        let mut found = answers.found.into_iter();
        let declared = self.asker.map_or(0, |asker| asker.sources().features().len());
        let mut vector = vec![f32::NAN; WIDTH + declared];
        for one in &waiting {
            vector.fill(f32::NAN);
            let (built_in, declared) = vector.split_at_mut(WIDTH);
            self.extractor.extract(&one.entity, one.facts.as_ref(), built_in)?;
            if one.entity.special().is_none()
                && let Some(found) = found.next()
            {
                declared.copy_from_slice(&found.values);
            }
            rows.write(&one.entity, columns, &one.carried, &vector)?;
        }
        Ok(())
    }
}

fn extract_all(records: Records, mut batch: Batch<'_>, rows: &mut Rows) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let bar = ProgressBar::new_spinner();
    let columns = records.columns();
    for (read, record) in records.enumerate() {
        if read % 4_096 == 0 {
            bar.set_message(format!("{} entities", thousands(read)));
            bar.tick();
        }
        let refused = match record? {
            Ok(Record { line, text, carried }) => match normalise(&Given { line, text }) {
                Ok(entity) => {
                    counts.extracted += 1;
                    batch.add(entity, carried);
                    if batch.waiting.len() == MAX_BATCH_ENTITIES {
                        batch.write(&columns, rows)?;
                    }
                    continue;
                }
                Err(refused) => refused,
            },
            Err(refused) => refused,
        };
        let entry = counts.refused.entry(refused.code.clone()).or_insert_with(|| (0, refused.describe()));
        entry.0 += 1;
    }
    batch.write(&columns, rows)?;
    bar.finish_and_clear();
    Ok(counts)
}

fn print_schema(
    schema: &FeatureSchema,
    mut out: Box<dyn Write>,
    json: bool,
    markdown: bool,
) -> anyhow::Result<Outcome> {
    if markdown {
        out.write_all(tribunal_features::markdown(schema).as_bytes())?;
    } else if json {
        json_line(&mut out, &serde_json::json!({ "digest": schema.digest(), "schema": schema }))?;
    } else {
        let screen = crate::output::Screen { terminal: io::stdout().is_terminal(), color: false };
        let mut rows = table(screen, &["name", "kinds", "unit", "range", "meaning", "missing when"]);
        for f in &schema.features {
            let kinds: Vec<&str> = f.kinds.iter().map(|kind| kind.as_str()).collect();
            let missing = if f.missing.is_empty() { Cow::Borrowed("never") } else { f.missing.clone() };
            let range = format!("{} to {}", f.min, f.max);
            rows.add_row([&f.name, kinds.join(",").as_str(), &f.unit, range.as_str(), &f.meaning, &missing]);
        }
        write_table(&mut out, &rows)?;
        writeln!(out, "\n{} features, {}", schema.features.len(), schema.digest())?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}
