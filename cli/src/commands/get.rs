//! `get`: the latest score of an entity, in full.

use std::io;

use serde_json::json;
use tribunal_runtime::now_ms;

use super::explain::{entity, no_score};
use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::Outcome;
use crate::globals::Globals;
use crate::output::{json_line, json_scores};
use crate::show;

/// Arguments of `get`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Domain name or IP address, as pasted.
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// Show the latest N scores as a table instead, newest first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    history: Option<u16>,
}

/// Shows the score.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let entity = entity(args.entity)?;
    let stack = Stack::connect(&globals).await?;
    let limit = usize::from(args.history.unwrap_or(1));
    let scores = Scores::of(&stack).history(entity.name(), limit).await?;
    let mut out = io::stdout().lock();
    let latest = scores.first().ok_or_else(|| no_score(&entity))?;
    match (args.history.is_some(), globals.json) {
        (false, true) => json_line(&mut out, latest)?,
        (true, true) => json_scores(&mut out, &scores, json!({}))?,
        (false, false) => show::detail::write(&mut out, globals.screen(), latest, now_ms())?,
        (true, false) => show::scores::write(&mut out, globals.screen(), &scores, true)?,
    }
    Ok(Outcome::Done)
}
