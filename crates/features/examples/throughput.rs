//! Domains per second on one core: names from a file (one a line, as given to the command line), or built-in
//! ones.
//!
//! `cargo run --release --example throughput -p tribunal-features [FILE [LEXICON]]`

use std::hint::black_box;
use std::time::Instant;

use tribunal_core::Entity;
use tribunal_features::{Extractor, Lexicon, WIDTH};

const BUILT_IN: &str = "example.com\nmail.google.com\nsecure-login.paypa1.com.account-update.xyz\n\
    host-84-13-2-19.pool.example.net\nxkqjzvbnwpt.top\nxn--bcher-kva.example\nwww.shop.example.co.uk\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let text = arguments.next().map_or(Ok(BUILT_IN.repeat(2_000)), std::fs::read_to_string)?;
    let replaced = arguments
        .next()
        .map(|path| -> Result<_, Box<dyn std::error::Error>> { Ok(Lexicon::open(std::fs::read(path)?)?) });
    let replaced = replaced.transpose()?;
    let started = Instant::now();
    let lexicon = match &replaced {
        Some(lexicon) => lexicon,
        None => Lexicon::embedded()?,
    };
    let extractor = Extractor::new(lexicon)?;
    let ready = started.elapsed();
    let entities: Vec<Entity> = text.lines().filter_map(|line| Entity::parse(line).ok()).collect();
    let mut out = [0.0; WIDTH];
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        for entity in &entities {
            extractor.extract(black_box(entity), None, &mut out)?;
            black_box(&out);
        }
        best = best.min(started.elapsed().as_secs_f64());
    }
    let per_second = entities.len() as f64 / best;
    let mut report = std::io::stdout();
    std::io::Write::write_fmt(
        &mut report,
        format_args!(
            "{WIDTH} features, ready in {ready:.1?}, {} names, best of 5: {per_second:.0} names per second\n",
            entities.len()
        ),
    )?;
    Ok(())
}
