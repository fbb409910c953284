//! The lists that a data set is built of: files of CSV or JSON lines, plain, gzip or zstd, read in one pass.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use indicatif::ProgressBar;
use tribunal_core::digest::Sha256Reader;
use tribunal_sources::dataset::{BuildError, Builder};

use crate::exit::Failure;
use crate::output::shown;

/// Bytes that are looked at, and read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// By the file's name, else by its first bytes.
    Auto,
    /// A header and rows.
    Csv,
    /// An object per line.
    Jsonl,
}

/// Reads files into a builder, with progress by bytes.
pub(super) struct Lists<'a> {
    pub(super) format: Format,
    pub(super) progress: &'a ProgressBar,
}

impl Lists<'_> {
    /// Reads a file; `-` is standard input.
    pub(super) fn add(&self, builder: &mut Builder, path: &Path) -> anyhow::Result<()> {
        let (name, input): (String, Box<dyn Read>) = if path == Path::new("-") {
            ("standard input".to_owned(), Box::new(io::stdin()))
        } else {
            let file = File::open(path).with_context(|| format!("cannot open {}", shown(path)))?;
            anyhow::ensure!(!file.metadata()?.is_dir(), "{} is a folder: give files", shown(path));
            let name =
                path.file_name().map_or_else(|| shown(path), |name| name.to_string_lossy().into_owned());
            (name, Box::new(self.progress.wrap_read(file)))
        };
        self.progress.set_message(crate::output::escape(&name).into_owned());
        let mut input = Sha256Reader::new(input);
        let failed = || format!("cannot read {}", crate::output::escape(&name));
        let mut plain =
            BufReader::with_capacity(BUFFER_BYTES, decompressed(&mut input).with_context(failed)?);
        let json = match self.format {
            Format::Csv => false,
            Format::Jsonl => true,
            Format::Auto => match by_name(path) {
                Some(json) => json,
                None => plain.fill_buf().with_context(failed)?.trim_ascii_start().starts_with(b"{"),
            },
        };
        let rows = if json { builder.add_json_lines(&name, plain) } else { builder.add_csv(&name, plain) };
        let rows = rows.map_err(explain)?;
        builder.origin(&name, input.finish().with_context(failed)?, rows);
        Ok(())
    }
}

/// Bytes of all files; `None` when one of them is standard input.
pub(super) fn total_bytes(paths: &[PathBuf]) -> Option<u64> {
    paths.iter().map(|path| std::fs::metadata(path).ok().map(|about| about.len())).sum()
}

/// By the first bytes, whatever the file is called. How much comes out is bounded by the builder.
fn decompressed<'r>(input: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let start = input.fill_buf()?;
    if start.starts_with(b"\x1f\x8b") {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input)));
    }
    if start.starts_with(b"\x28\xb5\x2f\xfd") {
        return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(input)?));
    }
    Ok(Box::new(input))
}

/// Whether the fields of a file are separated by tabs, by its name.
pub(super) fn is_tsv(path: &Path) -> bool {
    extension(path).as_deref() == Some("tsv")
}

/// The extension, without that which says how the file is compressed.
fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    name.rsplit_once('.').map(|(_, extension)| extension.to_owned())
}

/// Whether a file holds JSON lines, by its name.
fn by_name(path: &Path) -> Option<bool> {
    match extension(path)?.as_str() {
        "csv" | "tsv" | "txt" | "list" => Some(false),
        "jsonl" | "ndjson" => Some(true),
        _ => None,
    }
}

/// Says what to do about what can be helped by other options.
pub(super) fn explain(error: BuildError) -> anyhow::Error {
    let hint = match &error {
        BuildError::NoKey => "name the column with --key COLUMN, or two with --range FIRST,LAST",
        BuildError::NoColumn { .. } => {
            "name one that is there with --key, --range and --columns; without a header in the file, name its columns \
             with --header a,b,c"
        }
        BuildError::TooManyColumns | BuildError::TooLarge { .. } => "keep fewer columns with --columns a,b,c",
        _ => return error.into(),
    };
    Failure::usage(error.to_string()).hint(hint).into()
}
