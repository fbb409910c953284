//! Probabilities to one; the formulas stand in the module above.
//!
//! Every method never falls when a probability rises: sums have terms of one sign and a fixed order, and where `ln` and
//! `exp` come in, their last bits are far below what a risk is rounded to.

use super::definition::{EnsembleDefinition, Method};
use crate::entity::Kind;

/// Nearest that a probability comes to 0 and 1 in logistic stacking: one certain member must not outshout all others.
const CLIP: f64 = 1e-6;

/// Part of the weights within which a sum of them is half of all: sums of the same weights in another order must not
/// make another median.
const HALF_TOLERANCE: f64 = 1e-9;

/// A member that answered: its weight, above zero, and its probability.
pub(super) type Vote = (f64, f64);

impl EnsembleDefinition {
    /// The risk of members that answered, at least one, in the order of the definition: in [0, 100], not rounded.
    pub(super) fn risk_of(&self, kind: Kind, votes: &[Vote]) -> f64 {
        let all = self.members.iter().map(|member| *member.weight.get(kind)).sum();
        let combined = self.method.get(kind).combine(votes, all);
        100.0 * self.calibration.get(kind).as_ref().map_or(combined, |c| c.apply(combined))
    }
}

impl Method {
    /// One probability of those that answered, at least one; `all` is the sum of the weights of all members.
    fn combine(self, votes: &[Vote], all: f64) -> f64 {
        let total: f64 = votes.iter().map(|(w, _)| w).sum();
        let mean = |of: fn(f64) -> f64| votes.iter().map(|&(w, p)| w * of(p)).sum::<f64>() / total;
        let least = votes.iter().fold(1.0, |least, &(_, p)| f64::min(least, p));
        let most = votes.iter().fold(0.0, |most, &(_, p)| f64::max(most, p));
        // Rounding in the sums must not push a mean of equal numbers past them.
        match self {
            Self::Mean => mean(|p| p).clamp(least, most),
            Self::Median => median(votes, total),
            Self::Maximum => most,
            Self::NoisyOr => (-mean(|p| (-p).ln_1p()).exp_m1()).clamp(least, most),
            Self::Logistic { bias } => sigmoid(bias + all * mean(clipped_logit)),
        }
    }
}

/// The midpoint of the lower and the upper weighted median: each has at most half of the weight on either side.
fn median(votes: &[Vote], total: f64) -> f64 {
    let mut sorted = votes.to_vec();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (half, tolerance) = (total / 2.0, total * HALF_TOLERANCE);
    let mut sum = 0.0;
    let mut lower = None;
    for (weight, p) in sorted {
        sum += weight;
        if lower.is_none() && sum >= half - tolerance {
            lower = Some(p);
        }
        if sum > half + tolerance {
            return f64::midpoint(lower.unwrap_or(p), p);
        }
    }
    lower.unwrap_or(0.0)
}

fn clipped_logit(p: f64) -> f64 {
    let p = p.clamp(CLIP, 1.0 - CLIP);
    (p / (1.0 - p)).ln()
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}
