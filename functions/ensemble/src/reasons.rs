//! Why a risk is what it is: the attribution of the ensemble, in names, sources and words.
//!
//! A feature belongs to the group of the source whose run of positions it is in; outside every run it is computed
//! from the entity, as are parts of its text. What the members do not name is a group of its own, and never a reason.
//! The sums hold as stored: base risk, reasons and other points add up to the risk.

use std::collections::BTreeMap;

use tribunal_core::ensemble::{Attribution, EnsembleDefinition, Origin, rounded};
use tribunal_core::message::{FeatureBatch, Row, SourceFeatures};
use tribunal_core::score::{Group, Reason};
use tribunal_features::phrases::sentence;

use crate::bounds::{MAX_REASONS, MAX_SENTENCE_BYTES, cut, label};

/// Group and kind of what is computed from the entity alone.
const ENTITY: &str = "entity";
/// Group and kind of what the members do not name.
const OTHER: &str = "other";

/// Which source makes the feature at each position of a batch.
#[derive(Debug)]
pub(crate) struct Origins<'a> {
    batch: &'a FeatureBatch,
    /// Per position the run that it is in.
    runs: Vec<Option<&'a SourceFeatures>>,
}

/// A score's explanation.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) base_risk: Option<f64>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) other_points: Option<f64>,
    pub(crate) groups: Vec<Group>,
}

impl<'a> Origins<'a> {
    /// Runs that reach beyond the features, and those after as many positions as there are features, are passed over.
    pub(crate) fn of(batch: &'a FeatureBatch) -> Self {
        let mut runs = vec![None; batch.features.len()];
        let mut left = runs.len();
        for run in &batch.source_features {
            let positions = run.first.checked_add(run.count).and_then(|end| runs.get_mut(run.first..end));
            if let (Some(positions), Some(rest)) = (positions, left.checked_sub(run.count)) {
                positions.fill(Some(run));
                left = rest;
            }
        }
        Self { batch, runs }
    }

    /// Names the parts of a risk; `definition` says how they decay.
    pub(crate) fn tell(
        &self,
        definition: &EnsembleDefinition,
        row: &Row,
        risk: f64,
        parts: &Attribution<'_>,
    ) -> Told {
        let mut strongest: Vec<_> =
            parts.parts.iter().filter(|(origin, _)| *origin != Origin::Other).collect();
        // Stable: of equally strong ones the first by position comes first, so that a score can be repeated.
        strongest.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let reasons: Vec<Reason> = strongest
            .into_iter()
            .take(MAX_REASONS)
            .filter(|(_, points)| rounded(*points) != 0.0)
            .map(|(origin, points)| self.reason(row, *origin, *points))
            .collect();
        let told: f64 = reasons.iter().map(|reason| reason.points).sum();
        Told {
            base_risk: Some(parts.base_risk),
            other_points: Some(rounded(risk - parts.base_risk - told)),
            groups: self.groups(definition, parts),
            reasons,
        }
    }

    fn run(&self, position: u32) -> Option<&'a SourceFeatures> {
        self.runs.get(usize::try_from(position).ok()?).copied().flatten()
    }

    /// The sentence that a source declares for its feature.
    fn phrase(&self, position: u32) -> Option<&'a str> {
        let run = self.run(position)?;
        run.phrases.get(usize::try_from(position).ok()?.checked_sub(run.first)?).map(String::as_str)
    }

    /// Name and kind of the source that points go to.
    fn source(&self, origin: Origin<'_>) -> (&'a str, &'a str) {
        match origin {
            Origin::Feature(position) => {
                self.run(position).map_or((ENTITY, ENTITY), |r| (&r.source, &r.kind))
            }
            Origin::Gram { .. } | Origin::Text { .. } => (ENTITY, ENTITY),
            Origin::Other => (OTHER, OTHER),
        }
    }

    fn reason(&self, row: &Row, origin: Origin<'_>, points: f64) -> Reason {
        let of = if points > 0.0 { "malicious" } else { "benign" };
        let (feature, value, text) = match origin {
            Origin::Feature(position) => {
                let at = usize::try_from(position).unwrap_or(usize::MAX);
                let name = self.batch.features.get(at).map_or("", String::as_str);
                let value = row.values.get(at).copied().flatten().filter(|value| value.is_finite());
                (name, value, sentence(name, self.phrase(position), value))
            }
            Origin::Gram { model, text } => {
                (model, None, format!("the letters \"{text}\" are typical of {of} names"))
            }
            Origin::Text { model } => (model, None, format!("the name as a whole reads like {of} ones")),
            Origin::Other => (OTHER, None, String::new()),
        };
        Reason {
            feature: label(feature),
            value,
            points: rounded(points),
            source: label(self.source(origin).0),
            text: cut(&text, MAX_SENTENCE_BYTES),
        }
    }

    /// Points by source, strongest first.
    fn groups(&self, definition: &EnsembleDefinition, parts: &Attribution<'_>) -> Vec<Group> {
        let mut sums: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (origin, points) in &parts.parts {
            *sums.entry(self.source(*origin)).or_default() += points;
        }
        let group = |((source, kind), points): ((&str, &str), f64)| Group {
            source: label(source),
            kind: label(kind),
            points: rounded(points),
            half_life_hours: definition.half_life_hours.get(kind).copied(),
        };
        let mut groups: Vec<Group> =
            sums.into_iter().map(group).filter(|group| group.points != 0.0).collect();
        groups.sort_by(|a, b| b.points.abs().total_cmp(&a.points.abs()));
        groups
    }
}
