//! `score --local`: the steps of the functions in this process, on the models of a folder. No AWS, nothing to
//! start, nothing is stored.
//!
//! Entities are read, scored in batches on all processors, and taken in the order in which they were given.

pub(super) mod pool;
mod steps;

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tribunal_core::message::{Item, MAX_BATCH_BYTES, MAX_BATCH_ENTITIES};
use tribunal_core::time::rfc3339_millis;
use tribunal_core::{Entity, Score};
use tribunal_extract::{RANGES, Ranges};
use tribunal_runtime::now_ms;
use tribunal_sources::IpRanges;
use tribunal_sources::dataset::{Dataset, DatasetHolder, Refreshed};

use super::asker::Asker;
use super::models::folder_registry;
use super::score::Args;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::input::{Given, Input, Refused, normalise};
use crate::output::{json_line, json_scores, thousands};
use crate::show::explained::Explained;
use crate::show::{self, scores::Summary};
use crate::stored::Stored;
use steps::Steps;

/// Request id of scores that nobody stores.
const REQUEST: &str = "local";
/// Time for loading the address ranges of a folder.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// The steps on the models of a folder; `ranges` and `sources` are files.
pub(super) async fn open(
    models: &Path,
    ranges: Option<&Path>,
    sources: Option<&Path>,
) -> anyhow::Result<Steps> {
    let registry = folder_registry(models)?;
    let holder = Arc::new(match ranges {
        Some(path) => DatasetHolder::given(RANGES, Dataset::Ranges(Box::new(open_ranges(path)?))),
        None => DatasetHolder::published(registry.clone(), RANGES).expecting(Dataset::RANGES),
    });
    if let Refreshed::Failed(error) = holder.refresh(LOAD_LIMIT).await {
        return Err(error.into());
    }
    let ranges = Ranges::of(&holder);
    let open = |file: &Path| Asker::open(file, Some(registry.clone()), Some(Arc::clone(&holder)));
    let asker = sources.map(open).transpose()?;
    Steps::load(&registry, ranges, asker).await
}

/// Scores entities in this process.
pub(super) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let steps = open(&args.models, args.dataset.as_deref(), args.sources.as_deref()).await?;
    for problem in steps.problems() {
        show::note(&format!("warning: {}", crate::output::escape(&problem)));
    }
    let input = args.input.open()?;
    let report = Run { args: &args, globals: &globals, steps: &steps }.score(input)?;
    show::refused(&report.refused, report.refused_count);
    Ok(Outcome::of_refused(report.refused_count))
}

/// A compiled data set in a file.
pub(super) fn open_ranges(path: &Path) -> anyhow::Result<IpRanges> {
    let name = crate::output::escape(&path.display().to_string()).into_owned();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    if size > tribunal_registry::MAX_FILE_BYTES {
        let message = format!("{name} has {size} bytes, of at most {}", tribunal_registry::MAX_FILE_BYTES);
        return Err(Failure::usage(message).into());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    IpRanges::open(bytes).with_context(|| format!("{name} is not a data set of `tribunal dataset compile`"))
}

/// What became of the entities.
#[derive(Default)]
struct Report {
    refused: Vec<Refused>,
    refused_count: usize,
}

impl Report {
    fn refuse(&mut self, refused: Refused) {
        self.refused_count += 1;
        if self.refused.len() < show::MAX_REFUSED {
            self.refused.push(refused);
        }
    }
}

struct Run<'a> {
    args: &'a Args,
    globals: &'a Globals,
    steps: &'a Steps,
}

impl Run<'_> {
    fn score(&self, input: Input) -> anyhow::Result<Report> {
        let progress = show::progress::of(&input);
        let mut batches = Batches::new(input, !self.args.lines);
        let mut taken = Taken { top: self.args.top.map(|top| top as usize), ..Taken::default() };
        let mut out = io::BufWriter::new(io::stdout().lock());
        let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut done = 0;
        pool::in_order(
            workers,
            || batches.next(),
            |batch: Vec<Item>| self.steps.score_stored(&batch),
            |scores: anyhow::Result<Vec<Stored>>| {
                let scores = scores?;
                done += scores.len();
                progress.set_message(format!("{} scored", thousands(done)));
                if self.args.lines {
                    return self.write_lines(&mut out, &scores);
                }
                taken.add(scores.into_iter().map(|stored| stored.score).collect());
                Ok(())
            },
        )?;
        progress.finish_and_clear();
        let report = batches.report;
        if !self.args.lines {
            self.write_document(&mut out, taken, &report)?;
        }
        out.flush()?;
        Ok(report)
    }

    fn write_lines(&self, out: &mut impl io::Write, scores: &[Stored]) -> anyhow::Result<()> {
        for stored in scores {
            match (self.globals.json, self.args.vectors) {
                (true, true) => json_line(out, stored)?,
                (true, false) => json_line(out, &stored.score)?,
                (false, _) => show::scores::write_line(out, self.globals.screen(), &stored.score)?,
            }
        }
        Ok(())
    }

    fn write_document(
        &self,
        out: &mut impl io::Write,
        mut taken: Taken,
        report: &Report,
    ) -> anyhow::Result<()> {
        taken.cut();
        if self.args.explain {
            return self.explain(out, &taken.scores);
        }
        if self.globals.json {
            let rest =
                json!({"refused": report.refused, "refused_count": report.refused_count, "failed": []});
            return json_scores(out, &taken.scores, rest);
        }
        Ok(show::scores::write_top(out, self.globals.screen(), &taken.scores, &taken.summary)?)
    }
}

impl Run<'_> {
    fn explain(&self, out: &mut impl io::Write, scores: &[Score]) -> anyhow::Result<()> {
        for (i, score) in scores.iter().enumerate() {
            let thresholds = *self.steps.definition().thresholds.get(score.kind);
            let shown = Explained::of(score, Some(thresholds), now_ms());
            if self.globals.json {
                json_line(out, &shown)?;
                continue;
            }
            if i > 0 {
                writeln!(out, "\n")?;
            }
            show::waterfall::write(out, self.globals.screen(), score, &shown)?;
        }
        Ok(())
    }
}

/// Scores that are kept to be shown.
#[derive(Default)]
struct Taken {
    scores: Vec<Score>,
    summary: Summary,
    top: Option<usize>,
}

impl Taken {
    fn add(&mut self, scores: Vec<Score>) {
        for score in &scores {
            self.summary.add(score.verdict);
        }
        self.scores.extend(scores);
        // Sorted seldom, so that keeping the riskiest of many stays cheap.
        if self.top.is_some_and(|top| self.scores.len() > (2 * top).max(10_000)) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.scores.sort_by(show::scores::riskiest_first);
        self.scores.truncate(self.top.unwrap_or(usize::MAX));
    }
}

/// Batches of entities, as dispatch packs them.
struct Batches {
    input: Input,
    report: Report,
    seen: Option<HashSet<String>>,
    held: Option<Item>,
}

impl Batches {
    fn new(input: Input, once: bool) -> Self {
        Self { input, report: Report::default(), seen: once.then(HashSet::new), held: None }
    }

    fn next(&mut self) -> anyhow::Result<Option<Vec<Item>>> {
        let requested_at = rfc3339_millis(now_ms());
        let mut batch: Vec<Item> = self.held.take().into_iter().collect();
        let mut bytes: usize = batch.iter().map(bytes_of).sum();
        while batch.len() < MAX_BATCH_ENTITIES {
            let Some(next) = self.input.next() else { break };
            let given = match next? {
                Ok(given) => given,
                Err(refused) => {
                    self.report.refuse(refused);
                    continue;
                }
            };
            let entity = match normalise(&given) {
                Ok(entity) => entity,
                Err(refused) => {
                    self.report.refuse(refused);
                    continue;
                }
            };
            if self.seen.as_mut().is_some_and(|seen| !seen.insert(entity.name().to_owned())) {
                continue;
            }
            let item = item(&entity, given, &requested_at);
            bytes += bytes_of(&item);
            if bytes > MAX_BATCH_BYTES && !batch.is_empty() {
                self.held = Some(item);
                break;
            }
            batch.push(item);
        }
        Ok(if batch.is_empty() { None } else { Some(batch) })
    }
}

pub(super) fn item(entity: &Entity, given: Given, requested_at: &str) -> Item {
    Item {
        entity: entity.name().to_owned(),
        kind: entity.kind(),
        original: given.text,
        requested_at: requested_at.to_owned(),
        request_id: REQUEST.to_owned(),
        source: None,
        tlp: None,
        attempt: 0,
    }
}

/// What an item takes in a batch, roughly.
fn bytes_of(item: &Item) -> usize {
    item.entity.len() + item.original.len() + 128
}
