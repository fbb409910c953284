//! `ensemble publish`: a definition from a file, put in force.
//!
//! The lists belong to the people who edit them, the rest to whoever trains: a file that lacks entries that are in
//! force is refused until it is said what becomes of them.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::json;
use tribunal_core::ensemble::{EnsembleDefinition, ListEntry};
use tribunal_registry::{Pointer, Registry, RegistryError};
use tribunal_runtime::chain;

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
    #[command(flatten)]
    choice: Choice,
}

/// What becomes of entries in force that what is published does not have.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Choice {
    /// Put the entries of the lists in force before the published ones; the version gets a number of its own.
    #[arg(long)]
    keep_lists: bool,
    /// Let the entries in force go that are not among the published ones.
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
    let kept = args.choice.keep(lost)?;
    let etag = before.as_ref().and_then(|before| before.etag.as_deref());
    let pointer = if !kept.is_empty() {
        definition.lists.splice(0..0, kept.iter().cloned());
        publish_edited(&registry, &mut definition, etag).await?
    } else {
        let published = registry.publish_ensemble(&definition.version, bytes.into(), etag).await;
        published.map_err(explain)?
    };
    report(&registry, &pointer, before.as_ref(), kept.len(), globals)
}

impl Choice {
    /// Of entries that would be lost those to be kept.
    fn keep(self, lost: Vec<ListEntry>) -> Result<Vec<ListEntry>, Failure> {
        match lost.is_empty() || self.drop_lists {
            true => Ok(Vec::new()),
            false if self.keep_lists => Ok(lost),
            false => Err(refuse_to_lose(&lost)),
        }
    }
}

/// Entries in force in `target` that are to be put back once `source` is published there whole.
///
/// # Errors
/// When there are some, and nobody said what becomes of them.
pub(crate) async fn to_be_kept(
    source: &Registry,
    target: &Registry,
    choice: Choice,
) -> anyhow::Result<Vec<ListEntry>> {
    if choice.drop_lists {
        return Ok(Vec::new());
    }
    let Some(before) = in_force_here(target).await? else { return Ok(Vec::new()) };
    let Some(next) = in_force(source).await? else { return Ok(Vec::new()) };
    Ok(choice.keep(lost(&before, &next.definition, tribunal_runtime::now_ms()))?)
}

/// What is in force; `None` also where it is of a release that had no lists, and so has none to lose. Whatever else
/// keeps it from being read is an error: there may be entries in it.
async fn in_force_here(registry: &Registry) -> anyhow::Result<Option<InForce>> {
    let published = match registry.load_ensemble().await {
        Ok(published) => published,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => {
            let message = format!("cannot see which entries of the lists are in force: {}", chain(&error));
            return Err(Failure::failed(message).hint("--drop-lists publishes without them").into());
        }
    };
    let lists =
        serde_json::from_slice::<serde_json::Value>(&published.bytes).ok().map(|d| d["lists"].clone());
    match lists {
        Some(serde_json::Value::Array(entries)) if !entries.is_empty() => in_force(registry).await,
        Some(_) => Ok(None),
        None => Err(Failure::failed(format!("{} is not JSON", published.object)).into()),
    }
}

/// Puts entries before those of the definition in force, as a version of its own.
///
/// # Errors
/// When that fails; it says which entries are not in force now.
pub(crate) async fn put_back(registry: &Registry, kept: Vec<ListEntry>) -> anyhow::Result<()> {
    let named: Vec<String> = kept.iter().map(|entry| entry.pattern.clone()).collect();
    put_before(registry, kept).await.with_context(|| {
        format!(
            "published, but {} of the lists could not be put back: {}",
            named.len(),
            escape(&named.join(", "))
        )
    })
}

async fn put_before(registry: &Registry, kept: Vec<ListEntry>) -> anyhow::Result<()> {
    if let (false, Some(InForce { mut definition, etag, .. })) = (kept.is_empty(), in_force(registry).await?)
    {
        definition.lists.splice(0..0, kept);
        publish_edited(registry, &mut definition, etag.as_deref()).await?;
    }
    Ok(())
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
        "what is to be published lacks {} of the lists in force: {}{more}",
        counted(lost.len(), "entry", "entries"),
        named.join(", ")
    );
    Failure::usage(message).hint("--keep-lists puts them before the others, --drop-lists lets them go")
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

    /// A registry in a folder of its own with the definition of `version` in force.
    async fn registry(version: &str, lists: serde_json::Value) -> (tempfile::TempDir, Registry) {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path().to_str().unwrap()).unwrap();
        let thresholds = json!({"suspicious": 50.0, "malicious": 80.0});
        let definition = json!({"version": version, "lists": lists, "created": "2026-11-01T00:00:00Z",
            "members": [{"model": "trees", "weight": {"domain": 1.0, "ip": 1.0}}],
            "quorum": {"domain": 1, "ip": 1}, "thresholds": {"domain": thresholds, "ip": thresholds}});
        registry.publish_ensemble(version, definition.to_string().into(), None).await.unwrap();
        (folder, registry)
    }

    #[tokio::test]
    async fn a_folder_that_is_published_whole_loses_no_entry_unasked() {
        let entry = |pattern: &str| json!({"match": pattern, "action": "deny", "reason": "seen"});
        let (_folder, target) = registry("1-lists.1", json!([entry("a.com"), entry("b.com")])).await;
        let (_other, source) = registry("2", json!([entry("b.com"), entry("c.com")])).await;
        let choice = |keep_lists, drop_lists| Choice { keep_lists, drop_lists };
        let error = to_be_kept(&source, &target, choice(false, false)).await.unwrap_err().to_string();
        assert!(error.contains("lacks 1 entry of the lists in force: a.com"), "{error}");
        assert!(to_be_kept(&source, &target, choice(false, true)).await.unwrap().is_empty());
        let kept = to_be_kept(&source, &target, choice(true, false)).await.unwrap();
        target.publish_from(&source, |_| {}).await.unwrap();
        put_back(&target, kept).await.unwrap();
        let now = in_force(&target).await.unwrap().unwrap().definition;
        let patterns: Vec<&str> = now.lists.iter().map(|entry| entry.pattern.as_str()).collect();
        assert_eq!((now.version.as_str(), patterns), ("2-lists.1", vec!["a.com", "b.com", "c.com"]));
    }

    #[tokio::test]
    async fn entries_that_cannot_be_read_are_not_taken_for_none() {
        let (folder, target) = registry("1", json!([])).await;
        let (_other, source) = registry("2", json!([])).await;
        let choice = |drop_lists: bool| Choice { keep_lists: !drop_lists, drop_lists };
        assert!(to_be_kept(&source, &target, choice(false)).await.unwrap().is_empty());
        std::fs::write(folder.path().join("ensemble/versions/1.json"), "{").unwrap();
        let error = to_be_kept(&source, &target, choice(false)).await.unwrap_err().to_string();
        assert!(error.contains("cannot see which entries"), "{error}");
        assert!(to_be_kept(&source, &target, choice(true)).await.unwrap().is_empty());
    }
}
