//! From margins to probabilities and to what the trainer's `predict` gives.
//!
//! Functions are computed in `f32` where the trainer does so ([`Aggregation::SumF32`]), else in `f64`. The
//! exponential function is the platform's, so results may differ from the trainer's by one unit in the last place.

use serde::{Deserialize, Serialize};

use crate::error::PredictError;
use crate::forest::{Aggregation, Forest};

/// How a margin becomes an output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Link {
    /// The margin is the output, and no probability (regression, ranking).
    Identity,
    /// The margin is the probability already (averaged trees).
    Probability,
    /// Probability of class 1 = 1 / (1 + exp(-slope x margin)); with several outputs, of each class by itself.
    /// For a LightGBM random forest the margin is divided by the number of trees first: its raw score is the
    /// sum.
    Logistic {
        /// LightGBM's parameter `sigmoid`; 1 for all others.
        slope: f64,
    },
    /// As [`Link::Logistic`] with slope 1, but the trainer's `predict` gives the margin (`binary:logitraw`).
    Logit,
    /// Probabilities of the classes = softmax of the margins.
    Softmax,
    /// As [`Link::Softmax`], but the trainer's `predict` gives the class of the greatest margin
    /// (`multi:softmax`).
    SoftmaxClass,
    /// The margins, sorted from least to greatest (several quantiles).
    Sorted,
    /// ONNX `SOFTMAX_ZERO`: as [`Link::Softmax`], but a margin that is zero (within 1e-7) gives the probability zero.
    SoftmaxZero,
    /// One classifier per class: each class's logistic function, divided by the sum over the classes.
    OneVersusRest,
    /// exp(margin): counts, gamma, Tweedie, hazards, survival times.
    Exp,
    /// 1 if the margin is above zero, else 0 (`binary:hinge`).
    Step,
    /// The margin's square with the margin's sign (LightGBM's `regression sqrt`).
    SignedSquare,
    /// ln(1 + exp(margin)) (LightGBM's `cross_entropy_lambda`).
    LogOnePlusExp,
    /// Isolation forest: the margin is the mean path length, the answer 2^(-margin / normal), in (0, 1]: near 1 is
    /// anomalous.
    PathLength {
        /// Mean path length of an unsuccessful search in the trees' samples.
        normal: f64,
    },
}

impl Link {
    /// Whether [`Forest::probabilities`] has an answer.
    pub const fn gives_probabilities(self) -> bool {
        matches!(
            self,
            Self::Probability
                | Self::Logistic { .. }
                | Self::Logit
                | Self::Softmax
                | Self::SoftmaxClass
                | Self::SoftmaxZero
                | Self::OneVersusRest
                | Self::PathLength { .. }
        )
    }
}

impl Forest {
    /// Probabilities of row-major `rows`, replacing the contents of `out`: of class 1, one per row, or of every
    /// class, `n x n_outputs`. An isolation forest's is its anomaly score.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] as for [`Forest::margins`]; [`PredictError::NoProbability`] when the model
    /// is a regression.
    pub fn probabilities(&self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        if !self.link.gives_probabilities() {
            out.clear();
            return Err(PredictError::NoProbability { objective: self.objective.clone() });
        }
        self.margins(rows, out)?;
        self.to_probabilities(out)
    }

    /// Makes margins (`n x n_outputs`, of rows or of bounds) probabilities, in place.
    ///
    /// # Errors
    /// [`PredictError::NoProbability`] when the model is a regression; the margins stay as they are then.
    pub fn to_probabilities(&self, margins: &mut Vec<f64>) -> Result<(), PredictError> {
        match self.link {
            link if !link.gives_probabilities() => {
                return Err(PredictError::NoProbability { objective: self.objective.clone() });
            }
            Link::Logit => self.apply(Link::Logistic { slope: 1.0 }, margins),
            Link::SoftmaxClass => self.apply(Link::Softmax, margins),
            link => self.apply(link, margins),
        }
        Ok(())
    }

    /// What the trainer's own `predict` gives for row-major `rows`, replacing the contents of `out`: `n x
    /// n_outputs`, or one per row for [`Link::SoftmaxClass`]. A scikit-learn classifier's is its
    /// `predict_proba`.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] as for [`Forest::margins`].
    pub fn responses(&self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        self.margins(rows, out)?;
        self.apply(self.link, out);
        Ok(())
    }

    /// Applies a link to margins, in place.
    fn apply(&self, link: Link, out: &mut Vec<f64>) {
        let (single, onnx) = (self.aggregation.is_f32(), self.aggregation.is_onnx());
        if let Aggregation::SumF64 { averaged: true, .. } = self.aggregation {
            let n = self.trees_per_output() as f64;
            out.iter_mut().for_each(|m| *m /= n);
        }
        match link {
            Link::Identity | Link::Logit => {}
            // A mean of leaves that are rounded up may be above 1, too.
            Link::Probability => each(out, |m| m.min(1.0)),
            Link::Logistic { .. } if onnx => each(out, |m| f64::from(onnx::logistic(m as f32))),
            Link::Logistic { .. } if single => each(out, |m| sigmoid_f32(m as f32)),
            Link::Logistic { slope } => each(out, |m| sigmoid(slope * m)),
            Link::Sorted => out.chunks_exact_mut(self.n_outputs).for_each(sort),
            Link::Softmax if onnx => out.chunks_exact_mut(self.n_outputs).for_each(onnx::softmax),
            Link::Softmax => out.chunks_exact_mut(self.n_outputs).for_each(|m| softmax(m, single)),
            Link::SoftmaxZero => out.chunks_exact_mut(self.n_outputs).for_each(onnx::softmax_zero),
            Link::OneVersusRest => {
                out.chunks_exact_mut(self.n_outputs).for_each(|m| one_versus_rest(m, onnx));
            }
            Link::SoftmaxClass => {
                *out = out.chunks_exact(self.n_outputs).map(|m| greatest(m) as f64).collect();
            }
            Link::Exp if single => each(out, |m| f64::from((m as f32).exp())),
            Link::Exp => each(out, f64::exp),
            Link::Step => each(out, |m| f64::from(u8::from(m > 0.0))),
            Link::SignedSquare => each(out, |m| m.signum() * m * m),
            Link::LogOnePlusExp => each(out, |m| m.exp().ln_1p()),
            Link::PathLength { normal } => each(out, |m| (-m / normal).exp2()),
        }
    }
}

fn each(out: &mut [f64], link: impl Fn(f64) -> f64) {
    out.iter_mut().for_each(|m| *m = link(*m));
}

/// LightGBM's logistic function.
fn sigmoid(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

/// XGBoost's logistic function, in `f32`.
fn sigmoid_f32(margin: f32) -> f64 {
    const EPSILON: f32 = 1e-16;
    let negated = (-margin).min(88.7);
    f64::from(1.0 / (negated.exp() + 1.0 + EPSILON))
}

/// Softmax in place. XGBoost computes it in `f32` but for the sum of the exponentials, which is `f64`.
fn softmax(margins: &mut [f64], single: bool) {
    let greatest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for m in margins.iter_mut() {
        let exp = if single { f64::from((*m as f32 - greatest as f32).exp()) } else { (*m - greatest).exp() };
        *m = exp;
        sum += exp;
    }
    margins.iter_mut().for_each(|m| *m = if single { f64::from(*m as f32 / sum as f32) } else { *m / sum });
}

/// Sorts a few margins by insertion, as XGBoost does: equal ones, as zeros of both signs, keep their order.
fn sort(margins: &mut [f64]) {
    for end in 1..margins.len() {
        let value = margins[end];
        let at = margins[..end].iter().rposition(|m| *m <= value).map_or(0, |i| i + 1);
        margins[at..=end].rotate_right(1);
    }
}

/// Each class's probability by itself, divided by their sum (unless that is zero), in place.
fn one_versus_rest(margins: &mut [f64], single: bool) {
    if single {
        each(margins, |m| f64::from(onnx::logistic(m as f32)));
        let sum = margins.iter().fold(0.0_f32, |sum, &p| sum + p as f32);
        if sum != 0.0 {
            each(margins, |p| f64::from(p as f32 / sum));
        }
        return;
    }
    each(margins, sigmoid);
    let sum: f64 = margins.iter().sum();
    if sum != 0.0 {
        each(margins, |p| p / sum);
    }
}

/// The link functions of onnxruntime (`core/providers/cpu/ml/ml_common.h`), in `f32`.
mod onnx {
    /// Magnitude up to which [`softmax_zero`] takes a margin for zero.
    const ZERO: f32 = 1e-7;

    pub(super) fn logistic(margin: f32) -> f32 {
        let p = 1.0 / (1.0 + (-margin.abs()).exp());
        if margin < 0.0 { 1.0 - p } else { p }
    }

    pub(super) fn softmax(margins: &mut [f64]) {
        let greatest = greatest(margins);
        let mut sum = 0.0_f32;
        for m in margins.iter_mut() {
            let exp = (*m as f32 - greatest).exp();
            sum += exp;
            *m = f64::from(exp);
        }
        margins.iter_mut().for_each(|m| *m = f64::from(*m as f32 / sum));
    }

    /// Margins of zero are left out of the sum. When all are, every probability is zero (onnxruntime's is `NaN`).
    pub(super) fn softmax_zero(margins: &mut [f64]) {
        let greatest = greatest(margins);
        let mut sum = 0.0_f32;
        for m in margins.iter_mut() {
            let margin = *m as f32;
            if margin.abs() > ZERO {
                let exp = (margin - greatest).exp();
                sum += exp;
                *m = f64::from(exp);
            } else {
                *m = f64::from(margin * (-greatest).exp());
            }
        }
        if sum != 0.0 {
            margins.iter_mut().for_each(|m| *m = f64::from(*m as f32 / sum));
        }
    }

    fn greatest(margins: &[f64]) -> f32 {
        margins.iter().fold(f32::MIN, |greatest, &m| greatest.max(m as f32))
    }
}

/// Position of the first greatest value.
fn greatest(values: &[f64]) -> usize {
    let start = (0, f64::NEG_INFINITY);
    values.iter().enumerate().fold(start, |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0
}
