//! A change of a verdict as an event: the shape of its detail, in `docs/scores.md` for those who receive it.

use serde::Serialize;
use tribunal_core::digest::sha256;
use tribunal_core::score::EnsembleRef;
use tribunal_core::{Kind, Score};

use crate::bounds::{MAX_REASON_BYTES, cut};

/// `source` of the events.
pub const SOURCE: &str = "tribunal";
/// `detail-type` of the events.
pub const DETAIL_TYPE: &str = "Verdict changed";
/// Most reasons of the score that an event tells.
pub const MAX_REASON_TEXTS: usize = 3;

/// The detail of an event.
#[derive(Debug, Serialize)]
pub struct Change<'a> {
    /// The same for the same change, however often it is told.
    pub id: String,
    /// Normal form.
    pub entity: &'a str,
    /// Domain or address.
    pub kind: Kind,
    /// Verdict before; `null` when the entity had none.
    pub from: Option<&'a str>,
    /// Verdict now.
    pub to: &'static str,
    /// Risk now.
    pub risk: Option<f64>,
    /// Sort key of the score that changed it.
    pub scored_key: &'a str,
    /// When it was scored.
    pub scored_at: &'a str,
    /// Traffic light protocol marking of the entity, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlp: Option<&'a str>,
    /// The strongest reasons of the score, in words.
    pub reasons: Vec<String>,
    /// The definition that made the score.
    pub ensemble: &'a EnsembleRef,
}

impl<'a> Change<'a> {
    /// From a verdict, or none, to that of `score`.
    pub fn of(from: Option<&'a str>, score: &'a Score) -> Self {
        let to = score.verdict.as_str();
        let identity = format!("{}\n{}\n{}\n{to}", score.entity, score.scored_key, from.unwrap_or_default());
        Self {
            id: sha256(identity.as_bytes()),
            entity: &score.entity,
            kind: score.kind,
            from,
            to,
            risk: score.risk,
            scored_key: &score.scored_key,
            scored_at: &score.scored_at,
            tlp: score.tlp.as_deref(),
            reasons: score
                .reasons
                .iter()
                .take(MAX_REASON_TEXTS)
                .map(|reason| cut(&reason.text, MAX_REASON_BYTES))
                .collect(),
            ensemble: &score.ensemble,
        }
    }

    /// As JSON.
    #[expect(clippy::expect_used, reason = "texts and numbers are JSON always")]
    pub fn detail(&self) -> String {
        serde_json::to_string(self).expect("a change is JSON")
    }
}
