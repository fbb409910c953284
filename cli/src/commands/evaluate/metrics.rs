//! Figures of scores against labels: pure arithmetic.
//!
//! Scores are probabilities in [0, 1]; greater is more malicious. Ties count as the ROC curve counts them: half in the
//! area, and together at a threshold. All that depends on the order of scores only is computed from counts per distinct
//! score, so that a bootstrap resample costs no sort.

use fastrand::Rng;
use serde::Serialize;

/// The false-positive rates that recall is told at.
pub(super) const RATES: [f64; 3] = [0.01, 0.001, 0.0001];
/// Bins of the expected calibration error, of equal width.
const BINS: usize = 15;

/// A score and whether the label is malicious.
pub(super) type Labelled = (f64, bool);

/// Figures that depend on the order of the scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Ranking {
    /// Area under the ROC curve.
    pub(super) auc: f64,
    /// Share of malicious rows above the threshold of each of [`RATES`].
    pub(super) recall: [f64; RATES.len()],
}

/// Figures of one set of scores.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    /// Rows.
    pub(super) n: usize,
    /// Rows whose label is malicious.
    pub(super) malicious: usize,
    /// None when only one label occurs.
    pub(super) ranking: Option<Ranking>,
    /// Bounds of the middle 95 % of the resamples, in the order of [`Ranking`]: area, then recall.
    pub(super) intervals: Option<[(f64, f64); 1 + RATES.len()]>,
    /// Mean squared difference of score and label.
    pub(super) brier: f64,
    /// Mean difference of score and share of malicious rows over [`BINS`] bins, weighted by their rows.
    pub(super) ece: f64,
}

/// Rows by distinct score, greatest first: how many are malicious, how many benign.
struct Steps {
    counts: Vec<(u64, u64)>,
    /// The step of every malicious row, and of every benign one.
    rows: [Vec<u32>; 2],
    scores: Vec<f64>,
}

impl Steps {
    fn of(rows: &[Labelled]) -> Self {
        let mut sorted: Vec<Labelled> = rows.to_vec();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut steps = Self { counts: Vec::new(), rows: [Vec::new(), Vec::new()], scores: Vec::new() };
        for (score, malicious) in sorted {
            if steps.scores.last() != Some(&score) {
                steps.scores.push(score);
                steps.counts.push((0, 0));
            }
            let at = steps.counts.len() - 1;
            if malicious {
                steps.counts[at].0 += 1;
            } else {
                steps.counts[at].1 += 1;
            }
            steps.rows[usize::from(!malicious)].push(u32::try_from(at).unwrap_or(u32::MAX));
        }
        steps
    }

    /// As many rows of each label, drawn with replacement.
    fn resample(&self, rng: &mut Rng, counts: &mut Vec<(u64, u64)>) {
        counts.clear();
        counts.resize(self.counts.len(), (0, 0));
        let [malicious, benign] = &self.rows;
        for _ in 0..malicious.len() {
            counts[malicious[rng.usize(..malicious.len())] as usize].0 += 1;
        }
        for _ in 0..benign.len() {
            counts[benign[rng.usize(..benign.len())] as usize].1 += 1;
        }
    }
}

/// The figures of rows; `resamples` of 0 gives no intervals.
pub(super) fn figures(rows: &[Labelled], resamples: usize, seed: u64) -> Figures {
    let steps = Steps::of(rows);
    let malicious = steps.rows[0].len();
    let ranking = ranking(&steps.counts);
    let intervals = ranking.filter(|_| resamples > 0).map(|_| intervals(&steps, resamples, seed));
    Figures { n: rows.len(), malicious, ranking, intervals, brier: brier(rows), ece: ece(rows) }
}

fn ranking(counts: &[(u64, u64)]) -> Option<Ranking> {
    let (malicious, benign) = counts.iter().fold((0, 0), |(m, b), step| (m + step.0, b + step.1));
    if malicious == 0 || benign == 0 {
        return None;
    }
    let (mut above, mut below, mut area) = (0_u64, 0_u64, 0.0);
    let mut recall = [0.0; RATES.len()];
    let allowed = RATES.map(|rate| allowed(rate, benign));
    for (m, b) in counts {
        area += *b as f64 * (above as f64 + *m as f64 / 2.0);
        above += m;
        below += b;
        for (recall, allowed) in recall.iter_mut().zip(allowed) {
            if below <= allowed {
                *recall = above as f64 / malicious as f64;
            }
        }
    }
    Some(Ranking { auc: area / (malicious as f64 * benign as f64), recall })
}

/// Benign rows that may stand above the threshold of a false-positive rate.
fn allowed(rate: f64, benign: u64) -> u64 {
    // The product of exact decimals may fall a hair below the whole number that is meant.
    (rate * benign as f64 + 1e-9).floor() as u64
}

/// Scores above these are above the threshold of each of [`RATES`]; `None` when benign rows are missing.
pub(super) fn thresholds(rows: &[Labelled]) -> Option<[f64; RATES.len()]> {
    let mut benign: Vec<f64> =
        rows.iter().filter(|(_, malicious)| !malicious).map(|(score, _)| *score).collect();
    benign.sort_by(|a, b| b.total_cmp(a));
    let at = |rate| usize::try_from(allowed(rate, benign.len() as u64)).ok();
    let mut found = [0.0; RATES.len()];
    for (threshold, rate) in found.iter_mut().zip(RATES) {
        *threshold = *benign.get(at(rate)?)?;
    }
    Some(found)
}

fn intervals(steps: &Steps, resamples: usize, seed: u64) -> [(f64, f64); 1 + RATES.len()] {
    let mut rng = Rng::with_seed(seed);
    let mut counts = Vec::new();
    let mut drawn: [Vec<f64>; 1 + RATES.len()] = std::array::from_fn(|_| Vec::with_capacity(resamples));
    for _ in 0..resamples {
        steps.resample(&mut rng, &mut counts);
        let Some(found) = ranking(&counts) else { continue };
        for (values, value) in drawn.iter_mut().zip(std::iter::once(found.auc).chain(found.recall)) {
            values.push(value);
        }
    }
    drawn.map(|mut values| {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (share * (values.len().saturating_sub(1)) as f64).round() as usize;
            values.get(place).copied().unwrap_or(f64::NAN)
        };
        (at(0.025), at(0.975))
    })
}

fn label(malicious: bool) -> f64 {
    if malicious { 1.0 } else { 0.0 }
}

fn brier(rows: &[Labelled]) -> f64 {
    let sum: f64 = rows.iter().map(|(score, malicious)| (score - label(*malicious)).powi(2)).sum();
    sum / rows.len() as f64
}

fn ece(rows: &[Labelled]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for (score, malicious) in rows {
        let bin = &mut bins[((score * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += score;
        bin.1 += label(*malicious);
    }
    bins.iter().map(|(scores, labels): &(f64, f64)| (scores - labels).abs()).sum::<f64>() / rows.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The area by its definition: the share of pairs in the right order.
    fn auc_by_pairs(rows: &[Labelled]) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (m, _) in rows.iter().filter(|row| row.1) {
            for (b, _) in rows.iter().filter(|row| !row.1) {
                pairs += 1.0;
                sum += if m > b {
                    1.0
                } else if m == b {
                    0.5
                } else {
                    0.0
                };
            }
        }
        sum / pairs
    }

    fn random(n: usize, seed: u64) -> Vec<Labelled> {
        let mut rng = Rng::with_seed(seed);
        // Few distinct scores: many ties.
        (0..n).map(|_| (f64::from(rng.u8(..20)) / 20.0, rng.bool())).collect()
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        for seed in 0..20 {
            let rows = random(200, seed);
            let found = figures(&rows, 0, 0).ranking.unwrap().auc;
            assert!((found - auc_by_pairs(&rows)).abs() < 1e-12, "{found}");
        }
    }

    #[test]
    fn recall_never_lets_more_benign_rows_through_than_the_rate() {
        let mut rows: Vec<Labelled> = (0..1_000).map(|n| (f64::from(n) / 2_000.0, false)).collect();
        rows.extend((0..10).map(|n| (f64::from(981 + 2 * n) / 2_000.0, true)));
        let ranking = figures(&rows, 0, 0).ranking.unwrap();
        // 10 benign rows may stand above at 1 %: scores above 0.4945. At 0.1 % one, at 0.01 % none.
        assert_eq!(ranking.recall, [0.5, 0.1, 0.0]);
        let thresholds = thresholds(&rows).unwrap();
        for (threshold, recall) in thresholds.iter().zip(ranking.recall) {
            let above = rows.iter().filter(|(score, malicious)| *malicious && score > threshold).count();
            assert_eq!(above as f64 / 10.0, recall);
        }
    }

    #[test]
    fn one_label_alone_has_no_ranking() {
        let figures = figures(&[(0.5, true), (0.75, true)], 10, 0);
        assert_eq!((figures.ranking, figures.intervals, figures.malicious), (None, None, 2));
        assert_eq!(figures.brier, (0.25 + 0.0625) / 2.0);
    }

    #[test]
    fn calibration_is_told_by_bins() {
        let perfect: Vec<Labelled> = (0..1_000).map(|n| (0.25, n % 4 == 0)).collect();
        assert!(figures(&perfect, 0, 0).ece < 1e-12);
        let sure: Vec<Labelled> = (0..1_000).map(|n| (1.0, n % 4 == 0)).collect();
        assert!((figures(&sure, 0, 0).ece - 0.75).abs() < 1e-12);
    }

    #[test]
    fn intervals_hold_the_figure_and_do_not_change_with_the_run() {
        let rows = random(500, 3);
        let (a, b) = (figures(&rows, 200, 7), figures(&rows, 200, 7));
        assert_eq!(a, b);
        let (low, high) = a.intervals.unwrap()[0];
        let auc = a.ranking.unwrap().auc;
        assert!(low < auc && auc < high && high - low < 0.2, "{low} {auc} {high}");
    }
}
