//! The predict step: feature vectors to probabilities, by one model of the ensemble.
//!
//! ```text
//! FeatureBatch (n rows x features) -> Predictor -> PredictionBatch (n probabilities, explanations, bounds)
//! ```
//! A model has parts, one per group of kinds; a row is answered by the part of its kind. A part is trees, which read
//! the features that its manifest names, so that it runs on any schema that has them, or a network over characters,
//! which reads the name itself. `null` is an abstention: the kind is not covered, a feature is not in the schema, or
//! scoring the entity makes no sense. Why a whole kind is abstained from stands in `abstentions`.
//!
//! Probabilities are the trainer's own, through the part's calibration in `f64`, rounded to `f32` once. Explanations
//! (path-dependent SHAP, in the model's margin space) are given from the part's `explain_from` on, which is compared
//! with the calibrated probability; the strongest contributions are told one by one. Bounds are given where a source
//! was asked and did not answer: the probabilities that its features could have led to, whatever their values.
//!
//! [`Predictor`] is pure and knows neither S3 nor the clock; [`Predict`] is the function around it, which
//! loads the model before the first event, tries again later when that failed, and follows the version in force.
//!
//! It does not combine, and it does not judge: the ensemble does.

mod characters;
mod explain;
mod load;
mod part;
mod predictor;
mod step;
mod unanswered;

pub use load::LoadError;
pub use predictor::{PredictError, Predictor};
pub use step::{LOOK_AFTER, Predict, RETRY_AFTER};

#[cfg(test)]
mod tests;
