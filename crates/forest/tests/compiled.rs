//! The compiled form says what its source says, and refuses to load when it was altered.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use tribunal_forest::{Engine, Forest, Format, ParseError, Source};

/// Every model of the goldens: name and bytes.
fn models() -> Vec<(PathBuf, Vec<u8>, Format)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut models = Vec::new();
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()) {
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.file_stem().is_some_and(|stem| stem == "model") {
                let bytes = std::fs::read(&file).unwrap();
                let format = Format::detect(&bytes).unwrap_or_else(|| panic!("{}", file.display()));
                models.push((file, bytes, format));
            }
        }
    }
    models.sort();
    assert!(models.len() >= 13, "{} models", models.len());
    models
}

fn source(bytes: &[u8], format: Format) -> Source {
    Source { format, sha256: "0".repeat(64), bytes: bytes.len() as u64 }
}

/// Rows with missing values, zeros, infinities and numbers of all sizes.
fn rows(n_features: usize) -> Vec<f32> {
    let values = [f32::NAN, 0.0, -0.0, 1.0, -3.5, 0.25, 1e30, f32::INFINITY, 1e-40, 2.0, -1.0];
    (0..40 * n_features).map(|i| values[(i * 7 + i / 13) % values.len()]).collect()
}

#[test]
fn a_compiled_model_answers_as_its_source() {
    for (file, bytes, format) in models() {
        let name = file.display();
        let forest = Forest::parse(&bytes, format).unwrap();
        let rows = rows(forest.n_features());
        let compiled = forest.compile(&source(&bytes, format), &[]).unwrap();
        assert_eq!(Format::detect(&compiled), Some(Format::Compiled));
        let loaded = Forest::read_compiled(compiled.as_slice(), compiled.len() as u64).unwrap();
        assert_eq!(loaded.source().unwrap().format, format);
        assert_eq!(
            (loaded.n_trees(), loaded.n_nodes(), loaded.max_depth(), loaded.n_outputs(), loaded.has_covers()),
            (forest.n_trees(), forest.n_nodes(), forest.max_depth(), forest.n_outputs(), forest.has_covers()),
            "{name}"
        );
        assert_eq!(
            (loaded.feature_names(), loaded.objective()),
            (forest.feature_names(), forest.objective())
        );
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        forest.margins_with(Engine::Reference, &rows, &mut expected).unwrap();
        for engine in Engine::available(&loaded) {
            loaded.margins_with(engine, &rows, &mut got).unwrap();
            let same = expected.iter().zip(&got).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same && expected.len() == got.len(), "{name}: {engine}");
        }
        forest.responses(&rows, &mut expected).unwrap();
        loaded.responses(&rows, &mut got).unwrap();
        assert_eq!(format!("{expected:?}"), format!("{got:?}"), "{name}");
        let (mut leaves, mut got_leaves) = (Vec::new(), Vec::new());
        forest.leaves(&rows, &mut leaves).unwrap();
        loaded.leaves(&rows, &mut got_leaves).unwrap();
        assert_eq!(leaves, got_leaves, "{name}");
        if forest.has_covers() {
            forest.contributions_batch(&rows, &mut expected).unwrap();
            loaded.contributions_batch(&rows, &mut got).unwrap();
            assert_eq!(format!("{expected:?}"), format!("{got:?}"), "{name}");
        }
        assert_eq!(
            loaded.compile(loaded.source().unwrap(), &[]).unwrap(),
            compiled,
            "{name}: compiled twice"
        );
    }
}

#[test]
fn golden_rows_of_the_caller_are_kept() {
    let (_, bytes, format) = models().swap_remove(0);
    let forest = Forest::parse(&bytes, format).unwrap();
    let rows = rows(forest.n_features());
    let with = forest.compile(&source(&bytes, format), &rows).unwrap();
    let without = forest.compile(&source(&bytes, format), &[]).unwrap();
    assert!(with.len() > without.len());
    Forest::parse(&with, Format::Compiled).unwrap();
    forest.compile(&source(&bytes, format), &rows[1..]).unwrap_err();
}

#[test]
fn an_altered_file_is_refused() {
    let (_, bytes, format) = models().into_iter().min_by_key(|(_, bytes, _)| bytes.len()).unwrap();
    let forest = Forest::parse(&bytes, format).unwrap();
    let compiled = forest.compile(&source(&bytes, format), &[]).unwrap();
    let step = (compiled.len() / 2_000).max(1);
    for at in (0..compiled.len()).step_by(step) {
        let mut altered = compiled.clone();
        altered[at] ^= 1 << (at % 8);
        Forest::parse(&altered, Format::Compiled).unwrap_err();
        Forest::parse(&compiled[..at], Format::Compiled).unwrap_err();
    }
    let mut longer = compiled.clone();
    longer.extend([0; 64]);
    let error = Forest::parse(&longer, Format::Compiled).unwrap_err();
    assert!(
        matches!(error, ParseError::Compiled { .. }) && error.to_string().contains("the file says"),
        "{error}"
    );
    let error = Forest::read_compiled(compiled.as_slice(), 1 << 40).unwrap_err();
    assert!(error.to_string().contains("more than the limit"), "{error}");
}

/// A file whose checksum was made to hold again: nothing else protects the loader.
#[test]
fn an_altered_file_with_its_checksum_is_refused_or_runs() {
    let (_, bytes, format) = models().into_iter().min_by_key(|(_, bytes, _)| bytes.len()).unwrap();
    let forest = Forest::parse(&bytes, format).unwrap();
    let compiled = forest.compile(&source(&bytes, format), &[]).unwrap();
    let rows = rows(forest.n_features());
    let step = (compiled.len() / 3_000).max(1);
    let mut refused = 0;
    for (n, at) in (64..compiled.len()).step_by(step).enumerate() {
        let mut altered = compiled.clone();
        altered[at] = match n % 3 {
            0 => altered[at] ^ 1 << (n % 8),
            1 => 0xFF,
            _ => altered[at].wrapping_add(1),
        };
        altered[24..28].fill(0);
        let sum = crc32fast::hash(&altered);
        altered[24..28].copy_from_slice(&sum.to_le_bytes());
        match Forest::parse(&altered, Format::Compiled) {
            Err(_) => refused += 1,
            Ok(forest) if forest.n_features() * 40 == rows.len() => {
                let mut out = Vec::new();
                forest.margins(&rows, &mut out).unwrap();
                let _ = forest.contributions_batch(&rows, &mut out);
                let _ = forest.leaves(&rows, &mut Vec::new());
            }
            Ok(_) => {}
        }
    }
    assert!(refused > 100, "{refused} refused");
}
