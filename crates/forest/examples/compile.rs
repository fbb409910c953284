//! Compiles a model, loads the compiled file in place, and explains a row with it.
//!
//!     cargo run --release -p tribunal-forest --example compile -- model.ubj model.tribunal

use std::error::Error;
use std::fs::File;
use std::time::Instant;

use tribunal_forest::{Forest, Format, Source};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(compiled)) = (arguments.next(), arguments.next()) else {
        return Err("give a model file and the file to write".into());
    };
    let bytes = std::fs::read(model)?;
    let format = Format::detect(&bytes).ok_or("not a model that is read")?;
    // A real digest is the caller's to compute: this crate has no hash function.
    let source = Source { format, sha256: "0".repeat(64), bytes: bytes.len() as u64 };
    std::fs::write(&compiled, Forest::parse(&bytes, format)?.compile(&source, &[])?)?;

    let start = Instant::now();
    let file = File::open(&compiled)?;
    let length = file.metadata()?.len();
    let forest = Forest::read_compiled(file, length)?;
    let loaded = start.elapsed();
    let row = vec![f32::NAN; forest.n_features()];
    let mut margins = Vec::new();
    forest.margins(&row, &mut margins)?;
    #[expect(clippy::print_stdout, reason = "an example")]
    {
        println!("{length} bytes loaded in {loaded:?}; margins of a row of missing values: {margins:?}");
        if forest.has_covers() {
            println!("expected margins: {:?}", forest.contributions(&row)?.expected);
        }
    }
    Ok(())
}
