//! The fuzzer's targets (`fuzz/`) as ordinary tests: on every input that fuzzing kept, on models written from numbers,
//! and on small models of trainers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../fuzz/src/answers.rs"]
mod answers;
#[path = "../../../fuzz/src/targets.rs"]
mod targets;
#[path = "../../../fuzz/src/written/mod.rs"]
mod written;

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use targets::TARGETS;
use tribunal_forest::{Forest, Format};

/// Models written from numbers.
const WRITTEN: u64 = 150;
/// Largest model of a trainer.
const MAX_BYTES: usize = 20_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Files of a folder that may not be there, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn inputs_that_fuzzing_kept_do_no_harm() {
    let (mut harmful, mut count) = (Vec::new(), 0);
    for target in TARGETS {
        for kind in ["corpus", "regressions"] {
            for file in files(&root().join("fuzz").join(kind).join(target.name)) {
                let input = std::fs::read(&file).unwrap();
                count += 1;
                if catch_unwind(|| (target.run)(&input)).is_err() {
                    harmful.push(file);
                }
            }
        }
    }
    assert!(harmful.is_empty(), "{harmful:?}");
    assert!(count > 100, "{count} inputs");
}

#[test]
fn written_models_answer_alike_by_every_engine() {
    let engines = TARGETS.iter().find(|target| target.name == "engines").unwrap();
    for i in 0..WRITTEN {
        let input: Vec<u8> = (0..10 + i % 20).map(|j| answers::hash(i << 8 | j) as u8).collect();
        (engines.run)(&input);
    }
}

/// One of each format and layout: what `scripts/test.sh sanitize` runs under valgrind.
#[test]
fn small_models_answer_alike_by_every_engine() {
    let mut smallest: BTreeMap<(Format, Option<&str>), Vec<u8>> = BTreeMap::new();
    for folder in files(&root().join("tests/golden")) {
        for file in files(&folder).iter().filter(|file| file.file_stem().is_some_and(|stem| stem == "model"))
        {
            let bytes = std::fs::read(file).unwrap();
            let format = Format::detect(&bytes).unwrap();
            if bytes.len() > MAX_BYTES {
                continue;
            }
            let forest = Forest::parse(&bytes, format).unwrap();
            let kept = smallest.entry((format, forest.layout())).or_insert_with(|| bytes.clone());
            if bytes.len() < kept.len() {
                *kept = bytes;
            }
        }
    }
    assert!(smallest.len() > 10, "{:?}", smallest.keys());
    for ((format, _), bytes) in smallest {
        answers::check(&Forest::parse(&bytes, format).unwrap(), &bytes);
    }
}
