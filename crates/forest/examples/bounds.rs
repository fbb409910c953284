//! Says how long bounds take, how wide they are, and how many values drawn at random find of them.
//!
//!     cargo run --release -p tribunal-forest --example bounds -- model.ubj 50 4
//!
//! Times are processor time. Rows are any numbers, and the unknown features are the ones after each row's own position.

use std::error::Error;
use std::time::Instant;

use tribunal_forest::{Forest, Format};

/// Calls that are timed together: a system may count processor time in milliseconds.
const REPEATS: usize = 20;

/// Processor time of this thread in nanoseconds; the clock's where the system does not tell.
fn processor_ns(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = told.and_then(|text| text.split(' ').next()?.parse().ok());
    first.unwrap_or_else(|| start.elapsed().as_secs_f64() * 1e9)
}

/// A number between -4 and 4, some missing.
fn value(i: usize) -> f32 {
    match (i as u32).wrapping_mul(2_654_435_769) >> 8 {
        hash if hash % 9 == 0 => f32::NAN,
        hash => hash as f32 / 2_097_152.0 - 4.0,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("give a model file, a number of rows and of unknown features")?;
    let n_rows: usize = arguments.next().map_or(Ok(50), |n| n.parse())?;
    let n_unknown: usize = arguments.next().map_or(Ok(4), |n| n.parse())?;
    let bytes = std::fs::read(model)?;
    let forest = Forest::parse(&bytes, Format::detect(&bytes).ok_or("not a model that is read")?)?;
    let n = forest.n_features();

    let rows: Vec<f32> = (0..n_rows * n).map(value).collect();
    let unknown: Vec<bool> = (0..n_rows * n).map(|i| (i + n - 2 * (i / n) % n) % n < n_unknown).collect();
    let mut bounds = Vec::new();
    forest.bounds(&rows, &unknown, &mut bounds)?;
    let clock = Instant::now();
    let start = processor_ns(clock);
    for _ in 0..REPEATS {
        forest.bounds(&rows, &unknown, &mut bounds)?;
    }
    let micros = (processor_ns(clock) - start) / 1e3 / REPEATS as f64;
    let width: f64 = bounds.iter().map(|(low, high)| high - low).sum();

    // What values drawn at random reach.
    let mut reached = vec![(f64::INFINITY, f64::NEG_INFINITY); bounds.len()];
    let mut margins = Vec::new();
    for draw in 1..=2_000 {
        let drawn = rows.iter().zip(&unknown).enumerate();
        let drawn: Vec<f32> = drawn.map(|(i, (&x, &u))| if u { value(i * 7919 + draw) } else { x }).collect();
        forest.margins(&drawn, &mut margins)?;
        for ((low, high), &margin) in reached.iter_mut().zip(&margins) {
            (*low, *high) = (low.min(margin), high.max(margin));
        }
    }
    if bounds.iter().zip(&reached).any(|(a, b)| a.0 > b.0 || b.1 > a.1) {
        return Err("a margin is out of its bounds".into());
    }
    let found: f64 = reached.iter().map(|(low, high)| high - low).sum();
    #[expect(clippy::print_stdout, reason = "an example")]
    {
        println!(
            "{} trees, {n_rows} rows, {n_unknown} unknown: {:.0} us a row; {:.3} wide, {:.0} % of it reached by chance",
            forest.n_trees(),
            micros / n_rows as f64,
            width / n_rows as f64,
            if width > 0.0 { 100.0 * found / width } else { 100.0 }
        );
    }
    Ok(())
}
