//! The function: a predictor that is loaded before the first event, and again while it could not be.

use std::sync::Arc;
use std::time::Duration;

use tribunal_core::message::{FeatureBatch, PredictionBatch};
use tribunal_registry::Registry;
use tribunal_runtime::{EventLog, FunctionError, Held, Invocation, Step, chain};

use crate::load::LoadError;
use crate::predictor::Predictor;

/// While a model cannot be loaded, it is tried again by the first event after this time.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Time for loading at cold start. Lambda ends an initialisation after 10 s, and starts over.
const COLD_START_LIMIT: Duration = Duration::from_secs(8);
/// Time for loading within an event.
const RELOAD_LIMIT: Duration = Duration::from_secs(8);
/// Left of an event's time after loading, for predicting and answering.
const ANSWER_RESERVE: Duration = Duration::from_millis(500);

/// The predict function.
#[derive(Debug)]
pub struct Predict {
    registry: Registry,
    model: String,
    predictor: Held<Predictor, LoadError>,
}

impl Predict {
    /// Loads the model. When that fails, the function starts all the same: it answers every event with the
    /// reason, and finds a corrected object without being deployed again.
    pub async fn start(registry: Registry, model: &str) -> Self {
        let loaded = Predictor::load_within(&registry, model, COLD_START_LIMIT).await;
        let function = Self { registry, model: model.to_owned(), predictor: Held::new(loaded, RETRY_AFTER) };
        if let Err(error) = function.predictor.now().await {
            let mut log = EventLog::new(Self::NAME);
            function.label(&mut log);
            log.field("event", "cold_start_failed");
            log.field("error", error.error_name().as_str());
            log.field("cause", chain(error.as_ref()));
            log.count("Failures", 1);
            log.emit();
        }
        function
    }

    /// The predictor; loaded now if it could not be before, and that is long enough ago.
    async fn predictor(
        &self,
        invocation: &Invocation,
        log: &mut EventLog,
    ) -> Result<Arc<Predictor>, FunctionError> {
        let load = async || {
            log.field("reload", true);
            let limit = invocation.time_for(RELOAD_LIMIT, ANSWER_RESERVE);
            Predictor::load_within(&self.registry, &self.model, limit).await
        };
        self.predictor.get(load).await.map_err(|error| FunctionError::new(error.error_name(), error))
    }
}

impl Step for Predict {
    const NAME: &'static str = "predict";
    type Input = FeatureBatch;
    type Output = PredictionBatch;

    fn label(&self, log: &mut EventLog) {
        log.dimension("Model", &self.model);
    }

    async fn handle(
        &self,
        batch: FeatureBatch,
        invocation: &Invocation,
        log: &mut EventLog,
    ) -> Result<PredictionBatch, FunctionError> {
        log.field("batch", batch.batch.as_str());
        log.count("Rows", batch.rows.len());
        let predictor = self.predictor(invocation, log).await?;
        log.field("version", predictor.version());
        let answer =
            predictor.predict(&batch).map_err(|error| FunctionError::new(error.error_name(), error))?;
        // A special row is not an abstention: nothing was asked of the model.
        let asked = batch.rows.iter().filter(|row| row.special.is_none()).count();
        let answered = answer.probabilities.iter().flatten().count();
        log.count("Abstentions", asked - answered);
        if !answer.abstentions.is_empty() {
            log.field("abstentions", answer.abstentions.clone());
        }
        Ok(answer)
    }
}
