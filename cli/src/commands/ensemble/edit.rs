//! `ensemble allow`, `deny` and `remove`: the lists in force, changed by one entry.
//!
//! The first entry that fits decides. A new one takes the place of one with the same pattern, and goes behind the
//! narrower entries that it covers, so that an exception stays one, and before everything else.

use std::io::Write as _;

use serde_json::json;
use tribunal_core::ensemble::ListEntry;
use tribunal_core::score::ListAction;
use tribunal_core::time::{parse_rfc3339, rfc3339_millis};
use tribunal_registry::{Pointer, Registry, RegistryError};

use super::pattern::{covers, normal};
use super::publish::publish_edited;
use super::{Place, explain, required};
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{counted, escape, json_line};
use crate::show::note;
use crate::when::{When, span};

/// How often an edit is made again when somebody else published in between.
const MAX_TRIES: usize = 5;

/// Arguments of `ensemble allow` and `ensemble deny`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first entry that fits decides. The new one takes the place of one for the same, and goes
behind narrower entries that it covers and before the others. It is a new version of the
definition; the members, weights and thresholds stay as they are.")]
pub(super) struct PutArgs {
    /// A domain, an address, `*.` and a domain (everything below it), or a network.
    entity: String,
    /// Why, for whoever meets the verdict.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When it ends: a span from now (30d), a day, or an RFC 3339 time; never if not given.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Arguments of `ensemble remove`.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// The entry, as it was given or as the lists have it.
    #[arg(required_unless_present = "expired")]
    entity: Option<String>,
    /// Remove every entry that has expired.
    #[arg(long, conflicts_with = "entity")]
    expired: bool,
    #[command(flatten)]
    place: Place,
}

/// Puts an entry on the lists.
pub(super) async fn put(args: PutArgs, action: ListAction, globals: &Globals) -> anyhow::Result<Outcome> {
    let now_ms = tribunal_runtime::now_ms();
    let entry = ListEntry {
        pattern: normal(&args.entity)?,
        action,
        reason: args.reason.trim().to_owned(),
        expires: args.expires.as_deref().map(|text| expiry(text, now_ms)).transpose()?,
    };
    let registry = args.place.open(globals).await?;
    let (pointer, ()) = edit(&registry, |lists| {
        place(lists, entry.clone());
        Ok(())
    })
    .await?;
    let mut out = std::io::stdout().lock();
    if globals.json {
        let value = json!({"location": registry.location(), "version": pointer.version,
            "digest": pointer.digest, "entry": entry});
        json_line(&mut out, &value)?;
    } else {
        let verdict = match action {
            ListAction::Allow => "benign",
            ListAction::Deny => "malicious",
        };
        let until = entry.expires.as_deref().map_or_else(String::new, |expires| format!(" until {expires}"));
        writeln!(
            out,
            "{}: {} is {verdict}{until}; version {} of the ensemble is in force",
            escape(registry.location()),
            escape(&entry.pattern),
            pointer.version
        )?;
    }
    Ok(Outcome::Done)
}

/// Takes entries off the lists.
pub(super) async fn remove(args: RemoveArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let now_ms = tribunal_runtime::now_ms();
    let pattern = args.entity.as_deref().map(normal).transpose()?;
    let goes = |entry: &ListEntry| match &pattern {
        Some(pattern) => entry.pattern == *pattern,
        None => has_expired(entry, now_ms),
    };
    let registry = args.place.open(globals).await?;
    let (pointer, removed) = edit(&registry, |lists| {
        let removed: Vec<ListEntry> = lists.extract_if(.., |entry| goes(entry)).collect();
        if removed.is_empty() {
            return Err(nothing(pattern.as_deref(), lists).into());
        }
        Ok(removed)
    })
    .await?;
    let mut out = std::io::stdout().lock();
    if globals.json {
        let value = json!({"location": registry.location(), "version": pointer.version,
            "digest": pointer.digest, "removed": removed});
        json_line(&mut out, &value)?;
    } else {
        writeln!(
            out,
            "{}: {} removed; version {} of the ensemble is in force",
            escape(registry.location()),
            counted(removed.len(), "entry", "entries"),
            pointer.version
        )?;
    }
    Ok(Outcome::Done)
}

fn nothing(pattern: Option<&str>, lists: &[ListEntry]) -> Failure {
    let Some(pattern) = pattern else { return Failure::not_found("no entry of the lists has expired") };
    let failure = Failure::not_found(format!("no entry of the lists is {pattern}"));
    match lists.iter().find(|entry| covers(&entry.pattern, pattern)) {
        Some(wider) => failure.hint(format!("{} covers it", wider.pattern)),
        None => failure.hint("see `tribunal ensemble lists`"),
    }
}

/// Changes the lists in force and publishes them; again from what is in force by then, if somebody else published.
async fn edit<T>(
    registry: &Registry,
    change: impl Fn(&mut Vec<ListEntry>) -> anyhow::Result<T>,
) -> anyhow::Result<(Pointer, T)> {
    for _ in 0..MAX_TRIES {
        let before = required(registry).await?;
        let mut definition = before.definition;
        let changed = change(&mut definition.lists)?;
        match publish_edited(registry, &mut definition, before.etag.as_deref()).await {
            Ok(pointer) => return Ok((pointer, changed)),
            Err(error) => match error.downcast::<RegistryError>() {
                Ok(RegistryError::Moved { .. }) => note("somebody else has published; once more"),
                Ok(other) => return Err(explain(other)),
                Err(other) => return Err(other),
            },
        }
    }
    let message = format!("others published in between, {MAX_TRIES} times in a row");
    Err(Failure::failed(message).hint("run this again").into())
}

/// Puts an entry where it decides what it covers, but for the exceptions from it.
fn place(lists: &mut Vec<ListEntry>, entry: ListEntry) {
    lists.retain(|other| other.pattern != entry.pattern);
    let behind = lists.iter().rposition(|other| covers(&entry.pattern, &other.pattern));
    let at = behind.map_or(0, |last| last + 1);
    for before in lists.iter().take(at) {
        if before.action != entry.action && covers(&before.pattern, &entry.pattern) {
            note(&escape(&format!("{} stands before {} and decides", before.pattern, entry.pattern)));
        }
    }
    lists.insert(at, entry);
}

/// Whether an entry does nothing any more.
pub(super) fn has_expired(entry: &ListEntry, now_ms: u64) -> bool {
    entry.expires.as_deref().is_some_and(|expires| parse_rfc3339(expires).unwrap_or(0) <= now_ms)
}

/// A time that is to come, in RFC 3339.
fn expiry(text: &str, now_ms: u64) -> anyhow::Result<String> {
    let from_now = span(text).map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    let at_ms = match from_now {
        Ok(span_ms) => now_ms.saturating_add(span_ms),
        Err(_) => When::parse(text)
            .map_err(|_| {
                let hint = "give a span from now such as 30d, a day such as 2026-12-31, or an RFC 3339 time";
                Failure::usage(format!("not a time: {text:?}")).hint(hint)
            })?
            .millis(now_ms),
    };
    let written = rfc3339_millis(at_ms);
    // A year of five digits is clamped as it is written.
    if at_ms <= now_ms || parse_rfc3339(&written).ok() != Some(at_ms) {
        let message = format!("--expires {text}: not between now and the year 9999");
        return Err(Failure::usage(message).into());
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_521_600_000; // 2026-11-24T12:00:00Z

    fn entry(pattern: &str, action: ListAction) -> ListEntry {
        ListEntry { pattern: pattern.into(), action, reason: "r".into(), expires: None }
    }

    #[test]
    fn a_new_entry_goes_before_the_others_and_behind_its_exceptions() {
        let mut lists = Vec::new();
        place(&mut lists, entry("*.com", ListAction::Deny));
        place(&mut lists, entry("good.example.com", ListAction::Allow));
        place(&mut lists, entry("*.example.com", ListAction::Deny));
        place(&mut lists, entry("192.0.2.0/24", ListAction::Deny));
        let order =
            |lists: &[ListEntry]| lists.iter().map(|e| e.pattern.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(order(&lists), "192.0.2.0/24 good.example.com *.example.com *.com");
        place(&mut lists, entry("good.example.com", ListAction::Deny));
        assert_eq!(order(&lists), "good.example.com 192.0.2.0/24 *.example.com *.com");
        assert_eq!(lists.first().map(|entry| entry.action), Some(ListAction::Deny));
    }

    #[test]
    fn an_entry_ends_at_a_time_to_come() {
        assert_eq!(expiry("30d", NOON).unwrap(), "2026-12-24T12:00:00.000Z");
        assert_eq!(expiry("2026-12-31", NOON).unwrap(), "2026-12-31T00:00:00.000Z");
        for wrong in ["2026-11-24", "0d", "soon", "", "30", "999999999w"] {
            assert!(expiry(wrong, NOON).is_err(), "{wrong:?}");
        }
        let ends =
            |expires: &str| ListEntry { expires: Some(expires.into()), ..entry("a.com", ListAction::Deny) };
        assert!(has_expired(&ends("2026-11-24T12:00:00Z"), NOON));
        assert!(!has_expired(&ends("2026-11-24T12:00:01Z"), NOON));
        assert!(!has_expired(&entry("a.com", ListAction::Deny), NOON));
    }
}
