//! `ensemble`: the definition of the ensemble: checked, published, shown, and its lists edited.
//!
//! A definition is published as a version that never changes; a pointer says which is in force. An edit of the lists
//! is a new version made from the one in force, so that every state of the lists can be gone back to. The pointer is
//! moved only if it is still the one that was read: of two who edit at the same time, the second starts again.

mod check;
mod edit;
mod pattern;
pub(crate) mod publish;
mod show;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tribunal_core::ensemble::{DefinitionError, EnsembleDefinition, MAX_DEFINITION_BYTES};
use tribunal_registry::{PointerState, Registry, RegistryError};

use super::models::{bucket_registry, folder_registry};
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{cut, shown};

/// Most bytes of the path of a field in a message: keys of a file are of any length.
const MAX_PATH_BYTES: usize = 200;

/// Arguments of `ensemble`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tribunal ensemble check ensemble.json --registry models\n  \
    tribunal ensemble publish ensemble.json --keep-lists\n  \
    tribunal ensemble allow portal.example --reason 'ours, case 4711' --expires 30d\n  \
    tribunal ensemble deny '*.evil.example' --reason 'campaign of May'\n  \
    tribunal ensemble deny 192.0.2.0/24 --reason 'bulletproof hosting'\n  \
    tribunal ensemble remove portal.example\n  tribunal ensemble lists\n\n\
    The form of a definition: docs/scores.md")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Which registry is meant.
#[derive(Debug, clap::Args)]
struct Place {
    /// A folder or `s3://bucket[/prefix]`, instead of the stack's bucket.
    #[arg(long, value_name = "FOLDER")]
    registry: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check a definition; with --registry, also that its members are published there and serve their kinds.
    Check {
        /// The definition, JSON.
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Check a definition and its members, publish it as a version, and put it in force.
    Publish(publish::Args),
    /// Show the definition that is in force: members, weights, methods, thresholds, profiles, lists.
    Show {
        /// A definition that is not published yet.
        file: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Show the lists that overrule the models, in the order in which they decide.
    Lists {
        #[command(flatten)]
        place: Place,
    },
    /// Put an entry on the lists: its entities are benign, whatever the models say.
    Allow(edit::PutArgs),
    /// Put an entry on the lists: its entities are malicious, whatever the models say.
    Deny(edit::PutArgs),
    /// Take an entry off the lists, or every entry that has expired.
    Remove(edit::RemoveArgs),
}

/// Runs one of them.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    use tribunal_core::score::ListAction::{Allow, Deny};
    match args.command {
        Command::Check { file, place } => Box::pin(check::run(&file, &place, &globals)).await,
        Command::Publish(args) => Box::pin(publish::run(args, &globals)).await,
        Command::Show { file: Some(file), place } => {
            if place.registry.is_some() {
                return Err(Failure::usage("give a file, or --registry, not both").into());
            }
            show::file(&file, &globals)
        }
        Command::Show { file: None, place } => Box::pin(show::published(&place, &globals)).await,
        Command::Lists { place } => Box::pin(show::lists(&place, &globals)).await,
        Command::Allow(args) => Box::pin(edit::put(args, Allow, &globals)).await,
        Command::Deny(args) => Box::pin(edit::put(args, Deny, &globals)).await,
        Command::Remove(args) => Box::pin(edit::remove(args, &globals)).await,
    }
}

/// The definition that is in force, and what it takes to publish another in its place.
struct InForce {
    definition: EnsembleDefinition,
    digest: String,
    etag: Option<String>,
}

impl Place {
    async fn open(&self, globals: &Globals) -> anyhow::Result<Registry> {
        match self.registry.as_deref() {
            None => bucket_registry(&Stack::connect(globals).await?).await,
            Some(address) if address.starts_with("s3://") => Ok(Registry::open(address)?),
            Some(folder) => folder_registry(Path::new(folder)),
        }
    }
}

/// What is in force; `None` when nothing is.
async fn in_force(registry: &Registry) -> anyhow::Result<Option<InForce>> {
    let (pointer, etag) = match registry.ensemble_state(None).await {
        Ok(PointerState::InForce { pointer, etag }) => (pointer, etag),
        // Only an ETag that was given can be unchanged, and none was.
        Ok(PointerState::Unchanged) => return Ok(None),
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let published = registry.load_ensemble_version(&pointer).await?;
    let definition = parse(&published.object, &published.bytes).map_err(Failure::failed)?;
    Ok(Some(InForce { definition, digest: published.digest, etag }))
}

/// What is in force, which somebody is meant to have published.
async fn required(registry: &Registry) -> anyhow::Result<InForce> {
    in_force(registry).await?.ok_or_else(|| {
        Failure::not_found(format!("no ensemble definition is published in {}", registry.location()))
            .hint("publish one: tribunal ensemble publish FILE")
            .into()
    })
}

/// A definition in a file, checked, and the bytes that it was read from.
fn read(path: &Path) -> anyhow::Result<(EnsembleDefinition, Vec<u8>)> {
    let name = shown(path);
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    if size > MAX_DEFINITION_BYTES as u64 {
        let message = format!("{name} has {size} bytes, the limit is {MAX_DEFINITION_BYTES}");
        return Err(Failure::usage(message).into());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let definition = parse(&name, &bytes)
        .map_err(|message| Failure::usage(message).hint("the form of a definition is in docs/scores.md"))?;
    Ok((definition, bytes))
}

/// The definition in a text, or what is wrong with it and where.
fn parse(name: &str, bytes: &[u8]) -> Result<EnsembleDefinition, String> {
    EnsembleDefinition::parse(bytes).map_err(|error| match error {
        DefinitionError::NotOfTheForm(cause) => match field_of_fault(bytes) {
            Some(field) => format!("{name}: {}: {cause}", cut(&field, MAX_PATH_BYTES)),
            None => format!("{name}: {cause}"),
        },
        other => format!("{name}: {other}"),
    })
}

/// Path of the field at which a text is not of the form; `None` at the top.
fn field_of_fault(bytes: &[u8]) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let fault = serde_path_to_error::deserialize::<_, EnsembleDefinition>(&mut json).err()?;
    // The root is `.`.
    Some(fault.path().to_string()).filter(|path| path != ".")
}

/// A refusal of the registry, as what its user can do about it.
fn explain(error: RegistryError) -> anyhow::Error {
    match error {
        RegistryError::Immutable { .. } => {
            let hint = "a version is published once: give the definition another `version`";
            Failure::failed(error.to_string()).hint(hint).into()
        }
        RegistryError::Invalid { .. } => Failure::usage(error.to_string()).into(),
        RegistryError::Moved { .. } => Failure::failed(error.to_string())
            .hint("see `tribunal ensemble show`, then run this again")
            .into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_named_with_its_field_and_place() {
        let member = r#"{"model":"a","weight":{"domain":1,"ip":"much"}}"#;
        let text = format!("{{\"version\":\"1\",\n\"members\":[{member}]}}");
        let message = parse("e.json", text.as_bytes()).unwrap_err();
        assert!(message.starts_with("e.json: members[0].weight.ip: invalid type"), "{message}");
        assert!(message.contains("line 2 column"), "{message}");
        let message = parse("e.json", b"{\"version\": ]").unwrap_err();
        assert!(message.contains("line 1 column 13"), "{message}");
        let message = parse("e.json", b"{}").unwrap_err();
        assert!(message.starts_with("e.json: missing field `version`"), "{message}");
    }
}
