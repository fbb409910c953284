//! Probabilities to a risk and a verdict; the formula stands in the module above.

use super::definition::{EnsembleDefinition, Member};
use crate::entity::Kind;
use crate::score::{Quorum, Verdict};

/// Decimals that a risk is rounded to.
pub const RISK_DECIMALS: u32 = 6;
const RISK_SCALE: f64 = 1e6;

/// Why a member's prediction does not count.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NotCounted {
    /// It has no say in this kind.
    #[error("weight 0 for this kind")]
    NoWeight,
    /// There is no prediction of that name.
    #[error("no prediction")]
    Absent,
    /// The predictor abstained.
    #[error("abstained")]
    Abstained,
    /// The prediction is not a probability.
    #[error("probability {0} is outside 0 to 1")]
    OutOfRange(f32),
    /// More than one prediction bears the name, and none of them is the right one.
    #[error("more than one prediction")]
    Ambiguous,
}

/// A member's part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemberOutcome {
    /// Its probability in [0, 1], or why it does not count.
    pub probability: Result<f32, NotCounted>,
    /// Its weight for the kind, as defined.
    pub weight: f64,
    /// Its part of the weights that answered, in [0, 1]; 0 when it did not.
    pub share: f64,
}

/// What the members say together.
#[derive(Debug, Clone, PartialEq)]
pub struct Combined {
    /// In [0, 100]; `None` without a quorum.
    pub risk: Option<f64>,
    /// By the thresholds of the kind; `Unknown` without a quorum.
    pub verdict: Verdict,
    /// 1 minus the spread of the probabilities; `None` with fewer than two.
    pub agreement: Option<f32>,
    /// How many had to answer, and did.
    pub quorum: Quorum,
    /// One per member, in the order of the definition.
    pub members: Vec<MemberOutcome>,
}

impl EnsembleDefinition {
    /// Combines `predictions` (name of the model, probability) for one entity of `kind`. Predictions of
    /// models that are not members are passed over.
    pub fn combine(&self, kind: Kind, predictions: &[(&str, Option<f32>)]) -> Combined {
        let mut members: Vec<MemberOutcome> =
            self.members.iter().map(|member| outcome(member, kind, predictions)).collect();
        let counted = |m: &MemberOutcome| m.probability.ok().map(|p| (m.weight, p));
        let total: f64 = members.iter().filter_map(counted).map(|(weight, _)| weight).sum();
        let sum: f64 = members.iter().filter_map(counted).map(|(weight, p)| weight * f64::from(p)).sum();
        for member in members.iter_mut().filter(|m| m.probability.is_ok()) {
            member.share = member.weight / total;
        }
        let probabilities: Vec<f32> = members.iter().filter_map(|m| m.probability.ok()).collect();
        let least = probabilities.iter().copied().fold(f32::INFINITY, f32::min);
        let most = probabilities.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (answered, needed) = (probabilities.len(), *self.quorum.get(kind));
        let met = answered >= needed && answered > 0;
        // Rounding in the sums must not push a mean of equal numbers past them.
        let risk = met.then(|| self.risk(kind, (sum / total).clamp(f64::from(least), f64::from(most))));
        Combined {
            risk,
            verdict: risk.map_or(Verdict::Unknown, |risk| self.verdict(kind, risk)),
            agreement: (answered >= 2).then_some(1.0 - (most - least)),
            quorum: Quorum { met, needed, answered },
            members,
        }
    }

    /// The verdict that a risk has.
    pub fn verdict(&self, kind: Kind, risk: f64) -> Verdict {
        let thresholds = self.thresholds.get(kind);
        if risk >= thresholds.malicious {
            Verdict::Malicious
        } else if risk >= thresholds.suspicious {
            Verdict::Suspicious
        } else {
            Verdict::Benign
        }
    }

    fn risk(&self, kind: Kind, mean: f64) -> f64 {
        let probability = self.calibration.get(kind).as_ref().map_or(mean, |c| c.apply(mean));
        (100.0 * probability * RISK_SCALE).round() / RISK_SCALE
    }
}

fn outcome(member: &Member, kind: Kind, predictions: &[(&str, Option<f32>)]) -> MemberOutcome {
    let weight = *member.weight.get(kind);
    let mut named = predictions.iter().filter(|(model, _)| *model == member.model).map(|(_, p)| *p);
    let probability = match (named.next(), named.next()) {
        _ if weight <= 0.0 => Err(NotCounted::NoWeight),
        (None, _) => Err(NotCounted::Absent),
        (Some(_), Some(_)) => Err(NotCounted::Ambiguous),
        (Some(None), None) => Err(NotCounted::Abstained),
        (Some(Some(p)), None) if (0.0..=1.0).contains(&p) => Ok(p),
        (Some(Some(p)), None) => Err(NotCounted::OutOfRange(p)),
    };
    MemberOutcome { probability, weight, share: 0.0 }
}
