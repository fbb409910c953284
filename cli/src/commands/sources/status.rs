//! `sources status`: how much of each source's quota is left, over all environments.

use std::io;
use std::path::Path;

use serde_json::{Value, json};
use tribunal_runtime::chain;
use tribunal_sources::aws::DynamoQuota;
use tribunal_sources::quota::{Level, Quota as _};

use super::super::models::bucket_registry;
use crate::aws::stack::Stack;
use crate::exit::Outcome;
use crate::globals::Globals;
use crate::output::{foreign, json_line, number, table, thousands, write_table};
use crate::show;

/// Shows the quotas of the declaration that is published, or of a file.
pub(super) async fn run(file: Option<&Path>, globals: &Globals) -> anyhow::Result<Outcome> {
    let stack = Stack::connect(globals).await?;
    let declaration = match file {
        Some(path) => super::read(path)?,
        None => super::published(&bucket_registry(&stack).await?).await?,
    };
    let quota = DynamoQuota::new(stack.config(), &stack.outputs.source_table);
    let mut levels = Vec::new();
    for (name, source) in declaration.asked() {
        let level = match &source.quota {
            Some(config) => {
                let level = quota.level(name, config).await;
                Some(level.map_err(|error| {
                    anyhow::anyhow!("cannot read the quota of {name}: {}", chain(&*error))
                })?)
            }
            None => None,
        };
        levels.push((name.clone(), source.adapter(), level));
    }
    print(&levels, globals)?;
    Ok(if levels.is_empty() { Outcome::NotFound } else { Outcome::Done })
}

fn print(levels: &[(String, &str, Option<Level>)], globals: &Globals) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if globals.json {
        for (name, adapter, level) in levels {
            let quota = level.map_or(Value::Null, |level| {
                json!({"tokens": level.tokens, "capacity": level.capacity,
                    "next_ms": level.next_in.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))})
            });
            json_line(&mut out, &json!({"source": name, "adapter": adapter, "quota": quota}))?;
        }
        return Ok(());
    }
    if levels.is_empty() {
        show::note("no sources are declared");
        return Ok(());
    }
    let mut rows = table(globals.screen(), &["source", "asked by", "requests left", "of", "next in"]);
    for (name, adapter, level) in levels {
        let count = |n: u64| thousands(usize::try_from(n).unwrap_or(usize::MAX));
        let cells = match level {
            None => ["no quota".to_owned(), "-".to_owned(), "-".to_owned()],
            Some(level) => [
                count(level.tokens),
                count(level.capacity),
                level
                    .next_in
                    .map_or_else(|| "full".to_owned(), |wait| format!("{:.1} s", wait.as_secs_f64())),
            ],
        };
        let [left, of, next] = cells;
        rows.add_row([foreign(name), foreign(adapter), number(left), number(of), number(next)]);
    }
    Ok(write_table(&mut out, &rows)?)
}
