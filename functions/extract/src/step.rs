//! The function: what it keeps, and what it does with an event.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join;
use serde_json::{Value, json};
use tribunal_core::message::{ExtractInput, FeatureBatch};
use tribunal_features::LexiconError;
use tribunal_registry::Registry;
use tribunal_runtime::{EventLog, FunctionError, Invocation, Step, now_ms};
use tribunal_sources::{Context, Report};

use crate::desk::Desk;

/// Name of the function in logs.
pub(crate) const FUNCTION: &str = "extract";

/// Time for loading at cold start. Lambda ends an initialisation after 10 s, and starts over.
const COLD_START_LIMIT: Duration = Duration::from_secs(4);
/// Time for looking for newer data within an event, beside the sources.
const REFRESH_LIMIT: Duration = Duration::from_millis(500);
/// The longest that sources may be asked, whatever is declared.
const ASK_LIMIT: Duration = Duration::from_secs(6);
/// Left of an event's time for extracting and answering.
const ANSWER_RESERVE: Duration = Duration::from_secs(2);

/// The extract function.
#[derive(Debug)]
pub struct Extract {
    desk: Desk,
}

impl Extract {
    /// Loads the data sets and the declaration of sources, if they are published. What cannot be read is logged, and
    /// fails nothing.
    ///
    /// # Errors
    /// When the lexicon that is built in is damaged.
    pub async fn start(registry: Registry, context: Context) -> Result<Self, LexiconError> {
        Ok(Self { desk: Desk::open(registry, context, COLD_START_LIMIT).await? })
    }
}

impl Step for Extract {
    const NAME: &'static str = FUNCTION;
    type Input = ExtractInput;
    type Output = FeatureBatch;

    async fn handle(
        &self,
        input: ExtractInput,
        invocation: &Invocation,
        log: &mut EventLog,
    ) -> Result<FeatureBatch, FunctionError> {
        log.field("execution", input.execution.as_str());
        let (ranges, asking) = (self.desk.ranges(), self.desk.asking());
        log.field("ip_ranges", ranges.as_str());
        let failed = |error: crate::ExtractionError| FunctionError::new(error.error_name(), error);
        let questions = asking.extraction.read(&input, &ranges).map_err(failed)?;
        let asked = questions.asked();
        let limit = invocation.time_for(ASK_LIMIT, ANSWER_RESERVE);
        let (answers, ()) =
            join(asking.sources.ask(&asked, now_ms(), limit), self.desk.refresh(REFRESH_LIMIT.min(limit)))
                .await;
        drop(asked);
        log_sources(&answers.reports, log);
        let batch = asking.extraction.answer(questions, answers).map_err(failed)?;
        log.field("batch", batch.batch.as_str());
        log.count("Rows", batch.rows.len());
        log.count("NotRoutable", batch.rows.iter().filter(|row| row.special.is_some()).count());
        log.count("EntitiesRefused", batch.refused.len());
        log.count("EvidenceDropped", batch.rows.iter().map(|row| row.evidence_dropped).sum());
        Ok(batch)
    }
}

/// How each source fared: numbers and codes, since a server's words may quote what it was asked.
fn log_sources(reports: &BTreeMap<String, Report>, log: &mut EventLog) {
    if reports.is_empty() {
        return;
    }
    let fared = reports.iter().map(|(name, report)| {
        let mut line = json!({"ms": report.ms, "cached": report.cached, "entities": report.statuses});
        if let Some(problem) = &report.problem {
            line["problem"] = problem.code().into();
        }
        if report.store_problem.is_some() {
            line["store"] = "failed".into();
        }
        (name.clone(), line)
    });
    log.field("sources", Value::Object(fared.collect()));
    log.count("SourcesFailed", reports.values().filter(|report| report.problem.is_some()).count());
    log.count("QuotaStoreFailed", reports.values().filter(|report| report.store_problem.is_some()).count());
}
