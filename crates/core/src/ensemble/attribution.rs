//! What moved a risk, in points of it: by member, and by what the members looked at.
//!
//! Members first. With `v(S)` the risk that the members of `S` give together with the base probabilities of all others
//! that answered, a member's points are its Shapley value, its average effect over every order in which the members
//! can come in (Shapley 1953, "A value for n-person games"):
//!
//! ```text
//! φ_i  = Σ_{S ∌ i} |S|!·(n - |S| - 1)!/n! · (v(S ∪ {i}) - v(S))
//! base = v(∅),  base + Σ φ_i = v(all) = risk
//! ```
//! With at most [`MAX_MEMBERS`] members there are at most 256 sets, so the values are exact, for every method and
//! calibration. A member that answered without an explanation has no base: it keeps its probability in every set, and
//! has no points.
//!
//! Then, within a member, its points are spread over what it looked at in proportion to the contributions, which add
//! up to the difference of its margin and its base. Where contributions cancel out so far that one of them would be
//! more than the whole scale of 100 points, or are not numbers, the proportion says nothing: all the member's points
//! are then those of [`Origin::Other`], as are those of the features that it does not name.
//!
//! Everything is rounded to [`RISK_DECIMALS`](super::RISK_DECIMALS) decimals such that the sums still hold to within
//! the last bits of a double.

use std::collections::BTreeMap;

use super::combine::{Combined, rounded};
use super::definition::{EnsembleDefinition, MAX_MEMBERS};
use super::method::Vote;
use crate::entity::Kind;
use crate::message::Explanation;

/// Most points, either way, that a contribution may be worth.
const MOST_POINTS: f64 = 100.0;

/// What points go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin<'a> {
    /// The feature at a position of the vector.
    Feature(u32),
    /// A part of the entity's text that a model named.
    Gram {
        /// The model.
        model: &'a str,
        /// The part.
        text: &'a str,
    },
    /// The rest of the entity's text, of a model that reads nothing else.
    Text {
        /// The model.
        model: &'a str,
    },
    /// What the members do not name.
    Other,
}

/// Why a risk is what it is: `base_risk + Σ parts = risk`, and `base_risk + Σ members = risk`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution<'a> {
    /// The risk at the base probabilities of all members that are explained.
    pub base_risk: f64,
    /// Points per member, in the order of the definition; `None` for one that did not answer or is not explained.
    pub members: Vec<Option<f64>>,
    /// Points by origin, in the order of [`Origin`]; not rounded.
    pub parts: Vec<(Origin<'a>, f64)>,
}

/// A member that answered and is explained.
struct Explained<'a> {
    /// Position in the definition.
    member: usize,
    /// Position among the votes.
    vote: usize,
    model: &'a str,
    explanation: &'a Explanation,
}

impl EnsembleDefinition {
    /// Attributes the risk of `combined`; `explanations` has one per member, in the order of the definition, and
    /// `features` is the length of the vector. `None` without a risk, and where no member that counts is explained.
    pub fn attribute<'a>(
        &'a self,
        kind: Kind,
        combined: &Combined,
        explanations: &[Option<&'a Explanation>],
        features: usize,
    ) -> Option<Attribution<'a>> {
        let risk = combined.risk?;
        let (votes, explained) = self.explained(combined, explanations, features);
        if explained.is_empty() || explained.len() > MAX_MEMBERS {
            return None;
        }
        let values = self.values(kind, &votes, &explained);
        let points = shapley(&values, explained.len());
        let base = values.first().copied()?;
        let mut members = vec![None; self.members.len()];
        let mut parts = BTreeMap::new();
        // The members' points are differences of rounded sums, so that they add up as the sums do.
        let (mut sum, last) = (base, explained.len() - 1);
        for (i, (it, points)) in explained.iter().zip(&points).enumerate() {
            let before = rounded(sum);
            sum += points;
            let after = if i == last { risk } else { rounded(sum) };
            if let Some(member) = members.get_mut(it.member) {
                *member = Some(rounded(after - before));
            }
            spread(it, *points, &mut parts);
        }
        Some(Attribution { base_risk: rounded(base), members, parts: parts.into_iter().collect() })
    }

    /// The votes, and which of them are explained.
    fn explained<'a>(
        &'a self,
        combined: &Combined,
        explanations: &[Option<&'a Explanation>],
        features: usize,
    ) -> (Vec<Vote>, Vec<Explained<'a>>) {
        let (mut votes, mut explained) = (Vec::new(), Vec::new());
        for (i, (member, outcome)) in self.members.iter().zip(&combined.members).enumerate() {
            let Ok(p) = outcome.probability else { continue };
            let explanation = explanations.get(i).copied().flatten().filter(|e| is_usable(e, features));
            if let Some(explanation) = explanation {
                explained.push(Explained { member: i, vote: votes.len(), model: &member.model, explanation });
            }
            votes.push((outcome.weight, f64::from(p)));
        }
        (votes, explained)
    }

    /// The risk of every set of explained members; bit `i` of a position says whether the `i`th is in it.
    fn values(&self, kind: Kind, votes: &[Vote], explained: &[Explained<'_>]) -> Vec<f64> {
        let mut values = Vec::with_capacity(1 << explained.len());
        let mut set = votes.to_vec();
        for mask in 0..1_usize << explained.len() {
            for (i, it) in explained.iter().enumerate() {
                let is_in = mask >> i & 1 == 1;
                if let (Some(vote), Some(own)) = (set.get_mut(it.vote), votes.get(it.vote)) {
                    vote.1 = if is_in { own.1 } else { f64::from(it.explanation.base_probability) };
                }
            }
            values.push(self.risk_of(kind, &set));
        }
        values
    }
}

fn is_usable(explanation: &Explanation, features: usize) -> bool {
    let Explanation { base_probability, top, rest, grams, .. } = explanation;
    let numbers = top.iter().map(|(_, c)| c).chain(grams.iter().map(|(_, c)| c)).chain([rest]);
    (0.0..=1.0).contains(base_probability)
        && numbers.into_iter().all(|c| c.is_finite())
        && top.iter().all(|(position, _)| usize::try_from(*position).is_ok_and(|at| at < features))
}

/// The Shapley values of `n` players, of the value of every set of them.
fn shapley(values: &[f64], n: usize) -> Vec<f64> {
    // weights[s] = s!·(n - s - 1)!/n!, for sets of s others: 1/n · 1/C(n - 1, s).
    let mut weights = vec![1.0 / n as f64; n];
    for s in 1..n {
        if let Some(before) = weights.get(s - 1).copied()
            && let Some(weight) = weights.get_mut(s)
        {
            *weight = before * s as f64 / (n - s) as f64;
        }
    }
    let value = |mask: usize| values.get(mask).copied().unwrap_or(0.0);
    let gain = |i: usize, mask: usize| {
        let weight = weights.get(mask.count_ones() as usize).copied().unwrap_or(0.0);
        weight * (value(mask | 1 << i) - value(mask))
    };
    (0..n)
        .map(|i| (0..values.len()).filter(|mask| mask >> i & 1 == 0).map(|mask| gain(i, mask)).sum())
        .collect()
}

/// Spreads a member's points over what it looked at.
fn spread<'a>(it: &Explained<'a>, points: f64, parts: &mut BTreeMap<Origin<'a>, f64>) {
    let Explanation { top, rest, grams, .. } = it.explanation;
    // A model that names no feature reads the text: what it does not name is the rest of the text.
    let others = if top.is_empty() { Origin::Text { model: it.model } } else { Origin::Other };
    let contributions = || {
        let features = top.iter().map(|(position, c)| (Origin::Feature(*position), f64::from(*c)));
        let grams = grams
            .iter()
            .map(|(text, c)| (Origin::Gram { model: it.model, text: text.as_str() }, f64::from(*c)));
        features.chain(grams).chain([(others, f64::from(*rest))])
    };
    let moved: f64 = contributions().map(|(_, c)| c).sum();
    let most = contributions().map(|(_, c)| c.abs()).fold(0.0, f64::max);
    let worth = points / moved;
    if !worth.is_finite() || worth * most > MOST_POINTS || worth < 0.0 {
        *parts.entry(Origin::Other).or_default() += points;
        return;
    }
    for (origin, contribution) in contributions().filter(|(_, c)| *c != 0.0) {
        *parts.entry(origin).or_default() += worth * contribution;
    }
}

#[cfg(test)]
mod tests;
