//! A model that is loaded, and what it says of a batch.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tribunal_core::ErrorName;
use tribunal_core::entity::Kind;
use tribunal_core::message::{
    Explanation, FeatureBatch, MAX_BATCH_ENTITIES, MAX_EXPLAINED, PredictionBatch, Row,
};
use tribunal_forest::Forest;

/// Position of an optional feature that the batch lacks: no row has a value there.
const ABSENT: usize = usize::MAX;

/// Why a batch has no prediction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// The batch holds too many rows.
    #[error("batch has {rows} rows, the limit is {limit}", limit = MAX_BATCH_ENTITIES)]
    TooManyRows {
        /// Rows of the batch.
        rows: usize,
    },
    /// A row has not one value per feature.
    #[error("row {row} has {values} values for {features} features")]
    RowLength {
        /// Position of the row.
        row: usize,
        /// Its values.
        values: usize,
        /// Features of the batch.
        features: usize,
    },
    /// A value is infinite.
    #[error("row {row}: value of {feature} does not fit into 32 bits, write null where it is missing")]
    NotFinite {
        /// Position of the row.
        row: usize,
        /// The feature.
        feature: String,
    },
    /// A feature is named twice.
    #[error("feature {feature} is named twice")]
    FeatureTwice {
        /// The feature.
        feature: String,
    },
    /// The engine refused rows that were laid out for it.
    #[error("model cannot be run")]
    Engine(#[from] tribunal_forest::PredictError),
}

impl PredictError {
    /// The name that a state machine is to see.
    pub const fn error_name(&self) -> ErrorName {
        match self {
            Self::TooManyRows { .. } => ErrorName::BatchTooLarge,
            Self::RowLength { .. } | Self::NotFinite { .. } | Self::FeatureTwice { .. } => {
                ErrorName::InvalidInput
            }
            Self::Engine(_) => ErrorName::ModelUnavailable,
        }
    }
}

/// The trees for some kinds, and the features that they read.
#[derive(Debug)]
pub(crate) struct RunnablePart {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) features: Vec<String>,
    /// Those that a batch may lack.
    pub(crate) optional: Vec<String>,
    pub(crate) explain_from: f64,
    pub(crate) forest: Forest,
}

/// Where each part finds its features in a batch ([`ABSENT`]: nowhere, and it may be so); or the first feature that
/// the batch lacks.
#[derive(Debug)]
struct Mapping {
    schema: String,
    features: Vec<String>,
    parts: Vec<Result<Vec<usize>, String>>,
}

/// One model, ready to be run.
#[derive(Debug)]
pub struct Predictor {
    model: String,
    version: String,
    digest: String,
    parts: Vec<RunnablePart>,
    /// Of the last batch: batches of one deployment have one schema.
    mapping: Mutex<Option<Arc<Mapping>>>,
}

impl Predictor {
    /// Computes no contributions from now on: they take most of the time, and not every caller shows them.
    pub fn leave_out_contributions(&mut self) {
        for part in &mut self.parts {
            part.explain_from = f64::INFINITY;
        }
    }

    pub(crate) fn new(model: String, version: String, digest: String, parts: Vec<RunnablePart>) -> Self {
        Self { model, version, digest, parts, mapping: Mutex::new(None) }
    }

    /// Name of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Version of the model.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Digest of the manifest.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Probabilities and contributions of every row of a batch.
    ///
    /// # Errors
    /// When the batch is not of the contract; never for an entity.
    pub fn predict(&self, batch: &FeatureBatch) -> Result<PredictionBatch, PredictError> {
        check(batch)?;
        let mapping = self.mapping(batch)?;
        let mut answer = PredictionBatch {
            model: self.model.clone(),
            version: self.version.clone(),
            digest: self.digest.clone(),
            probabilities: vec![None; batch.rows.len()],
            explanations: vec![None; batch.rows.len()],
            bounds: Vec::new(),
            abstentions: Vec::new(),
        };
        for kind in Kind::ALL {
            let rows: Vec<usize> = (0..batch.rows.len())
                .filter(|&i| batch.rows.get(i).is_some_and(|r| r.item.kind == kind && r.special.is_none()))
                .collect();
            if rows.is_empty() {
                continue;
            }
            let covering = self.parts.iter().zip(&mapping.parts).find(|(part, _)| part.kinds.contains(&kind));
            match covering {
                None => answer.abstentions.push(format!("kind_not_covered: {}", kind.as_str())),
                Some((_, Err(feature))) => answer.abstentions.push(format!("feature_unknown: {feature}")),
                Some((part, Ok(positions))) => part.predict(positions, &rows, &batch.rows, &mut answer)?,
            }
        }
        answer.abstentions.dedup();
        Ok(answer)
    }

    fn mapping(&self, batch: &FeatureBatch) -> Result<Arc<Mapping>, PredictError> {
        let mut cached = self.mapping.lock().unwrap_or_else(PoisonError::into_inner);
        // The digest alone does not suffice: an event may come from a person.
        if let Some(mapping) = cached.as_ref()
            && mapping.schema == batch.schema
            && mapping.features == batch.features
        {
            return Ok(Arc::clone(mapping));
        }
        let mut positions: HashMap<&str, usize> = HashMap::with_capacity(batch.features.len());
        for (i, feature) in batch.features.iter().enumerate() {
            if positions.insert(feature, i).is_some() {
                return Err(PredictError::FeatureTwice { feature: feature.chars().take(100).collect() });
            }
        }
        let parts = self.parts.iter().map(|part| part.positions(&positions)).collect();
        let mapping =
            Arc::new(Mapping { schema: batch.schema.clone(), features: batch.features.clone(), parts });
        *cached = Some(Arc::clone(&mapping));
        Ok(mapping)
    }
}

fn check(batch: &FeatureBatch) -> Result<(), PredictError> {
    if batch.rows.len() > MAX_BATCH_ENTITIES {
        return Err(PredictError::TooManyRows { rows: batch.rows.len() });
    }
    for (i, row) in batch.rows.iter().enumerate().filter(|(_, row)| row.special.is_none()) {
        if row.values.len() != batch.features.len() {
            let (values, features) = (row.values.len(), batch.features.len());
            return Err(PredictError::RowLength { row: i, values, features });
        }
        if let Some(at) = row.values.iter().position(|v| v.is_some_and(|v| !v.is_finite())) {
            let feature = batch.features.get(at).map(|f| f.chars().take(100).collect()).unwrap_or_default();
            return Err(PredictError::NotFinite { row: i, feature });
        }
    }
    Ok(())
}

impl RunnablePart {
    /// Where the batch has each feature; or the first that it lacks and may not.
    fn positions(&self, batch: &HashMap<&str, usize>) -> Result<Vec<usize>, String> {
        let optional: HashSet<&String> = self.optional.iter().collect();
        let find = |feature: &String| match batch.get(feature.as_str()) {
            Some(position) => Ok(*position),
            None if optional.contains(feature) => Ok(ABSENT),
            None => Err(feature.clone()),
        };
        self.features.iter().map(find).collect()
    }

    /// Answers the rows at `indices`, with the features at `positions`.
    fn predict(
        &self,
        positions: &[usize],
        indices: &[usize],
        rows: &[Row],
        answer: &mut PredictionBatch,
    ) -> Result<(), PredictError> {
        let mut matrix: Vec<f32> = Vec::with_capacity(indices.len() * positions.len());
        for row in indices.iter().filter_map(|&i| rows.get(i)) {
            matrix
                .extend(positions.iter().map(|&p| row.values.get(p).copied().flatten().unwrap_or(f32::NAN)));
        }
        let mut probabilities = Vec::new();
        self.forest.probabilities(&matrix, &mut probabilities)?;
        let vectors = matrix.chunks_exact(positions.len().max(1));
        for ((&i, &probability), vector) in indices.iter().zip(&probabilities).zip(vectors) {
            // Infinite leaves can make a margin that is no number; no number is no answer.
            if probability.is_nan() {
                continue;
            }
            if let Some(slot) = answer.probabilities.get_mut(i) {
                *slot = Some(narrow(probability));
            }
            if probability >= self.explain_from
                && let Some(slot) = answer.explanations.get_mut(i)
            {
                *slot = self.explain(positions, vector)?;
            }
        }
        Ok(())
    }

    /// What moved one vector's margin; nothing when the model's file does not hold what is needed to compute it.
    /// `positions` are the features' in the batch.
    fn explain(&self, positions: &[usize], vector: &[f32]) -> Result<Option<Explanation>, PredictError> {
        let contributions = match self.forest.contributions(vector) {
            Ok(contributions) => contributions,
            Err(tribunal_forest::PredictError::NoCovers) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(&base) = contributions.expected.first() else { return Ok(None) };
        let mut base_probability = vec![base];
        self.forest.to_probabilities(&mut base_probability)?;
        let mut parts: Vec<(u32, f64)> = positions
            .iter()
            .zip(&contributions.values)
            .filter(|(_, contribution)| **contribution != 0.0)
            .map(|(&position, &contribution)| (position as u32, contribution))
            .collect();
        if parts.iter().any(|(_, contribution)| !contribution.is_finite()) {
            return Ok(None);
        }
        // Stable: of equally strong ones the first of the model comes first, so that a score can be repeated.
        parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let margin = base + parts.iter().map(|(_, contribution)| contribution).sum::<f64>();
        // What the batch has no feature for cannot be named: it is with the rest.
        let (named, unnamed): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|(position, _)| *position != ABSENT as u32);
        let weaker = named.iter().skip(MAX_EXPLAINED).chain(&unnamed);
        let rest: f64 = weaker.map(|(_, contribution)| contribution).sum();
        Ok(Some(Explanation {
            base: narrow(base),
            base_probability: base_probability.first().map_or(0.5, |&p| narrow(p)),
            margin: narrow(margin),
            top: named
                .iter()
                .take(MAX_EXPLAINED)
                .map(|&(position, value)| (position, narrow(value)))
                .collect(),
            rest: narrow(rest),
            grams: Vec::new(),
        }))
    }
}

fn narrow(value: f64) -> f32 {
    value as f32
}
