//! A model that is loaded, and what it says of a batch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tribunal_core::ErrorName;
use tribunal_core::entity::Kind;
use tribunal_core::message::{FeatureBatch, MAX_BATCH_ENTITIES, PredictionBatch};

use crate::part::{Asked, RunnablePart};
use crate::unanswered::Unanswered;

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
    /// A run of a source's features is not one of the batch's.
    #[error("source_features[{run}] has {count} features from {first} on, the batch has {features}")]
    SourceFeatures {
        /// Position of the run; at most as many are allowed as there are features.
        run: usize,
        /// Its first position.
        first: usize,
        /// Its length.
        count: usize,
        /// Features of the batch.
        features: usize,
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
            Self::RowLength { .. }
            | Self::NotFinite { .. }
            | Self::FeatureTwice { .. }
            | Self::SourceFeatures { .. } => ErrorName::InvalidInput,
            Self::Engine(_) => ErrorName::ModelUnavailable,
        }
    }
}

/// Where each part finds its features in a batch; or the first feature that the batch lacks and may not.
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
    /// Computes no contributions and no bounds from now on: they take most of the time, and not every caller shows
    /// them.
    pub fn leave_out_contributions(&mut self) {
        for part in &mut self.parts {
            part.explain_from = f64::INFINITY;
            part.with_bounds = false;
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

    /// Calibrated probabilities, reasons and bounds of every row of a batch.
    ///
    /// # Errors
    /// When the batch is not of the contract; never for an entity.
    pub fn predict(&self, batch: &FeatureBatch) -> Result<PredictionBatch, PredictError> {
        check(batch)?;
        let mapping = self.mapping(batch)?;
        let unanswered = Unanswered::of(batch)?;
        let mut answer = PredictionBatch {
            model: self.model.clone(),
            version: self.version.clone(),
            digest: self.digest.clone(),
            probabilities: vec![None; batch.rows.len()],
            explanations: vec![None; batch.rows.len()],
            bounds: if unanswered.is_any() { vec![None; batch.rows.len()] } else { Vec::new() },
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
                Some((part, Ok(positions))) => {
                    let asked =
                        Asked { rows: &batch.rows, indices: &rows, positions, unanswered: &unanswered };
                    part.predict(&asked, &mut answer)?;
                }
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
