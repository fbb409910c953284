//! `score`: entities to scores, through the deployed state machine or, with `--local`, in this process.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use aws_sdk_sfn::types::SyncExecutionStatus;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::{Value, json};
use tribunal_core::Score;
use tribunal_core::message::{EnsembleOutput, MAX_BATCH_BYTES, MAX_BATCH_ENTITIES};
use tribunal_runtime::sdk::HostPrefix;

use super::local;
use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::input::{InputArgs, Refused, normalise};
use crate::output::{counted, cut, json_scores};
use crate::show;

/// Executions under way at once.
const CONCURRENCY: usize = 4;
/// Most entities of one call: the caller waits, and the queue is made for more.
const MAX_ENTITIES: usize = 10_000;

/// Arguments of `score`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Entities that are refused are named on standard error with line and reason; all others are scored, and the
exit code is 3.

Examples:
  tribunal score 'secure-app1e[.]site' 8.8.8.8
  tribunal score --local --file names.txt --top 20
  tribunal score --local --file feed.csv --json --lines > scores.jsonl")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) input: InputArgs,
    /// Score in this process, with the models of a folder: no AWS, nothing is stored.
    #[arg(long)]
    local: bool,
    /// The folder with the models.
    #[arg(
        long,
        requires = "local",
        default_value = "models",
        env = "TRIBUNAL_MODELS",
        value_name = "FOLDER"
    )]
    pub(super) models: PathBuf,
    /// A file of `tribunal dataset compile`: networks and countries of addresses. Without it, the data set
    /// `ip-ranges` of the folder; without that, these features are missing.
    #[arg(long, requires = "local", value_name = "FILE")]
    pub(super) dataset: Option<PathBuf>,
    /// A `sources.toml`: its sources are asked too. Secrets come from the environment (`tribunal sources --help`).
    #[arg(long, requires = "local", value_name = "FILE")]
    pub(super) sources: Option<PathBuf>,
    /// Print only the N riskiest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) top: Option<u32>,
    /// Print each score at once, in the order given, one per line; memory does not grow.
    #[arg(long, requires = "local", conflicts_with = "top")]
    pub(super) lines: bool,
    /// With --lines and --json, print the feature vector with each score, as `tribunal replay --from` needs it.
    #[arg(long, requires = "lines")]
    pub(super) vectors: bool,
    /// Print how each risk comes about, as `tribunal explain` does; with --json one object per line.
    #[arg(long, requires = "local", conflicts_with = "lines")]
    pub(super) explain: bool,
}

/// Entities that an execution failed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Failed {
    /// How many.
    entities: usize,
    /// Name of the error.
    error: String,
    /// What it says.
    cause: String,
}

/// Texts to be scored, and those that are not entities.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// As given, each entity once.
    pub(super) texts: Vec<String>,
    pub(super) refused: Vec<Refused>,
}

/// Scores entities.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    if args.local {
        return local::run(args, globals).await;
    }
    let mut collected = collect(&args.input)?;
    let mut scores = Vec::new();
    let mut failed = Vec::new();
    if !collected.texts.is_empty() {
        let stack = Stack::connect(&globals).await?;
        let answers = execute_all(&stack, &collected.texts).await?;
        let mut keys = Vec::new();
        for answer in answers {
            match answer {
                Ok(output) => {
                    keys.extend(output.scores);
                    collected.refused.extend(output.refused.into_iter().map(Refused::from));
                }
                Err(failure) => failed.push(failure),
            }
        }
        scores = Scores::of(&stack).by_keys(&keys).await?;
        anyhow::ensure!(
            scores.len() == keys.len(),
            "{} of {} scores are not in the table: were they deleted?",
            keys.len() - scores.len(),
            keys.len()
        );
    }
    scores.sort_by(show::scores::riskiest_first);
    finish(&scores, &collected.refused, &failed, args.top, &globals)
}

fn finish(
    scores: &[Score],
    refused: &[Refused],
    failed: &[Failed],
    top: Option<u32>,
    globals: &Globals,
) -> anyhow::Result<Outcome> {
    let shown = &scores[..scores.len().min(top.map_or(usize::MAX, |top| top as usize))];
    let mut out = io::stdout().lock();
    if globals.json {
        json_scores(&mut out, shown, json!({"refused": refused, "failed": failed}))?;
    } else {
        show::scores::write_top(&mut out, globals.screen(), shown, &show::scores::Summary::of(scores))?;
    }
    drop(out);
    show::refused(refused, refused.len());
    if let Some(first) = failed.first() {
        let entities = failed.iter().map(|f| f.entities).sum();
        let what = counted(entities, "entity was", "entities were");
        let message = format!("{what} not scored: {}: {}", first.error, first.cause);
        return Err(Failure::failed(message)
            .hint("`tribunal status` shows what is deployed and published")
            .into());
    }
    Ok(Outcome::of_refused(refused.len()))
}

/// Reads the entities, each once, in the order given.
pub(super) fn collect(input: &InputArgs) -> anyhow::Result<Collected> {
    let mut collected = Collected::default();
    let mut seen = HashSet::new();
    for next in input.open()? {
        let given = match next? {
            Ok(given) => given,
            Err(refused) => {
                collected.refused.push(refused);
                continue;
            }
        };
        match normalise(&given) {
            Ok(entity) if seen.insert(entity.name().to_owned()) => collected.texts.push(given.text),
            Ok(_) => {}
            Err(refused) => collected.refused.push(refused),
        }
        if collected.texts.len() > MAX_ENTITIES || collected.refused.len() > MAX_ENTITIES {
            return Err(Failure::usage(format!("more than {MAX_ENTITIES} entities to wait for"))
                .hint("put them on the queue with `tribunal enqueue`, or score them with --local")
                .into());
        }
    }
    Ok(collected)
}

/// Texts packed as dispatch packs them: by count and by bytes.
pub(super) fn chunks(texts: &[String]) -> Vec<&[String]> {
    let mut chunks = Vec::new();
    let mut rest = texts;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take(MAX_BATCH_ENTITIES).take_while(|text| {
            bytes += text.len() + 128;
            bytes <= MAX_BATCH_BYTES
        });
        // One text is far smaller than a batch, so that each chunk has one.
        let (chunk, after) = rest.split_at(fits.count().max(1));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

async fn execute_all(stack: &Stack, texts: &[String]) -> anyhow::Result<Vec<Result<EnsembleOutput, Failed>>> {
    let client = stack.step_functions();
    let progress = show::progress::count(texts.len(), "scored");
    let answers = stream::iter(chunks(texts))
        .map(|chunk| {
            let (client, progress) = (&client, &progress);
            async move {
                let answer = execute(stack, client, chunk).await?;
                progress.inc(chunk.len() as u64);
                anyhow::Ok(answer)
            }
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await;
    progress.finish_and_clear();
    answers
}

async fn execute(
    stack: &Stack,
    client: &aws_sdk_sfn::Client,
    chunk: &[String],
) -> anyhow::Result<Result<EnsembleOutput, Failed>> {
    let answer = client
        .start_sync_execution()
        .state_machine_arn(&stack.outputs.state_machine_arn)
        .input(json!({"entities": chunk}).to_string())
        .customize()
        .interceptor(HostPrefix::for_endpoint(stack.reach.endpoint.as_deref()))
        .send()
        .await
        .map_err(|e| stack.reach.explain("cannot run the state machine", e))?;
    if *answer.status() == SyncExecutionStatus::Succeeded {
        let output = answer.output().unwrap_or_default();
        let output = serde_json::from_str(output).map_err(|error| {
            anyhow::anyhow!(
                "the execution answered with something else than scores: {error}: {}",
                cut(output, 200)
            )
        })?;
        return Ok(Ok(output));
    }
    Ok(Err(Failed {
        entities: chunk.len(),
        error: answer.error().map_or_else(|| answer.status().as_str().to_owned(), str::to_owned),
        cause: cause(answer.cause().unwrap_or("no cause given")),
    }))
}

/// A function's cause is JSON with `errorMessage`; others are text.
fn cause(cause: &str) -> String {
    let message = serde_json::from_str::<Value>(cause)
        .ok()
        .and_then(|value| value.get("errorMessage").and_then(Value::as_str).map(str::to_owned));
    cut(&message.unwrap_or_else(|| cause.to_owned()), 500).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_bounded_by_count_and_bytes() {
        let sizes = |texts: &[String]| chunks(texts).iter().map(|c| c.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&vec!["a.com".to_owned(); 101]), [50, 50, 1]);
        assert_eq!(sizes(&vec!["x".repeat(2_048); 60]), [16, 16, 16, 12]);
        assert!(sizes(&[]).is_empty());
    }

    #[test]
    fn a_cause_is_the_message_of_the_function() {
        assert_eq!(
            cause(r#"{"errorType":"X","errorMessage":"models/a: digest mismatch","t":1}"#),
            "models/a: digest mismatch"
        );
        assert_eq!(cause("States.Timeout"), "States.Timeout");
        assert!(cause(&"x".repeat(600)).len() < 510);
    }
}
