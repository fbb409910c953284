//! The step: one event in, scores written, their keys out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tribunal_core::message::{EnsembleInput, EnsembleOutput, Row};
use tribunal_core::time::rfc3339_millis;
use tribunal_core::{Score, Verdict};
use tribunal_registry::{Registry, RegistryError};
use tribunal_runtime::{Environment, EventLog, FunctionError, Invocation, MissingVariables, Step};
use tribunal_runtime::{chain, now_ms, sdk};

use crate::check::{InputError, check};
use crate::definition::{Definitions, LoadError, Loaded, RETRY_AFTER};
use crate::items::{ScoreItem, key_of};
use crate::requeue::{EntityQueue, Requeue, SqsQueue, requeue, send_all};
use crate::score::{Answers, score_loaded};
use crate::store::{DynamoStore, Fault, ScoreStore, StoreError, write_all};
use crate::verdict::{DynamoVerdicts, EventBridge, Follow, Tally, Verdicts};

const REGISTRY: &str = "TRIBUNAL_REGISTRY";
const TABLE: &str = "TRIBUNAL_TABLE";
const TTL_DAYS: &str = "TRIBUNAL_SCORE_TTL_DAYS";
/// Optional: without it nothing is queued again.
const QUEUE_URL: &str = "TRIBUNAL_QUEUE_URL";
/// Optional, both or none: without them nobody is told of changed verdicts.
const VERDICT_TABLE: &str = "TRIBUNAL_VERDICT_TABLE";
const EVENT_BUS: &str = "TRIBUNAL_EVENT_BUS";
/// Kept of an event's time for its answer.
const RESERVE: Duration = Duration::from_millis(500);
/// Most time for the writes.
const WRITE_LIMIT: Duration = Duration::from_secs(8);
/// Most time for loading the definition within an event.
const RELOAD_LIMIT: Duration = Duration::from_secs(4);
/// Left of an event's time after loading, for writing and answering.
const WRITE_RESERVE: Duration = Duration::from_secs(4);
/// Most time for following verdicts.
const FOLLOW_LIMIT: Duration = Duration::from_secs(4);
/// Most time for queueing entities again.
const QUEUE_LIMIT: Duration = Duration::from_millis(1_500);
/// Kept of an event's time for its answer after queueing.
const ANSWER_RESERVE: Duration = Duration::from_millis(200);

/// How long scores are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(u64);

impl Ttl {
    /// Reads a number of days, 1 to 3650.
    ///
    /// # Errors
    /// Names the value and the limits.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        match text.parse() {
            Ok(days) if (1..=3_650).contains(&days) => Ok(Self(days)),
            _ => Err(ConfigError::Ttl(text.chars().take(40).collect())),
        }
    }

    /// Seconds since 1970 at which something of `now_ms` is past its time.
    pub fn expires_at(self, now_ms: u64) -> u64 {
        now_ms / 1000 + self.0 * 24 * 60 * 60
    }
}

/// Why the function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable is missing.
    #[error(transparent)]
    Missing(#[from] MissingVariables),
    /// The time to live is not one.
    #[error("{TTL_DAYS} is {0:?}; whole days from 1 to 3650 are allowed")]
    Ttl(String),
    /// Changes of verdicts need a table and a bus.
    #[error("{missing} is not set, but {given} is; both are needed, or none")]
    Verdicts {
        /// What is set.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// The registry's address is not one.
    #[error("{REGISTRY} cannot be used")]
    Registry(#[source] RegistryError),
}

/// The step and what it works with.
#[derive(Debug)]
pub struct Ensemble<S, Q = SqsQueue, V = Verdicts<DynamoVerdicts, EventBridge>> {
    definitions: Definitions,
    store: S,
    ttl: Ttl,
    queue: Option<Q>,
    verdicts: Option<V>,
}

impl Ensemble<DynamoStore> {
    /// Reads the configuration, and loads the definition. A definition that cannot be loaded is logged, and
    /// told to every event until it can.
    ///
    /// # Errors
    /// When the configuration names no usable registry, table and time to live.
    pub async fn start() -> Result<Self, ConfigError> {
        let environment =
            Environment::read(&[REGISTRY, TABLE, TTL_DAYS], &[QUEUE_URL, VERDICT_TABLE, EVENT_BUS])?;
        let ttl = Ttl::parse(environment.get(TTL_DAYS))?;
        let registry = Registry::open(environment.get(REGISTRY)).map_err(ConfigError::Registry)?;
        let definitions = Definitions::start(registry, RETRY_AFTER).await;
        let config = sdk::function_config();
        let queue = environment.optional(QUEUE_URL).map(|url| SqsQueue::new(&config, url));
        let store = DynamoStore::new(&config, environment.get(TABLE));
        let verdicts = verdicts(&environment, &config)?;
        let step = Self::new(definitions, store, ttl).with_queue(queue).with_verdicts(verdicts);
        step.report_cold_start().await;
        Ok(step)
    }
}

impl<S: ScoreStore> Ensemble<S> {
    /// The step over a store, without a queue and without a table of verdicts.
    pub const fn new(definitions: Definitions, store: S, ttl: Ttl) -> Self {
        Self { definitions, store, ttl, queue: None, verdicts: None }
    }
}

/// The table and the bus for changes of verdicts, if they are named.
fn verdicts(
    environment: &Environment,
    config: &aws_config::SdkConfig,
) -> Result<Option<Verdicts<DynamoVerdicts, EventBridge>>, ConfigError> {
    let missing = |given, missing| Err(ConfigError::Verdicts { given, missing });
    match (environment.optional(VERDICT_TABLE), environment.optional(EVENT_BUS)) {
        (None, None) => Ok(None),
        (Some(_), None) => missing(VERDICT_TABLE, EVENT_BUS),
        (None, Some(_)) => missing(EVENT_BUS, VERDICT_TABLE),
        (Some(table), Some(bus)) => Ok(Some(Verdicts {
            table: DynamoVerdicts::new(config, table),
            bus: EventBridge::new(config, bus),
        })),
    }
}

impl<S: ScoreStore, Q: EntityQueue, V: Follow> Ensemble<S, Q, V> {
    /// The step with the queue that entities are put on again.
    pub fn with_queue<R: EntityQueue>(self, queue: Option<R>) -> Ensemble<S, R, V> {
        let Self { definitions, store, ttl, verdicts, .. } = self;
        Ensemble { definitions, store, ttl, queue, verdicts }
    }

    /// The step with what follows verdicts.
    pub fn with_verdicts<F: Follow>(self, verdicts: Option<F>) -> Ensemble<S, Q, F> {
        let Self { definitions, store, ttl, queue, .. } = self;
        Ensemble { definitions, store, ttl, queue, verdicts }
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The queue, if there is one.
    pub const fn queue(&self) -> Option<&Q> {
        self.queue.as_ref()
    }

    async fn report_cold_start(&self) {
        if let Err(error) = self.definitions.now().await {
            let mut log = EventLog::new(Self::NAME);
            log.field("event", "cold_start_failed");
            log.field("error", error.error_name().as_str());
            log.field("cause", chain(&error));
            log.count("Failures", 1);
            log.emit();
        }
    }

    async fn definition(&self, invocation: &Invocation) -> Result<Arc<Loaded>, FunctionError> {
        let limit = invocation.time_for(RELOAD_LIMIT, WRITE_RESERVE);
        self.definitions
            .current(limit)
            .await
            .map_err(|e: Arc<LoadError>| FunctionError::new(e.error_name(), e))
    }
}

impl<S: ScoreStore, Q: EntityQueue, V: Follow> Step for Ensemble<S, Q, V> {
    const NAME: &'static str = "ensemble";
    type Input = EnsembleInput;
    type Output = EnsembleOutput;

    async fn handle(
        &self,
        input: EnsembleInput,
        invocation: &Invocation,
        log: &mut EventLog,
    ) -> Result<EnsembleOutput, FunctionError> {
        log.field("batch", input.features.batch.chars().take(128).collect::<String>());
        check(&input).map_err(|e: InputError| FunctionError::new(e.error_name(), e))?;
        let loaded = self.definition(invocation).await?;
        log.field("ensemble", loaded.definition.version.as_str());
        let now = now_ms();
        let scores = score_loaded(&loaded, &input, &rfc3339_millis(now));
        report(log, &scores, &Answers::of(&loaded.definition, &input));
        let again = requeue(&input.features);
        let items = self.items(scores, input.features.rows, now);
        let new = self.write(&items, invocation).await.map_err(|e| FunctionError::new(e.error_name(), e))?;
        let abstained = items.iter().filter(|item| item.score.verdict == Verdict::Unknown).count();
        log.field("already_there", items.len().saturating_sub(new));
        log.count("EntitiesScored", items.len());
        log.count("Abstentions", abstained);
        self.follow(&items, invocation, log).await.map_err(|e| FunctionError::new(e.error_name(), e))?;
        self.put_on_queue(&again, invocation, log).await;
        Ok(EnsembleOutput {
            batch: input.features.batch,
            scored: items.len(),
            abstained,
            scores: items.iter().map(|item| key_of(&item.score)).collect(),
            refused: input.features.refused,
            batch_item_failures: Vec::new(),
        })
    }
}

impl<S: ScoreStore, Q: EntityQueue, V: Follow> Ensemble<S, Q, V> {
    /// Scores with their vectors; of one key the first.
    fn items(&self, scores: Vec<Score>, rows: Vec<Row>, now_ms: u64) -> Vec<ScoreItem> {
        let expires_at = self.ttl.expires_at(now_ms);
        let mut keys = HashSet::new();
        scores
            .into_iter()
            .zip(rows)
            .filter(|(score, _)| keys.insert(key_of(score)))
            .map(|(score, row)| {
                let vector = row.values.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect();
                ScoreItem { score, vector, expires_at }
            })
            .collect()
    }

    /// Writes what is new, and says how much that was.
    async fn write(&self, items: &[ScoreItem], invocation: &Invocation) -> Result<usize, StoreError> {
        let items = items.iter().map(ScoreItem::to_item).collect::<Result<Vec<_>, _>>()?;
        write_all(&self.store, items, invocation.time_for(WRITE_LIMIT, RESERVE)).await
    }

    /// Tells changes of verdicts. Fails only for what the same batch may mend when it comes again; all else is
    /// counted, since the scores are written.
    async fn follow(
        &self,
        items: &[ScoreItem],
        invocation: &Invocation,
        log: &mut EventLog,
    ) -> Result<(), StoreError> {
        let Some(verdicts) = &self.verdicts else { return Ok(()) };
        let budget = invocation.time_for(FOLLOW_LIMIT, RESERVE);
        let Ok(tally) = tokio::time::timeout(budget, verdicts.follow(items)).await else {
            log.count("EventFailures", 1);
            log.field("event_error", format!("no time left after {} ms", budget.as_millis()));
            return Ok(());
        };
        let Tally { told, untold, held, error, failure } = tally;
        let refused = failure.as_ref().filter(|failure| failure.fault() == Fault::Refused);
        log.count("VerdictChanges", told);
        log.count("EventFailures", untold + usize::from(refused.is_some()));
        if let Some(error) = refused.map(|failure| chain(failure)).or(error) {
            log.field("event_error", error);
        }
        match failure {
            Some(failure) if failure.fault() > Fault::Refused => Err(failure),
            _ if held > 0 => Err(StoreError::Held { entities: held }),
            _ => Ok(()),
        }
    }

    /// Queues entities again. What cannot be is counted, and fails nothing: their scores are written.
    async fn put_on_queue(&self, again: &Requeue, invocation: &Invocation, log: &mut EventLog) {
        if *again == Requeue::default() {
            return;
        }
        log.field("rescore_left_out", again.left_out);
        let Some(queue) = &self.queue else {
            log.field("rescore", "no queue");
            return;
        };
        let budget = invocation.time_for(QUEUE_LIMIT, ANSWER_RESERVE);
        let outcome = send_all(queue, &again.messages, budget).await;
        log.count("EntitiesRequeued", outcome.queued);
        log.count("RequeueFailures", outcome.failed);
        if let Some(error) = outcome.error {
            log.field("requeue_error", error);
        }
    }
}

/// Counts for the log: scores per verdict, and predictors that gave nothing for the batch.
fn report(log: &mut EventLog, scores: &[Score], answers: &Answers<'_>) {
    log.count("PredictorsMissing", answers.missing());
    log.field("predictions_of_strangers", answers.strangers);
    for (name, verdict) in [
        ("VerdictBenign", Verdict::Benign),
        ("VerdictSuspicious", Verdict::Suspicious),
        ("VerdictMalicious", Verdict::Malicious),
        ("VerdictUnknown", Verdict::Unknown),
        ("VerdictNotRoutable", Verdict::NotRoutable),
    ] {
        log.count(name, scores.iter().filter(|score| score.verdict == verdict).count());
    }
}
