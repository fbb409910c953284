//! The predict step: feature vectors to probabilities, by one model of the ensemble.
//!
//! ```text
//! FeatureBatch (n rows x features) -> Predictor -> PredictionBatch (n probabilities, n contribution lists)
//! ```
//! A model has parts, one per group of kinds; a row is answered by the part of its kind. A model names the
//! features that it reads, so it runs on any schema that has them. `null` is an abstention: the kind is not
//! covered, a feature is not in the schema, or scoring the entity makes no sense. Why a whole kind is
//! abstained from stands in
//! `abstentions`.
//!
//! Probabilities are the trainer's own, rounded to `f32`. Contributions (path-dependent SHAP, in the model's
//! margin space) are computed from the part's `explain_from` on; the strongest are told one by one.
//!
//! [`Predictor`] is pure and knows neither S3 nor the clock; [`Predict`] is the function around it, which
//! loads the model before the first event, and tries again later when that failed.
//!
//! It does not calibrate, and it does not judge: the ensemble does.

mod characters;
mod load;
mod predictor;
mod step;

pub use characters::explain_characters;
pub use load::LoadError;
pub use predictor::{PredictError, Predictor};
pub use step::{Predict, RETRY_AFTER};

#[cfg(test)]
mod tests;
