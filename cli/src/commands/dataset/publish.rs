//! `dataset publish`: a file into a registry, and the pointer to it.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use tribunal_extract::RANGES;
use tribunal_registry::{DatasetState, Registry, RegistryError};
use tribunal_sources::dataset::Dataset;

use super::super::models::{bucket_registry, folder_registry};
use super::inspect;
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{json_line, shown, thousands};

/// Digits of the digest that name a version.
const VERSION_DIGITS: usize = 12;

/// Arguments of `dataset publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A version is named by the file's digest and never changes; the pointer to it moves last, so
that a reader finds the old version or the new one, whole. Publishing the old file again goes
back to it.

Examples:
  tribunal dataset publish feeds.tds --name feeds
  tribunal dataset publish feeds.tds --name feeds --registry models")]
pub(super) struct Args {
    /// A file of `dataset build` or `dataset compile`, or a MaxMind DB.
    file: PathBuf,
    /// Name of the data set, as `name` in sources.toml.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// A folder or `s3://bucket[/prefix]`, instead of the stack's bucket.
    #[arg(long, value_name = "FOLDER")]
    registry: Option<String>,
}

/// Publishes.
pub(super) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    // Opened first: what is published can be searched.
    let (dataset, measured) = inspect::load(&args.file)?;
    check_format(&args.name, &dataset)?;
    drop(dataset);
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read {}", shown(&args.file)))?;
    if tribunal_core::digest::sha256(&bytes) != measured.digest {
        anyhow::bail!("{} changed while it was read: run this again", shown(&args.file));
    }
    let registry = open(args.registry.as_deref(), &globals).await?;
    let before = match registry.dataset_state(&args.name, None).await.map_err(explain)? {
        DatasetState::InForce { pointer, .. } => Some(pointer),
        DatasetState::Absent | DatasetState::Unchanged => None,
    };
    let hex = measured.digest.trim_start_matches("sha256:");
    let version = hex.get(..VERSION_DIGITS).unwrap_or_default();
    let file = format!("{}.{}", args.name, extension(&args.file));
    let size = thousands(bytes.len());
    let pointer =
        registry.publish_dataset(&args.name, version, &file, bytes.into()).await.map_err(explain)?;
    let location = registry.location();
    let mut out = std::io::stdout().lock();
    if globals.json {
        let value = json!({
            "name": args.name, "version": pointer.version, "digest": pointer.sha256, "bytes": pointer.bytes,
            "location": location, "previous": before.map(|before| before.version),
        });
        json_line(&mut out, &value)?;
        return Ok(Outcome::Done);
    }
    let was = match before {
        Some(before) if before.version == pointer.version => ", as before".to_owned(),
        Some(before) => format!(", was {}", before.version),
        None => String::new(),
    };
    writeln!(out, "{location}: data set {} is version {}{was} ({size} bytes)", args.name, pointer.version)?;
    Ok(Outcome::Done)
}

/// What features of addresses are read from has a format of its own.
fn check_format(name: &str, dataset: &Dataset) -> anyhow::Result<()> {
    if name == RANGES && dataset.ranges().is_none() {
        let message =
            format!("{RANGES} is what features of addresses read: a file of `tribunal dataset compile`");
        return Err(Failure::usage(message).hint("publish this under another --name").into());
    }
    Ok(())
}

fn extension(path: &std::path::Path) -> &str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("tds");
    let plain = extension.len() <= 8 && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain && !extension.is_empty() { extension } else { "tds" }
}

async fn open(address: Option<&str>, globals: &Globals) -> anyhow::Result<Registry> {
    match address {
        None => bucket_registry(&Stack::connect(globals).await?).await,
        Some(address) if address.starts_with("s3://") => Ok(Registry::open(address).map_err(explain)?),
        Some(folder) => folder_registry(std::path::Path::new(folder)),
    }
}

fn explain(error: RegistryError) -> anyhow::Error {
    match error {
        RegistryError::Invalid { .. } => {
            Failure::usage(error.to_string()).hint("give a --name as it stands in sources.toml").into()
        }
        other => other.into(),
    }
}
