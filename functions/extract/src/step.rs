//! The function: the extraction, and a data set that is loaded before the first event.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tribunal_core::message::{ExtractInput, FeatureBatch};
use tribunal_features::LexiconError;
use tribunal_registry::Registry;
use tribunal_runtime::{EventLog, FunctionError, Invocation, Step, chain};

use crate::extraction::Extraction;
use crate::ranges::{Ranges, RangesError};

/// While the data set is not there, the first event after this time looks for it again.
pub const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Time for loading at cold start. Lambda ends an initialisation after 10 s, and starts over.
const COLD_START_LIMIT: Duration = Duration::from_secs(8);
/// Time for loading within an event: features without the data set are better than none.
const RELOAD_LIMIT: Duration = Duration::from_secs(3);
/// Left of an event's time after loading, for extracting and answering.
const ANSWER_RESERVE: Duration = Duration::from_secs(2);

/// The extract function.
#[derive(Debug)]
pub struct Extract {
    extraction: Extraction,
    registry: Registry,
    ranges: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    ranges: Arc<Ranges>,
    at: Instant,
}

impl Extract {
    /// Loads the data set, if one is published. A data set that cannot be read is logged, and fails nothing.
    ///
    /// # Errors
    /// When the lexicon that is built in is damaged.
    pub async fn start(registry: Registry) -> Result<Self, LexiconError> {
        let extraction = Extraction::new()?;
        let ranges = Arc::new(load(&registry, COLD_START_LIMIT).await);
        Ok(Self { extraction, registry, ranges: Mutex::new(Held { ranges, at: Instant::now() }) })
    }

    /// The data set; looked for again if it was not there, and that is long enough ago.
    async fn ranges(&self, invocation: &Invocation) -> Arc<Ranges> {
        let mut held = self.ranges.lock().await;
        if !matches!(*held.ranges, Ranges::Ready(_)) && held.at.elapsed() >= RETRY_AFTER {
            let limit = invocation.time_for(RELOAD_LIMIT, ANSWER_RESERVE);
            *held = Held { ranges: Arc::new(load(&self.registry, limit).await), at: Instant::now() };
        }
        Arc::clone(&held.ranges)
    }
}

async fn load(registry: &Registry, limit: Duration) -> Ranges {
    let loaded = tokio::time::timeout(limit, Ranges::load(registry)).await.unwrap_or_else(|_| {
        Err(RangesError::TimedOut { location: registry.location().to_owned(), limit_ms: limit.as_millis() })
    });
    loaded.unwrap_or_else(|error| {
        let mut log = EventLog::new(Extract::NAME);
        log.field("event", "data_set_failed");
        log.field("cause", chain(&error));
        log.count("Failures", 1);
        log.emit();
        Ranges::Broken
    })
}

impl Step for Extract {
    const NAME: &'static str = "extract";
    type Input = ExtractInput;
    type Output = FeatureBatch;

    async fn handle(
        &self,
        input: ExtractInput,
        invocation: &Invocation,
        log: &mut EventLog,
    ) -> Result<FeatureBatch, FunctionError> {
        log.field("execution", input.execution.as_str());
        let ranges = self.ranges(invocation).await;
        log.field("ip_ranges", ranges.as_str());
        let batch = self
            .extraction
            .extract(&input, &ranges)
            .map_err(|error| FunctionError::new(error.error_name(), error))?;
        log.field("batch", batch.batch.as_str());
        log.count("Rows", batch.rows.len());
        log.count("NotRoutable", batch.rows.iter().filter(|row| row.special.is_some()).count());
        log.count("EntitiesRefused", batch.refused.len());
        Ok(batch)
    }
}
