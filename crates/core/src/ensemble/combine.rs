//! Probabilities to a risk and a verdict; the formula stands in the module above.

use std::collections::BTreeMap;

use super::definition::{EnsembleDefinition, Member, Profile, Thresholds};
use super::method::Vote;
use crate::entity::Kind;
use crate::score::{Interval, ListAction, Quorum, Verdict};

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
        let votes = votes(&members);
        let total: f64 = votes.iter().map(|(weight, _)| weight).sum();
        for member in members.iter_mut().filter(|m| m.probability.is_ok()) {
            member.share = member.weight / total;
        }
        let probabilities = members.iter().filter_map(|m| m.probability.ok());
        let least = probabilities.clone().fold(f32::INFINITY, f32::min);
        let most = probabilities.fold(f32::NEG_INFINITY, f32::max);
        let (answered, needed) = (votes.len(), *self.quorum.get(kind));
        let met = answered >= needed && answered > 0 && !self.lacks_required(&members);
        let risk = met.then(|| rounded(self.risk_of(kind, &votes)));
        Combined {
            risk,
            verdict: self.verdict(kind, risk),
            agreement: (answered >= 2).then_some(1.0 - (most - least)),
            quorum: Quorum { met, needed, answered },
            members,
        }
    }

    /// How far the risk could be moved by members whose probability could have been anything within bounds;
    /// `bounds` has one pair per member. A member without bounds has its probability at either end. `None` without
    /// a risk, and where no member that counts has bounds.
    pub fn interval(
        &self,
        kind: Kind,
        combined: &Combined,
        bounds: &[Option<(f32, f32)>],
    ) -> Option<Interval> {
        let risk = combined.risk?;
        let good = |&(low, high): &(f32, f32)| 0.0 <= low && low <= high && high <= 1.0;
        let bounds: Vec<Option<(f32, f32)>> = bounds.iter().map(|bounds| bounds.filter(good)).collect();
        let bounds_of = |i: usize| bounds.get(i).copied().flatten();
        let counts = || combined.members.iter().enumerate().filter(|(_, m)| m.probability.is_ok());
        if counts().all(|(i, _)| bounds_of(i).is_none()) {
            return None;
        }
        let at = |end: fn((f32, f32)) -> f32| {
            let vote = |(i, m): (usize, &MemberOutcome)| {
                let p = m.probability.ok()?;
                Some((m.weight, f64::from(bounds_of(i).map_or(p, end))))
            };
            rounded(self.risk_of(kind, &counts().filter_map(vote).collect::<Vec<_>>()))
        };
        Some(Interval { low: at(|(low, _)| low).min(risk), high: at(|(_, high)| high).max(risk) })
    }

    fn lacks_required(&self, members: &[MemberOutcome]) -> bool {
        let mut asked = self.members.iter().zip(members).filter(|(member, _)| member.required);
        asked.any(|(_, outcome)| outcome.weight > 0.0 && outcome.probability.is_err())
    }

    /// The verdict that a risk has; `Unknown` without one.
    pub fn verdict(&self, kind: Kind, risk: Option<f64>) -> Verdict {
        risk.map_or(Verdict::Unknown, |risk| self.thresholds.get(kind).verdict(risk))
    }

    /// What every profile makes of a risk, by name.
    pub fn profile_verdicts(&self, kind: Kind, risk: Option<f64>) -> BTreeMap<String, Verdict> {
        let of = |profile: &Profile| risk.map_or(Verdict::Unknown, |risk| profile.get(kind).verdict(risk));
        self.profiles.iter().map(|(name, profile)| (name.clone(), of(profile))).collect()
    }
}

impl Thresholds {
    fn verdict(&self, risk: f64) -> Verdict {
        if risk >= self.malicious {
            Verdict::Malicious
        } else if risk >= self.suspicious {
            Verdict::Suspicious
        } else {
            Verdict::Benign
        }
    }
}

impl ListAction {
    /// The verdict that it decides on.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Allow => Verdict::Benign,
            Self::Deny => Verdict::Malicious,
        }
    }
}

/// Points, or a risk, at the [`RISK_DECIMALS`] decimals that are stored.
pub fn rounded(points: f64) -> f64 {
    // Zero has one spelling: the sum of a number and a negative zero is the number.
    (points * RISK_SCALE).round() / RISK_SCALE + 0.0
}

/// Those who answered, in the order of the definition.
fn votes(members: &[MemberOutcome]) -> Vec<Vote> {
    members.iter().filter_map(|m| m.probability.ok().map(|p| (m.weight, f64::from(p)))).collect()
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
