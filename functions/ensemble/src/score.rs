//! A batch of predictions to scores: pure, one score per row, in the order of the rows.
//!
//! What came of every member is kept with each score: its probability, or the reason why it has none. Texts
//! and lists are cut to the limits of the step, so that a score always fits into an item.

use std::collections::BTreeMap;

use tribunal_core::ensemble::{Combined, EnsembleDefinition, Member, MemberOutcome};
use tribunal_core::message::{
    CaughtError, EnsembleInput, FeatureBatch, MAX_ORIGINAL_BYTES, PredictionBatch, PredictionOutcome, Row,
    scored_key,
};
use tribunal_core::score::{EnsembleRef, PredictorOutcome, Quorum};
use tribunal_core::time::{parse_rfc3339, rfc3339_millis};
use tribunal_core::{Score, Verdict};

use crate::bounds::{self, MAX_REASON_BYTES, cut, label};

/// Scores every row of `input`. `digest` is the definition's, `scored_at` RFC 3339 in UTC with milliseconds.
pub fn score_batch(
    definition: &EnsembleDefinition,
    digest: &str,
    input: &EnsembleInput,
    scored_at: &str,
) -> Vec<Score> {
    let batch = Batch { definition, digest, input: &input.features, scored_at };
    let answers = Answers::of(definition, input);
    input.features.rows.iter().enumerate().map(|(i, row)| batch.score(i, row, &answers)).collect()
}

/// What became of asking a member.
enum Answer<'a> {
    /// It gave one value per row.
    Batch(&'a PredictionBatch),
    /// It gave nothing that can be used, for this reason.
    Failed(String),
    /// The input does not mention it.
    Absent,
    /// The input mentions it more than once.
    Ambiguous,
}

/// The answers of a definition's members, in its order.
pub(crate) struct Answers<'a> {
    members: Vec<Answer<'a>>,
    /// Predictions of models that are not members.
    pub(crate) strangers: usize,
}

impl<'a> Answers<'a> {
    pub(crate) fn of(definition: &EnsembleDefinition, input: &'a EnsembleInput) -> Self {
        let rows = input.features.rows.len();
        let answer = |member: &Member| {
            let mut named = input.predictions.iter().filter(|outcome| model(outcome) == member.model);
            match (named.next(), named.next()) {
                (None, _) => Answer::Absent,
                (Some(_), Some(_)) => Answer::Ambiguous,
                (Some(PredictionOutcome::Failed { error, .. }), None) => Answer::Failed(reason(error)),
                (Some(PredictionOutcome::Answered(batch)), None) if batch.probabilities.len() == rows => {
                    Answer::Batch(batch)
                }
                (Some(PredictionOutcome::Answered(batch)), None) => {
                    Answer::Failed(format!("{} probabilities for {rows} rows", batch.probabilities.len()))
                }
            }
        };
        let is_member = |name: &str| definition.members.iter().any(|member| member.model == name);
        Self {
            members: definition.members.iter().map(answer).collect(),
            strangers: input.predictions.iter().filter(|outcome| !is_member(model(outcome))).count(),
        }
    }

    /// Members that gave nothing for the whole batch.
    pub(crate) fn missing(&self) -> usize {
        self.members.iter().filter(|answer| !matches!(answer, Answer::Batch(_))).count()
    }
}

fn model(outcome: &PredictionOutcome) -> &str {
    match outcome {
        PredictionOutcome::Answered(batch) => &batch.model,
        PredictionOutcome::Failed { model, .. } => model,
    }
}

/// `ModelUnavailable: models/xgboost/current.json: no such object`, from what `Catch` hands on: a function's
/// cause is JSON with `errorMessage`, a service's is text, and a timeout has none.
fn reason(error: &CaughtError) -> String {
    #[derive(serde::Deserialize)]
    struct Cause {
        #[serde(rename = "errorMessage")]
        error_message: String,
    }
    let message = serde_json::from_str::<Cause>(&error.cause).map(|cause| cause.error_message);
    let message = message.as_deref().unwrap_or(&error.cause).trim();
    let separator = if message.is_empty() { "" } else { ": " };
    cut(&format!("{}{separator}{message}", label(&error.error)), MAX_REASON_BYTES)
}

/// What all scores of a batch share.
struct Batch<'a> {
    definition: &'a EnsembleDefinition,
    digest: &'a str,
    input: &'a FeatureBatch,
    scored_at: &'a str,
}

impl Batch<'_> {
    fn score(&self, i: usize, row: &Row, answers: &Answers<'_>) -> Score {
        if row.special.is_some() {
            let quorum = Quorum { met: true, needed: 0, answered: 0 };
            let predictors = self.definition.members.iter().map(|member| not_asked(member, row)).collect();
            return Score { quorum, predictors, ..self.frame(row, None, Verdict::NotRoutable) };
        }
        let combined = self.definition.combine(row.item.kind, &self.predictions(i, answers));
        let parts = || self.definition.members.iter().zip(&answers.members).zip(&combined.members);
        let predictors =
            parts().map(|((member, answer), outcome)| predictor(member, answer, outcome, i)).collect();
        let Combined { risk, verdict, agreement, quorum, .. } = combined;
        Score { agreement, quorum, predictors, ..self.frame(row, risk, verdict) }
    }

    /// What [`EnsembleDefinition::combine`] is asked for a row.
    fn predictions(&self, i: usize, answers: &Answers<'_>) -> Vec<(&str, Option<f32>)> {
        let mut predictions = Vec::with_capacity(answers.members.len());
        for (member, answer) in self.definition.members.iter().zip(&answers.members) {
            let model = member.model.as_str();
            match answer {
                Answer::Batch(batch) => predictions.push((model, probability(batch, i))),
                Answer::Failed(_) => predictions.push((model, None)),
                Answer::Absent => {}
                Answer::Ambiguous => predictions.extend([(model, None), (model, None)]),
            }
        }
        predictions
    }

    /// A score without the members' parts.
    fn frame(&self, row: &Row, risk: Option<f64>, verdict: Verdict) -> Score {
        let item = &row.item;
        // Sort keys sort as text only in one spelling of a time.
        let requested_at =
            parse_rfc3339(&item.requested_at).map_or_else(|_| label(&item.requested_at), rfc3339_millis);
        Score {
            entity: item.entity.clone(),
            scored_key: scored_key(&requested_at, &item.request_id),
            kind: item.kind,
            original: cut(&item.original, MAX_ORIGINAL_BYTES),
            source: item.source.as_deref().map(label),
            tlp: item.tlp.as_deref().map(label),
            attempt: item.attempt,
            requested_at,
            scored_at: self.scored_at.to_owned(),
            batch: label(&self.input.batch),
            risk,
            verdict,
            agreement: None,
            quorum: Quorum { met: false, needed: 0, answered: 0 },
            predictors: Vec::new(),
            interval: None,
            base_risk: None,
            reasons: Vec::new(),
            other_points: None,
            groups: Vec::new(),
            profiles: BTreeMap::new(),
            listed: None,
            valid_until: None,
            evidence: bounds::evidence(&row.evidence),
            evidence_dropped: bounds::evidence_dropped(row),
            sources: bounds::sources(&row.sources).collect(),
            source_ms: bounds::source_ms(row, &self.input.source_ms),
            special: row.special,
            schema: label(&self.input.schema),
            ensemble: EnsembleRef {
                version: self.definition.version.clone(),
                digest: self.digest.to_owned(),
            },
        }
    }
}

fn probability(batch: &PredictionBatch, i: usize) -> Option<f32> {
    batch.probabilities.get(i).copied().flatten()
}

fn not_asked(member: &Member, row: &Row) -> PredictorOutcome {
    PredictorOutcome {
        model: member.model.clone(),
        version: None,
        digest: None,
        probability: None,
        weight: *member.weight.get(row.item.kind),
        points: None,
        reason: Some("not asked".to_owned()),
    }
}

fn predictor(member: &Member, answer: &Answer<'_>, outcome: &MemberOutcome, i: usize) -> PredictorOutcome {
    let not_counted = || outcome.probability.err().map(|reason| reason.to_string());
    let (batch, probability, reason) = match answer {
        Answer::Batch(batch) => match probability(batch, i) {
            // Kept also where it has no weight: that is how a new model is watched before it has a say.
            Some(p) if (0.0..=1.0).contains(&p) => (Some(batch), Some(p), not_counted()),
            Some(_) => (Some(batch), None, not_counted()),
            None => (Some(batch), None, Some(abstained(batch))),
        },
        Answer::Failed(reason) => (None, None, Some(reason.clone())),
        Answer::Absent | Answer::Ambiguous => (None, None, not_counted()),
    };
    PredictorOutcome {
        model: member.model.clone(),
        version: batch.map(|b| label(&b.version)),
        digest: batch.map(|b| label(&b.digest)),
        probability,
        weight: outcome.weight,
        points: None,
        reason,
    }
}

fn abstained(batch: &PredictionBatch) -> String {
    if batch.abstentions.is_empty() {
        return "abstained".to_owned();
    }
    cut(&format!("abstained: {}", batch.abstentions.join(", ")), MAX_REASON_BYTES)
}
