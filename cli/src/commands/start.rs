//! `start`: executions of the state machine, past the queue, without waiting for them.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::score::{chunks, collect};
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::input::InputArgs;
use crate::output::json_line;
use crate::show;

/// Most bytes of an execution's input: Step Functions' limit.
const MAX_INPUT_BYTES: u64 = 256 * 1024;

/// Arguments of `start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints the ARN of each execution. Its outcome is in the log group of the state machine; the scores are read
with `tribunal get` or `tribunal watch`.")]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Start one execution with the JSON of this file as its input, as it is; `-` is standard input.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["entities", "file"])]
    input_json: Option<PathBuf>,
}

/// Starts the executions.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let (inputs, refused) = match &args.input_json {
        Some(path) => (vec![(read_json(path)?, 0)], Vec::new()),
        None => {
            let collected = collect(&args.input)?;
            let inputs = chunks(&collected.texts)
                .into_iter()
                .map(|chunk| (json!({"entities": chunk}).to_string(), chunk.len()))
                .collect();
            (inputs, collected.refused)
        }
    };
    show::refused(&refused, refused.len());
    let executions = if inputs.is_empty() { Vec::new() } else { start(&inputs, &globals).await? };
    let mut out = io::stdout().lock();
    if globals.json {
        json_line(&mut out, &json!({"executions": executions, "refused": refused}))?;
    } else {
        for execution in &executions {
            writeln!(out, "{}", execution["arn"].as_str().unwrap_or_default())?;
        }
    }
    Ok(Outcome::of_refused(refused.len()))
}

async fn start(inputs: &[(String, usize)], globals: &Globals) -> anyhow::Result<Vec<Value>> {
    let stack = Stack::connect(globals).await?;
    let client = stack.step_functions();
    let mut executions = Vec::with_capacity(inputs.len());
    for (input, entities) in inputs {
        let started = client
            .start_execution()
            .state_machine_arn(&stack.outputs.state_machine_arn)
            .input(input)
            .send()
            .await
            .map_err(|e| stack.reach.explain("cannot start an execution", e))?;
        executions.push(json!({"arn": started.execution_arn(), "entities": entities}));
    }
    Ok(executions)
}

fn read_json(path: &std::path::Path) -> anyhow::Result<String> {
    let name = path.display().to_string();
    let name = crate::output::escape(&name).into_owned();
    let mut text = String::new();
    let source: Box<dyn io::Read> = if name == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| format!("cannot open {name}"))?)
    };
    source
        .take(MAX_INPUT_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {name}"))?;
    if text.len() as u64 > MAX_INPUT_BYTES {
        let message =
            format!("{name} has more than {MAX_INPUT_BYTES} bytes, the limit of an execution's input");
        return Err(Failure::usage(message).into());
    }
    serde_json::from_str::<Value>(&text)
        .map_err(|error| Failure::usage(format!("{name} is not JSON: {error}")))?;
    Ok(text)
}
