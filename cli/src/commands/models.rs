//! `models`: what is published in a registry, and `publish`: a folder's registry into the stack's bucket.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aws_credential_types::provider::ProvideCredentials as _;
use serde::Serialize;
use serde_json::json;
use tribunal_extract::RANGES;
use tribunal_registry::{Action, Registry, S3Access};

use crate::aws::stack::Stack;
use crate::commands::ensemble::publish::{Choice, put_back, to_be_kept};
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{counted, escape, foreign, json_line, number, table, thousands, write_table};
use crate::show;

/// Arguments of `models`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look into a folder instead of the stack's bucket.
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Versions never change: a version that is in the bucket with other bytes is an error; publish it under a new
one.
Functions that run already take up a new model, and a new ensemble definition, within a minute.

Example:
  tribunal publish --from models --dataset datasets/ip-ranges.bin")]
pub(crate) struct PublishArgs {
    /// The folder: models, ensemble definition and data sets, laid out as in the bucket.
    #[arg(long, default_value = "models", value_name = "FOLDER")]
    from: PathBuf,
    /// A file of `tribunal dataset compile`, published as the data set `ip-ranges`.
    #[arg(long, value_name = "FILE")]
    dataset: Option<PathBuf>,
    /// Replace versions that are there with other bytes: for development only.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    lists: Choice,
}

/// Something published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Published {
    /// `model`, `ensemble`, `sources` or `data set`.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// Version in force.
    pub(crate) version: String,
    /// Digest of the manifest, the definition, or the data.
    pub(crate) digest: String,
    /// Trainer, or empty.
    pub(crate) trainer: String,
    /// Bytes of its files.
    pub(crate) bytes: u64,
}

/// Lists what is in force.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let published = match &args.from {
        Some(folder) => list(&folder_registry(folder)?).await?,
        None => published(&Stack::connect(&globals).await?).await?,
    };
    let mut out = io::stdout().lock();
    if globals.json {
        json_line(&mut out, &json!({"published": published}))?;
    } else if published.is_empty() {
        show::note("nothing is published: `tribunal publish --from models`");
    } else {
        let mut rows = table(globals.screen(), &["kind", "name", "version", "digest", "bytes", "trainer"]);
        for p in &published {
            rows.add_row([
                foreign(p.kind),
                foreign(&p.name),
                foreign(&p.version),
                foreign(&show::detail::short(&p.digest)),
                number(thousands(usize::try_from(p.bytes).unwrap_or(usize::MAX))),
                foreign(&p.trainer),
            ]);
        }
        write_table(&mut out, &rows)?;
    }
    Ok(if published.is_empty() { Outcome::NotFound } else { Outcome::Done })
}

/// What the stack's bucket has in force.
pub(crate) async fn published(stack: &Stack) -> anyhow::Result<Vec<Published>> {
    list(&bucket_registry(stack).await?).await
}

async fn list(registry: &Registry) -> anyhow::Result<Vec<Published>> {
    let mut published = Vec::new();
    for name in registry.models().await? {
        let model = registry.load_model(&name).await?;
        published.push(Published {
            kind: "model",
            bytes: model.manifest.parts.iter().map(|part| part.bytes).sum(),
            version: model.manifest.version,
            digest: model.manifest_digest,
            trainer: model.manifest.trainer,
            name,
        });
    }
    match registry.load_ensemble().await {
        Ok(definition) => published.push(Published {
            kind: "ensemble",
            name: "ensemble".to_owned(),
            version: definition.version,
            digest: definition.digest,
            trainer: String::new(),
            bytes: definition.bytes.len() as u64,
        }),
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(declared) = registry.load_sources().await? {
        published.push(Published {
            kind: "sources",
            name: "sources".to_owned(),
            version: declared.version,
            digest: declared.digest,
            trainer: String::new(),
            bytes: declared.bytes.len() as u64,
        });
    }
    for name in registry.datasets().await? {
        if let Some(dataset) = registry.load_dataset(&name).await? {
            published.push(Published {
                kind: "data set",
                name,
                version: dataset.pointer.version,
                digest: dataset.pointer.sha256,
                trainer: String::new(),
                bytes: dataset.pointer.bytes,
            });
        }
    }
    Ok(published)
}

/// Publishes a folder and a data set.
pub(crate) async fn publish(args: PublishArgs, globals: Globals) -> anyhow::Result<Outcome> {
    let source = folder_registry(&args.from)?;
    let dataset = args.dataset.as_deref().map(read_dataset).transpose()?;
    let stack = Stack::connect(&globals).await?;
    let target = bucket_registry(&stack).await?;
    let kept = to_be_kept(&source, &target, args.lists).await?;
    let progress = show::progress::count(0, "objects");
    let on_progress = |step: tribunal_registry::Progress<'_>| {
        progress.set_length(step.total as u64);
        progress.set_position(step.done as u64);
        if step.action == Action::Written {
            progress.println(format!("wrote {}", escape(&step.object.path)));
        }
    };
    let done = if args.replace {
        target.replace_from(&source, on_progress).await
    } else {
        target.publish_from(&source, on_progress).await
    };
    progress.finish_and_clear();
    let done = done.with_context(|| format!("cannot publish to {}", target.location()))?;
    put_back(&target, kept).await?;
    let pointer = match dataset {
        Some((version, bytes)) => {
            Some(target.publish_dataset(RANGES, &version, "ip-ranges.bin", bytes).await?)
        }
        None => None,
    };
    let mut out = io::stdout().lock();
    if globals.json {
        let value = json!({
            "location": target.location(),
            "written": done.written,
            "unchanged": done.unchanged,
            "ignored": done.ignored,
            "dataset": pointer.map(|p| json!({"name": RANGES, "version": p.version})),
        });
        json_line(&mut out, &value)?;
    } else {
        let written = counted(done.written, "object written", "objects written");
        let dataset = pointer.map_or_else(String::new, |p| format!(", {RANGES} version {}", p.version));
        writeln!(out, "{}: {written}, {} unchanged{dataset}", target.location(), done.unchanged)?;
    }
    Ok(Outcome::Done)
}

/// Version and bytes of a compiled data set. The version is of the bytes: the same file is the same version.
fn read_dataset(path: &Path) -> anyhow::Result<(String, bytes::Bytes)> {
    // Opened first: what is published can be searched.
    super::local::open_ranges(path)?;
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read {}", escape(&path.display().to_string())))?;
    let digest = tribunal_core::digest::sha256(&bytes);
    let version = digest.trim_start_matches("sha256:").get(..12).unwrap_or_default().to_owned();
    Ok((version, bytes.into()))
}

/// The registry in a folder.
pub(crate) fn folder_registry(folder: &Path) -> anyhow::Result<Registry> {
    let name = escape(&folder.display().to_string()).into_owned();
    if !folder.is_dir() {
        let hint = "give the folder with the models: `models` of a checkout";
        return Err(Failure::usage(format!("{name} is not a folder")).hint(hint).into());
    }
    let address = folder.to_str().with_context(|| format!("{name} is not UTF-8"))?;
    Registry::open(address).with_context(|| format!("cannot open {name}"))
}

/// The registry in the stack's bucket, with the credentials of the SDK (profiles included).
pub(crate) async fn bucket_registry(stack: &Stack) -> anyhow::Result<Registry> {
    let provider = stack.config().credentials_provider().context("no credentials provider")?;
    let keys = provider.provide_credentials().await.context("no AWS credentials")?;
    let access = S3Access {
        region: Some(stack.reach.region.clone()),
        endpoint: stack.reach.endpoint.clone(),
        keys: Some((
            keys.access_key_id().to_owned(),
            keys.secret_access_key().to_owned(),
            keys.session_token().map(str::to_owned),
        )),
    };
    Registry::open_with(&stack.registry_url(), &access)
        .with_context(|| format!("cannot open {}", stack.registry_url()))
}
