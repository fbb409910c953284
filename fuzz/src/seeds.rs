//! First inputs: the models of `tests/golden` that are small enough, by format; their compiled forms, which change with
//! the compiled format and are not kept; and models written from numbers.

use std::io::{Error, Result};
use std::path::Path;

use tribunal_forest::{Forest, Format, Source};

use crate::answers::hash;
use crate::written;

/// Largest seed: libFuzzer takes longer to change something in a large one.
const MAX_BYTES: usize = 20_000;
/// Largest compiled seed.
const MAX_COMPILED_BYTES: usize = 32_000;
/// Inputs for the target that writes models.
const ENGINES: u64 = 300;

/// Writes the seeds to `folder`, and gives their number.
pub(crate) fn write(folder: &Path) -> Result<usize> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let mut count = 0;
    let mut put = |target: &str, name: &str, bytes: &[u8]| {
        count += 1;
        std::fs::create_dir_all(folder.join(target))?;
        std::fs::write(folder.join(target).join(name), bytes)
    };
    for case in std::fs::read_dir(golden)? {
        let case = case?.path();
        for file in std::fs::read_dir(&case).into_iter().flatten() {
            let file = file?.path();
            let is_model = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("model"));
            let bytes = if is_model { std::fs::read(&file)? } else { continue };
            let Some(format) = Format::detect(&bytes) else { continue };
            let names = [&case, &file].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
            let name = names.join("-");
            if bytes.len() <= MAX_BYTES {
                put(format.as_str(), &name, &bytes)?;
            }
            let source = Source { format, sha256: "0".repeat(64), bytes: bytes.len() as u64 };
            let forest = Forest::parse(&bytes, format).map_err(Error::other)?;
            let compiled = forest.compile(&source, &[]).map_err(Error::other)?;
            if compiled.len() <= MAX_COMPILED_BYTES {
                put(Format::Compiled.as_str(), &name, &compiled)?;
            }
        }
    }
    for i in 0..ENGINES {
        let bytes: Vec<u8> = (0..hash(i) % 40).map(|j| hash(i << 8 | j) as u8).collect();
        put("engines", &i.to_string(), &bytes)?;
        let (format, model) = written::model(&bytes);
        if model.len() <= MAX_BYTES {
            put(format.as_str(), &format!("written-{i}"), &model)?;
        }
    }
    Ok(count)
}
