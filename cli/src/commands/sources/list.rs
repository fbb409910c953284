//! `sources list`: what is declared.

use std::io;

use serde_json::{Value, json};
use tribunal_core::Kind;
use tribunal_sources::Declaration;
use tribunal_sources::config::SourceConfig;

use crate::exit::Outcome;
use crate::globals::Globals;
use crate::output::{foreign, json_line, number, table, write_table};
use crate::show;

/// Lists the sources, those that are off too.
pub(super) fn run(declaration: &Declaration, globals: &Globals) -> anyhow::Result<Outcome> {
    let mut out = io::stdout().lock();
    if globals.json {
        let sources: Vec<Value> =
            declaration.sources.iter().map(|(name, source)| to_json(name, source)).collect();
        let value = json!({"budget_ms": declaration.budget.timeout_ms, "sources": sources,
            "digest": declaration.digest()});
        json_line(&mut out, &value)?;
    } else if declaration.sources.is_empty() {
        show::note("no sources are declared");
    } else {
        let header = ["source", "asked by", "kinds", "timeout", "up to tlp", "quota", "features", "knows"];
        let mut rows = table(globals.screen(), &header);
        for (name, source) in &declaration.sources {
            let quota =
                source.quota.map_or_else(|| "-".to_owned(), |q| format!("{} per {} s", q.requests, q.per_s));
            let features: Vec<&str> = source.features.iter().map(|f| f.name.as_str()).collect();
            rows.add_row([
                foreign(name),
                foreign(if source.enabled { source.adapter() } else { "off" }),
                foreign(&kinds(source)),
                number(format!("{} ms", source.timeout_ms)),
                foreign(source.ceiling().as_str()),
                foreign(&quota),
                foreign(&features.join(" ")),
                foreign(&source.description),
            ]);
        }
        write_table(&mut out, &rows)?;
    }
    Ok(if declaration.sources.is_empty() { Outcome::NotFound } else { Outcome::Done })
}

fn kinds(source: &SourceConfig) -> String {
    source.kinds.iter().map(|kind: &Kind| kind.as_str()).collect::<Vec<_>>().join(" ")
}

fn to_json(name: &str, source: &SourceConfig) -> Value {
    json!({
        "name": name,
        "enabled": source.enabled,
        "adapter": source.adapter(),
        "kinds": source.kinds,
        "timeout_ms": source.timeout_ms,
        "tlp": source.ceiling().as_str(),
        "quota": source.quota,
        "features": source.features.iter().map(|feature| &feature.name).collect::<Vec<_>>(),
        "secrets": source.secrets(),
        "description": source.description,
    })
}
