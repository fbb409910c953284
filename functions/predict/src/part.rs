//! A part of a model: what answers the rows of some kinds, its probabilities, its reasons and its bounds.

use std::collections::{HashMap, HashSet};

use tribunal_characters::CharacterModel;
use tribunal_core::ensemble::Calibration;
use tribunal_core::entity::Kind;
use tribunal_core::message::{PredictionBatch, Row};
use tribunal_forest::Forest;

use crate::characters::explain_characters;
use crate::explain;
use crate::predictor::PredictError;
use crate::unanswered::Unanswered;

/// Position of an optional feature that the batch lacks: no row has a value there.
pub(crate) const ABSENT: usize = usize::MAX;

/// What computes margins.
#[derive(Debug)]
pub(crate) enum Engine {
    /// From the features.
    Trees(Box<Forest>),
    /// From the name itself.
    Characters(Box<CharacterModel>),
}

/// The model for some kinds, and the features that it reads.
#[derive(Debug)]
pub(crate) struct RunnablePart {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) features: Vec<String>,
    /// Those that a batch may lack.
    pub(crate) optional: Vec<String>,
    /// Calibrated probability from which on reasons are given; infinite for none.
    pub(crate) explain_from: f64,
    /// Whether bounds are given.
    pub(crate) with_bounds: bool,
    pub(crate) calibration: Option<Calibration>,
    pub(crate) engine: Engine,
}

/// The rows of a batch that a part answers.
pub(crate) struct Asked<'a> {
    /// All rows of the batch.
    pub(crate) rows: &'a [Row],
    /// Those that are asked for.
    pub(crate) indices: &'a [usize],
    /// Where the batch has the part's features.
    pub(crate) positions: &'a [usize],
    pub(crate) unanswered: &'a Unanswered,
}

impl RunnablePart {
    /// Where the batch has each feature; or the first that it lacks and may not.
    pub(crate) fn positions(&self, batch: &HashMap<&str, usize>) -> Result<Vec<usize>, String> {
        let optional: HashSet<&String> = self.optional.iter().collect();
        let find = |feature: &String| match batch.get(feature.as_str()) {
            Some(position) => Ok(*position),
            None if optional.contains(feature) => Ok(ABSENT),
            None => Err(feature.clone()),
        };
        self.features.iter().map(find).collect()
    }

    /// Answers the rows that are asked for.
    pub(crate) fn predict(
        &self,
        asked: &Asked<'_>,
        answer: &mut PredictionBatch,
    ) -> Result<(), PredictError> {
        match &self.engine {
            Engine::Trees(forest) => self.trees(forest, asked, answer),
            Engine::Characters(model) => {
                self.characters(model, asked, answer);
                Ok(())
            }
        }
    }

    /// The calibrated probability of a raw one.
    pub(crate) fn calibrated(&self, raw: f64) -> f64 {
        self.calibration.as_ref().map_or(raw, |calibration| calibration.apply(raw))
    }

    fn trees(
        &self,
        forest: &Forest,
        asked: &Asked<'_>,
        answer: &mut PredictionBatch,
    ) -> Result<(), PredictError> {
        let matrix = asked.matrix(asked.indices);
        let mut margins = Vec::new();
        forest.margins(&matrix, &mut margins)?;
        let mut probabilities = margins.clone();
        forest.to_probabilities(&mut probabilities)?;
        let (mut to_explain, mut to_bound) = (Vec::new(), Vec::new());
        for ((&i, &raw), &margin) in asked.indices.iter().zip(&probabilities).zip(&margins) {
            let probability = self.calibrated(raw);
            // Infinite leaves can make a margin that is no number; no number is no answer.
            if probability.is_nan() {
                continue;
            }
            set(&mut answer.probabilities, i, narrow(probability));
            if probability >= self.explain_from {
                to_explain.push((i, margin));
            }
            if self.with_bounds && asked.unanswered.any(i) {
                to_bound.push((i, probability));
            }
        }
        self.explain(forest, asked, &to_explain, answer)?;
        self.bound(forest, asked, &to_bound, answer)
    }

    /// Reasons of the rows `(index, margin)`; none when the model's file does not hold what is needed for them.
    fn explain(
        &self,
        forest: &Forest,
        asked: &Asked<'_>,
        rows: &[(usize, f64)],
        answer: &mut PredictionBatch,
    ) -> Result<(), PredictError> {
        if rows.is_empty() || !forest.has_covers() {
            return Ok(());
        }
        let indices: Vec<usize> = rows.iter().map(|&(i, _)| i).collect();
        let mut contributions = Vec::new();
        forest.contributions_batch(&asked.matrix(&indices), &mut contributions)?;
        let each = contributions.chunks_exact(asked.positions.len() + 1);
        for (&(i, margin), contributions) in rows.iter().zip(each) {
            let Some((&base, values)) = contributions.split_last() else { continue };
            let mut at_base = vec![base];
            forest.to_probabilities(&mut at_base)?;
            let at_base = self.calibrated(at_base.first().copied().unwrap_or(f64::NAN));
            if let Some(why) = explain::of_trees(base, at_base, margin, values, asked.positions) {
                set(&mut answer.explanations, i, why);
            }
        }
        Ok(())
    }

    /// Bounds of the rows `(index, calibrated probability)`.
    fn bound(
        &self,
        forest: &Forest,
        asked: &Asked<'_>,
        rows: &[(usize, f64)],
        answer: &mut PredictionBatch,
    ) -> Result<(), PredictError> {
        let indices: Vec<usize> = rows.iter().map(|&(i, _)| i).collect();
        let unknown: Vec<bool> = indices
            .iter()
            .flat_map(|&i| asked.positions.iter().map(move |&position| asked.unanswered.is(i, position)))
            .collect();
        let mut margins = Vec::new();
        forest.bounds(&asked.matrix(&indices), &unknown, &mut margins)?;
        let mut ends: Vec<f64> = margins.iter().flat_map(|&(low, high)| [low, high]).collect();
        forest.to_probabilities(&mut ends)?;
        for (&(i, probability), ends) in rows.iter().zip(ends.chunks_exact(2)) {
            set(&mut answer.bounds, i, self.interval(probability, ends));
        }
        Ok(())
    }

    /// The calibrated interval of raw ends, in any order: a link may fall.
    fn interval(&self, probability: f64, ends: &[f64]) -> (f32, f32) {
        let calibrated =
            |raw: &f64| if raw.is_nan() { f64::NAN } else { self.calibrated(raw.clamp(0.0, 1.0)) };
        let ends: Vec<f64> = ends.iter().map(calibrated).collect();
        if ends.iter().any(|end| end.is_nan()) {
            return (0.0, 1.0);
        }
        // The platform's exponential function may not be monotone in its last bit.
        let low = ends.iter().copied().fold(probability, f64::min);
        let high = ends.iter().copied().fold(probability, f64::max);
        (narrow(low), narrow(high))
    }

    fn characters(&self, model: &CharacterModel, asked: &Asked<'_>, answer: &mut PredictionBatch) {
        for (i, row) in asked.indices.iter().filter_map(|&i| Some((i, asked.rows.get(i)?))) {
            let probability = self.calibrated(logistic(model.margin(&row.item.entity)));
            if probability.is_nan() {
                continue;
            }
            set(&mut answer.probabilities, i, narrow(probability));
            if probability >= self.explain_from {
                let calibrated = |margin| self.calibrated(logistic(margin));
                set(&mut answer.explanations, i, explain_characters(model, &row.item.entity, calibrated));
            }
            if self.with_bounds && asked.unanswered.any(i) {
                // No source says what the name is.
                set(&mut answer.bounds, i, (narrow(probability), narrow(probability)));
            }
        }
    }
}

impl Asked<'_> {
    /// The vectors of rows, one after the other.
    fn matrix(&self, indices: &[usize]) -> Vec<f32> {
        let mut matrix = Vec::with_capacity(indices.len() * self.positions.len());
        for row in indices.iter().filter_map(|&i| self.rows.get(i)) {
            let value = |&position: &usize| row.values.get(position).copied().flatten().unwrap_or(f32::NAN);
            matrix.extend(self.positions.iter().map(value));
        }
        matrix
    }
}

fn set<T>(slots: &mut [Option<T>], i: usize, value: T) {
    if let Some(slot) = slots.get_mut(i) {
        *slot = Some(value);
    }
}

fn logistic(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

pub(crate) fn narrow(value: f64) -> f32 {
    value as f32
}
