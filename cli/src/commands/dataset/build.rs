//! `dataset build`: lists in, one file out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::json;
use tribunal_sources::dataset::{BuildError, BuildOptions, Builder, Built, ColumnType, KeyKind, Report};

use super::lists::{Format, Lists, explain, is_tsv, total_bytes};
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{counted, escape, json_line, shown, thousands};
use crate::show;

/// Refused rows that are shown one by one.
const SHOWN_REFUSED: usize = 10;

/// Arguments of `dataset build`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Columns that are not part of the key become fields of the rows; types follow from the values.
Keys are brought into normal form, as entities are. Rows without a key that can be looked up
are left out, counted and named, and the exit code is 3. More: docs/datasets.md

Examples:
  tribunal dataset build feeds.csv.gz --key entity -o feeds.tds
  tribunal dataset build geo.csv --range start,end -o geo.tds
  tribunal dataset build blocklist.txt --header domain --key domain -o blocklist.tds
  tribunal dataset build asn.csv --key asn -o asn.tds
  tribunal dataset inspect asn.tds --lookup AS64500")]
pub(super) struct Args {
    /// Lists: CSV with a header, or JSON lines; plain, gzip or zstd. `-` is standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Column of the key.
    #[arg(long, value_name = "COLUMN", required_unless_present = "range")]
    key: Option<String>,
    /// What the key is. `auto` goes by the column's name: asn, tld, country; else entity.
    #[arg(long, value_enum, default_value_t = Keys::Auto, value_name = "KIND")]
    keys: Keys,
    /// Columns of the first and the last address of a range.
    #[arg(long, value_name = "FIRST,LAST", value_parser = two_columns)]
    range: Option<(String, String)>,
    /// Columns that are kept; all but those of the key if not given.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Type of a column, where it is not to follow from the values: text, number, date, time, time_ms, flag.
    #[arg(long = "type", value_name = "COLUMN=TYPE", value_parser = column_type)]
    types: Vec<(String, ColumnType)>,
    /// Names of the columns of CSV that has no header.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    header: Option<Vec<String>>,
    /// What separates the fields of CSV: one character, or `tab`; a comma if not given, a tab in `.tsv`.
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Form of the files.
    #[arg(long, value_enum, default_value_t = Format::Auto, value_name = "FORMAT")]
    format: Format,
    /// Write nothing when a row is refused.
    #[arg(long)]
    strict: bool,
    /// File to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// What the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Keys {
    /// By the name of the column.
    Auto,
    /// Domain names, addresses, CIDR blocks and ranges `first-last`, mixed.
    Entity,
    /// Numbers of autonomous systems.
    Asn,
    /// Countries: ISO 3166-1 alpha-2.
    Country,
    /// Top-level domains.
    Tld,
}

fn two_columns(text: &str) -> Result<(String, String), String> {
    match text.split_once(',') {
        Some((first, last)) if !first.is_empty() && !last.is_empty() && !last.contains(',') => {
            Ok((first.to_owned(), last.to_owned()))
        }
        _ => Err("give the names of two columns, as in start,end".to_owned()),
    }
}

fn column_type(text: &str) -> Result<(String, ColumnType), String> {
    let (column, name) = text.split_once('=').ok_or("give COLUMN=TYPE, as in first_seen=time")?;
    let types = [
        ColumnType::Text,
        ColumnType::Number,
        ColumnType::Date,
        ColumnType::Time,
        ColumnType::TimeMs,
        ColumnType::Flag,
    ];
    let found = types.into_iter().find(|kind| kind.as_str() == name);
    found
        .map(|kind| (column.to_owned(), kind))
        .ok_or_else(|| format!("{name:?} is no type: text, number, date, time, time_ms, flag"))
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | b'#') => Ok(*byte),
        _ => Err("give one ASCII character that is no quote and no line feed, or tab".to_owned()),
    }
}

impl Args {
    fn kind(&self) -> KeyKind {
        match (self.keys, self.key.as_deref().unwrap_or_default().to_ascii_lowercase().as_str()) {
            (Keys::Asn, _) | (Keys::Auto, "asn" | "as" | "as_number") => KeyKind::Asn,
            (Keys::Country, _) | (Keys::Auto, "country" | "country_code" | "cc") => KeyKind::Country,
            (Keys::Tld, _) | (Keys::Auto, "tld") => KeyKind::Tld,
            (Keys::Entity | Keys::Auto, _) => KeyKind::Entity,
        }
    }

    fn options(&self) -> BuildOptions {
        BuildOptions {
            key: self.key.clone(),
            range: self.range.clone(),
            kind: self.kind(),
            columns: self.columns.clone(),
            types: self.types.iter().cloned().collect::<BTreeMap<_, _>>(),
            header: self.header.clone(),
            delimiter: self.delimiter.or_else(|| self.files.iter().all(|path| is_tsv(path)).then_some(b'\t')),
        }
    }
}

/// Builds.
pub(super) fn run(args: &Args, globals: &Globals) -> anyhow::Result<Outcome> {
    let mut builder = Builder::new(args.options()).map_err(explain)?;
    let progress = show::progress::bytes(total_bytes(&args.files));
    for path in &args.files {
        Lists { format: args.format, progress: &progress }.add(&mut builder, path)?;
    }
    progress.set_message("writing");
    let built = builder.finish().map_err(|error| nothing_left(error, globals))?;
    progress.finish_and_clear();
    name_refused(&built.report, globals);
    if args.strict && built.report.refused > 0 {
        let refused = built.report.refused;
        return Err(Failure::failed(format!("{refused} rows are refused; nothing was written"))
            .hint("mend them, or leave out --strict to leave them out")
            .into());
    }
    std::fs::write(&args.output, &built.bytes)
        .with_context(|| format!("cannot write {}", shown(&args.output)))?;
    print(args, &built, globals)?;
    Ok(Outcome::of_refused(usize::try_from(built.report.refused).unwrap_or(usize::MAX)))
}

/// Shows why every row was refused, before that is the failure.
fn nothing_left(error: BuildError, globals: &Globals) -> anyhow::Error {
    if let BuildError::NothingLeft { report, .. } = &error {
        name_refused(report, globals);
        let hint = "name the column that holds them with --key, and what they are with --keys";
        return Failure::failed(error.to_string()).hint(hint).into();
    }
    explain(error)
}

/// Names the first refused rows on standard error; with --json they are in the result.
fn name_refused(report: &Report, globals: &Globals) {
    if globals.json {
        return;
    }
    for refused in report.refused_rows.iter().take(SHOWN_REFUSED) {
        let file = escape(&refused.file);
        show::note(&format!(
            "refused: {file}:{}: {}: {}",
            refused.line,
            refused.code,
            escape(&refused.reason)
        ));
    }
    if report.refused > SHOWN_REFUSED as u64 {
        let by: Vec<String> = report.refused_by.iter().map(|(code, n)| format!("{n} {code}")).collect();
        show::note(&format!("refused: {} in all: {}", report.refused, by.join(", ")));
    }
    if report.over_limit > 0 {
        let limit = tribunal_sources::source::MAX_ROWS;
        show::note(&format!("left out: {} rows of keys that have {limit} rows already", report.over_limit));
    }
    for (column, values) in &report.unreadable {
        let values = counted(usize::try_from(*values).unwrap_or(usize::MAX), "value is", "values are");
        show::note(&format!("column {}: {values} not of its type, and missing", escape(column)));
    }
}

fn print(args: &Args, built: &Built, globals: &Globals) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let digest = tribunal_core::digest::sha256(&built.bytes);
    if globals.json {
        let output = args.output.display().to_string();
        let value =
            json!({"output": output, "bytes": built.bytes.len(), "digest": digest, "report": built.report});
        return json_line(&mut out, &value);
    }
    let report = &built.report;
    let rows = counted(usize::try_from(report.rows).unwrap_or(usize::MAX), "row", "rows");
    let keys = super::inspect::keys_text(&report.keys);
    let (bytes, output) = (thousands(built.bytes.len()), shown(&args.output));
    std::io::Write::write_fmt(
        &mut out,
        format_args!("{output}: {rows} by {keys}; {bytes} bytes, {digest}\n"),
    )?;
    Ok(())
}
