//! Traffic light protocol markings as arguments, and of scores.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tribunal_core::Score;
use tribunal_sources::config::Tlp;

/// Takes one of the markings.
pub(crate) fn parser() -> impl TypedValueParser<Value = Tlp> {
    let values = [
        (Tlp::Clear, "No limit on disclosure"),
        (Tlp::Green, "Within the community"),
        (Tlp::Amber, "Within the organisation and its clients"),
        (Tlp::AmberStrict, "Within the organisation"),
        (Tlp::Red, "For the recipients only"),
    ];
    PossibleValuesParser::new(values.map(|(tlp, help)| PossibleValue::new(tlp.as_str()).help(help)))
        .try_map(|text| Tlp::parse(&text).ok_or("not a marking"))
}

/// The marking of a score; one that is not known is the strictest, and `otherwise` is of one that has none.
pub(crate) fn of(score: &Score, otherwise: Option<Tlp>) -> Option<Tlp> {
    match score.tlp.as_deref() {
        None => otherwise,
        // Version 1 of the protocol.
        Some("white") => Some(Tlp::Clear),
        Some(text) => Some(Tlp::parse(text).unwrap_or(Tlp::Red)),
    }
}
