//! `dlq`: what is on the dead-letter queue and why, and `dlq redrive`: back to the queue.
//!
//! Two kinds of message end there. Dispatch puts what it refuses there at once, with the reason as message
//! attributes. SQS moves a message there that failed several times; that one has no reason, the functions'
//! logs have. Looking at a message hides it for a moment and counts as a delivery; it is made visible again
//! at once.

mod letter;

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;
use tribunal_runtime::now_ms;

use crate::aws::queue::{MAX_BATCH_BYTES, Queue};
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{counted, cut, foreign, json_line, number, table, write_table};
use crate::show;
use crate::when::age;
use letter::Letter;

/// How long a message is hidden while it is looked at.
const LOOK: Duration = Duration::from_secs(30);
/// How long a message is hidden while it is moved.
const MOVE: Duration = Duration::from_secs(120);
/// SQS answers from a part of its servers: so many empty answers in a row mean that nothing is left.
const EMPTY_ANSWERS: usize = 3;

/// Arguments of `dlq`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Most messages that are shown.
    #[arg(long, default_value_t = 100, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Move messages back to the queue, to be scored again.
    Redrive(Redrive),
}

/// Arguments of `dlq redrive`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A refused message is refused again unless what refused it has changed; `--only failed` moves those alone
that failed for want of a function, a model or a table.")]
struct Redrive {
    /// Move only messages with this reason code (`failed` for those that failed several times).
    #[arg(long, value_name = "CODE")]
    only: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Shows or moves.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    match args.action {
        None => list(usize::from(args.limit), &globals).await,
        Some(Action::Redrive(redrive)) => move_back(&redrive, &globals).await,
    }
}

async fn list(limit: usize, globals: &Globals) -> anyhow::Result<Outcome> {
    let stack = Stack::connect(globals).await?;
    let dlq = Queue::new(stack.sqs(), &stack.outputs.dlq_url, &stack.reach);
    let total = dlq.depth().await?;
    let tries = Queue::new(stack.sqs(), &stack.outputs.queue_url, &stack.reach).tries().await?;
    let letters = peek(&dlq, limit, tries).await?;
    let mut out = io::stdout().lock();
    if globals.json {
        json_line(&mut out, &json!({"messages": letters, "waiting": total.waiting}))?;
        return Ok(Outcome::Done);
    }
    if letters.is_empty() {
        show::note("the dead-letter queue is empty");
        return Ok(Outcome::Done);
    }
    let now = now_ms();
    let mut rows = table(globals.screen(), &["age", "code", "reason", "entity", "deliveries", "body"]);
    for letter in &letters {
        rows.add_row([
            number(letter.sent_at_ms.map_or_else(|| "-".to_owned(), |sent| age(sent, now))),
            foreign(&letter.reason_code),
            foreign(&cut(&letter.reason, 100)),
            foreign(&cut(letter.entity.as_deref().unwrap_or("-"), 60)),
            number(letter.receives),
            foreign(&cut(&letter.body, 60)),
        ]);
    }
    write_table(&mut out, &rows)?;
    writeln!(out, "\n{}", summary(&letters))?;
    if letters.len() >= limit {
        show::note(&format!("about {} in all; more with --limit", total.waiting));
    }
    Ok(Outcome::Done)
}

/// `5 messages: 3 cidr, 2 failed`.
fn summary(letters: &[Letter]) -> String {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for letter in letters {
        *counts.entry(&letter.reason_code).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let parts: Vec<String> =
        counts.iter().map(|(code, n)| format!("{n} {}", crate::output::escape(code))).collect();
    format!("{}: {}", counted(letters.len(), "message", "messages"), parts.join(", "))
}

/// Up to `limit` messages, each once; all of them are visible again afterwards.
async fn peek(dlq: &Queue, limit: usize, tries: Option<u64>) -> anyhow::Result<Vec<Letter>> {
    let mut letters = Vec::new();
    let mut seen = HashSet::new();
    let mut handles = Vec::new();
    let looked = async {
        let mut empty = 0;
        while letters.len() < limit && empty < EMPTY_ANSWERS {
            let received = dlq.receive(LOOK).await?;
            empty = if received.is_empty() { empty + 1 } else { 0 };
            for message in received {
                handles.extend(message.receipt_handle.clone());
                let letter = Letter::new(message, tries);
                // A message that comes again was hidden for its whole time: the queue is larger than the
                // look.
                if !seen.insert(letter.id.clone()) {
                    return anyhow::Ok(());
                }
                letters.push(letter);
            }
        }
        Ok(())
    }
    .await;
    // Released even when looking failed.
    let released = dlq.release(&handles).await;
    looked.and(released)?;
    letters.truncate(limit);
    Ok(letters)
}

async fn move_back(redrive: &Redrive, globals: &Globals) -> anyhow::Result<Outcome> {
    let stack = Stack::connect(globals).await?;
    let dlq = Queue::new(stack.sqs(), &stack.outputs.dlq_url, &stack.reach);
    let queue = Queue::new(stack.sqs(), &stack.outputs.queue_url, &stack.reach);
    let waiting = dlq.depth().await?.waiting;
    if !redrive.yes {
        confirm(redrive, waiting, &stack.reach.stack)?;
    }
    let moved =
        Mover { dlq: &dlq, queue: &queue, only: redrive.only.as_deref(), started_ms: now_ms() }.run().await?;
    let mut out = io::stdout().lock();
    if globals.json {
        json_line(&mut out, &json!({"moved": moved.moved, "left": moved.left, "problems": moved.problems}))?;
    } else {
        let left = counted(moved.left, "other left", "others left");
        writeln!(out, "moved {} back to the queue; {left}", counted(moved.moved, "message", "messages"))?;
    }
    if let Some(problem) = moved.problems.first() {
        return Err(Failure::failed(format!("not every message was moved: {problem}"))
            .hint("run it again")
            .into());
    }
    Ok(if moved.moved == 0 && redrive.only.is_some() { Outcome::NotFound } else { Outcome::Done })
}

fn confirm(redrive: &Redrive, waiting: u64, stack: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "dlq redrive asks before it moves messages, and there is no terminal to ask on",
        )
        .hint("give --yes")
        .into());
    }
    let which = redrive.only.as_deref().map_or_else(String::new, |code| format!(" with reason {code}"));
    let mut err = io::stderr().lock();
    write!(err, "Move messages{which} (about {waiting} in all) back to the queue of stack {stack}? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::failed("nothing was moved").into())
    }
}

/// What became of the messages.
#[derive(Debug, Default)]
struct Moved {
    moved: usize,
    left: usize,
    problems: Vec<String>,
}

struct Mover<'a> {
    dlq: &'a Queue,
    queue: &'a Queue,
    only: Option<&'a str>,
    started_ms: u64,
}

impl Mover<'_> {
    /// Moves until the queue is empty, or only has what came after the start or has another reason.
    async fn run(&self) -> anyhow::Result<Moved> {
        let mut moved = Moved::default();
        let mut kept = Vec::new();
        let mut seen = HashSet::new();
        let worked = self.work(&mut moved, &mut kept, &mut seen).await;
        let released = self.dlq.release(&kept).await;
        worked.and(released)?;
        Ok(moved)
    }

    async fn work(
        &self,
        moved: &mut Moved,
        kept: &mut Vec<String>,
        seen: &mut HashSet<String>,
    ) -> anyhow::Result<()> {
        let (mut empty, mut again) = (0, false);
        while !again && empty < EMPTY_ANSWERS && moved.problems.is_empty() {
            let received = self.dlq.receive(MOVE).await?;
            empty = if received.is_empty() { empty + 1 } else { 0 };
            let mut chosen = Vec::new();
            for message in received {
                let handle = message.receipt_handle.clone().unwrap_or_default();
                let letter = Letter::new(message, None);
                if !seen.insert(letter.id.clone()) {
                    // Its time was up: the queue has been gone through once.
                    again = true;
                    kept.push(handle);
                    continue;
                }
                // What fails again while this runs is not moved again.
                let new = letter.sent_at_ms.is_some_and(|sent| sent > self.started_ms);
                if new || self.only.is_some_and(|code| code != letter.reason_code) {
                    moved.left += 1;
                    kept.push(handle);
                } else {
                    chosen.push((handle, letter.body));
                }
            }
            for batch in batches(chosen) {
                self.transfer(batch, moved, kept).await?;
            }
        }
        Ok(())
    }

    /// Sent first and deleted then: a message may be scored twice, never lost.
    async fn transfer(
        &self,
        batch: Vec<(String, String)>,
        moved: &mut Moved,
        kept: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let (handles, bodies): (Vec<String>, Vec<String>) = batch.into_iter().unzip();
        let sent = self.queue.send(&bodies).await?;
        let unsent: HashSet<usize> = sent.unsent.iter().map(|u| u.index).collect();
        moved.problems.extend(sent.unsent.into_iter().map(|u| u.reason));
        let mut done = Vec::new();
        for (i, handle) in handles.into_iter().enumerate() {
            if unsent.contains(&i) { kept.push(handle) } else { done.push(handle) }
        }
        moved.moved += done.len();
        moved.problems.extend(self.dlq.delete(&done).await?);
        Ok(())
    }
}

/// Batches within SQS's limit of bytes; up to ten messages come in, each of up to 1 MiB.
fn batches(chosen: Vec<(String, String)>) -> Vec<Vec<(String, String)>> {
    let mut batches: Vec<Vec<(String, String)>> = Vec::new();
    let mut bytes = 0;
    for (handle, body) in chosen {
        match batches.last_mut() {
            Some(batch) if bytes + body.len() <= MAX_BATCH_BYTES => {
                bytes += body.len();
                batch.push((handle, body));
            }
            _ => {
                bytes = body.len();
                batches.push(vec![(handle, body)]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::letter::FAILED;
    use super::*;

    #[test]
    fn large_messages_travel_alone() {
        let message = |n: usize| (String::new(), "x".repeat(n));
        let sizes: Vec<usize> =
            batches(vec![message(10), message(1_048_576), message(999_990), message(10), message(1)])
                .iter()
                .map(Vec::len)
                .collect();
        assert_eq!(sizes, [1, 1, 2, 1]);
        assert!(batches(Vec::new()).is_empty());
    }

    #[test]
    fn the_summary_counts_reasons() {
        let letter = |code: &str| Letter { reason_code: code.to_owned(), ..Letter::default() };
        let letters = [letter("cidr"), letter(FAILED), letter("cidr")];
        assert_eq!(summary(&letters), "3 messages: 2 cidr, 1 failed");
    }
}
