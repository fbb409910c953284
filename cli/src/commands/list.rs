//! `list`: the scores of a verdict since a time, riskiest first, from the index by verdict and day.

use std::collections::HashMap;
use std::io::{self, Write as _};

use clap::ValueEnum;
use serde_json::json;
use tribunal_core::time::rfc3339_millis;
use tribunal_core::{Kind, Score, Verdict};
use tribunal_ensemble::index::verdict_days;
use tribunal_runtime::now_ms;

use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::json_scores;
use crate::show;
use crate::when::{DAY_MS, When};

/// Most days that a list reaches back: each costs a query per verdict and shard.
const MAX_DAYS: u64 = 366;

/// Verdicts that the index holds; benign ones are not in it, they are too many, and others have no risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    /// At or above the upper threshold.
    Malicious,
    /// Between the thresholds.
    Suspicious,
}

/// Kinds of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OfKind {
    /// Domain names.
    Domain,
    /// Addresses.
    Ip,
}

impl From<OfKind> for Kind {
    fn from(kind: OfKind) -> Self {
        match kind {
            OfKind::Domain => Self::Domain,
            OfKind::Ip => Self::Ip,
        }
    }
}

/// Which of the scores of the index are meant.
struct Filter {
    verdicts: Vec<Verdict>,
    since: String,
    until: String,
    kind: Option<Kind>,
    profile: Option<String>,
}

impl Filter {
    fn takes(&self, score: &Score) -> bool {
        let verdict = match &self.profile {
            Some(name) => score.profiles.get(name).copied(),
            None => Some(score.verdict),
        };
        verdict.is_some_and(|verdict| self.verdicts.contains(&verdict))
            && self.kind.is_none_or(|kind| score.kind == kind)
            && (self.since.as_str()..=self.until.as_str()).contains(&score.requested_at.as_str())
    }
}

impl From<Listed> for Verdict {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::Malicious => Self::Malicious,
            Listed::Suspicious => Self::Suspicious,
        }
    }
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each entity is listed once, with its newest score in the window; --all lists every score. Benign scores are
not in the index (`tribunal get` finds them).

Exit code 4 when nothing matches.

Examples:
  tribunal list --verdict malicious --since 24h
  tribunal list --verdict malicious --verdict suspicious --since 2026-11-24 --limit 500 --json")]
pub(crate) struct Args {
    /// Which verdict; may be given twice. Without it: malicious.
    #[arg(long, value_enum, value_name = "VERDICT")]
    verdict: Vec<Listed>,
    /// Asked for since: a span back from now (24h, 7d), a day (2026-11-24, UTC), or an RFC 3339 time.
    #[arg(long, default_value = "24h", value_name = "WHEN", value_parser = When::parse)]
    since: When,
    /// Asked for until; likewise. Without it: now.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    until: Option<When>,
    /// Domain names alone, or addresses alone.
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<OfKind>,
    /// Take the verdict that the consumer profile NAME of the ensemble definition gives. Scores that are benign by the
    /// definition's own thresholds are not in the index, whatever a profile says.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Most scores that are listed.
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// List every score, not the newest of each entity only.
    #[arg(long)]
    all: bool,
}

/// Lists the scores.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let now = now_ms();
    let since = args.since.millis(now);
    let until = args.until.map_or(now, |until| until.millis(now)).min(now);
    if args.until.is_some() && until < since {
        return Err(Failure::usage("--until lies before --since").into());
    }
    let mut wanted = if args.verdict.is_empty() { vec![Listed::Malicious] } else { args.verdict };
    let verdicts = wanted.iter().map(|listed| (*listed).into()).collect();
    if args.profile.is_some() {
        // A profile may call suspicious what is malicious by the definition, and the other way round.
        wanted = vec![Listed::Malicious, Listed::Suspicious];
    }
    let partitions = partitions(&wanted, since, until)?;
    let stack = Stack::connect(&globals).await?;
    let limit = args.limit as usize;
    let from = rfc3339_millis(since);
    let filter = Filter {
        verdicts,
        since: from.clone(),
        until: rfc3339_millis(until),
        kind: args.kind.map(Kind::from),
        profile: args.profile,
    };
    let found = Scores::of(&stack).partitions(partitions, limit, |score| filter.takes(score)).await?;
    let scores = arrange(found, limit, args.all);
    let mut out = io::stdout().lock();
    if globals.json {
        json_scores(&mut out, &scores, json!({}))?;
    } else if scores.is_empty() {
        show::note(&format!("nothing since {from}"));
    } else {
        show::scores::write(&mut out, globals.screen(), &scores, true)?;
        if scores.len() == limit {
            out.flush()?;
            show::note(&format!("the first {limit}; more with --limit"));
        }
    }
    Ok(if scores.is_empty() { Outcome::NotFound } else { Outcome::Done })
}

fn partitions(verdicts: &[Listed], since: u64, now: u64) -> anyhow::Result<Vec<String>> {
    if since > now {
        return Err(Failure::usage(format!("--since {} lies in the future", rfc3339_millis(since))).into());
    }
    let days = (now / DAY_MS) - (since / DAY_MS) + 1;
    if days > MAX_DAYS {
        return Err(Failure::usage(format!("--since reaches back {days} days, of at most {MAX_DAYS}")).into());
    }
    let chosen: Vec<Listed> = if verdicts.is_empty() { vec![Listed::Malicious] } else { verdicts.to_vec() };
    let mut partitions: Vec<String> =
        chosen.into_iter().flat_map(|verdict| verdict_days(verdict.into(), since, now)).collect();
    partitions.sort_unstable();
    partitions.dedup();
    Ok(partitions)
}

/// The riskiest first, at most `limit`; without `all`, the newest of each entity.
fn arrange(mut found: Vec<Score>, limit: usize, all: bool) -> Vec<Score> {
    if !all {
        let mut newest: HashMap<String, Score> = HashMap::with_capacity(found.len());
        for score in found {
            match newest.get(&score.entity) {
                Some(known) if known.scored_key >= score.scored_key => {}
                _ => {
                    newest.insert(score.entity.clone(), score);
                }
            }
        }
        found = newest.into_values().collect();
    }
    found.sort_by(show::scores::riskiest_first);
    found.truncate(limit);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::scores::tests::example;

    const NOW: u64 = 1_795_521_600_000;

    #[test]
    fn an_entity_is_listed_once_with_its_newest_score() {
        let mut newer = example("a.com", Verdict::Malicious, Some(80.0));
        newer.scored_key = "2026-11-25T00:00:00.000Z#r".to_owned();
        let older = example("a.com", Verdict::Malicious, Some(99.0));
        let other = example("b.com", Verdict::Malicious, Some(90.0));
        let found = vec![older.clone(), newer.clone(), other.clone()];
        assert_eq!(arrange(found.clone(), 10, false), [other.clone(), newer]);
        assert_eq!(arrange(found, 2, true), [older, other]);
    }

    #[test]
    fn a_filter_takes_what_is_asked_for() {
        let score = example("a.com", Verdict::Suspicious, Some(60.0));
        let filter = |verdict, kind, profile: Option<&str>| Filter {
            verdicts: vec![verdict],
            since: "2026-11-24T00:00:00.000Z".to_owned(),
            until: "2026-11-24T12:00:00.000Z".to_owned(),
            kind,
            profile: profile.map(str::to_owned),
        };
        assert!(filter(Verdict::Suspicious, Some(Kind::Domain), None).takes(&score));
        assert!(!filter(Verdict::Malicious, None, None).takes(&score));
        assert!(!filter(Verdict::Suspicious, Some(Kind::Ip), None).takes(&score));
        assert!(!filter(Verdict::Suspicious, None, Some("proxy")).takes(&score), "no such profile");
        let mut judged = score;
        judged.profiles.insert("proxy".to_owned(), Verdict::Malicious);
        assert!(filter(Verdict::Malicious, None, Some("proxy")).takes(&judged));
        judged.requested_at = "2026-11-24T12:00:00.001Z".to_owned();
        assert!(!filter(Verdict::Malicious, None, Some("proxy")).takes(&judged), "too late");
    }

    #[test]
    fn the_window_is_bounded() {
        let days = partitions(&[Listed::Malicious, Listed::Malicious], NOW - DAY_MS, NOW).unwrap();
        assert_eq!(days.len(), 16, "two days of eight shards");
        assert!(days.iter().all(|d| d.starts_with("malicious#2026-11-2")), "{days:?}");
        let error = partitions(&[], NOW - 400 * DAY_MS, NOW).unwrap_err().to_string();
        assert_eq!(error, "--since reaches back 401 days, of at most 366");
        assert!(partitions(&[], NOW + 1, NOW).is_err());
    }
}
