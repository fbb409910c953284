//! Names per second of processor time on one core, from the parsed name to all its features.
//!
//! The names are all different and of the shapes that are met: words, brands, generated labels, pools of addresses,
//! IDNs, names deep below a public suffix. Every vector of every run is held against the first run's, and the lengths
//! in it against the names.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tribunal_core::Entity;
use tribunal_features::{Extractor, Lexicon, WIDTH};

use crate::clock::processor_time;
use crate::generator::name;
use crate::spread::Spread;

pub(crate) const TARGET_PER_SECOND: f64 = 200_000.0;
const NAMES: u64 = 100_000;
#[derive(Debug, Serialize)]
pub(crate) struct Lexical {
    pub(crate) names: usize,
    pub(crate) features: usize,
    /// The lexicon's own time until the first name, in milliseconds.
    pub(crate) ready_ms: f64,
    pub(crate) per_second: Spread,
    /// Parsing of the text included.
    pub(crate) per_second_with_parsing: Spread,
}

pub(crate) fn measure(names: Option<&Path>, quick: bool) -> Result<Lexical> {
    let started = Instant::now();
    let extractor = Extractor::new(Lexicon::embedded()?)?;
    let ready_ms = crate::spread::rounded(crate::spread::ms(started.elapsed()));
    let texts = texts(names)?;
    let entities: Result<Vec<Entity>, _> = texts.iter().map(|text| Entity::parse(text)).collect();
    let entities = entities?;
    let expected = vectors(&extractor, &entities)?;
    let (mut rates, mut parsing) = (Vec::new(), Vec::new());
    for _ in 0..if quick { 3 } else { 11 } {
        let mut out = [0.0; WIDTH];
        let mut right = 0;
        let started = processor_time();
        for (entity, expected) in entities.iter().zip(&expected) {
            extractor.extract(black_box(entity), None, &mut out)?;
            right += usize::from(digest(&out) == *expected);
        }
        rates.push(entities.len() as f64 / (processor_time() - started).as_secs_f64());
        let started = processor_time();
        for (text, expected) in texts.iter().zip(&expected) {
            extractor.extract(&Entity::parse(black_box(text))?, None, &mut out)?;
            right += usize::from(digest(&out) == *expected);
        }
        parsing.push(entities.len() as f64 / (processor_time() - started).as_secs_f64());
        ensure!(right == 2 * entities.len(), "{} vectors are others", 2 * entities.len() - right);
    }
    Ok(Lexical {
        names: entities.len(),
        features: WIDTH,
        ready_ms,
        per_second: Spread::of(rates),
        per_second_with_parsing: Spread::of(parsing),
    })
}

/// Generated, or those names of a file that can be read.
fn texts(names: Option<&Path>) -> Result<Vec<String>> {
    let Some(path) = names else { return Ok((0..NAMES).map(name).collect()) };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let is_name = |line: &&str| Entity::parse(line).is_ok_and(|entity| entity.registrable_domain().is_some());
    Ok(text.lines().filter(is_name).map(str::to_owned).collect())
}

/// Digests of the first vectors, whose lengths are held against the names.
fn vectors(extractor: &Extractor<'_>, entities: &[Entity]) -> Result<Vec<u64>> {
    let places = extractor.schema().positions();
    let place = |name: &str| places.get(name).copied().with_context(|| format!("no feature {name}"));
    let (host, label) = (place("host_length")?, place("label_length")?);
    let mut digests = Vec::with_capacity(entities.len());
    let mut out = [0.0; WIDTH];
    for entity in entities {
        extractor.extract(entity, None, &mut out)?;
        let name = entity.name();
        let registrable = entity.registrable_domain().context("a name without a registrable domain")?;
        // What was registered stays whole.
        let host_length = name.strip_prefix("www.").filter(|_| name != registrable).unwrap_or(name).len();
        let label_length = registrable.split('.').next().unwrap_or_default().len();
        let is_right = out[host] == host_length as f32 && out[label] == label_length as f32;
        ensure!(is_right, "{name}: lengths {} and {}", out[host], out[label]);
        digests.push(digest(&out));
    }
    Ok(digests)
}

/// Of all bits of a vector.
fn digest(vector: &[f32; WIDTH]) -> u64 {
    let lanes = vector.chunks(4).map(|chunk| {
        chunk.iter().fold(0, |digest: u64, value| digest.rotate_left(16) ^ u64::from(value.to_bits()))
    });
    lanes.fold(0, |digest: u64, lane| (digest ^ lane).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
