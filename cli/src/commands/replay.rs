//! `replay`: computes a stored score again, from its vector, with exactly the models and the definition that it names,
//! and compares bit by bit.
//!
//! Versions and digests stand in the score; the registry keeps every version under its digest, in force or not. The
//! features' names and origins come from the schema of this release, extended by the declaration of sources where the
//! score has features of sources: its digest has to be the one that the score names. The clock of the replay is the
//! time of scoring, so that list entries are as they were. A member that did not answer then does not answer now, for
//! the reason that is stored. No source is asked, and nothing is written.

mod compare;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;
use tribunal_core::Score;
use tribunal_core::ensemble::EnsembleDefinition;
use tribunal_core::message::{
    CaughtError, EnsembleInput, ExtractInput, FeatureBatch, Item, PredictionOutcome,
};
use tribunal_core::score::PredictorOutcome;
use tribunal_ensemble::score_batch;
use tribunal_extract::{Extraction, Ranges};
use tribunal_predict::Predictor;
use tribunal_registry::{Pointer, Registry};
use tribunal_runtime::{chain, now_ms};

use super::explain::{entity, no_score, pick};
use super::models::{bucket_registry, folder_registry};
use super::sources;
use crate::aws::scores::Scores;
use crate::aws::stack::Stack;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{escape, json_line};
use crate::show::detail::short;
use crate::stored::StoredScores;
use crate::when::When;
use compare::Difference;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 0 when every bit is the same, 6 when anything differs, 4 when a version that the score names is gone.

Examples:
  tribunal replay paypa1-login.com
  tribunal replay paypa1-login.com --at 2026-11-20 --json
  tribunal score --local --lines --json --vectors x.com > x.jsonl
  tribunal replay x.com --from x.jsonl --registry models")]
pub(crate) struct Args {
    /// Domain name or IP address, as pasted.
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// The score that was the latest then: a span back from now (24h, 7d), a day (2026-11-24, UTC), or an RFC 3339 time.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
    /// Where the versions lie, instead of the stack's bucket: a folder, or s3://bucket.
    #[arg(long, value_name = "ADDRESS")]
    registry: Option<String>,
    /// Read the score of a file (JSON lines with `vector`, `-` is standard input) instead of the stack's table.
    #[arg(long, value_name = "FILE", requires = "registry")]
    from: Option<PathBuf>,
    /// The `sources.toml` that the score's features were declared by; without it, the published one if it is needed.
    #[arg(long, value_name = "FILE")]
    sources: Option<PathBuf>,
}

/// What became of a replay.
#[derive(Debug, Serialize)]
struct Report<'a> {
    entity: &'a str,
    scored_key: &'a str,
    identical: bool,
    differences: Vec<Difference>,
    missing: Vec<String>,
    ensemble: &'a tribunal_core::score::EnsembleRef,
    models: Vec<ModelRef<'a>>,
    schema: &'a str,
}

#[derive(Debug, Serialize)]
struct ModelRef<'a> {
    model: &'a str,
    version: &'a str,
    digest: &'a str,
}

/// Replays a score.
pub(crate) async fn run(args: Args, globals: Globals) -> anyhow::Result<Outcome> {
    let entity = entity(args.entity)?;
    let now = now_ms();
    let at_ms = args.at.map_or(now, |at| at.millis(now));
    let stack = match args.from {
        Some(_) => None,
        None => Some(Stack::connect(&globals).await?),
    };
    let found = match (&args.from, &stack) {
        (Some(file), _) => pick(StoredScores::open(file)?.of_entity(entity.name())?, at_ms)
            .map(|stored| (stored.score, stored.vector)),
        (None, Some(stack)) => {
            let item = Scores::of(stack).latest(entity.name(), at_ms).await?;
            item.map(|item| (item.score, Some(item.vector.into_iter().map(finite).collect())))
        }
        (None, None) => None,
    };
    let (score, vector) = found.ok_or_else(|| no_score(&entity))?;
    let vector: Vec<Option<f32>> = vector.ok_or_else(|| {
        Failure::usage("the score has no vector")
            .hint("`tribunal score --local --lines --json --vectors` prints it too")
    })?;
    let registry = match (&args.registry, &stack) {
        (Some(address), _) => open(address)?,
        (None, Some(stack)) => bucket_registry(stack).await?,
        (None, None) => anyhow::bail!("no registry"),
    };
    let replay = Replay { score: &score, registry: &registry };
    let report = replay.run(vector, args.sources.as_deref()).await?;
    let mut out = io::stdout().lock();
    if globals.json {
        json_line(&mut out, &report)?;
    } else {
        write(&mut out, &report)?;
    }
    Ok(match (report.missing.is_empty(), report.identical) {
        (false, _) => Outcome::NotFound,
        (true, true) => Outcome::Done,
        (true, false) => Outcome::Differs,
    })
}

const fn finite(value: f32) -> Option<f32> {
    if value.is_finite() { Some(value) } else { None }
}

fn open(address: &str) -> anyhow::Result<Registry> {
    if address.contains("://") {
        return Registry::open(address).with_context(|| format!("cannot open {}", escape(address)));
    }
    folder_registry(Path::new(address))
}

struct Replay<'a> {
    score: &'a Score,
    registry: &'a Registry,
}

impl<'a> Replay<'a> {
    async fn run(&self, vector: Vec<Option<f32>>, sources: Option<&Path>) -> anyhow::Result<Report<'a>> {
        let score = self.score;
        let features = self.features(vector, sources).await?;
        let mut missing = Vec::new();
        let definition = self.definition().await.map_err(|error| missing.push(error)).ok();
        let mut predictions = Vec::new();
        for stored in &score.predictors {
            match self.prediction(stored, &features).await? {
                Ok(found) => predictions.extend(found),
                Err(error) => missing.push(error),
            }
        }
        let differences = match definition.filter(|_| missing.is_empty()) {
            Some(definition) => {
                let input = EnsembleInput { features, predictions };
                let again = score_batch(&definition, &score.ensemble.digest, &input, &score.scored_at);
                compare::scores(score, again.first().context("nothing was computed")?)
            }
            None => Vec::new(),
        };
        let models = score.predictors.iter().filter_map(|p| {
            Some(ModelRef { model: &p.model, version: p.version.as_deref()?, digest: p.digest.as_deref()? })
        });
        Ok(Report {
            entity: &score.entity,
            scored_key: &score.scored_key,
            identical: missing.is_empty() && differences.is_empty(),
            differences,
            missing,
            ensemble: &score.ensemble,
            models: models.collect(),
            schema: &score.schema,
        })
    }

    /// What extraction handed on, with the stored vector in it.
    async fn features(
        &self,
        vector: Vec<Option<f32>>,
        sources: Option<&Path>,
    ) -> anyhow::Result<FeatureBatch> {
        let score = self.score;
        let extraction = self.extraction(sources).await?;
        let (requested_at, request_id) = score.scored_key.split_once('#').unwrap_or((&score.scored_key, ""));
        let item = Item {
            entity: score.entity.clone(),
            kind: score.kind,
            original: score.original.clone(),
            requested_at: requested_at.to_owned(),
            request_id: request_id.to_owned(),
            source: score.source.clone(),
            tlp: score.tlp.clone(),
            attempt: score.attempt,
        };
        let input = ExtractInput {
            input: json!({"batch": score.batch, "items": [item]}),
            execution: score.batch.clone(),
            started_at: requested_at.to_owned(),
        };
        let mut batch =
            extraction.extract(&input, &Ranges::default()).context("the score is not of this release")?;
        let width = batch.features.len();
        let row = batch.rows.first_mut().context("the score's entity is none")?;
        if row.special.is_none() {
            anyhow::ensure!(
                vector.len() == width,
                "the vector has {} values, the schema {width}",
                vector.len()
            );
            row.values = vector;
        }
        row.sources.clone_from(&score.sources);
        row.evidence.clone_from(&score.evidence);
        row.evidence_dropped = score.evidence_dropped;
        batch.source_ms.clone_from(&score.source_ms);
        Ok(batch)
    }

    /// The extraction whose schema is the score's.
    async fn extraction(&self, sources: Option<&Path>) -> anyhow::Result<Extraction> {
        let damaged = "the lexicon that is built in is damaged";
        let built_in = Extraction::new().context(damaged)?;
        if built_in.schema() == self.score.schema {
            return Ok(built_in);
        }
        let declaration = match sources {
            Some(file) => Some(sources::read(file)?),
            None if self.registry.load_sources().await?.is_some() => {
                Some(sources::published(self.registry).await?)
            }
            None => None,
        };
        if let Some(declared) = &declaration {
            let extended =
                Extraction::with_features(&declared.features(), &declared.digest(), &declared.runs());
            let extended = extended.context(damaged)?;
            if extended.schema() == self.score.schema {
                return Ok(extended);
            }
        }
        let message = format!("the score is of the feature schema {}", self.score.schema);
        let hint = format!(
            "this release's own is {}: give the sources.toml of then with --sources, or use the release of then",
            built_in.schema()
        );
        Err(Failure::not_found(message).hint(hint).into())
    }

    /// The definition that the score names, or what is missing.
    async fn definition(&self) -> Result<EnsembleDefinition, String> {
        let named = &self.score.ensemble;
        let pointer = Pointer { version: named.version.clone(), digest: named.digest.clone() };
        let found = self.registry.load_ensemble_version(&pointer).await;
        let found = found.map_err(|e| format!("ensemble {}: {}", named.version, chain(&e)))?;
        EnsembleDefinition::parse(&found.bytes)
            .map_err(|e| format!("ensemble {}: {}", named.version, chain(&e)))
    }

    /// A member's answer, computed again, or as it failed then; or what is missing.
    async fn prediction(
        &self,
        stored: &PredictorOutcome,
        features: &FeatureBatch,
    ) -> anyhow::Result<Result<Vec<PredictionOutcome>, String>> {
        let (Some(version), Some(digest)) = (&stored.version, &stored.digest) else {
            return Ok(Ok(failed(stored)));
        };
        let pointer = Pointer { version: version.clone(), digest: digest.clone() };
        let named = |why: String| format!("{} {version}: {why}", stored.model);
        let loaded = match self.registry.load_model_version(&stored.model, &pointer).await {
            Ok(loaded) => loaded,
            Err(error) => return Ok(Err(named(chain(&error)))),
        };
        let predictor = match Predictor::from_model(&loaded) {
            Ok(predictor) => predictor,
            Err(error) => return Ok(Err(named(chain(&error)))),
        };
        let answer = predictor.predict(features).with_context(|| format!("cannot run {}", stored.model))?;
        Ok(Ok(vec![PredictionOutcome::Answered(answer)]))
    }
}

/// The outcome of a member that did not answer, so that it has the same reason again.
fn failed(stored: &PredictorOutcome) -> Vec<PredictionOutcome> {
    let reason = stored.reason.as_deref().unwrap_or_default();
    let (error, cause) = reason.split_once(": ").unwrap_or((reason, ""));
    let outcome = PredictionOutcome::Failed {
        model: stored.model.clone(),
        error: CaughtError { error: error.to_owned(), cause: cause.to_owned() },
    };
    match reason {
        // Special entities are asked about nowhere, and a member of no weight need not be mentioned.
        "no prediction" | "not asked" => Vec::new(),
        "more than one prediction" => vec![outcome.clone(), outcome],
        _ => vec![outcome],
    }
}

fn write(out: &mut impl Write, report: &Report<'_>) -> io::Result<()> {
    let entity = escape(report.entity);
    let names: Vec<String> = report.models.iter().map(|m| format!("{} {}", m.model, m.version)).collect();
    let with = format!(
        "{}, ensemble {}, schema {}",
        escape(&names.join(", ")),
        escape(&report.ensemble.version),
        escape(&short(report.schema))
    );
    if report.identical {
        writeln!(out, "{entity}: bit-identical ({with})")?;
    }
    for missing in &report.missing {
        writeln!(out, "{entity}: missing: {}", escape(missing))?;
    }
    if !report.differences.is_empty() {
        writeln!(out, "{entity}: differs ({with})")?;
    }
    for difference in &report.differences {
        writeln!(out, "  {}", escape(&difference.text()))?;
    }
    Ok(())
}
