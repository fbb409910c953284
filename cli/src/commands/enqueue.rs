//! `enqueue`: entities onto the queue, many to a message and many messages to a call.

mod pack;

use std::collections::{HashSet, VecDeque};
use std::io::{self, Write as _};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::json;
use tribunal_core::time::rfc3339_millis;
use tribunal_runtime::now_ms;
use tribunal_sources::config::Tlp;

use super::wait::{self, Wanted};
use crate::aws::queue::{Queue, Sent};
use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::input::{Given, Input, InputArgs, Refused, normalise};
use crate::marking;
use crate::output::{counted, json_line, json_scores};
use crate::show;
use pack::{Batch, Packer};

/// Batches on their way at once.
const CONCURRENCY: usize = 8;
/// Most entities that `--wait` waits for: each is asked for by itself.
const MAX_WAITED: usize = 2_000;

/// Arguments of `enqueue`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Files: one entity per line, CSV with a column `entity`, or JSON lines (a string, an array, or an object with
`entity` or `entities`). Entities that are refused are named on standard error with line and reason; all
others are sent, and the exit code is 3.

Examples:
  tribunal enqueue 'evil[.]example-shop[.]com' 203.0.113.7
  tribunal enqueue --file feed.csv --source my-feed --tlp amber
  zcat feed.txt.gz | tribunal enqueue")]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Who asks; kept with the score.
    #[arg(long, value_name = "NAME", value_parser = source)]
    source: Option<String>,
    /// Traffic light protocol marking; kept with the score.
    #[arg(long, value_name = "MARKING", value_parser = marking::parser())]
    tlp: Option<Tlp>,
    /// Send texts as they are, without checking here that they are entities.
    #[arg(long, conflicts_with = "wait")]
    raw: bool,
    /// Wait for the scores and print them, riskiest first.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(long, requires = "wait", default_value = "5m", value_name = "SPAN")]
    #[arg(value_parser = crate::when::span)]
    timeout: Duration,
}

fn source(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a source has 1 to 128 bytes and no control characters".to_owned())
    }
}

/// What became of the entities.
#[derive(Debug, Default)]
struct Report {
    sent: usize,
    messages: usize,
    failed: usize,
    failures: Vec<String>,
    refused: Vec<Refused>,
    refused_count: usize,
    /// Names and message ids, kept only to wait for.
    names: Vec<String>,
    ids: HashSet<String>,
}

/// Sends the entities.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let mut input = args.input.open()?;
    let first = if args.wait { all_of(&mut input)? } else { VecDeque::new() };
    let stack = Stack::connect(&globals).await?;
    let started = now_ms();
    let mut report = send_all(&args, first, input, &stack).await?;
    show::refused(&report.refused, report.refused_count);
    let waited =
        if args.wait { Some(wait_for(&mut report, &stack, started, args.timeout).await?) } else { None };
    print(&report, waited.as_ref(), &globals)?;
    if report.failed > 0 {
        let what = counted(report.failed, "entity was", "entities were");
        let why = report.failures.first().map_or("", String::as_str);
        return Err(Failure::failed(format!("{what} not sent: {why}")).hint("send them again").into());
    }
    if let Some(pending) = waited.filter(|w| !w.pending.is_empty()) {
        return Err(wait::timed_out(&pending.pending, args.timeout));
    }
    Ok(Outcome::of_refused(report.refused_count))
}

/// Everything that is given, if it is no more than `--wait` takes: read before anything is sent.
fn all_of(input: &mut Input) -> anyhow::Result<VecDeque<Result<Given, Refused>>> {
    let all: VecDeque<_> = input.take(MAX_WAITED + 1).collect::<io::Result<_>>()?;
    anyhow::ensure!(
        all.len() <= MAX_WAITED,
        Failure::usage(format!("--wait takes at most {MAX_WAITED} entities"))
            .hint("enqueue without --wait, and follow with `tribunal watch`")
    );
    Ok(all)
}

async fn send_all(
    args: &Args,
    mut first: VecDeque<Result<Given, Refused>>,
    mut input: Input,
    stack: &Stack,
) -> anyhow::Result<Report> {
    let queue = Queue::new(stack.sqs(), &stack.outputs.queue_url, &stack.reach);
    let progress = show::progress::of(&input);
    let mut packer = Packer::new(args.source.as_deref(), args.tlp.map(Tlp::as_str));
    let mut report = Report::default();
    let mut under_way = FuturesUnordered::new();
    let mut ready: VecDeque<Batch> = VecDeque::new();
    let mut ended = false;
    while !ended || !ready.is_empty() || !under_way.is_empty() {
        while !ended && ready.is_empty() {
            match first.pop_front().map(Ok).or_else(|| input.next()) {
                Some(next) => ready.extend(take(next?, args, &mut packer, &mut report)),
                None => {
                    ended = true;
                    ready.extend(packer.finish());
                }
            }
        }
        if under_way.len() < CONCURRENCY
            && let Some(batch) = ready.pop_front()
        {
            under_way.push(send(&queue, batch));
        } else if let Some(done) = under_way.next().await {
            let (batch, sent) = done?;
            settle(&mut report, &batch, sent, args.wait);
            progress.set_position(input.read_bytes());
            progress.set_message(counted(report.sent, "entity sent", "entities sent"));
        }
    }
    progress.finish_and_clear();
    Ok(report)
}

/// Packs one text; gives the batch that it filled, if it did.
fn take(
    next: Result<Given, Refused>,
    args: &Args,
    packer: &mut Packer,
    report: &mut Report,
) -> Option<Batch> {
    let checked = next.and_then(|given| {
        if args.raw {
            return Ok(given.text);
        }
        let entity = normalise(&given)?;
        if args.wait {
            report.names.push(entity.name().to_owned());
        }
        Ok(given.text)
    });
    let refused = match checked.and_then(|text| packer.add(&text)) {
        Ok(batch) => return batch,
        Err(refused) => refused,
    };
    report.refused_count += 1;
    if report.refused.len() < show::MAX_REFUSED {
        report.refused.push(refused);
    }
    None
}

async fn send(queue: &Queue, batch: Batch) -> anyhow::Result<(Batch, Sent)> {
    let sent = queue.send(&batch.bodies).await?;
    Ok((batch, sent))
}

fn settle(report: &mut Report, batch: &Batch, sent: Sent, keep_ids: bool) {
    report.messages += batch.bodies.len() - sent.unsent.len();
    let mut entities: usize = batch.counts.iter().sum();
    for unsent in sent.unsent {
        let lost = batch.counts.get(unsent.index).copied().unwrap_or(0);
        entities -= lost;
        report.failed += lost;
        if report.failures.len() < 10 {
            report.failures.push(unsent.reason);
        }
    }
    report.sent += entities;
    if keep_ids {
        report.ids.extend(sent.ids);
    }
}

async fn wait_for(
    report: &mut Report,
    stack: &Stack,
    started: u64,
    timeout: Duration,
) -> anyhow::Result<wait::Waited> {
    let mut seen = HashSet::new();
    report.names.retain(|name| seen.insert(name.clone()));
    let names = std::mem::take(&mut report.names);
    // The queue's clock times requests: a clock ahead of it here must not wait for ever, hence the ids too.
    let wanted = Wanted { since: rfc3339_millis(started), ids: std::mem::take(&mut report.ids) };
    let progress = show::progress::count(names.len(), "scored");
    let waited = wait::wait(&Scores::of(stack), names, &wanted, timeout, |_| {
        progress.inc(1);
        Ok(())
    })
    .await?;
    progress.finish_and_clear();
    Ok(waited)
}

fn print(report: &Report, waited: Option<&wait::Waited>, globals: &Globals) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if globals.json {
        let mut value = json!({
            "sent": report.sent,
            "messages": report.messages,
            "failed": report.failed,
            "refused": report.refused,
            "refused_count": report.refused_count,
        });
        if let Some(waited) = waited {
            value["pending"] = serde_json::to_value(&waited.pending)?;
            return json_scores(&mut out, &waited.scores, value);
        }
        return json_line(&mut out, &value);
    }
    let sent = counted(report.sent, "entity", "entities");
    let messages = counted(report.messages, "message", "messages");
    let refused = counted(report.refused_count, "refused", "refused");
    if let Some(waited) = waited {
        show::scores::write_all(&mut out, globals.screen(), &waited.scores)?;
    }
    writeln!(out, "sent {sent} in {messages}; {refused}")?;
    Ok(())
}
