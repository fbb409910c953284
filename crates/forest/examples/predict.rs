//! Reads a model and a CSV of rows (no header, one row a line, empty is missing), prints margins and probabilities.
//!
//!     cargo run --release -p tribunal-forest --example predict -- model.ubj rows.csv

use std::error::Error;

use tribunal_forest::{Forest, Format};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(rows)) = (arguments.next(), arguments.next()) else {
        return Err("give a model file and a CSV file of rows".into());
    };
    let bytes = std::fs::read(model)?;
    let format = Format::detect(&bytes).ok_or("not a model that is read")?;
    let forest = Forest::parse(&bytes, format)?;

    let mut values = Vec::new();
    for field in std::fs::read_to_string(rows)?.lines().flat_map(|line| line.split(',')) {
        let field = field.trim();
        values.push(if field.is_empty() { f32::NAN } else { field.parse()? });
    }
    let (mut margins, mut probabilities) = (Vec::new(), Vec::new());
    forest.margins(&values, &mut margins)?;
    if forest.link().gives_probabilities() {
        forest.probabilities(&values, &mut probabilities)?;
    }
    for (i, margins) in margins.chunks(forest.n_outputs()).enumerate() {
        let probabilities = probabilities.chunks(forest.n_outputs()).nth(i).unwrap_or_default();
        #[expect(clippy::print_stdout, reason = "an example")]
        {
            println!("{margins:?} {probabilities:?}");
        }
    }
    Ok(())
}
