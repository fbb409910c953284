//! `ensemble check`: a definition, and whether its members are there.

use std::io::Write as _;
use std::path::Path;

use serde_json::json;
use tribunal_core::Kind;
use tribunal_core::digest::sha256;
use tribunal_core::ensemble::EnsembleDefinition;
use tribunal_registry::Registry;

use super::{Place, read};
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{counted, escape, json_line, shown};

/// Checks.
pub(super) async fn run(file: &Path, place: &Place, globals: &Globals) -> anyhow::Result<Outcome> {
    let (definition, bytes) = read(file)?;
    // Nobody is asked unless a registry is named: a file is checked where there is no deployment.
    let registry = match place.registry {
        Some(_) => Some(place.open(globals).await?),
        None => None,
    };
    if let Some(registry) = &registry {
        members(&definition, registry).await?;
    }
    let mut out = std::io::stdout().lock();
    if globals.json {
        let value = json!({
            "file": file.display().to_string(), "version": definition.version, "digest": sha256(&bytes),
            "bytes": bytes.len(), "members": definition.members.len(), "lists": definition.lists.len(),
            "registry": registry.map(|registry| registry.location().to_owned()),
        });
        json_line(&mut out, &value)?;
        return Ok(Outcome::Done);
    }
    let members = counted(definition.members.len(), "member", "members");
    let there = registry.map_or_else(
        || "; not whether they are published (--registry)".to_owned(),
        |registry| format!(", published in {}", escape(registry.location())),
    );
    let entries = counted(definition.lists.len(), "entry of the lists", "entries of the lists");
    writeln!(out, "{}: version {}: {entries}, {members}{there}", shown(file), escape(&definition.version))?;
    Ok(Outcome::Done)
}

/// Refuses a definition whose members are not published whole, or do not serve a kind that they have a say in.
pub(super) async fn members(definition: &EnsembleDefinition, registry: &Registry) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    for (i, member) in definition.members.iter().enumerate() {
        let model = match registry.load_model(&member.model).await {
            Ok(model) => model,
            Err(error) if error.is_missing() => {
                let location = registry.location();
                problems.push(format!("members[{i}].model: {} is not published in {location}", member.model));
                continue;
            }
            Err(error) => return Err(anyhow::Error::from(error).context(format!("members[{i}].model"))),
        };
        for kind in Kind::ALL {
            let serves = model.manifest.parts.iter().any(|part| part.kinds.contains(&kind));
            if *member.weight.get(kind) > 0.0 && !serves {
                problems.push(format!(
                    "members[{i}].weight.{}: version {} of {} has no part for this kind; 0 is expected",
                    kind.as_str(),
                    model.manifest.version,
                    member.model
                ));
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(problems.join("\n")).hint("see `tribunal models`; publish models first").into())
}
