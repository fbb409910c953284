//! Names per second of a network, one core: `throughput NETWORK.bin [NAMES.txt]`; without names, made-up ones.

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::error::Error;
use std::time::Instant;

use tribunal_characters::CharacterModel;

const MADE_UP: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let network = CharacterModel::parse(&std::fs::read(arguments.next().ok_or("name a network")?)?)?;
    let names: Vec<String> = match arguments.next() {
        Some(file) => std::fs::read_to_string(file)?.lines().map(str::to_owned).collect(),
        None => (0..MADE_UP).map(made_up).collect(),
    };
    let start = Instant::now();
    let sum: f64 = names.iter().map(|name| network.margin(name)).sum();
    tell("margins", names.len(), start, sum);
    let start = Instant::now();
    let sum: f64 = names.iter().map(|name| network.explain(name).margin).sum();
    tell("explanations", names.len(), start, sum);
    Ok(())
}

fn tell(what: &str, names: usize, start: Instant, sum: f64) {
    let each = start.elapsed().as_secs_f64() * 1e6 / names.max(1) as f64;
    println!("{what}: {names} names, {each:.2} µs each, mean margin {:.4}", sum / names.max(1) as f64);
}

/// Eight to twenty characters and a suffix, from a multiplicative sequence.
fn made_up(i: usize) -> String {
    let mut state = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let length = 8 + i % 13;
    let mut name = String::with_capacity(length + 4);
    for _ in 0..length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        name.push(char::from(b'a' + ((state >> 33) % 26) as u8));
    }
    name.push_str(if i.is_multiple_of(2) { ".com" } else { ".net" });
    name
}
