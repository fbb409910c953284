//! `ensemble publish`: a definition from a file, put in force.
//!
//! The lists belong to the people who edit them, the rest to whoever trains: a file that lacks entries that are in
//! force is refused until it is said what becomes of them.

use std::io::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;
use tribunal_core::ensemble::{EnsembleDefinition, ListEntry};
use tribunal_registry::{Pointer, Registry, RegistryError};

use super::{InForce, Place, check, explain, in_force, parse, read};
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{counted, escape, json_line};

/// Versions that are tried for an edit: those before are of edits that were gone back from.
const MAX_TRIES: u64 = 100;
/// What stands between a version and the number of the edit of its lists.
const EDIT: &str = "-lists.";
/// Longest version that a number is put behind, in bytes: 64 are allowed with it.
const MAX_STEM_BYTES: usize = 37;
/// Entries that are named in a refusal.
const NAMED: usize = 5;

/// Arguments of `ensemble publish`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The definition, JSON.
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Put the entries of the lists in force before the file's; the version gets a number of its own.
    #[arg(long)]
    keep_lists: bool,
    /// Let the entries in force go that the file does not have.
    #[arg(long, conflicts_with = "keep_lists")]
    drop_lists: bool,
}

/// Publishes.
pub(super) async fn run(args: Args, globals: &Globals) -> anyhow::Result<Outcome> {
    let (mut definition, bytes) = read(&args.file)?;
    let registry = args.place.open(globals).await?;
    check::members(&definition, &registry).await?;
    let before = in_force(&registry).await?;
    let now_ms = tribunal_runtime::now_ms();
    let lost = before.as_ref().map_or_else(Vec::new, |before| lost(before, &definition, now_ms));
    if !lost.is_empty() && !args.keep_lists && !args.drop_lists {
        return Err(refuse_to_lose(&lost).into());
    }
    let etag = before.as_ref().and_then(|before| before.etag.as_deref());
    let kept = if args.keep_lists { lost.len() } else { 0 };
    let pointer = if kept > 0 {
        definition.lists.splice(0..0, lost);
        publish_edited(&registry, &mut definition, etag).await?
    } else {
        let published = registry.publish_ensemble(&definition.version, bytes.into(), etag).await;
        published.map_err(explain)?
    };
    report(&registry, &pointer, before.as_ref(), kept, globals)
}

/// Entries in force that a definition has no entry for, but for those that have expired.
fn lost(before: &InForce, definition: &EnsembleDefinition, now_ms: u64) -> Vec<ListEntry> {
    let there = |entry: &ListEntry| definition.lists.iter().any(|other| other.pattern == entry.pattern);
    let entries = before.definition.lists.iter();
    entries.filter(|entry| !super::edit::has_expired(entry, now_ms) && !there(entry)).cloned().collect()
}

fn refuse_to_lose(lost: &[ListEntry]) -> Failure {
    let named: Vec<&str> = lost.iter().take(NAMED).map(|entry| entry.pattern.as_str()).collect();
    let more = if lost.len() > NAMED { ", ..." } else { "" };
    let message = format!(
        "the file lacks {} of the lists in force: {}{more}",
        counted(lost.len(), "entry", "entries"),
        named.join(", ")
    );
    Failure::usage(message).hint("--keep-lists puts them before the file's, --drop-lists lets them go")
}

fn report(
    registry: &Registry,
    pointer: &Pointer,
    before: Option<&InForce>,
    kept: usize,
    globals: &Globals,
) -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    let previous = before.map(|before| before.definition.version.as_str());
    if globals.json {
        let value = json!({"location": registry.location(), "version": pointer.version,
            "digest": pointer.digest, "previous": previous, "kept": kept});
        json_line(&mut out, &value)?;
        return Ok(Outcome::Done);
    }
    let was = match previous {
        Some(previous) if previous == pointer.version => ", as before".to_owned(),
        Some(previous) => format!(", was {previous}"),
        None => String::new(),
    };
    let kept = match kept {
        0 => String::new(),
        kept => format!("; {} of the lists kept", counted(kept, "entry", "entries")),
    };
    let location = escape(registry.location());
    writeln!(out, "{location}: version {} of the ensemble is in force{was}{kept}", pointer.version)?;
    Ok(Outcome::Done)
}

/// Publishes an edited definition under the next version that is free, and says so in it.
pub(super) async fn publish_edited(
    registry: &Registry,
    definition: &mut EnsembleDefinition,
    etag: Option<&str>,
) -> anyhow::Result<Pointer> {
    let (stem, first) = successor(&definition.version);
    definition.created = tribunal_core::time::rfc3339_millis(tribunal_runtime::now_ms());
    for number in first..first.saturating_add(MAX_TRIES) {
        definition.version = format!("{stem}{EDIT}{number}");
        let mut bytes = serde_json::to_vec_pretty(definition)?;
        bytes.push(b'\n');
        // As every reader will read it: size, number of entries and all.
        parse("the edited definition", &bytes).map_err(Failure::usage)?;
        match registry.publish_ensemble(&definition.version, Bytes::from(bytes), etag).await {
            Err(RegistryError::Immutable { .. }) => {}
            Err(error @ RegistryError::Moved { .. }) => return Err(error.into()),
            other => return other.map_err(explain),
        }
    }
    let message = format!("{stem}{EDIT}{first} and the {MAX_TRIES} versions after it exist already");
    Err(Failure::failed(message).hint("publish a definition under another version").into())
}

/// What the versions of edits of a version begin with, and the number of the next.
fn successor(version: &str) -> (String, u64) {
    let edited = version.rsplit_once(EDIT).and_then(|(stem, number)| {
        // Nine digits leave room for every number after it.
        let number = Some(number).filter(|digits| digits.len() <= 9)?.parse::<u64>().ok()?;
        Some((stem, number + 1))
    });
    let (stem, number) = edited.unwrap_or((version, 1));
    (stem.chars().take(MAX_STEM_BYTES).collect(), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_counts_the_edits_of_the_one_that_was_published() {
        let next = |version: &str| {
            let (stem, number) = successor(version);
            format!("{stem}{EDIT}{number}")
        };
        assert_eq!(next("2026.11"), "2026.11-lists.1");
        assert_eq!(next("2026.11-lists.9"), "2026.11-lists.10");
        assert_eq!(next("1-lists.x"), "1-lists.x-lists.1");
        assert_eq!(next("1-lists.18446744073709551615"), "1-lists.18446744073709551615-lists.1");
        assert!(next(&"v".repeat(64)).len() <= 64);
        assert!(next(&format!("{}-lists.999999999", "v".repeat(37))).len() <= 64);
    }
}
