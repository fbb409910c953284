//! Coverage-guided fuzzing of `crates/forest` on the stable toolchain.
//!
//! The engine is libFuzzer, which `libfuzzer-sys` brings as source and a C++ compiler builds. What it needs of rustc
//! is LLVM's coverage pass, which is reached by `-C passes=sancov-module`: a stable option, unlike `-Z sanitizer`, the
//! only thing for which `cargo fuzz` asks for nightly. `scripts/fuzz.sh` passes it. Instead of AddressSanitizer,
//! overflow checks and debug assertions are on, and the script bounds memory and time; the crate's `unsafe` is in the
//! kernels, which the target `engines` compares with the reference and `scripts/test.sh sanitize` runs under valgrind.
//! Considered and left: AFL and honggfuzz (tools and C libraries to install first), bolero (the same libFuzzer with one
//! more layer), a mutating driver without coverage (it does not come past the first checks of a format).
//!
//! One program holds all targets, so that it is linked once: `TRIBUNAL_FUZZ_TARGET` names the target (see
//! [`targets::TARGETS`]). With `TRIBUNAL_FUZZ_SEEDS=FOLDER` it writes first inputs made from `tests/golden` and ends.
//!
//! An input that takes more than a second of processor time is a fault, too: see [`MAX_SECONDS`].

#![no_main]

mod answers;
mod mutate;
mod seeds;
mod system;
mod targets;
mod written;

use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use system::{survive_stack_overflow, thread_seconds};
use targets::{TARGETS, Target};

/// Most processor time of one input. A build for fuzzing is several times slower than a release build, and inputs
/// are at most some tens of kilobytes.
const MAX_SECONDS: f64 = 1.0;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

/// Ends with a message: nothing can be fuzzed.
fn stop(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2)
}

fn begin() {
    if let Some(folder) = std::env::var_os("TRIBUNAL_FUZZ_SEEDS") {
        match seeds::write(folder.as_ref()) {
            Ok(n) => {
                eprintln!("{n} seeds");
                std::process::exit(0)
            }
            Err(error) => stop(&format!("seeds: {error}")),
        }
    }
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let name = std::env::var("TRIBUNAL_FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| stop(&format!("TRIBUNAL_FUZZ_TARGET is not one of {names:?}")));
    TARGET.get_or_init(|| target);
    survive_stack_overflow();
}

fuzz_target!(init: begin(), |input: &[u8]| {
    if let Some(target) = TARGET.get() {
        let start = thread_seconds();
        (target.run)(input);
        let taken = thread_seconds() - start;
        assert!(taken < MAX_SECONDS, "{} bytes took {taken} s", input.len());
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match mutate::mutate(&data[..size], max_size, seed) {
        Some(changed) => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        None => fuzzer_mutate(data, size, max_size),
    }
});
