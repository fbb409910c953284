//! `watch`: waits for entities to be scored, or follows new verdicts until interrupted.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::time::Duration;

use tribunal_core::Score;
use tribunal_core::time::rfc3339_millis;
use tribunal_ensemble::index::verdict_days;
use tribunal_runtime::now_ms;

use super::list::Listed;
use super::wait::{self, Wanted};
use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::input::{Given, normalise};
use crate::output::json_line;
use crate::show;
use crate::when::{When, span};

/// Most entities that are waited for.
const MAX_ENTITIES: usize = 1_000;
/// New scores of a partition that one look takes.
const MAX_NEW: usize = 1_000;
/// A score appears in the index this much later than it was written, at most; looked back for.
const LATE: Duration = Duration::from_secs(120);

/// Arguments of `watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With entities: prints each score as it comes and ends when all have one (exit code 1 when the time is up).
Without: prints new malicious and suspicious scores until interrupted (ctrl-C, exit code 0). Every look reads
the day's index of these verdicts, so a short --interval costs read capacity.

Examples:
  tribunal enqueue evil.example-shop.com && tribunal watch evil.example-shop.com
  tribunal watch --verdict malicious --json | jq -r .entity")]
pub(crate) struct Args {
    /// Domain names and IP addresses, as pasted; none follows new verdicts.
    #[arg(value_name = "ENTITY")]
    entities: Vec<String>,
    /// Which verdict to follow; may be given twice. Without it: malicious and suspicious.
    #[arg(long, value_enum, value_name = "VERDICT", conflicts_with = "entities")]
    verdict: Vec<Listed>,
    /// Count scores asked for since then. Without it: 10m for entities, now for verdicts.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    since: Option<When>,
    /// How long to wait for entities.
    #[arg(long, default_value = "10m", value_name = "SPAN", value_parser = span)]
    timeout: Duration,
    /// Time between two looks at new verdicts, 1s or more.
    #[arg(long, default_value = "10s", value_name = "SPAN", conflicts_with = "entities")]
    #[arg(value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = span(text)?;
    if interval < Duration::from_secs(1) { Err("an interval is 1s or more".to_owned()) } else { Ok(interval) }
}

/// Waits, or follows.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    if args.entities.is_empty() {
        let stack = Stack::connect(&globals).await?;
        return tokio::select! {
            followed = follow(&args, &globals, &stack) => followed,
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Outcome::Done).map_err(Into::into),
        };
    }
    let names = names(&args.entities)?;
    let stack = Stack::connect(&globals).await?;
    tokio::select! {
        waited = until_scored(&args, names, &globals, &stack) => waited,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(Failure::failed("interrupted before every entity was scored").into())
        }
    }
}

fn names(texts: &[String]) -> anyhow::Result<Vec<String>> {
    if texts.len() > MAX_ENTITIES {
        let message = format!("{} entities, of at most {MAX_ENTITIES} to wait for", texts.len());
        return Err(Failure::usage(message).into());
    }
    let mut names = Vec::with_capacity(texts.len());
    for text in texts {
        let given = Given { line: None, text: text.clone() };
        let entity = normalise(&given).map_err(|refused| Failure::usage(refused.describe()))?;
        names.push(entity.name().to_owned());
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

async fn until_scored(
    args: &Args,
    names: Vec<String>,
    globals: &Globals,
    stack: &Stack,
) -> anyhow::Result<Outcome> {
    let since = args.since.unwrap_or(When::Ago(Duration::from_secs(600))).millis(now_ms());
    let wanted = Wanted { since: rfc3339_millis(since), ids: HashSet::new() };
    let waited =
        wait::wait(&Scores::of(stack), names, &wanted, args.timeout, |score| print(score, globals)).await?;
    if waited.pending.is_empty() {
        return Ok(Outcome::Done);
    }
    Err(wait::timed_out(&waited.pending, args.timeout))
}

async fn follow(args: &Args, globals: &Globals, stack: &Stack) -> anyhow::Result<Outcome> {
    let scores = Scores::of(stack);
    let verdicts: Vec<Listed> = if args.verdict.is_empty() {
        vec![Listed::Malicious, Listed::Suspicious]
    } else {
        args.verdict.clone()
    };
    let mut from = args.since.map_or_else(now_ms, |since| since.millis(now_ms()));
    let mut seen = Seen::default();
    show::note(&format!("new verdicts in stack {} (ctrl-C ends)", stack.reach.stack));
    loop {
        let now = now_ms();
        let since = rfc3339_millis(from);
        let partitions = verdicts.iter().flat_map(|v| verdict_days((*v).into(), from, now)).collect();
        let mut found = scores.partitions(partitions, MAX_NEW, |score| score.scored_at >= since).await?;
        found.sort_by(|a, b| a.scored_at.cmp(&b.scored_at));
        for score in found {
            if seen.is_new(&score) {
                print(&score, globals)?;
            }
        }
        // Nothing older is looked at again, so the memory of what was seen ends there too.
        let late = u64::try_from(LATE.as_millis()).unwrap_or(0);
        from = from.max(now.saturating_sub(late));
        seen.forget_before(&rfc3339_millis(from));
        tokio::time::sleep(args.interval).await;
    }
}

/// Scores that were printed.
#[derive(Debug, Default)]
struct Seen(HashSet<(String, String, String)>);

impl Seen {
    fn is_new(&mut self, score: &Score) -> bool {
        self.0.insert((score.scored_at.clone(), score.entity.clone(), score.scored_key.clone()))
    }

    fn forget_before(&mut self, time: &str) {
        self.0.retain(|(scored_at, ..)| scored_at.as_str() >= time);
    }
}

fn print(score: &Score, globals: &Globals) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if globals.json {
        json_line(&mut out, score)?;
    } else {
        show::scores::write_line(&mut out, globals.screen(), score)?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::scores::tests::example;

    #[test]
    fn a_score_is_printed_once_and_then_forgotten() {
        let score = example("a.com", tribunal_core::Verdict::Malicious, Some(99.0));
        let mut seen = Seen::default();
        assert!(seen.is_new(&score));
        assert!(!seen.is_new(&score));
        seen.forget_before("2026-11-24T07:49:58.456Z");
        assert!(!seen.is_new(&score));
        seen.forget_before("2026-11-24T07:49:58.457Z");
        assert!(seen.0.is_empty());
    }

    #[test]
    fn entities_are_normalised_and_counted() {
        let texts = ["Evil[.]com".to_owned(), "evil.com.".to_owned()];
        assert_eq!(names(&texts).unwrap(), ["evil.com"]);
        assert!(names(&["10.0.0.0/8".to_owned()]).unwrap_err().to_string().contains("10.0.0.0/8"));
        assert!(names(&vec!["a.com".to_owned(); 1_001]).unwrap_err().to_string().contains("1000"));
    }

    #[test]
    fn an_interval_is_not_shorter_than_a_second() {
        assert!(interval("0s").is_err());
        assert_eq!(interval("1s"), Ok(Duration::from_secs(1)));
    }
}
