//! The function: a predictor that is loaded before the first event, again while it could not be, and replaced when
//! another version is in force.
//!
//! It is looked for another version beside the events, at most every [`LOOK_AFTER`]: a request for the pointer, and only
//! when its ETag changed for more. A version is put in force whole, between events; one that is refused (a file
//! missing, of another digest, not of its format, whose golden rows do not come out) is logged and counted, and the one
//! before stays. Every answer names the version that made it.

use std::sync::Arc;
use std::time::Duration;

use tribunal_core::message::{FeatureBatch, PredictionBatch};
use tribunal_registry::Registry;
use tribunal_runtime::{Current, EventLog, Found, FunctionError, Invocation, Step, chain};

use crate::load::LoadError;
use crate::predictor::Predictor;

/// While a model cannot be loaded, it is tried again by the first event after this time.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Time for loading at cold start. Lambda ends an initialisation after 10 s, and starts over.
const COLD_START_LIMIT: Duration = Duration::from_secs(8);
/// How often it is looked whether another version is in force.
pub const LOOK_AFTER: Duration = Duration::from_secs(30);
/// Time for a look. The process may stand still meanwhile.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// Time for loading within an event.
const RELOAD_LIMIT: Duration = Duration::from_secs(8);
/// Left of an event's time after loading, for predicting and answering.
const ANSWER_RESERVE: Duration = Duration::from_millis(500);

/// The predict function.
#[derive(Debug)]
pub struct Predict {
    registry: Registry,
    model: String,
    predictor: Arc<Current<Predictor, LoadError>>,
}

impl Predict {
    /// Loads the model. When that fails, the function starts all the same: it answers every event with the
    /// reason, and finds a corrected object without being deployed again.
    pub async fn start(registry: Registry, model: &str) -> Self {
        let loaded = Predictor::load_within(&registry, model, COLD_START_LIMIT).await;
        let predictor = Arc::new(Current::new(loaded, RETRY_AFTER, LOOK_AFTER));
        let function = Self { registry, model: model.to_owned(), predictor };
        if let Err(error) = function.predictor.now().await {
            tell_failure(&function.model, "cold_start_failed", error.as_ref(), true);
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

    /// Starts a look for another version than `predictor` beside the event, if it is time for one.
    async fn look(&self, predictor: &Predictor) {
        let (registry, model) = (self.registry.clone(), self.model.clone());
        let digest = predictor.digest().to_owned();
        if self.predictor.look(async move |known| newer(&registry, &model, known, &digest).await) {
            // Its request leaves before the rows are computed.
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the look that is under way has ended.
    #[cfg(test)]
    pub(crate) async fn settled(&self) {
        self.predictor.settled().await;
    }
}

/// Another version than the one with `digest`, if there is one that can be used.
async fn newer(
    registry: &Registry,
    model: &str,
    known: Option<String>,
    digest: &str,
) -> Option<Found<Predictor>> {
    match Predictor::newer_within(registry, model, known.as_deref(), digest, LOOK_LIMIT).await {
        Ok(None) => None,
        Ok(Some((predictor, etag))) => {
            let mut log = labelled(model);
            log.field("event", "model_loaded");
            log.field("version", predictor.version());
            log.field("digest", predictor.digest());
            log.count("Swaps", 1);
            log.emit();
            Some((predictor, etag))
        }
        Err(error) if error.error_name().is_transient() => {
            tell_failure(model, "look_failed", &error, false);
            None
        }
        Err(error) => {
            tell_failure(model, "model_refused", &error, true);
            None
        }
    }
}

fn labelled(model: &str) -> EventLog {
    let mut log = EventLog::new(Predict::NAME);
    log.dimension("Model", model);
    log
}

/// Logs why there is no model, or no other one. A look that the store did not answer is none of the failures that wake
/// somebody: the model goes on, and the next look may be answered.
fn tell_failure(model: &str, event: &str, error: &LoadError, counted: bool) {
    let mut log = labelled(model);
    log.field("event", event);
    log.field("error", error.error_name().as_str());
    log.field("cause", chain(error));
    if counted {
        log.count("Failures", 1);
    }
    log.emit();
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
        self.look(&predictor).await;
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
