//! Gauss-Legendre quadrature on [0, 1].

use std::sync::OnceLock;

use crate::MAX_DEPTH;

/// Points that are computed side by side: one or two registers.
pub(crate) const LANES: usize = 4;
pub(crate) type Lanes = [f64; LANES];

/// Most blocks of lanes that a walk takes at once.
pub(crate) const MAX_BLOCKS: usize = 4;
/// Most blocks of lanes of a rule.
const MOST: usize = MAX_DEPTH.div_ceil(2 * LANES);

/// Points and weights of a rule with whole lanes of points, whether or not fewer would be exact.
pub(crate) struct Rule {
    /// The points t.
    pub(crate) points: Vec<Lanes>,
    /// Their weights.
    pub(crate) weights: Vec<Lanes>,
    /// 1 - t.
    pub(crate) rests: Vec<Lanes>,
}

/// Blocks of the rule that is exact for paths with so many different features: 1, 2, or a multiple of [`MAX_BLOCKS`].
pub(crate) fn blocks(n_features: usize) -> usize {
    match n_features.div_ceil(2 * LANES).clamp(1, MOST) {
        least @ 1..=2 => least,
        least => least.next_multiple_of(MAX_BLOCKS),
    }
}

impl Rule {
    /// The rule of so many blocks, 1 to 64; made when first asked for, and kept.
    pub(crate) fn of(blocks: usize) -> &'static Self {
        static RULES: [OnceLock<Rule>; MOST] = [const { OnceLock::new() }; MOST];
        RULES[blocks - 1].get_or_init(|| Self::new(blocks))
    }

    fn new(blocks: usize) -> Self {
        let (mut points, mut weights) = (vec![[0.0; LANES]; blocks], vec![[0.0; LANES]; blocks]);
        for (i, (point, weight)) in gauss_legendre(blocks * LANES).into_iter().enumerate() {
            (points[i / LANES][i % LANES], weights[i / LANES][i % LANES]) = (point, weight);
        }
        let rests = points.iter().map(|lane| lane.map(|t| 1.0 - t)).collect();
        Self { points, weights, rests }
    }
}

/// Points and weights of the rule with `n` points, exact up to degree 2n - 1: Newton's method on the Legendre
/// polynomial, from Tricomi's estimate of its roots.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let size = n as f64;
    (1..=n)
        .map(|k| {
            let mut x = (std::f64::consts::PI * (k as f64 - 0.25) / (size + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..8 {
                let (value, derivative) = legendre(n, x);
                x -= value / derivative;
                slope = derivative;
            }
            // The weight on [-1, 1] is 2 / ((1 - x^2) p'(x)^2); [0, 1] is half as long.
            ((x + 1.0) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// The Legendre polynomial of degree `n` at `x`, and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut below, mut here) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (below, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * below) / k);
    }
    (here, n as f64 * (x * here - below) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_integrate_their_highest_power() {
        for n in [1, 2, 3, 5, 8, 13, 64, 256] {
            let rule = gauss_legendre(n);
            for power in [0, 1, n, 2 * n - 1] {
                let integral: f64 = rule.iter().map(|(t, w)| w * t.powi(power as i32)).sum();
                let exact = 1.0 / (power as f64 + 1.0);
                assert!((integral - exact).abs() < 1e-13, "{n} points, t^{power}: {integral} for {exact}");
            }
        }
    }
}
