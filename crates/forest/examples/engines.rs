//! Says how long each engine takes for a model's rows, and that all of them give the same bits.
//!
//!     cargo run --release -p tribunal-forest --example engines -- model.ubj 1000

use std::error::Error;
use std::time::Instant;

use tribunal_forest::{Engine, Forest, Format};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("give a model file and a number of rows")?;
    let n_rows: usize = arguments.next().map_or(Ok(1), |n| n.parse())?;
    let bytes = std::fs::read(model)?;
    let forest = Forest::parse(&bytes, Format::detect(&bytes).ok_or("not a model that is read")?)?;

    // Any rows will do: numbers between -4 and 4, some missing.
    let rows: Vec<f32> = (0..n_rows * forest.n_features())
        .map(|i| match (i as u32).wrapping_mul(2_654_435_769) >> 8 {
            hash if hash % 9 == 0 => f32::NAN,
            hash => hash as f32 / 2_097_152.0 - 4.0,
        })
        .collect();
    let mut expected = Vec::new();
    forest.margins_with(Engine::Reference, &rows, &mut expected)?;
    for engine in Engine::available(&forest) {
        let mut margins = Vec::new();
        let start = Instant::now();
        forest.margins_with(engine, &rows, &mut margins)?;
        let once = start.elapsed().as_secs_f64();
        let repeats = (0.2 / once).clamp(1.0, 100_000.0) as usize;
        let start = Instant::now();
        for _ in 0..repeats {
            forest.margins_with(engine, &rows, &mut margins)?;
        }
        let micros = start.elapsed().as_secs_f64() * 1e6 / (repeats * n_rows) as f64;
        let same = margins.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
        #[expect(clippy::print_stdout, reason = "an example")]
        {
            println!(
                "{engine:>10}: {micros:8.2} us a row, {}",
                if same { "the same bits" } else { "OTHER BITS" }
            );
        }
    }
    Ok(())
}
