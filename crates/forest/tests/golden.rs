//! The trainers' own answers, from `tests/golden` (made by `training/goldens/make_goldens.py`; its `common.py`
//! says what a case is made of). `GOLDEN_DIR` names another folder of cases.
//!
//! Margins are held bit for bit, by every engine that takes the model, unless the case says by how many units
//! in the last place they may differ. Probabilities and responses may differ by one unit, since the exponential
//! function is the platform's; contributions by the tolerance of the case, since XGBoost sums them in `f32`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tribunal_forest::{Engine, Forest, Format, Source};

const POOL: usize = 16;
/// Numbers of rows that leave every engine a remainder of some length.
const BATCHES: [usize; 8] = [1, 2, 3, 7, 33, 100, 257, 1_000];
/// Rows whose contributions are added up.
const ADDITIVE_ROWS: usize = 200;

#[derive(Deserialize)]
struct Case {
    models: BTreeMap<Format, Files>,
    rows: usize,
    r#type: Type,
    seed: u64,
    infinities: bool,
    #[serde(default = "twenty")]
    n_features: usize,
    #[serde(default = "one")]
    n_outputs: usize,
    #[serde(default)]
    tolerance: Option<f64>,
    #[serde(default)]
    ulps: u64,
    #[serde(default = "one")]
    response_ulps: usize,
    #[serde(default)]
    margins_digest: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Files {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
enum Type {
    #[serde(rename = "f4")]
    F32,
    #[serde(rename = "f8")]
    F64,
}

fn twenty() -> usize {
    20
}

fn one() -> usize {
    1
}

/// What a case says, and the rows that it stands for.
struct Golden {
    folder: PathBuf,
    case: Case,
    rows: Vec<f32>,
    margins: Vec<f64>,
}

type Outcome = Result<(), String>;

fn f64s(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// SplitMix64.
fn hash(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `rows` of common.py, bit for bit.
fn rows(case: &Case, pool: &[f32]) -> Vec<f32> {
    (0..case.rows * case.n_features)
        .map(|index| {
            let pool = &pool[index % case.n_features * POOL..][..POOL];
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

impl Type {
    /// Values of this type, widened.
    fn read(self, bytes: &[u8]) -> Vec<f64> {
        match self {
            Self::F32 => f32s(bytes).into_iter().map(f64::from).collect(),
            Self::F64 => f64s(bytes),
        }
    }

    /// Units in the last place of this type between two values.
    fn ulps(self, a: f64, b: f64) -> u64 {
        match self {
            Self::F32 => order(i64::from((a as f32).to_bits() as i32), i64::from(i32::MIN))
                .abs_diff(order(i64::from((b as f32).to_bits() as i32), i64::from(i32::MIN))),
            Self::F64 => order(a.to_bits() as i64, i64::MIN).abs_diff(order(b.to_bits() as i64, i64::MIN)),
        }
    }

    fn bits(self, value: f64) -> u64 {
        match self {
            Self::F32 => u64::from((value as f32).to_bits()),
            Self::F64 => value.to_bits(),
        }
    }
}

/// The bits of a float as a number that grows with it; `least` is the negative zero's.
fn order(bits: i64, least: i64) -> i64 {
    if bits < 0 { least.wrapping_sub(bits) } else { bits }
}

impl Golden {
    fn read(folder: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(folder.join("case.json")).map_err(|e| e.to_string())?;
        let case: Case = serde_json::from_slice(&bytes).map_err(|e| format!("case.json: {e}"))?;
        let file = |name: &str| std::fs::read(folder.join(name)).map_err(|e| format!("{name}: {e}"));
        let rows = rows(&case, &f32s(&file("pool.bin")?));
        let margins = case.r#type.read(&file("margins.bin")?);
        let whole = case.rows * case.n_outputs;
        if case.margins_digest.is_none() && margins.len() != whole || margins.is_empty() {
            return Err(format!("margins.bin has {} values, not {whole}", margins.len()));
        }
        Ok(Self { folder: folder.to_owned(), case, rows, margins })
    }

    fn answer(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join(name)).ok()
    }

    fn first_rows(&self, n: usize) -> &[f32] {
        &self.rows[..n * self.case.n_features]
    }

    fn check(&self, format: Format, model: &str) -> Outcome {
        let bytes = std::fs::read(self.folder.join(model)).unwrap();
        if Format::detect(&bytes) != Some(format) {
            return Err(format!("detected as {:?}", Format::detect(&bytes)));
        }
        let forest = Forest::parse(&bytes, format).map_err(|e| e.to_string())?;
        let shape = (forest.n_features(), forest.n_outputs());
        if shape != (self.case.n_features, self.case.n_outputs) {
            return Err(format!("{shape:?} features and outputs"));
        }
        if let Some(name) = forest.feature_names().and_then(|names| names.last())
            && *name != format!("feature_{:02}", self.case.n_features - 1)
        {
            return Err(format!("the last feature is {name}"));
        }
        let margins = self.check_margins(&forest)?;
        self.check_engines(&forest, &margins)?;
        self.check_compiled(&forest, format, &margins)?;
        self.check_probabilities(&forest)?;
        self.check_leaves(&forest)?;
        self.check_contributions(&forest, &margins)
    }

    /// The reference's margins, which are the trainer's.
    fn check_margins(&self, forest: &Forest) -> Result<Vec<f64>, String> {
        let mut margins = Vec::new();
        forest.margins_with(Engine::Reference, &self.rows, &mut margins).map_err(|e| e.to_string())?;
        if margins.len() != self.case.rows * self.case.n_outputs {
            return Err(format!("{} margins", margins.len()));
        }
        self.compare("margins", &margins, &self.margins, self.case.ulps)?;
        if let Some(digest) = &self.case.margins_digest {
            let all = margins.iter().fold(0xCBF2_9CE4_8422_2325_u64, |state, &margin| {
                (state ^ self.case.r#type.bits(margin)).wrapping_mul(0x100_0000_01B3)
            });
            if format!("{all:016x}") != *digest {
                return Err("margins differ after the first rows".to_owned());
            }
        }
        Ok(margins)
    }

    /// Every engine gives the reference's bits, for any number of rows.
    fn check_engines(&self, forest: &Forest, margins: &[f64]) -> Outcome {
        let mut out = Vec::new();
        for engine in Engine::available(forest) {
            for n in BATCHES.into_iter().chain([self.case.rows]).filter(|&n| n <= self.case.rows) {
                forest.margins_with(engine, self.first_rows(n), &mut out).map_err(|e| e.to_string())?;
                let expected = &margins[..n * self.case.n_outputs];
                if out.len() != expected.len() {
                    return Err(format!("{engine}: {} margins of {n} rows", out.len()));
                }
                if let Some(i) = (0..out.len()).find(|&i| out[i].to_bits() != expected[i].to_bits()) {
                    return Err(format!("{engine}, {n} rows: {i}: {} is {}", out[i], expected[i]));
                }
            }
        }
        forest.margins(&self.rows, &mut out).map_err(|e| e.to_string())?;
        match out.iter().zip(margins).all(|(a, b)| a.to_bits() == b.to_bits()) {
            true => Ok(()),
            false => Err("the chosen engine gives other margins".to_owned()),
        }
    }

    /// The compiled form, read again, gives the same bits.
    fn check_compiled(&self, forest: &Forest, format: Format, margins: &[f64]) -> Outcome {
        let source = Source { format, sha256: "0".repeat(64), bytes: 0 };
        let golden = self.first_rows(8);
        let compiled = forest.compile(&source, golden).map_err(|e| format!("compile: {e}"))?;
        let loaded = Forest::parse(&compiled, Format::Compiled).map_err(|e| format!("compiled: {e}"))?;
        self.check_engines(&loaded, margins).map_err(|e| format!("compiled: {e}"))
    }

    /// Probabilities, and responses: the trainer's `predict`, which gives the probabilities where there are no
    /// other responses.
    fn check_probabilities(&self, forest: &Forest) -> Outcome {
        let ulps = (self.case.response_ulps as u64).max(self.case.ulps);
        let mut out = Vec::new();
        let probabilities = self.answer("probabilities.bin").map(|b| self.case.r#type.read(&b));
        if let Some(expected) = &probabilities {
            forest.probabilities(&self.rows, &mut out).map_err(|e| e.to_string())?;
            self.compare("probabilities", &out, expected, ulps)?;
        }
        let responses = self.answer("responses.bin").map(|b| self.case.r#type.read(&b));
        if let Some(expected) = responses.or(probabilities) {
            forest.responses(&self.rows, &mut out).map_err(|e| e.to_string())?;
            self.compare("responses", &out, &expected, ulps)?;
        }
        Ok(())
    }

    /// The first values of `got` are `expected`, within `ulps`.
    fn compare(&self, what: &str, got: &[f64], expected: &[f64], ulps: u64) -> Outcome {
        if got.len() < expected.len() || expected.is_empty() {
            return Err(format!("{} {what}, {} expected", got.len(), expected.len()));
        }
        let off = |i: usize| self.case.r#type.ulps(got[i], expected[i]);
        let wrong: Vec<usize> = (0..expected.len()).filter(|&i| off(i) > ulps).collect();
        let Some(&first) = wrong.first() else { return Ok(()) };
        let worst = wrong.iter().map(|&i| off(i)).max().unwrap();
        Err(format!(
            "{} of {} {what} differ, by up to {worst} units in the last place; {first}: {} is {}",
            wrong.len(),
            expected.len(),
            got[first],
            expected[first]
        ))
    }

    fn check_leaves(&self, forest: &Forest) -> Outcome {
        let Some(bytes) = self.answer("leaves.bin") else { return Ok(()) };
        let expected: Vec<u32> =
            bytes.as_chunks::<2>().0.iter().map(|b| u32::from(u16::from_le_bytes(*b))).collect();
        let n_trees = forest.n_trees();
        if n_trees == 0 || !expected.len().is_multiple_of(n_trees) {
            return Err(format!("{} leaves of {n_trees} trees", expected.len()));
        }
        let mut leaves = Vec::new();
        let rows = self.first_rows(expected.len() / n_trees);
        forest.leaves(rows, &mut leaves).map_err(|e| e.to_string())?;
        match (0..expected.len()).find(|&i| leaves.get(i) != Some(&expected[i])) {
            Some(i) => Err(format!("leaf {i} is {}, not {:?}", expected[i], leaves.get(i))),
            None => Ok(()),
        }
    }

    /// Contributions are the trainer's, and add up to the margin.
    fn check_contributions(&self, forest: &Forest, margins: &[f64]) -> Outcome {
        let expected = self.answer("contributions.bin").map(|b| f64s(&b));
        if expected.is_none() && !forest.has_covers() {
            return Ok(());
        }
        let expected = expected.unwrap_or_default();
        let (n_features, n_outputs) = (self.case.n_features, self.case.n_outputs);
        for (i, row) in self.rows.chunks_exact(n_features).take(ADDITIVE_ROWS).enumerate() {
            let got = forest.contributions(row).map_err(|e| e.to_string())?;
            for output in 0..n_outputs {
                let mut values = got.values[output * n_features..][..n_features].to_vec();
                values.push(got.expected[output]);
                let (sum, margin) = (values.iter().sum::<f64>(), margins[i * n_outputs + output]);
                if (sum - margin).abs() > 1e-5 * margin.abs().max(1.0) {
                    return Err(format!("row {i}, output {output}: sums to {sum}, margin {margin}"));
                }
                let from = (i * n_outputs + output) * (n_features + 1);
                let expected = expected.get(from..from + n_features + 1).unwrap_or_default();
                let far = |j: &usize| (values[*j] - expected[*j]).abs() > self.case.tolerance.unwrap();
                if let Some(j) = (0..expected.len()).find(far) {
                    let (value, expected) = (values[j], expected[j]);
                    return Err(format!("row {i}, output {output}, feature {j}: {value} is {expected}"));
                }
            }
        }
        Ok(())
    }
}

/// Checks a case; gives the formats that it has.
fn check_case(folder: &Path, failures: &mut Vec<String>) -> Vec<Format> {
    let name = folder.file_name().unwrap().display();
    let golden = match Golden::read(folder) {
        Ok(golden) => golden,
        Err(e) => {
            failures.push(format!("{name}: {e}"));
            return Vec::new();
        }
    };
    for (&format, files) in &golden.case.models {
        let files = match files {
            Files::One(file) => std::slice::from_ref(file),
            Files::Many(files) => files,
        };
        for file in files {
            if let Err(e) = golden.check(format, file) {
                failures.push(format!("{name}/{file}: {e}"));
            }
        }
    }
    golden.case.models.into_keys().collect()
}

#[test]
fn every_case_gives_what_its_trainer_gives() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let other = std::env::var_os("GOLDEN_DIR").map(PathBuf::from);
    let root = other.as_ref().unwrap_or(&committed);
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    let mut failures = Vec::new();
    let formats: Vec<Format> = folders.iter().flat_map(|folder| check_case(folder, &mut failures)).collect();
    let (n, list) = (failures.len(), failures.join("\n"));
    assert!(failures.is_empty(), "{n} models of {} cases fail:\n{list}", folders.len());
    if other.is_none() {
        // The compiled form is made from every model.
        let bare = Format::ALL.into_iter().find(|f| *f != Format::Compiled && !formats.contains(f));
        assert_eq!(bare, None, "a format without a case");
        assert!(folders.len() >= 100, "cases are missing: {}", folders.len());
    }
}
