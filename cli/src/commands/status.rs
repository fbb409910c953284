//! `status`: the deployment at a glance.

use std::io;

use comfy_table::Cell;
use serde_json::json;

use super::models;
use crate::aws::queue::{Depth, Queue};
use crate::aws::stack::Stack;
use crate::exit::Outcome;
use crate::globals::Globals;
use crate::output::{Screen, escape, foreign, json_line, table, write_table};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Shows the deployment.
pub(crate) async fn run(_: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let stack = Stack::connect(&globals).await?;
    let queue = Queue::new(stack.sqs(), &stack.outputs.queue_url, &stack.reach).depth().await?;
    let dlq = Queue::new(stack.sqs(), &stack.outputs.dlq_url, &stack.reach).depth().await?;
    let published = models::published(&stack).await;
    let mut out = io::stdout().lock();
    if globals.json {
        let (models, problem) = match &published {
            Ok(published) => (serde_json::to_value(published)?, None),
            Err(error) => (json!([]), Some(format!("{error:#}"))),
        };
        let o = &stack.outputs;
        json_line(
            &mut out,
            &json!({
                "stack": stack.reach.stack, "region": stack.reach.region, "endpoint": stack.reach.endpoint,
                "queue": depth(queue), "dlq": depth(dlq), "queue_url": o.queue_url, "dlq_url": o.dlq_url,
                "table": o.table, "state_machine": o.state_machine_arn, "bucket": o.bucket,
                "predictors": o.models, "published": models, "registry_error": problem,
            }),
        )?;
        return Ok(Outcome::Done);
    }
    write(&mut out, globals.screen(), &stack, queue, dlq, &published)?;
    Ok(Outcome::Done)
}

fn depth(depth: Depth) -> serde_json::Value {
    json!({"waiting": depth.waiting, "in_flight": depth.in_flight})
}

fn write(
    out: &mut impl io::Write,
    screen: Screen,
    stack: &Stack,
    queue: Depth,
    dlq: Depth,
    published: &anyhow::Result<Vec<models::Published>>,
) -> io::Result<()> {
    let mut rows = table(screen, &[]);
    let mut row = |name: &str, cell: Cell| {
        rows.add_row([Cell::new(name), cell]);
    };
    row("stack", foreign(&format!("{} in {}", stack.reach.stack, stack.reach.place())));
    row("queue", Cell::new(format!("{} waiting, {} in flight", queue.waiting, queue.in_flight)));
    let see = if dlq.waiting > 0 { " (see `tribunal dlq`)" } else { "" };
    row("dead letters", Cell::new(format!("{}{see}", dlq.waiting)));
    row("table", foreign(&stack.outputs.table));
    row("state machine", foreign(&stack.outputs.state_machine_arn));
    row("bucket", foreign(&stack.outputs.bucket));
    for model in &stack.outputs.models {
        row("predictor", foreign(&describe(model, published)));
    }
    match published {
        Ok(published) => {
            for other in published.iter().filter(|p| p.kind != "model") {
                row(other.kind, foreign(&format!("{} version {}", other.name, other.version)));
            }
        }
        Err(error) => row("registry", foreign(&format!("{error:#}"))),
    }
    write_table(out, &rows)
}

fn describe(model: &str, published: &anyhow::Result<Vec<models::Published>>) -> String {
    let Ok(published) = published else { return model.to_owned() };
    match published.iter().find(|p| p.kind == "model" && p.name == model) {
        Some(p) => format!("{model} version {}", p.version),
        None => format!("{} (not published: `tribunal publish`)", escape(model)),
    }
}
