//! What any forest that was read has to do: answer, and give the same bits by every engine and when compiled.
//!
//! Margins may be `NaN` or infinite (leaves of 1e38 add up to infinities); one `NaN` is as good as another.

use tribunal_forest::{Engine, Forest, Format, PredictError, Source};

/// Numbers of rows: one, a few, and more than the kernels' tiles of 32, 64 and 256.
const ROWS: [usize; 5] = [1, 3, 33, 65, 257];
/// Most values in a call's rows.
const MAX_VALUES: usize = 1 << 14;
/// Most steps of the reference engine in a call: rows x trees x depth.
const MAX_STEPS: usize = 1 << 20;
/// Most contributions that are asked for: outputs x features.
const MAX_CONTRIBUTIONS: usize = 1 << 14;
/// Nodes up to which a forest is also compiled.
const MAX_COMPILED_NODES: usize = 1 << 14;

/// SplitMix64's last step: numbers without a pattern.
pub(crate) fn hash(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Asks `forest`, which was read from `input`, for everything. Panics where an answer is missing or another.
pub(crate) fn check(forest: &Forest, input: &[u8]) {
    let steps = forest.n_trees().max(1) * (forest.max_depth() + 1);
    let fits = |n: usize| n * forest.n_features() <= MAX_VALUES && n * steps <= MAX_STEPS;
    let most = ROWS.into_iter().rev().find(|&n| fits(n)).unwrap_or(1);
    let rows = rows(forest, input, most);
    let margins = margins(forest, &rows, most);
    assert!(margins.len() == most * forest.n_outputs());
    agree(forest, &rows, &margins, "parsed");
    links(forest, &rows, most);
    contributions(forest, &rows);
    bounds(forest, &rows, &margins);
    if forest.n_nodes() <= MAX_COMPILED_NODES {
        compiled(forest, &rows, &margins);
    }
}

fn margins(forest: &Forest, rows: &[f32], n: usize) -> Vec<f64> {
    let mut margins = Vec::new();
    match forest.margins_with(Engine::Reference, rows, &mut margins) {
        Ok(()) => {}
        // The trees of a compiled file are looked at when they are first needed.
        Err(PredictError::Corrupt { .. }) => margins = vec![0.0; n * forest.n_outputs()],
        Err(error) => panic!("reference: {error}"),
    }
    margins
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Every engine gives the reference's bits, for every number of rows.
fn agree(forest: &Forest, rows: &[f32], expected: &[f64], what: &str) {
    let from_compiled = forest.source().is_some() && what == "parsed";
    let (width, outputs) = (forest.n_features(), forest.n_outputs());
    let mut found = Vec::new();
    for engine in Engine::available(forest) {
        for n in ROWS.into_iter().filter(|n| n * width <= rows.len()) {
            match forest.margins_with(engine, &rows[..n * width], &mut found) {
                Err(PredictError::Corrupt { .. }) if from_compiled => continue,
                result => result.unwrap(),
            }
            assert_eq!(found.len(), n * outputs, "{what}: {engine}, {n} rows");
            // A hostile compiled file may hold two different models.
            if let Some(i) = (0..found.len()).find(|&i| !from_compiled && !same(found[i], expected[i])) {
                let (a, b, layout) = (found[i], expected[i], forest.layout());
                panic!("{what}: {engine} on {layout:?}, {n} rows: margin {i} is {a:e}, not {b:e}");
            }
        }
    }
    match forest.margins(rows, &mut found) {
        Ok(()) => assert_eq!(found.len(), expected.len(), "{what}"),
        Err(error) => assert!(from_compiled && matches!(error, PredictError::Corrupt { .. }), "{error}"),
    }
}

fn links(forest: &Forest, rows: &[f32], n: usize) {
    let mut out = Vec::new();
    match forest.responses(rows, &mut out) {
        Ok(()) => assert!(out.len() == n || out.len() == n * forest.n_outputs()),
        Err(error) => assert!(matches!(error, PredictError::Corrupt { .. }), "responses: {error}"),
    }
    match forest.probabilities(rows, &mut out) {
        Ok(()) => assert_eq!(out.len(), n * forest.n_outputs()),
        Err(PredictError::NoProbability { .. } | PredictError::Corrupt { .. }) => {}
        Err(error) => panic!("probabilities: {error}"),
    }
    let mut leaves = Vec::new();
    match forest.leaves(rows, &mut leaves) {
        Ok(()) => assert_eq!(leaves.len(), n * forest.n_trees()),
        Err(_) => assert!(leaves.is_empty()),
    }
}

fn contributions(forest: &Forest, rows: &[f32]) {
    let (width, outputs) = (forest.n_features(), forest.n_outputs());
    if outputs * width > MAX_CONTRIBUTIONS || outputs * forest.n_nodes() * forest.max_depth() > MAX_STEPS {
        return;
    }
    match forest.contributions(&rows[..width]) {
        Ok(why) => assert_eq!((why.values.len(), why.expected.len()), (width * outputs, outputs)),
        Err(error) => assert!(matches!(error, PredictError::NoCovers | PredictError::Corrupt { .. })),
    }
}

/// No margin is outside of its bounds, whatever its row holds where it is said to be unknown; and it is both ends where
/// nothing is.
fn bounds(forest: &Forest, rows: &[f32], margins: &[f64]) {
    let (width, outputs) = (forest.n_features(), forest.n_outputs());
    if outputs * forest.n_nodes() * forest.max_depth().max(1) > MAX_STEPS {
        return;
    }
    let mut found = Vec::new();
    for one_in in [1, 2, 5, u64::MAX] {
        let unknown: Vec<bool> = (0..width as u64).map(|i| hash(i).is_multiple_of(one_in)).collect();
        match forest.bounds(&rows[..width], &unknown, &mut found) {
            Ok(()) => assert_eq!(found.len(), outputs),
            Err(error) => {
                assert!(matches!(error, PredictError::Corrupt { .. }), "bounds: {error}");
                return;
            }
        }
        // A hostile compiled file may hold two different models.
        for (&(low, high), &margin) in found.iter().zip(margins).filter(|_| forest.source().is_none()) {
            assert!(
                margin.is_nan() || low <= margin && margin <= high,
                "{margin:e} is not in {low:e} to {high:e}"
            );
            let exact = unknown.contains(&true) || margin.is_nan() || same(low, margin) && same(high, margin);
            assert!(exact, "{low:e} to {high:e} is not {margin:e}, and nothing is unknown");
        }
    }
}

/// The compiled form, read again, gives the same bits, and the same file when it is compiled again.
fn compiled(forest: &Forest, rows: &[f32], margins: &[f64]) {
    if forest.source().is_some() {
        // A hostile compiled file may be refused here, but nothing may break.
        let _ = forest.compile(&source(), &[]);
        return;
    }
    let file = forest.compile(&source(), &[]).unwrap();
    let loaded = Forest::parse(&file, Format::Compiled).unwrap();
    agree(&loaded, rows, margins, "compiled");
    assert_eq!(loaded.compile(&source(), &[]).unwrap(), file, "compiled twice");
}

fn source() -> Source {
    Source { format: Format::LightgbmText, sha256: "0".repeat(64), bytes: 1 }
}

/// `n` rows of numbers at the edges, numbers that the input holds (thresholds, hopefully), and their neighbours.
fn rows(forest: &Forest, input: &[u8], n: usize) -> Vec<f32> {
    let mut pool =
        vec![f32::NAN, f32::NAN, 0.0, -0.0, 1.0, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-45, 1e-35];
    let seed = input.iter().fold(input.len() as u64, |state, &byte| hash(state ^ u64::from(byte)));
    numbers(input, seed, &mut pool);
    (0..n * forest.n_features())
        .map(|i| {
            let h = hash(seed ^ (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let value = pool[(h >> 8) as usize % pool.len()];
            match h % 8 {
                0 => value.next_up(),
                1 => value.next_down(),
                2 => (h >> 40) as f32 / 4_194_304.0 - 2.0,
                3 => (h >> 32) as f32 % 40.0,
                _ => value,
            }
        })
        .collect()
}

/// Up to 60 numbers of the input: as text, and as floats of either byte order.
fn numbers(input: &[u8], seed: u64, pool: &mut Vec<f32>) {
    let mut at = seed as usize % input.len().max(1);
    for _ in 0..20 {
        let Some(start) = input[at..].iter().position(u8::is_ascii_digit).map(|i| at + i) else { break };
        let is_number = |b: &u8| b.is_ascii_digit() || b".eE+-".contains(b);
        let end = start + input[start..].iter().take_while(|b| is_number(b)).count().min(30);
        let sign = if start > 0 && input[start - 1] == b'-' { -1.0 } else { 1.0 };
        let text = std::str::from_utf8(&input[start..end]).unwrap_or_default();
        pool.extend(text.parse::<f32>().ok().map(|value| sign * value));
        at = end;
    }
    for i in 0..20 {
        let at = hash(seed + i) as usize % input.len().max(1);
        if let Some(bytes) = input.get(at..).and_then(|rest| rest.first_chunk()) {
            pool.extend([f32::from_le_bytes(*bytes), f32::from_be_bytes(*bytes)]);
        }
        if let Some(bytes) = input.get(at & !7..).and_then(|rest| rest.first_chunk()) {
            pool.push(f64::from_le_bytes(*bytes) as f32);
        }
    }
}
