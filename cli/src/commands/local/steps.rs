//! The steps, made once: extraction, predictors, ensemble definition.

use anyhow::Context as _;
use serde_json::json;
use tribunal_core::Score;
use tribunal_core::ensemble::EnsembleDefinition;
use tribunal_core::message::{
    CaughtError, EnsembleInput, ExtractInput, FeatureBatch, Item, PredictionOutcome,
};
use tribunal_core::time::rfc3339_millis;
use tribunal_ensemble::{Loaded, score_batch};
use tribunal_extract::{Extraction, Ranges};
use tribunal_predict::Predictor;
use tribunal_registry::Registry;
use tribunal_runtime::{chain, now_ms};

use crate::commands::asker::Asker;
use crate::stored::Stored;

/// Name of the batches in scores.
const BATCH: &str = "local";

/// The steps of the state machine.
pub(crate) struct Steps {
    extraction: Extraction,
    ranges: Ranges,
    asker: Option<Asker>,
    predictors: Vec<Member>,
    definition: EnsembleDefinition,
    definition_digest: String,
}

/// A member of the ensemble: its predictor, or why there is none.
struct Member {
    model: String,
    predictor: Result<Predictor, CaughtError>,
}

impl Steps {
    /// Loads what a registry has in force. A model that cannot be loaded abstains, as it does when deployed.
    pub(crate) async fn load(
        registry: &Registry,
        ranges: Ranges,
        asker: Option<Asker>,
    ) -> anyhow::Result<Self> {
        let Loaded { definition, digest, .. } = Loaded::from(registry).await?;
        let mut predictors = Vec::with_capacity(definition.members.len());
        for member in &definition.members {
            let predictor = Predictor::load(registry, &member.model).await.map_err(|error| CaughtError {
                error: error.error_name().as_str().to_owned(),
                cause: json!({"errorMessage": chain(&error)}).to_string(),
            });
            predictors.push(Member { model: member.model.clone(), predictor });
        }
        let extraction = match &asker {
            Some(asker) => {
                let sources = asker.sources();
                Extraction::with_features(sources.features(), sources.digest(), sources.runs())
            }
            None => Extraction::new(),
        };
        let extraction = extraction.context("the lexicon that is built in is damaged")?;
        Ok(Self { extraction, ranges, asker, predictors, definition, definition_digest: digest })
    }

    /// The same, without reasons: they take most of the time.
    pub(crate) fn without_reasons(mut self) -> Self {
        for member in &mut self.predictors {
            if let Ok(predictor) = &mut member.predictor {
                predictor.leave_out_contributions();
            }
        }
        self
    }

    /// The ensemble definition.
    pub(crate) const fn definition(&self) -> &EnsembleDefinition {
        &self.definition
    }

    /// Models that could not be loaded, and why.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.predictors
            .iter()
            .filter_map(|member| {
                let error = member.predictor.as_ref().err()?;
                Some(format!("{} abstains: {}: {}", member.model, error.error, error.cause))
            })
            .collect()
    }

    /// Scores a batch, one score per item.
    pub(crate) fn score(&self, items: &[Item]) -> anyhow::Result<Vec<Score>> {
        Ok(self.score_stored(items)?.into_iter().map(|stored| stored.score).collect())
    }

    /// Scores a batch, and keeps the vectors.
    pub(crate) fn score_stored(&self, items: &[Item]) -> anyhow::Result<Vec<Stored>> {
        let started_at = items.first().map(|item| item.requested_at.clone()).unwrap_or_default();
        let input = ExtractInput {
            input: json!({"batch": BATCH, "items": items}),
            execution: BATCH.to_owned(),
            started_at,
        };
        let questions = self.extraction.read(&input, &self.ranges)?;
        let answers = self.asker.as_ref().map(|asker| asker.ask(&questions.asked())).unwrap_or_default();
        let features = self.extraction.answer(questions, answers)?;
        if let Some(refused) = features.refused.first() {
            anyhow::bail!("{:?} was accepted and then refused: {}", refused.original, refused.reason);
        }
        let predictions = self.predictors.iter().map(|member| member.predict(&features)).collect();
        let input = EnsembleInput { features, predictions };
        let scored_at = rfc3339_millis(now_ms());
        let scores = score_batch(&self.definition, &self.definition_digest, &input, &scored_at);
        let vectors = input.features.rows.into_iter().map(|row| Some(row.values));
        Ok(scores.into_iter().zip(vectors).map(|(score, vector)| Stored { score, vector }).collect())
    }
}

impl Member {
    fn predict(&self, features: &FeatureBatch) -> PredictionOutcome {
        let answer = match &self.predictor {
            Ok(predictor) => predictor.predict(features).map_err(|error| CaughtError {
                error: error.error_name().as_str().to_owned(),
                cause: json!({"errorMessage": chain(&error)}).to_string(),
            }),
            Err(error) => Err(error.clone()),
        };
        match answer {
            Ok(batch) => PredictionOutcome::Answered(batch),
            Err(error) => PredictionOutcome::Failed { model: self.model.clone(), error },
        }
    }
}
