//! Which characters a margin comes from.
//!
//! Around one name the network is linear in its inputs: the hidden units above 0 stay the same. So an input
//! contributes (its value - its mean in training) x the slope there. A filter's contribution is spread
//! evenly over the characters of the window that gave its greatest value. Neighbouring characters of one label
//! that pull the same way make one gram; the suffix is one, too. What the strongest [`MAX_GRAMS`] grams do not
//! account for is the rest: weaker ones, filters that nothing in the name set off, and that the slope is not the
//! same all the way from an average name.
//!
//! It is a reading of the network, not a proof that a change of those characters would change the margin so.

use crate::model::CharacterModel;
use crate::text::{MAX_SYMBOLS, Text};

/// Most grams that are told of a name.
pub const MAX_GRAMS: usize = 4;

/// Weaker ones than this share of the strongest say nothing to a reader.
const LEAST_SHARE: f64 = 0.05;
const DOT: u8 = 2;
const NO_WINDOW: i16 = -1;

/// A margin taken apart: `base + grams + rest = margin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Mean margin over the training rows.
    pub base: f64,
    /// The margin.
    pub margin: f64,
    /// Characters of the name and what they add, strongest first; a suffix begins with a
    /// dot, and what is no character of a host name is `?`.
    pub grams: Vec<(String, f64)>,
    /// What all else adds.
    pub rest: f64,
}

impl CharacterModel {
    /// Like [`CharacterModel::margin`], with the reason.
    pub fn explain(&self, host: &str) -> Explanation {
        let text = Text::new(host);
        let (mut inputs, windows) = self.windows(text.symbols());
        inputs.extend_from_slice(self.vector(text.suffix));
        // Whole numbers below 2^53: exact.
        let mut slopes = vec![0.0_f64; self.inputs()];
        let margin = self.head(&inputs, |weights, weight| {
            for (slope, &w) in slopes.iter_mut().zip(weights) {
                *slope += f64::from(i32::from(w) * i32::from(weight));
            }
        });
        let contributions: Vec<f64> = inputs
            .iter()
            .zip(&self.means)
            .zip(&slopes)
            .map(|((&value, &mean), &slope)| {
                f64::from(i32::from(value) - i32::from(mean)) * slope * self.scale
            })
            .collect();
        let (of_filters, of_suffix) = contributions.split_at(self.filters());
        let mut grams = runs(&text, &credit(text.symbols().len(), of_filters, &windows));
        grams.push((text.shown_suffix(), of_suffix.iter().sum()));
        grams.retain(|(_, contribution)| *contribution != 0.0);
        grams.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let least = grams.first().map_or(0.0, |(_, strongest)| strongest.abs() * LEAST_SHARE);
        grams.retain(|(_, contribution)| contribution.abs() >= least);
        grams.truncate(MAX_GRAMS);
        let told: f64 = grams.iter().map(|(_, contribution)| contribution).sum();
        Explanation { base: self.base, margin, grams, rest: margin - self.base - told }
    }

    /// Every filter's greatest value, at least 0, and the window (start, end) that has it; none at 0.
    fn windows(&self, symbols: &[u8]) -> (Vec<i16>, Vec<Option<(usize, usize)>>) {
        let mut greatest: Vec<i16> = Vec::with_capacity(self.inputs());
        let mut windows = Vec::with_capacity(self.filters());
        for convolution in &self.convolutions {
            let mut values = vec![0_i16; convolution.filters()];
            let mut best = vec![0_i16; convolution.filters()];
            let mut starts = vec![NO_WINDOW; convolution.filters()];
            for start in 0..symbols.len() {
                convolution.values(symbols.get(start..).unwrap_or_default(), &mut values);
                for ((best, first), &value) in best.iter_mut().zip(&mut starts).zip(&values) {
                    // Selected, not branched on: there are some hundred filters and no telling which.
                    *first = if value > *best { start as i16 } else { *first };
                    *best = (*best).max(value);
                }
            }
            greatest.extend(best);
            windows.extend(starts.into_iter().map(|start| {
                let start = usize::try_from(start).ok()?;
                Some((start, (start + convolution.width).min(symbols.len())))
            }));
        }
        (greatest, windows)
    }
}

/// What every symbol adds: a filter's contribution, in equal shares over its window.
fn credit(len: usize, contributions: &[f64], windows: &[Option<(usize, usize)>]) -> [f64; MAX_SYMBOLS] {
    let mut credit = [0.0; MAX_SYMBOLS];
    for (&contribution, window) in contributions.iter().zip(windows) {
        let Some((start, end)) = *window else { continue };
        let share = contribution / (end - start).max(1) as f64;
        for slot in credit.iter_mut().take(end.min(len)).skip(start) {
            *slot += share;
        }
    }
    credit
}

/// Runs of symbols that pull the same way, within a label; none for markers alone.
fn runs(text: &Text<'_>, credit: &[f64; MAX_SYMBOLS]) -> Vec<(String, f64)> {
    let symbols = text.symbols();
    let mut runs = Vec::new();
    let mut from = 0;
    while from < symbols.len() {
        let same = |(symbol, value): &(&u8, &f64)| {
            **symbol != DOT
                && value.is_sign_positive() == credit.get(from).is_some_and(|c| c.is_sign_positive())
        };
        let length = symbols.iter().zip(credit).skip(from).take_while(same).count();
        let to = from + length.max(1);
        let shown = text.shown(from, to);
        if !shown.is_empty() && length > 0 {
            runs.push((shown, credit.iter().take(to).skip(from).sum()));
        }
        from = to;
    }
    runs
}
