//! `export`: scores for other tools: CSV, JSON lines, a STIX 2.1 bundle, a MISP event.
//!
//! Scores are written as they are read. From the stack, a shard of a day is held at a time, so that each entity is
//! there with its newest score; of what was written before, 16 bytes an entity are kept. From a file, one line is held,
//! and the first score of an entity counts. A file that is written has its name only when it is whole.
//!
//! Ids are UUIDs of version 5 in a namespace of Tribunal's own: the same scores give the same bytes.

mod csv;
mod misp;
mod stix;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use tribunal_core::score::Reason;
use tribunal_core::time::{parse_rfc3339, rfc3339_millis};
use tribunal_core::{Score, Verdict};
use tribunal_ensemble::index::{is_indexed, verdict_days};
use tribunal_runtime::now_ms;
use tribunal_sources::config::Tlp;
use uuid::Uuid;

use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::marking;
use crate::output::{counted, json_line, shown};
use crate::show;
use crate::stored::StoredScores;
use crate::when::{DAY_MS, When};

/// Most days that an export from the stack reaches back.
const MAX_DAYS: u64 = 366;
/// Window of an export from the stack, unless another is given.
const DEFAULT_WINDOW_MS: u64 = DAY_MS;
/// Most bytes of the producer's name and of the event's title.
const MAX_NAME_BYTES: usize = 256;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table; cells that a spreadsheet would compute are quoted.
    Csv,
    /// Each score as it is stored.
    Jsonl,
    /// A bundle with an indicator for each entity.
    Stix,
    /// An event with an attribute for each entity.
    Misp,
}

/// Verdicts to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Chosen {
    /// At or above the upper threshold.
    Malicious,
    /// Between the thresholds.
    Suspicious,
    /// Below the thresholds; with --from only.
    Benign,
}

impl From<Chosen> for Verdict {
    fn from(chosen: Chosen) -> Self {
        match chosen {
            Chosen::Malicious => Self::Malicious,
            Chosen::Suspicious => Self::Suspicious,
            Chosen::Benign => Self::Benign,
        }
    }
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each entity is exported once.
Exit code 4 when nothing matches.

Examples:
  tribunal export --format stix --since 7d -o tribunal.json
  tribunal export --format misp --verdict malicious --verdict suspicious --tlp amber
  tribunal export --format csv --from scores.jsonl")]
pub(crate) struct Args {
    /// What to write.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Format,
    /// Which verdict; may be given more than once. Without it: malicious.
    #[arg(long, value_enum, value_name = "VERDICT")]
    verdict: Vec<Chosen>,
    /// Asked for since: a span back from now (24h, 7d), a day (2026-11-24, UTC), or an RFC 3339 time. Without it:
    /// 24h of the stack's, all of a file's.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    since: Option<When>,
    /// Read scores of a file (JSON lines, `-` is standard input) instead of the stack's.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Write a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Marking of entities that have none of their own (STIX, MISP).
    #[arg(long, value_name = "TLP", value_parser = marking::parser())]
    tlp: Option<Tlp>,
    /// Name of the producer (STIX, MISP).
    #[arg(long, default_value = "Tribunal", value_name = "NAME", value_parser = name)]
    producer: String,
}

fn name(text: &str) -> Result<String, String> {
    if (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("give 1 to {MAX_NAME_BYTES} bytes without control characters"))
}

/// What a format is told about the whole.
pub(super) struct About {
    /// Name of the producer.
    pub(super) producer: String,
    /// Marking of entities that have none.
    pub(super) tlp: Option<Tlp>,
    /// What was asked for, for a title.
    pub(super) title: String,
    /// The time that effective risks are of.
    pub(super) at_ms: u64,
}

impl About {
    /// The marking of a score.
    pub(super) fn marking(&self, score: &Score) -> Option<Tlp> {
        marking::of(score, self.tlp)
    }
}

/// A UUID of a name: the same everywhere and always.
pub(super) fn uuid_of(parts: &[&str]) -> Uuid {
    // STIX keeps its own namespace for observables, so that indicators must be of another.
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"export.tribunal");
    // No part has a zero byte: entities, times and names cannot be confused over the border of two.
    Uuid::new_v5(&namespace, parts.join("\0").as_bytes())
}

/// Milliseconds since 1970 of a stored time.
pub(super) fn time_of(score: &Score, field: &str, text: &str) -> anyhow::Result<u64> {
    parse_rfc3339(text).with_context(|| format!("{field} of the score of {:?} is {text:?}", score.entity))
}

/// `name looks generated (+40.0)`: what moved the risk, and how far.
pub(super) fn reason_in_words(reason: &Reason) -> String {
    format!("{} ({:+.1})", show::reason::sentence(reason), reason.points)
}

/// `malicious, risk 92.5: name looks generated (+40.0); ...`: a score in one line.
pub(super) fn summary(score: &Score) -> String {
    let mut text = format!("{}, risk {}", show::scores::verdict(score.verdict), show::scores::risk(score));
    for (i, reason) in score.reasons.iter().enumerate() {
        text.push_str(if i == 0 { ": " } else { "; " });
        text.push_str(&reason_in_words(reason));
    }
    if let Some(listed) = &score.listed {
        text.push_str(&format!("; by the list entry {}: {}", listed.entry, listed.reason));
    }
    crate::output::escape(&text).into_owned()
}

/// Where the scores go.
enum Sink<W: Write> {
    Csv(Box<csv::Sink<W>>),
    Jsonl(W),
    Stix(stix::Sink<W>),
    Misp(misp::Sink<W>),
}

impl<W: Write> Sink<W> {
    fn open(format: Format, out: W, about: About) -> anyhow::Result<Self> {
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(csv::Sink::open(out, about.at_ms)?)),
            Format::Jsonl => Self::Jsonl(out),
            Format::Stix => Self::Stix(stix::Sink::open(out, about)?),
            Format::Misp => Self::Misp(misp::Sink::open(out, about)?),
        })
    }

    fn write(&mut self, score: &Score) -> anyhow::Result<()> {
        match self {
            Self::Csv(sink) => sink.write(score),
            Self::Jsonl(out) => json_line(out, score),
            Self::Stix(sink) => sink.write(score),
            Self::Misp(sink) => sink.write(score),
        }
    }

    fn close(self) -> anyhow::Result<()> {
        let mut out = match self {
            Self::Csv(sink) => sink.close()?,
            Self::Jsonl(out) => out,
            Self::Stix(sink) => sink.close()?,
            Self::Misp(sink) => sink.close()?,
        };
        Ok(out.flush()?)
    }
}

/// Each entity once, and how many there are.
struct Once<W: Write> {
    sink: Sink<W>,
    seen: HashSet<u128>,
    progress: indicatif::ProgressBar,
}

impl<W: Write> Once<W> {
    fn write(&mut self, score: &Score) -> anyhow::Result<()> {
        if self.seen.insert(uuid_of(&[&score.entity]).as_u128()) {
            self.sink.write(score)?;
            self.progress.set_message(counted(self.seen.len(), "entity", "entities"));
        }
        Ok(())
    }
}

/// Exports scores.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let now = now_ms();
    let export = Export::of(&args, now)?;
    let count = match &args.output {
        Some(path) => to_file(path, |out| export.run(out, &args, &globals)).await?,
        None => export.run(io::stdout().lock(), &args, &globals).await?,
    };
    let to = args.output.as_deref().map_or_else(String::new, |path| format!(" to {}", shown(path)));
    if count == 0 {
        show::note("nothing matches");
        return Ok(Outcome::NotFound);
    }
    show::note(&format!("exported {}{to}", counted(count, "entity", "entities")));
    Ok(Outcome::Done)
}

/// Writes a file under another name, and gives it its own when it is whole.
async fn to_file<F>(path: &Path, write: impl FnOnce(File) -> F) -> anyhow::Result<usize>
where
    F: Future<Output = anyhow::Result<usize>>,
{
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let file = File::create(&partial).with_context(|| format!("cannot write {}", shown(&partial)))?;
    let done = write(file).await;
    if done.is_err() {
        drop(std::fs::remove_file(&partial));
    } else {
        std::fs::rename(&partial, path).with_context(|| format!("cannot write {}", shown(path)))?;
    }
    done
}

struct Export {
    verdicts: Vec<Verdict>,
    since: Option<u64>,
    now: u64,
}

impl Export {
    fn of(args: &Args, now: u64) -> anyhow::Result<Self> {
        let mut verdicts: Vec<Verdict> = args.verdict.iter().map(|chosen| (*chosen).into()).collect();
        if verdicts.is_empty() {
            verdicts.push(Verdict::Malicious);
        }
        verdicts.sort_unstable();
        verdicts.dedup();
        let mut since = args.since.map(|since| since.millis(now));
        if args.from.is_none() {
            since = since.or(Some(now.saturating_sub(DEFAULT_WINDOW_MS)));
            if verdicts.iter().any(|verdict| !is_indexed(*verdict)) {
                let failure = Failure::usage("benign scores are not in the stack's index");
                return Err(failure.hint("export them from a file: --from scores.jsonl").into());
            }
        }
        let days = since.map_or(0, |since| (now / DAY_MS).saturating_sub(since / DAY_MS) + 1);
        if args.from.is_none() && days > MAX_DAYS {
            let message = format!("--since reaches back {days} days, of at most {MAX_DAYS}");
            return Err(Failure::usage(message).into());
        }
        Ok(Self { verdicts, since, now })
    }

    fn title(&self, producer: &str) -> String {
        let verdicts: Vec<&str> = self.verdicts.iter().map(|v| v.as_str()).collect();
        let day = |ms| rfc3339_millis(ms).get(..10).unwrap_or_default().to_owned();
        let since = self.since.map_or_else(String::new, |ms| format!(" since {}", day(ms)));
        format!("{producer}: {}{since}", verdicts.join(" and "))
    }

    async fn run(&self, out: impl Write, args: &Args, globals: &Globals) -> anyhow::Result<usize> {
        let about = About {
            producer: args.producer.clone(),
            tlp: args.tlp,
            title: self.title(&args.producer),
            at_ms: self.now,
        };
        let sink = Sink::open(args.format, BufWriter::new(out), about)?;
        let progress = show::progress::bytes(None);
        let mut once = Once { sink, seen: HashSet::new(), progress };
        match &args.from {
            Some(file) => self.read_file(file, &mut once)?,
            None => self.read_stack(&Stack::connect(globals).await?, &mut once).await?,
        }
        once.progress.finish_and_clear();
        once.sink.close()?;
        Ok(once.seen.len())
    }

    fn takes(&self, score: &Score) -> bool {
        let since = self.since.map(rfc3339_millis);
        self.verdicts.contains(&score.verdict) && since.is_none_or(|since| score.requested_at >= since)
    }

    fn read_file(&self, file: &Path, once: &mut Once<impl Write>) -> anyhow::Result<()> {
        let mut scores = StoredScores::open(file)?;
        // One bar, not two over each other.
        once.progress = scores.progress.clone();
        while let Some(stored) = scores.next()? {
            if self.takes(&stored.score) {
                once.write(&stored.score)?;
            }
        }
        Ok(())
    }

    /// Day by day from the latest, shard by shard: an entity is always in the same shard.
    async fn read_stack(&self, stack: &Stack, once: &mut Once<impl Write>) -> anyhow::Result<()> {
        let since = self.since.unwrap_or(self.now);
        let scores = Scores::of(stack);
        // Partitions of the verdicts come in the same order, so that those of a day and shard stand side by side.
        let columns: Vec<Vec<String>> =
            self.verdicts.iter().map(|v| verdict_days(*v, since, self.now).collect()).collect();
        for i in 0..columns.first().map_or(0, Vec::len) {
            let partitions = columns.iter().filter_map(|column| column.get(i).cloned()).collect();
            let found = scores.partitions(partitions, usize::MAX, |score| self.takes(score)).await?;
            for score in newest(found).values() {
                once.write(score)?;
            }
        }
        Ok(())
    }
}

/// The newest score of each entity, by entity.
fn newest(found: Vec<Score>) -> BTreeMap<String, Score> {
    let mut newest: HashMap<String, Score> = HashMap::with_capacity(found.len());
    for score in found {
        let known = newest.get(&score.entity);
        if known.is_none_or(|known| known.scored_key < score.scored_key) {
            newest.insert(score.entity.clone(), score);
        }
    }
    newest.into_iter().collect()
}

#[cfg(test)]
mod tests;
