//! From a raw probability to one that is as often right as it says.
//!
//! Stands beside a model (of its own probability) and in the ensemble definition (of the combined one). Both methods
//! never fall, so that the order of scores stays. Arithmetic is `f64`.

use serde::{Deserialize, Serialize};

/// Most points of an isotonic calibration.
pub const MAX_POINTS: usize = 1_000;
/// Least and greatest slope of Platt's: it must rise, and stay within what `exp` can tell apart.
const SLOPES: (f64, f64) = (1e-3, 100.0);
/// Greatest absolute intercept.
const MAX_INTERCEPT: f64 = 100.0;

/// A calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum Calibration {
    /// Platt's: `σ(a·logit(p) + b)`.
    Platt {
        /// Slope, above zero.
        a: f64,
        /// Intercept.
        b: f64,
    },
    /// Isotonic: linear between points, constant beyond the first and the last.
    Isotonic {
        /// Raw probabilities, strictly rising, in [0, 1].
        x: Vec<f64>,
        /// Calibrated ones, never falling, in [0, 1].
        y: Vec<f64>,
    },
}

/// Why a calibration cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {value}; {limit}")]
pub struct CalibrationFault {
    /// Path of the field within the calibration.
    pub field: String,
    /// Its value.
    pub value: String,
    /// What is allowed.
    pub limit: String,
}

fn fault(field: impl Into<String>, value: &impl ToString, limit: impl Into<String>) -> CalibrationFault {
    CalibrationFault { field: field.into(), value: value.to_string(), limit: limit.into() }
}

impl Calibration {
    /// The calibrated probability of a raw one, both in [0, 1]; what is outside counts as the nearest end, and what is
    /// no number gives none.
    pub fn apply(&self, raw: f64) -> f64 {
        let raw = raw.clamp(0.0, 1.0);
        match self {
            // At 0 and 1 the logit is infinite, and the sigmoid of that is 0 and 1 again.
            Self::Platt { a, b } => {
                let logit = (raw / (1.0 - raw)).ln();
                1.0 / (1.0 + (-(a * logit + b)).exp())
            }
            Self::Isotonic { .. } if raw.is_nan() => raw,
            Self::Isotonic { x, y } => interpolate(x, y, raw),
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// Names the first field outside its limits.
    pub fn validate(&self) -> Result<(), CalibrationFault> {
        match self {
            Self::Platt { a, b } => {
                let (least, most) = SLOPES;
                if !(least..=most).contains(a) {
                    return Err(fault("a", a, format!("{least} to {most} is allowed")));
                }
                if !(-MAX_INTERCEPT..=MAX_INTERCEPT).contains(b) {
                    return Err(fault("b", b, format!("-{MAX_INTERCEPT} to {MAX_INTERCEPT} is allowed")));
                }
                Ok(())
            }
            Self::Isotonic { x, y } => validate_points(x, y),
        }
    }
}

fn validate_points(x: &[f64], y: &[f64]) -> Result<(), CalibrationFault> {
    if !(1..=MAX_POINTS).contains(&x.len()) {
        return Err(fault("x.length", &x.len(), format!("1 to {MAX_POINTS} is allowed")));
    }
    if y.len() != x.len() {
        return Err(fault("y.length", &y.len(), format!("{} is expected: as many as x has", x.len())));
    }
    for (name, values) in [("x", x), ("y", y)] {
        if let Some((i, value)) = values.iter().enumerate().find(|(_, v)| !(0.0..=1.0).contains(*v)) {
            return Err(fault(format!("{name}[{i}]"), value, "0 to 1 is allowed"));
        }
    }
    let pairs = |values: &[f64], good: fn(f64, f64) -> bool| {
        values.windows(2).position(|w| matches!(w, [a, b] if !good(*a, *b))).map(|i| i + 1)
    };
    if let Some(i) = pairs(x, |a, b| a < b) {
        return Err(fault(
            format!("x[{i}]"),
            &x.get(i).copied().unwrap_or_default(),
            "more than the one before is needed",
        ));
    }
    if let Some(i) = pairs(y, |a, b| a <= b) {
        return Err(fault(
            format!("y[{i}]"),
            &y.get(i).copied().unwrap_or_default(),
            "the one before, or more, is needed",
        ));
    }
    Ok(())
}

fn interpolate(x: &[f64], y: &[f64], raw: f64) -> f64 {
    let above = x.partition_point(|&point| point <= raw);
    let at = |i: usize| x.get(i).copied().zip(y.get(i).copied());
    match (above.checked_sub(1).and_then(at), at(above)) {
        (Some((x0, y0)), Some((x1, y1))) => (y0 + (y1 - y0) * ((raw - x0) / (x1 - x0))).clamp(y0, y1),
        (Some((_, y)), None) | (None, Some((_, y))) => y,
        (None, None) => raw,
    }
}

#[cfg(test)]
mod tests;
