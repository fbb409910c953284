//! Two scores, part by part, bit by bit.
//!
//! Of lists (reasons, groups, members) the first place that differs is told. Numbers of 64 bits are compared by their
//! bits, and their distance is told in units of the last place. Evidence, times of sources and keys are what the replay
//! was given, and are not compared.

use serde::Serialize;
use tribunal_core::Score;

/// What is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// Which part: `risk`, `predictors.xgboost.probability`, `reasons[2]`.
    pub(super) part: String,
    /// As it is stored.
    pub(super) stored: String,
    /// As it was computed.
    pub(super) computed: String,
    /// Distance in units of the last place, of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ulps: Option<u64>,
}

impl Difference {
    /// `risk: stored 92.5, computed 92.6 (7 ulp)`.
    pub(super) fn text(&self) -> String {
        let ulps = self.ulps.map_or_else(String::new, |ulps| format!(" ({ulps} ulp)"));
        format!("{}: stored {}, computed {}{ulps}", self.part, self.stored, self.computed)
    }
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    /// Anything that is written as JSON.
    fn of(&mut self, part: &str, stored: &impl Serialize, computed: &impl Serialize) {
        let text = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        // Numbers are written in the fewest digits that are read back to the same bits.
        let (stored, computed) = (text(serde_json::to_string(stored)), text(serde_json::to_string(computed)));
        if stored != computed {
            self.0.push(Difference { part: part.to_owned(), stored, computed, ulps: None });
        }
    }

    fn number(&mut self, part: &str, stored: Option<f64>, computed: Option<f64>) {
        if stored.map(f64::to_bits) != computed.map(f64::to_bits) {
            let ulps = stored.zip(computed).map(|(a, b)| place(a).abs_diff(place(b)));
            self.push(part, stored, computed, ulps);
        }
    }

    fn narrow(&mut self, part: &str, stored: Option<f32>, computed: Option<f32>) {
        if stored.map(f32::to_bits) != computed.map(f32::to_bits) {
            let ulps = stored.zip(computed).map(|(a, b)| place_narrow(a).abs_diff(place_narrow(b)).into());
            self.push(part, stored, computed, ulps);
        }
    }

    fn push<T: ToString>(&mut self, part: &str, stored: Option<T>, computed: Option<T>, ulps: Option<u64>) {
        let text = |value: Option<T>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        let (stored, computed) = (text(stored), text(computed));
        self.0.push(Difference { part: part.to_owned(), stored, computed, ulps });
    }

    /// The first place of a list that differs.
    fn list<T: Serialize + PartialEq>(&mut self, part: &str, stored: &[T], computed: &[T]) {
        let longest = stored.len().max(computed.len());
        if let Some(i) = (0..longest).find(|&i| stored.get(i) != computed.get(i)) {
            self.of(&format!("{part}[{i}]"), &stored.get(i), &computed.get(i));
        }
    }
}

/// Where a number stands among all of its width, in their order.
const fn place(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits }
}

const fn place_narrow(value: f32) -> i32 {
    let bits = value.to_bits() as i32;
    if bits < 0 { i32::MIN.wrapping_sub(bits) } else { bits }
}

/// What differs between a stored score and one that was computed again.
pub(super) fn scores(stored: &Score, computed: &Score) -> Vec<Difference> {
    let mut found = Differences::default();
    members(&mut found, stored, computed);
    found.number("risk", stored.risk, computed.risk);
    found.of("verdict", &stored.verdict, &computed.verdict);
    found.narrow("agreement", stored.agreement, computed.agreement);
    found.of("quorum", &stored.quorum, &computed.quorum);
    found.of("interval", &stored.interval, &computed.interval);
    found.number("base_risk", stored.base_risk, computed.base_risk);
    found.list("reasons", &stored.reasons, &computed.reasons);
    found.number("other_points", stored.other_points, computed.other_points);
    found.list("groups", &stored.groups, &computed.groups);
    found.of("profiles", &stored.profiles, &computed.profiles);
    found.of("listed", &stored.listed, &computed.listed);
    found.of("valid_until", &stored.valid_until, &computed.valid_until);
    found.of("special", &stored.special, &computed.special);
    found.of("schema", &stored.schema, &computed.schema);
    found.of("ensemble", &stored.ensemble, &computed.ensemble);
    found.0
}

/// Members by name; one that is in one score alone differs as a whole.
fn members(found: &mut Differences, stored: &Score, computed: &Score) {
    let names = |score: &Score| score.predictors.iter().map(|p| p.model.clone()).collect::<Vec<_>>();
    found.of("predictors", &names(stored), &names(computed));
    for a in &stored.predictors {
        let Some(b) = computed.predictors.iter().find(|b| b.model == a.model) else { continue };
        let part = |field: &str| format!("predictors.{}.{field}", a.model);
        found.narrow(&part("probability"), a.probability, b.probability);
        found.number(&part("weight"), Some(a.weight), Some(b.weight));
        found.number(&part("points"), a.points, b.points);
        found.of(&part("reason"), &a.reason, &b.reason);
        found.of(&part("version"), &a.version, &b.version);
        found.of(&part("digest"), &a.digest, &b.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::scores::tests::explained;

    #[test]
    fn the_same_score_differs_in_nothing() {
        assert_eq!(scores(&explained(), &explained()), []);
    }

    #[test]
    fn every_part_that_differs_is_told_with_its_distance() {
        let stored = explained();
        let mut computed = explained();
        computed.risk = stored.risk.map(f64::next_up);
        computed.predictors[0].probability =
            stored.predictors[0].probability.map(|p| p.next_down().next_down());
        computed.reasons[1].text.push('!');
        computed.reasons[2].points = 0.0;
        computed.groups.pop();
        computed.other_points = None;
        let told: Vec<String> = scores(&stored, &computed).iter().map(Difference::text).collect();
        assert_eq!(told.len(), 5, "{told:#?}");
        assert_eq!(told[0], "predictors.xgboost.probability: stored 0.925, computed 0.9249999 (2 ulp)");
        assert_eq!(told[1], "risk: stored 92.5, computed 92.50000000000001 (1 ulp)");
        assert!(told[2].starts_with("reasons[1]: stored {"), "{}", told[2]);
        assert_eq!(told[3], "other_points: stored 16.3, computed nothing");
        assert!(
            told[4].starts_with("groups[1]: stored {") && told[4].ends_with("computed null"),
            "{}",
            told[4]
        );
    }

    #[test]
    fn zeros_of_either_sign_stand_side_by_side() {
        assert_eq!(place(0.0), place(-0.0));
        assert_eq!(place(f64::from_bits(1)) - place(-f64::from_bits(1)), 2);
        assert_eq!(place_narrow(1.0_f32.next_up()) - place_narrow(1.0), 1);
    }
}
