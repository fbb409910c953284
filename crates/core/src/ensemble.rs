//! The ensemble definition, and the arithmetic that turns predictions into a risk.
//!
//! For an entity of kind `k`, with probability `p_i` and weight `w_i` of every member `i` that answered, and `W` the
//! sum of the weights of all members, answered or not:
//!
//! ```text
//! mean      p = Σ w_i·p_i / Σ w_i                                members in the order of the definition
//! median    p = midpoint of the lower and the upper weighted median
//! maximum   p = max p_i
//! noisy_or  p = 1 - Π (1 - p_i)^(w_i / Σ w)
//! logistic  p = σ(bias + W · Σ w_i·logit(p_i) / Σ w_i)           p_i clipped to [1e-6, 1 - 1e-6]
//!
//! risk      = 100·p                                              without a calibration of the kind
//!           = 100·calibration(p)                                 with one
//! verdict   = malicious  when risk >= thresholds[k].malicious
//!             suspicious when risk >= thresholds[k].suspicious
//!             benign     otherwise
//!             unknown    when fewer than quorum[k] members answered, or a required one did not: there is no risk
//! agreement = 1 - (max p_i - min p_i)                            with two answers or more
//! interval  = the risk with every p_i at its lower bound, and at its upper
//! ```
//! When all answer, `logistic` is plain logistic stacking; a missing member's weight goes to the others, so that the
//! bias keeps its part. `median`: a member that has more than half of the weight decides alone.
//!
//! A member counts for a kind when its weight there is above zero. It has answered when exactly one
//! prediction bears its name and holds a number in [0, 1]. Sums are taken in `f64` in the order of the
//! definition, so the order of the predictions never matters, and a risk never falls when a probability
//! rises, whatever the method. The risk is rounded to [`RISK_DECIMALS`] decimals, which is far below what it means, and
//! hides the last bits in which the `ln` and `exp` of two platforms differ.
//!
//! [`Lists`] overrule a verdict, never the risk; [`EnsembleDefinition::attribute`] says what moved the risk.
//!
//! It neither reads files nor runs models: the caller hands in the definition's bytes and the probabilities.

mod attribution;
mod calibration;
mod combine;
mod definition;
mod lists;
mod method;
#[cfg(test)]
mod tests;
mod validate;

pub use attribution::{Attribution, Origin};
pub use calibration::{Calibration, CalibrationFault, MAX_POINTS};
pub use combine::{Combined, MemberOutcome, NotCounted, RISK_DECIMALS, rounded};
pub use definition::{
    DefinitionError, EnsembleDefinition, ListEntry, MAX_DEFINITION_BYTES, MAX_LIST_ENTRIES, MAX_MEMBERS,
    MAX_PROFILES, Member, Method, PerKind, Profile, Thresholds,
};
pub use lists::Lists;
