//! A batch of predictions to scores: pure, one score per row, in the order of the rows.
//!
//! What came of every member is kept with each score: its probability, or the reason why it has none. Texts
//! and lists are cut to the limits of the step, so that a score always fits into an item.

use std::collections::BTreeMap;

use tribunal_core::ensemble::{Combined, EnsembleDefinition, ListEntry, Lists, Member, MemberOutcome};
use tribunal_core::message::{
    CaughtError, EnsembleInput, Explanation, FeatureBatch, MAX_ORIGINAL_BYTES, PredictionBatch,
    PredictionOutcome, Row, scored_key,
};
use tribunal_core::score::{EnsembleRef, Listed, PredictorOutcome, Quorum};
use tribunal_core::time::{parse_rfc3339, rfc3339_millis};
use tribunal_core::{Score, Verdict};

use crate::bounds::{self, MAX_REASON_BYTES, cut, label};
use crate::definition::Loaded;
use crate::reasons::{Origins, Told};

const HOUR_MS: f64 = 3_600_000.0;

/// Scores every row of `input`. `digest` is the definition's, `scored_at` RFC 3339 in UTC with milliseconds.
///
/// Compiles the definition's lists; [`score_loaded`] has them compiled.
pub fn score_batch(
    definition: &EnsembleDefinition,
    digest: &str,
    input: &EnsembleInput,
    scored_at: &str,
) -> Vec<Score> {
    score(definition, digest, &Lists::of(definition), input, scored_at)
}

/// Like [`score_batch`], by a definition that was loaded.
pub fn score_loaded(loaded: &Loaded, input: &EnsembleInput, scored_at: &str) -> Vec<Score> {
    score(&loaded.definition, &loaded.digest, &loaded.lists, input, scored_at)
}

fn score(
    definition: &EnsembleDefinition,
    digest: &str,
    lists: &Lists,
    input: &EnsembleInput,
    scored_at: &str,
) -> Vec<Score> {
    let batch = Batch {
        definition,
        digest,
        lists,
        input: &input.features,
        origins: Origins::of(&input.features),
        scored_at,
        scored_ms: parse_rfc3339(scored_at).unwrap_or(0),
    };
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

impl<'a> Answer<'a> {
    const fn batch(&self) -> Option<&'a PredictionBatch> {
        match self {
            Self::Batch(batch) => Some(batch),
            Self::Failed(_) | Self::Absent | Self::Ambiguous => None,
        }
    }
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

    /// Why each member gave row `i` its probability.
    fn explanations(&self, i: usize) -> Vec<Option<&'a Explanation>> {
        let of = |batch: &'a PredictionBatch| batch.explanations.get(i).and_then(Option::as_ref);
        self.members.iter().map(|answer| answer.batch().and_then(of)).collect()
    }

    /// Within which bounds each member's probability of row `i` is.
    fn bounds(&self, i: usize) -> Vec<Option<(f32, f32)>> {
        let of = |batch: &'a PredictionBatch| batch.bounds.get(i).copied().flatten();
        self.members.iter().map(|answer| answer.batch().and_then(of)).collect()
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
    lists: &'a Lists,
    input: &'a FeatureBatch,
    origins: Origins<'a>,
    scored_at: &'a str,
    scored_ms: u64,
}

impl Batch<'_> {
    fn score(&self, i: usize, row: &Row, answers: &Answers<'_>) -> Score {
        if row.special.is_some() {
            let quorum = Quorum { met: true, needed: 0, answered: 0 };
            let predictors = self.definition.members.iter().map(|member| not_asked(member, row)).collect();
            let profiles = self.profiles(Verdict::NotRoutable);
            return Score { quorum, predictors, profiles, ..self.frame(row, None, Verdict::NotRoutable) };
        }
        let kind = row.item.kind;
        let combined = self.definition.combine(kind, &self.predictions(i, answers));
        let attribution =
            self.definition.attribute(kind, &combined, &answers.explanations(i), self.input.features.len());
        let told =
            combined.risk.zip(attribution.as_ref()).map_or_else(Told::default, |(risk, attribution)| {
                self.origins.tell(self.definition, row, risk, attribution)
            });
        let is_silent = row.sources.values().any(|status| status.is_unanswered());
        let bounds = if is_silent { answers.bounds(i) } else { Vec::new() };
        let interval = self.definition.interval(kind, &combined, &bounds);
        let points = |m: usize| attribution.as_ref().and_then(|a| a.members.get(m).copied().flatten());
        let parts = self.definition.members.iter().zip(&answers.members).zip(&combined.members).enumerate();
        let predictors = parts.map(|(m, ((member, answer), outcome))| PredictorOutcome {
            points: points(m),
            ..predictor(member, answer, outcome, i)
        });
        Score {
            agreement: combined.agreement,
            quorum: combined.quorum,
            predictors: predictors.collect(),
            interval,
            base_risk: told.base_risk,
            reasons: told.reasons,
            other_points: told.other_points,
            groups: told.groups,
            ..self.judged(row, &combined)
        }
    }

    /// A score with its verdicts: the lists', or the models'.
    fn judged(&self, row: &Row, combined: &Combined) -> Score {
        let kind = row.item.kind;
        let entry = self.lists.find(&row.item.entity, self.scored_ms);
        let verdict = entry.map_or(combined.verdict, |entry| entry.action.verdict());
        let profiles = match entry {
            Some(_) => self.profiles(verdict),
            None => self.definition.profile_verdicts(kind, combined.risk),
        };
        let hours = self.definition.valid_hours.map(|hours| *hours.get(kind));
        let ages_ms = hours.map(|hours| self.scored_ms.saturating_add((hours * HOUR_MS) as u64));
        let expires_ms = entry.and_then(|e| e.expires.as_deref()).and_then(|text| parse_rfc3339(text).ok());
        let valid_ms = ages_ms.into_iter().chain(expires_ms).min().filter(|_| verdict != Verdict::Unknown);
        Score {
            profiles,
            listed: entry.map(listed),
            valid_until: valid_ms.map(rfc3339_millis),
            ..self.frame(row, combined.risk, verdict)
        }
    }

    /// The same verdict for every profile.
    fn profiles(&self, verdict: Verdict) -> BTreeMap<String, Verdict> {
        self.definition.profiles.keys().map(|name| (name.clone(), verdict)).collect()
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

fn listed(entry: &ListEntry) -> Listed {
    Listed {
        action: entry.action,
        entry: entry.pattern.clone(),
        reason: entry.reason.clone(),
        expires: entry.expires.clone(),
    }
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
