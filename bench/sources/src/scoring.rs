//! The steps of a deployment, one after the other in this process: extraction, predictors, ensemble.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tribunal_core::Score;
use tribunal_core::message::{EnsembleInput, ExtractInput, FeatureBatch, PredictionOutcome};
use tribunal_ensemble::{Loaded, score_batch};
use tribunal_extract::{Extraction, Ranges};
use tribunal_predict::Predictor;
use tribunal_registry::Registry;
use tribunal_sources::{Answers, Sources};

const TIME: &str = "2026-11-24T12:00:00.000Z";

/// The shipped ensemble.
pub(crate) struct Scoring {
    predictors: Vec<Predictor>,
    ensemble: Loaded,
}

impl Scoring {
    pub(crate) async fn load(models: &Path) -> Result<Self> {
        let registry = Registry::open(models.to_str().context("the folder of the models is not UTF-8")?)?;
        let ensemble = Loaded::from(&registry).await?;
        let mut predictors = Vec::new();
        for member in &ensemble.definition.members {
            predictors.push(Predictor::load(&registry, &member.model).await?);
        }
        Ok(Self { predictors, ensemble })
    }

    /// How many models vote.
    pub(crate) fn members(&self) -> usize {
        self.predictors.len()
    }

    /// Features and scores of a batch; without sources, none is asked.
    pub(crate) async fn score(
        &self,
        extraction: &Extraction,
        sources: Option<&Sources>,
        entities: &[String],
    ) -> Result<(FeatureBatch, Vec<Score>)> {
        let input = ExtractInput {
            input: json!({"entities": entities}),
            execution: "bench".to_owned(),
            started_at: TIME.to_owned(),
        };
        let questions = extraction.read(&input, &Ranges::Absent)?;
        let answers = match sources {
            Some(sources) => sources.ask(&questions.asked(), 0, Duration::from_secs(6)).await,
            None => Answers::default(),
        };
        let features = extraction.answer(questions, answers)?;
        let predictions: Result<Vec<PredictionOutcome>, _> = self
            .predictors
            .iter()
            .map(|predictor| predictor.predict(&features).map(PredictionOutcome::Answered))
            .collect();
        let input = EnsembleInput { features: features.clone(), predictions: predictions? };
        let scores = score_batch(&self.ensemble.definition, &self.ensemble.digest, &input, TIME);
        Ok((features, scores))
    }
}
