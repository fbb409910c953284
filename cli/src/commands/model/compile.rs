//! A model's compiled form.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use tribunal_forest::{Forest, Format, Source};

use super::Loaded;
use crate::exit::Outcome;
use crate::globals::Globals;
use crate::matrix::Matrix;
use crate::output::{json_line, shown, thousands};

/// Compiles, loads what was written again, and reports.
pub(crate) fn run(
    model: &Loaded,
    output: &Path,
    golden: Option<&Path>,
    globals: &Globals,
) -> anyhow::Result<Outcome> {
    let forest = &model.forest;
    let rows = match golden {
        Some(path) => {
            Matrix::read(path)?
                .into_rows(forest.n_features(), forest.feature_names())
                .with_context(|| format!("cannot use {}", shown(path)))?
                .values
        }
        None => Vec::new(),
    };
    // A file that is compiled again keeps the digest of what it was first made from.
    let digest = tribunal_core::digest::sha256(&model.bytes);
    let source = forest.source().cloned().unwrap_or_else(|| Source {
        format: model.format,
        sha256: digest.trim_start_matches("sha256:").to_owned(),
        bytes: model.bytes.len() as u64,
    });
    let compiled = forest.compile(&source, &rows)?;
    let loaded = Forest::parse(&compiled, Format::Compiled).context("the compiled model does not load")?;
    std::fs::write(output, &compiled).with_context(|| format!("cannot write {}", shown(output)))?;
    let layout = loaded.layout().unwrap_or("none");
    let mut out = io::stdout().lock();
    if globals.json {
        let digest = tribunal_core::digest::sha256(&compiled);
        let value = json!({"bytes": compiled.len(), "digest": digest, "layout": layout, "source": source});
        json_line(&mut out, &value)?;
    } else {
        let (from, to) = (thousands(model.bytes.len()), thousands(compiled.len()));
        writeln!(out, "{}: {to} bytes from {from}, layout {layout}", shown(output))?;
    }
    Ok(Outcome::Done)
}
