//! Rounds of calls, engine after engine, so that what happens on the machine happens to all of them; then medians.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::case::{Case, Precision};
use crate::clock::{Sweep, cpu_time};
use crate::engines::{Answers, Engine, Round, Task};

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds of 1, 10 and 100 rows.
    pub rounds: usize,
    /// Rounds of more rows.
    pub batch_rounds: usize,
    /// Rows that are evicted first, one a round.
    pub evicted_rounds: usize,
    /// CPU time of an engine's timed calls in a round.
    pub budget: Duration,
}

impl Effort {
    pub const FULL: Self =
        Self { rounds: 31, batch_rounds: 9, evicted_rounds: 41, budget: Duration::from_millis(3) };
    pub const QUICK: Self =
        Self { rounds: 11, batch_rounds: 3, evicted_rounds: 11, budget: Duration::from_millis(1) };
}

/// Whether a row finds the model in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    Warm,
    Evicted,
}

impl Cache {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Evicted => "evicted",
        }
    }
}

/// What one engine took at one size.
#[derive(Debug)]
pub struct Measured {
    pub engine: String,
    pub rows: usize,
    pub cache: Cache,
    /// Median over the rounds, in microseconds per row.
    pub median_us: f64,
    pub minimum_us: f64,
    /// Largest distance from the trainer's answer, in units in the last place; 0 is exact.
    pub worst_ulp: u64,
}

/// Rows of the cache-warming calls of a round, at least.
const WARMUP_ROWS: usize = 100;
/// Fewest timed calls of a round with few rows.
const MIN_CALLS: usize = 20;
/// Keeps rounds from taking the same rows.
const STRIDE: usize = 997;

/// Times all engines at `rows` rows a call, warm.
pub fn warm(
    case: &Case,
    engines: &mut [Box<dyn Engine>],
    rows: usize,
    effort: Effort,
) -> Result<Vec<Measured>> {
    ensure!(rows <= case.n_rows, "there are only {} rows", case.n_rows);
    let many = rows > WARMUP_ROWS;
    let warmup = if many { 0 } else { WARMUP_ROWS / rows };
    let mut calls = Vec::new();
    for engine in engines.iter_mut() {
        let trial = Round { rows, first_call: 0, warmup, calls: if many { 1 } else { 3 } };
        let each = engine.time(trial, case.n_rows)?.as_secs_f64() / trial.calls as f64;
        let fitting = (effort.budget.as_secs_f64() / each.max(1e-9)) as usize;
        let least = if many { 1 } else { MIN_CALLS.min(1 + 400 / rows) };
        calls.push(fitting.clamp(least, 10_000));
    }
    let rounds = if many { effort.batch_rounds } else { effort.rounds };
    let mut tallies: Vec<Tally> = engines.iter().map(|_| Tally::default()).collect();
    for round in 0..rounds {
        for at in order(engines.len(), round) {
            let round = Round { rows, first_call: round * STRIDE, warmup, calls: calls[at] };
            let time = engines[at].time(round, case.n_rows)?;
            tallies[at].add(time, calls[at] * rows);
            tallies[at].compare(case, engines[at].as_ref(), round.spans(case.n_rows));
        }
    }
    Ok(summary(engines, &tallies, rows, Cache::Warm))
}

/// Times all engines with one row a call, each after `sweep` went through the cache.
pub fn evicted(
    case: &Case,
    engines: &mut [Box<dyn Engine>],
    effort: Effort,
    sweep: &Sweep,
) -> Result<Vec<Measured>> {
    let overhead = sweep.clock_overhead();
    let mut tallies: Vec<Tally> = engines.iter().map(|_| Tally::default()).collect();
    for round in 0..effort.evicted_rounds {
        for at in order(engines.len(), round) {
            if !engines[at].can_evict() {
                continue;
            }
            let row = round * STRIDE % case.n_rows;
            sweep.run();
            // The clock's own code is brought back into the cache.
            cpu_time();
            let start = cpu_time();
            engines[at].predict(row, 1)?;
            let time = (cpu_time() - start).saturating_sub(overhead);
            tallies[at].add(time, 1);
            tallies[at].compare(case, engines[at].as_ref(), std::iter::once((row, 1)));
        }
    }
    Ok(summary(engines, &tallies, 1, Cache::Evicted))
}

/// Median and minimum CPU time of each task, in milliseconds.
pub fn tasks(tasks: &mut [Task], rounds: usize) -> Result<Vec<(String, f64, f64)>> {
    let mut tallies: Vec<Tally> = tasks.iter().map(|_| Tally::default()).collect();
    for round in 0..=rounds {
        for at in order(tasks.len(), round) {
            let time = (tasks[at].run)()?;
            // The first round is to warm up.
            if round > 0 {
                tallies[at].add(time, 1);
            }
        }
    }
    Ok(tasks
        .iter()
        .zip(tallies)
        .map(|(task, tally)| {
            let (median, minimum) = tally.median_and_minimum();
            (task.engine.clone(), median / 1000.0, minimum / 1000.0)
        })
        .collect())
}

/// Each is first, second, ... in turn, and every other round goes backwards, so that none always follows the same one.
fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let at = (turn + round / 2) % count;
        if round.is_multiple_of(2) { at } else { count - 1 - at }
    })
}

fn summary(engines: &[Box<dyn Engine>], tallies: &[Tally], rows: usize, cache: Cache) -> Vec<Measured> {
    let timed = engines.iter().zip(tallies).filter(|(_, tally)| !tally.samples_us.is_empty());
    timed
        .map(|(engine, tally)| {
            let (median_us, minimum_us) = tally.median_and_minimum();
            let engine = engine.name().to_owned();
            Measured { engine, rows, cache, median_us, minimum_us, worst_ulp: tally.worst_ulp }
        })
        .collect()
}

#[derive(Debug, Default)]
struct Tally {
    samples_us: Vec<f64>,
    worst_ulp: u64,
}

impl Tally {
    fn add(&mut self, time: Duration, rows: usize) {
        self.samples_us.push(time.as_secs_f64() * 1e6 / rows as f64);
    }

    fn median_and_minimum(&self) -> (f64, f64) {
        let mut sorted = self.samples_us.clone();
        sorted.sort_by(f64::total_cmp);
        (sorted[sorted.len() / 2], sorted[0])
    }

    /// Holds the answers of the timed rows against the trainer's.
    fn compare(&mut self, case: &Case, engine: &dyn Engine, spans: impl Iterator<Item = (usize, usize)>) {
        let answers = engine.answers();
        for row in spans.flat_map(|(first, count)| first..first + count) {
            self.worst_ulp = self.worst_ulp.max(distance(&answers, row, case));
        }
    }
}

/// Units in the last place of the narrower of the two types.
fn distance(answers: &Answers<'_>, row: usize, case: &Case) -> u64 {
    let expected = case.margins[row];
    match answers {
        Answers::F32(answers) => ulps_f32(answers[row], expected as f32),
        Answers::F64(answers) if case.precision == Precision::F32 => {
            let narrowed = answers[row] as f32;
            let rounded = u64::from(f64::from(narrowed) != answers[row]);
            ulps_f32(narrowed, expected as f32).max(rounded)
        }
        Answers::F64(answers) => ulps_f64(answers[row], expected),
        Answers::Probability(answers) => ulps_f64(answers[row], 1.0 / (1.0 + (-expected).exp())),
    }
}

fn ulps_f32(a: f32, b: f32) -> u64 {
    // Sign and magnitude become one scale, on which neighbours differ by one.
    let place = |x: f32| {
        let bits = x.to_bits() as i32;
        i64::from(if bits < 0 { i32::MIN.wrapping_sub(bits) } else { bits })
    };
    if a.is_nan() || b.is_nan() { u64::MAX } else { place(a).abs_diff(place(b)) }
}

fn ulps_f64(a: f64, b: f64) -> u64 {
    let place = |x: f64| {
        let bits = x.to_bits() as i64;
        i128::from(if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits })
    };
    if a.is_nan() || b.is_nan() {
        u64::MAX
    } else {
        u64::try_from(place(a).abs_diff(place(b))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{order, ulps_f32, ulps_f64};

    #[test]
    fn every_engine_takes_every_place() {
        for round in 0..12 {
            let mut seen: Vec<usize> = order(5, round).collect();
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4]);
        }
        let firsts: std::collections::BTreeSet<_> =
            (0..10).filter_map(|round| order(5, round).next()).collect();
        assert_eq!(firsts.len(), 5);
    }

    #[test]
    fn counts_neighbours() {
        assert_eq!(ulps_f32(1.0, 1.0_f32.next_up()), 1);
        assert_eq!(ulps_f32(0.0, -0.0), 0);
        assert_eq!(ulps_f32(f32::from_bits(1), -f32::from_bits(1)), 2);
        assert_eq!(ulps_f64(-1.0, (-1.0_f64).next_down()), 1);
        assert_eq!(ulps_f64(f64::NAN, 1.0), u64::MAX);
    }
}
