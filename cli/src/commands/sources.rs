//! `sources`: the intelligence that is asked: what is declared, whether it answers, how much of its quota is left.

mod check;
mod list;
mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use tribunal_features::Lexicon;
use tribunal_registry::Registry;
use tribunal_sources::dataset::DatasetHolder;
use tribunal_sources::declare::MAX_DECLARATION_BYTES;
use tribunal_sources::{Context, Declaration, Sources, Unopened};

use super::models::{bucket_registry, folder_registry};
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{json_line, shown};

/// Arguments of `sources`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tribunal sources check sources.toml\n  \
    tribunal sources check sources.toml --entity evil.example --only feeds\n  \
    tribunal sources publish sources.toml\n  tribunal sources status\n\n\
    Secrets come from Secrets Manager when deployed, and here from the environment: the secret feeds/db is\n\
    TRIBUNAL_SECRET_FEEDS_DB. The form of the file: docs/sources.md")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a file declares, or, without one, what is published in the stack's bucket.
    List {
        /// A `sources.toml`.
        file: Option<PathBuf>,
    },
    /// Ask every source about an entity, and show what each feature got and how long it took.
    Check(check::Args),
    /// Show how much of each source's quota is left.
    Status {
        /// A `sources.toml`; the published one if not given.
        file: Option<PathBuf>,
    },
    /// Check a file and publish it: functions that run take it up within a minute.
    Publish {
        /// A `sources.toml`.
        file: PathBuf,
        /// A folder instead of the stack's bucket.
        #[arg(long, value_name = "FOLDER")]
        registry: Option<PathBuf>,
    },
    /// Print the JSON Schema of the file, for an editor.
    Schema,
}

/// Runs one of them.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    match args.command {
        Command::List { file } => list::run(&declaration(file.as_deref(), &globals).await?, &globals),
        Command::Check(args) => Box::pin(check::run(args, &globals)).await,
        Command::Status { file } => Box::pin(status::run(file.as_deref(), &globals)).await,
        Command::Publish { file, registry } => Box::pin(publish(&file, registry.as_deref(), &globals)).await,
        Command::Schema => {
            let schema = schemars::schema_for!(Declaration);
            serde_json::to_writer_pretty(std::io::stdout().lock(), &schema)?;
            println_end()?;
            Ok(Outcome::Done)
        }
    }
}

fn println_end() -> std::io::Result<()> {
    use std::io::Write as _;
    std::io::stdout().lock().write_all(b"\n")
}

/// A declaration in a file, checked.
pub(crate) fn read(path: &Path) -> anyhow::Result<Declaration> {
    Ok(read_whole(path)?.0)
}

/// A declaration in a file, checked, and the bytes that it was read from.
fn read_whole(path: &Path) -> anyhow::Result<(Declaration, Vec<u8>)> {
    let name = shown(path);
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    if size > MAX_DECLARATION_BYTES as u64 {
        let message = format!("{name} has {size} bytes, the limit is {MAX_DECLARATION_BYTES}");
        return Err(Failure::usage(message).into());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    Ok((parse(&name, &bytes)?, bytes))
}

fn parse(name: &str, bytes: &[u8]) -> anyhow::Result<Declaration> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name} is not UTF-8")))?;
    let lexicon = Lexicon::embedded().context("the lexicon that is built in is damaged")?;
    let built_in = tribunal_features::schema(lexicon);
    let taken = built_in.positions();
    Declaration::parse(text, |feature| taken.contains_key(feature)).map_err(|error| {
        let problems: Vec<String> = error.0.iter().map(|problem| format!("{name}: {problem}")).collect();
        Failure::usage(problems.join("\n"))
            .hint("the form of the file is in docs/sources.md; `tribunal sources schema` is for an editor")
            .into()
    })
}

/// The declaration of a file, or the one that is published.
async fn declaration(file: Option<&Path>, globals: &Globals) -> anyhow::Result<Declaration> {
    match file {
        Some(path) => read(path),
        None => published(&bucket_registry(&Stack::connect(globals).await?).await?).await,
    }
}

pub(crate) async fn published(registry: &Registry) -> anyhow::Result<Declaration> {
    let Some(declared) = registry.load_sources().await? else {
        let message = format!("no sources are published in {}", registry.location());
        return Err(Failure::not_found(message)
            .hint("publish some: tribunal sources publish sources.toml")
            .into());
    };
    parse(&declared.object, &declared.bytes)
}

/// What sources of a file are opened with on this machine: data sets by path beside the file, by name from `registry`.
pub(crate) fn context_of(
    file: &Path,
    registry: Option<Registry>,
    ranges: Option<Arc<DatasetHolder>>,
) -> Context {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Context { registry, ranges, folder: Some(folder.to_owned()), ..Context::local() }
}

/// Opens the sources; one that cannot be opened is a mistake in the file.
pub(crate) fn open(name: &str, declaration: &Declaration, context: &Context) -> anyhow::Result<Sources> {
    let (sources, unopened) = Sources::open(declaration, context);
    if unopened.is_empty() {
        return Ok(sources);
    }
    let line = |u: &Unopened| format!("{name}: sources.{}.{}: {}", u.source, u.error.key, u.error.reason);
    Err(Failure::usage(unopened.iter().map(line).collect::<Vec<_>>().join("\n")).into())
}

async fn publish(file: &Path, folder: Option<&Path>, globals: &Globals) -> anyhow::Result<Outcome> {
    let (declaration, bytes) = read_whole(file)?;
    let registry = match folder {
        Some(folder) => folder_registry(folder)?,
        None => bucket_registry(&Stack::connect(globals).await?).await?,
    };
    // As a deployment opens it: without a folder for paths.
    let context = Context { folder: None, ..context_of(file, Some(registry.clone()), None) };
    open(&shown(file), &declaration, &context)?;
    let pointer = registry
        .publish_sources(bytes.into())
        .await
        .with_context(|| format!("cannot publish to {}", registry.location()))?;
    let mut out = std::io::stdout().lock();
    let asked = declaration.asked().count();
    if globals.json {
        let value = json!({"location": registry.location(), "version": pointer.version, "digest": pointer.digest,
            "sources": asked, "features": declaration.features().len()});
        json_line(&mut out, &value)?;
    } else {
        use std::io::Write as _;
        let features = declaration.features().len();
        writeln!(
            out,
            "{}: version {} of the sources is in force: {asked} sources, {features} features",
            registry.location(),
            pointer.version
        )?;
    }
    for (name, source) in declaration.asked() {
        for secret in source.secrets() {
            crate::show::note(&format!(
                "source {name} reads the secret {secret}: deploy with -c sources=FILE to permit it"
            ));
        }
    }
    Ok(Outcome::Done)
}
