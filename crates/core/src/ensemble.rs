//! The ensemble definition, and the arithmetic that turns predictions into a risk.
//!
//! For an entity of kind `k`, with probability `p_i` and weight `w_i` of every member `i` that answered:
//!
//! ```text
//! mean      = Σ w_i·p_i / Σ w_i                                  members in the order of the definition
//! risk      = 100·mean                                           without a calibration of the kind
//!           = 100·σ(a·logit(mean) + b)                           with one (Platt's, a > 0)
//! verdict   = malicious  when risk >= thresholds[k].malicious
//!             suspicious when risk >= thresholds[k].suspicious
//!             benign     otherwise
//!             unknown    when fewer than quorum[k] members answered: there is no risk then
//! agreement = 1 - (max p_i - min p_i)                            with two answers or more
//! ```
//!
//! A member counts for a kind when its weight there is above zero. It has answered when exactly one
//! prediction bears its name and holds a number in [0, 1]. Sums are taken in `f64` in the order of the
//! definition, so the order of the predictions never matters, and a risk never falls when a probability
//! rises. The risk is rounded to [`RISK_DECIMALS`] decimals, which is far below what it means, and hides the
//! last bits in which the `ln` and `exp` of two platforms differ.
//!
//! It neither reads files nor runs models: the caller hands in the definition's bytes and the probabilities.

mod calibration;
mod combine;
mod definition;
#[cfg(test)]
mod tests;

pub use calibration::{Calibration, CalibrationFault, MAX_POINTS};
pub use combine::{Combined, MemberOutcome, NotCounted, RISK_DECIMALS};
pub use definition::{
    DefinitionError, EnsembleDefinition, ListEntry, MAX_DEFINITION_BYTES, MAX_MEMBERS, Member, Method,
    PerKind, Profile, Thresholds,
};
