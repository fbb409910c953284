//! The trainers' own answers, from `tests/golden` (made by `training/goldens/make_goldens.py`).
//!
//! Margins are held bit for bit. Probabilities may differ by one unit in the last place, since the
//! exponential function is the platform's; contributions by the tolerance of the case, since XGBoost sums
//! them in `f32`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tribunal_forest::{Forest, Format};

const N_FEATURES: usize = 20;
const POOL: usize = 16;

#[derive(Deserialize)]
struct Case {
    models: std::collections::BTreeMap<Format, String>,
    rows: usize,
    r#type: String,
    seed: u64,
    infinities: bool,
    #[serde(default)]
    tolerance: Option<f64>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn read(folder: &Path, name: &str) -> Option<Vec<u8>> {
    std::fs::read(folder.join(name)).ok()
}

fn f64s(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Outputs in the case's type, widened.
fn outputs(case: &Case, bytes: &[u8]) -> Vec<f64> {
    match case.r#type.as_str() {
        "f4" => f32s(bytes).into_iter().map(f64::from).collect(),
        "f8" => f64s(bytes),
        other => panic!("type {other}"),
    }
}

/// SplitMix64.
fn hash(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `rows` of make_goldens.py, bit for bit.
fn rows(case: &Case, pool: &[f32]) -> Vec<f32> {
    (0..case.rows * N_FEATURES)
        .map(|index| {
            let pool = &pool[index % N_FEATURES * POOL..][..POOL];
            value(hash(case.seed, index as u64), pool, case.infinities)
        })
        .collect()
}

fn value(h: u64, pool: &[f32], infinities: bool) -> f32 {
    let low = h >> 8;
    match h >> 56 {
        0..28 => f32::NAN,
        28..40 => 0.0,
        40..44 => -0.0,
        44..48 => f32::from_bits(low as u32 & 0x807F_FFFF),
        48..52 if infinities => [f32::INFINITY, f32::NEG_INFINITY][(low % 2) as usize],
        48..92 => {
            let at = pool[(low % POOL as u64) as usize];
            match (low >> 32) % 4 {
                1 => at.next_up(),
                2 => at.next_down(),
                _ => at,
            }
        }
        92..112 => (low % 64) as f32 - 4.0,
        _ => (low & 0xFF_FFFF) as f32 / 2_097_152.0 - 4.0,
    }
}

fn ulps(a: f64, b: f64, single: bool) -> u64 {
    if single {
        u64::from((a as f32).to_bits().abs_diff((b as f32).to_bits()))
    } else {
        a.to_bits().abs_diff(b.to_bits())
    }
}

fn check(folder: &Path, case: &Case, format: Format, model: &str) {
    let name = format!("{}/{model}", folder.file_name().unwrap().display());
    let bytes = read(folder, model).unwrap();
    assert_eq!(Format::detect(&bytes), Some(format), "{name}");
    let forest = Forest::parse(&bytes, format).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(forest.n_features(), N_FEATURES);
    assert_eq!(forest.feature_names().unwrap()[19], "feature_19", "{name}");

    let rows = rows(case, &f32s(&read(folder, "pool.bin").unwrap()));
    let expected = outputs(case, &read(folder, "margins.bin").unwrap());
    assert_eq!(expected.len(), case.rows, "{name}");
    let mut margins = Vec::new();
    forest.margins(&rows, &mut margins).unwrap();
    let wrong: Vec<usize> =
        (0..case.rows).filter(|&i| margins[i].to_bits() != expected[i].to_bits()).collect();
    if let Some(&i) = wrong.first() {
        panic!("{name}: {} margins differ, row {i}: {} is {}", wrong.len(), margins[i], expected[i]);
    }

    if let Some(bytes) = read(folder, "probabilities.bin") {
        let mut probabilities = Vec::new();
        forest.probabilities(&rows, &mut probabilities).unwrap();
        let expected = outputs(case, &bytes);
        let worst = expected.iter().zip(&probabilities).map(|(&e, &p)| ulps(e, p, case.r#type == "f4")).max();
        assert!(worst.unwrap() <= 1, "{name}: probabilities differ by {worst:?} units in the last place");
    }
    check_contributions(folder, case, &name, &forest, &rows, &margins);
}

fn check_contributions(
    folder: &Path,
    case: &Case,
    name: &str,
    forest: &Forest,
    rows: &[f32],
    margins: &[f64],
) {
    let expected = read(folder, "contributions.bin").map(|b| f64s(&b)).unwrap_or_default();
    for (i, row) in rows.chunks_exact(N_FEATURES).take(200).enumerate() {
        let got = forest.contributions(row).unwrap();
        let sum = got.expected + got.values.iter().sum::<f64>();
        assert!((sum - margins[i]).abs() < 1e-5, "{name}: row {i} sums to {sum}, margin {}", margins[i]);
        if let Some(expected) = expected.get(i * (N_FEATURES + 1)..(i + 1) * (N_FEATURES + 1)) {
            for (j, value) in got.values.iter().chain([&got.expected]).enumerate() {
                let off = (value - expected[j]).abs();
                assert!(off <= case.tolerance.unwrap(), "{name}: row {i}, {j}: {value} is {}", expected[j]);
            }
        }
    }
}

#[test]
fn every_case_gives_what_its_trainer_gives() {
    let mut cases = 0;
    for entry in std::fs::read_dir(root()).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let case: Case = serde_json::from_slice(&read(&folder, "case.json").unwrap()).unwrap();
        for (&format, model) in &case.models {
            check(&folder, &case, format, model);
        }
        cases += 1;
    }
    assert_eq!(cases, 13, "a case is missing");
}
