//! `dataset inspect`: what a data set of any format holds, what it costs here, and what it says of an entity.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::{Value, json};
use tribunal_core::Entity;
use tribunal_sources::dataset::{Dataset, Key, KeyCounts, MAX_FILE_BYTES, Table};
use tribunal_sources::{Origin, config::MatchBy};

use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::{cut, escape, foreign, json_line, number, shown, table, thousands, write_table};

/// Rows that examples are taken from.
const EXAMPLE_ROWS: usize = 200;
/// Examples of a column.
const EXAMPLES: usize = 3;
/// Most bytes of an example.
const MAX_EXAMPLE: usize = 60;

/// Arguments of `dataset inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of `dataset build` or `dataset compile`, or a MaxMind DB.
    file: PathBuf,
    /// Print what it says of an entity (or a number AS64500, a country, a top-level domain).
    #[arg(long, value_name = "ENTITY")]
    lookup: Vec<String>,
    /// What of the entity is looked up, as `match` in sources.toml; by default what the data set is keyed by.
    #[arg(long = "match", value_enum, value_name = "WHAT", requires = "lookup")]
    by: Option<By>,
}

/// As [`MatchBy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum By {
    /// The name or address itself.
    Entity,
    /// The registrable domain.
    RegistrableDomain,
    /// The name, then its parents.
    Parents,
    /// The top-level domain: of a name, or as it is.
    Tld,
    /// The number of an autonomous system.
    Asn,
    /// A country.
    Country,
}

/// What loading cost here.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    pub(super) bytes: usize,
    pub(super) digest: String,
    /// Milliseconds for reading the file, and for checking it; `None` when it was not read.
    pub(super) load_ms: Option<(f64, f64)>,
    /// Resident memory that it added; `None` where the system does not say.
    pub(super) memory_bytes: Option<u64>,
}

/// One key that was looked up, and its rows.
pub(super) type Looked = (String, Vec<Value>);

/// Inspects.
pub(super) fn run(args: &Args, globals: &Globals) -> anyhow::Result<Outcome> {
    let (dataset, measured) = load(&args.file)?;
    let looked = args.lookup.iter().map(|text| Ok((text.clone(), look_up(&dataset, text, args.by)?)));
    let looked: Vec<Looked> = looked.collect::<anyhow::Result<_>>()?;
    print(&dataset, &measured, &looked, globals)?;
    let nothing = !looked.is_empty() && looked.iter().all(|(_, rows)| rows.is_empty());
    Ok(if nothing { Outcome::NotFound } else { Outcome::Done })
}

/// Reads and checks a file, and measures it.
pub(super) fn load(path: &Path) -> anyhow::Result<(Dataset, Measured)> {
    let name = shown(path);
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    if size > MAX_FILE_BYTES as u64 {
        return Err(Failure::usage(format!("{name} has {size} bytes, of at most {MAX_FILE_BYTES}")).into());
    }
    let before = resident_bytes();
    let started = Instant::now();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let read = started.elapsed();
    let bytes = bytes::Bytes::from(bytes);
    let dataset = Dataset::open(bytes.clone()).map_err(|error| {
        let causes = format!("{:#}", anyhow::Error::from(error));
        Failure::failed(format!("{name} cannot be used as a data set: {causes}")).hint(
            "make one with `tribunal dataset build` or `tribunal dataset compile`, or give a MaxMind DB",
        )
    })?;
    let all = started.elapsed();
    let memory_bytes = resident_bytes().zip(before).map(|(after, before)| after.saturating_sub(before));
    let milliseconds = |time: std::time::Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
    let measured = Measured {
        bytes: bytes.len(),
        digest: tribunal_core::digest::sha256(&bytes),
        load_ms: Some((milliseconds(read), milliseconds(all.saturating_sub(read)))),
        memory_bytes,
    };
    Ok((dataset, measured))
}

/// Resident memory of this process, where the system says so.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn look_up(dataset: &Dataset, text: &str, by: Option<By>) -> anyhow::Result<Vec<Value>> {
    let by = by.unwrap_or_else(|| keyed_by(dataset));
    let wrong = |what: &str| Failure::usage(format!("{} is {what}", escape(text)));
    let plain = text.trim().trim_start_matches('.');
    let key = match by {
        By::Asn => {
            let digits = plain.trim_start_matches(['A', 'a', 'S', 's']);
            Key::Asn(digits.parse().map_err(|_| wrong("not the number of an autonomous system"))?)
        }
        By::Country => {
            let letters = plain.to_ascii_uppercase();
            return Ok(dataset.lookup(Key::Country(&letters))?);
        }
        By::Tld if !plain.contains('.') => {
            let name =
                Entity::parse(&format!("a.example.{plain}")).map_err(|_| wrong("not a top-level domain"))?;
            return Ok(dataset.ask(&name, None, MatchBy::Tld)?);
        }
        By::Entity | By::RegistrableDomain | By::Parents | By::Tld => {
            let entity = Entity::parse(text).map_err(|refusal| Failure::usage(refusal.to_string()))?;
            let by = match by {
                By::RegistrableDomain => MatchBy::RegistrableDomain,
                By::Parents => MatchBy::Parents,
                By::Tld => MatchBy::Tld,
                _ => MatchBy::Entity,
            };
            return Ok(dataset.ask(&entity, None, by)?);
        }
    };
    Ok(dataset.lookup(key)?)
}

/// What a table is keyed by, if by one kind that is no entity.
fn keyed_by(dataset: &Dataset) -> By {
    let Dataset::Table(table) = dataset else { return By::Entity };
    let keys = table.about().keys;
    match keys {
        KeyCounts { domain: 0, address: 0, range: 0, tld: 0, country: 0, .. } => By::Asn,
        KeyCounts { domain: 0, address: 0, range: 0, asn: 0, country: 0, .. } => By::Tld,
        KeyCounts { domain: 0, address: 0, range: 0, asn: 0, tld: 0, .. } => By::Country,
        _ => By::Entity,
    }
}

/// `2 domains, 1 address`.
pub(super) fn keys_text(keys: &KeyCounts) -> String {
    let kinds = [
        (keys.domain, "domain", "domains"),
        (keys.address, "address", "addresses"),
        (keys.range, "range", "ranges"),
        (keys.tld, "top-level domain", "top-level domains"),
        (keys.asn, "autonomous system", "autonomous systems"),
        (keys.country, "country", "countries"),
    ];
    let texts = kinds.into_iter().filter(|(count, ..)| *count > 0).map(|(count, one, many)| {
        crate::output::counted(usize::try_from(count).unwrap_or(usize::MAX), one, many)
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Prints everything.
pub(super) fn print(
    dataset: &Dataset,
    measured: &Measured,
    looked: &[Looked],
    globals: &Globals,
) -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    if globals.json {
        json_line(&mut out, &as_json(dataset, measured, looked)?)?;
        return Ok(Outcome::Done);
    }
    match dataset {
        Dataset::Table(data) => print_table(&mut out, data, globals)?,
        Dataset::Ranges(ranges) => {
            let summary = ranges.summary();
            let mut rows = table(globals.screen(), &["section", "entries"]);
            for (name, entries) in &summary.sections {
                rows.add_row([comfy_table::Cell::new(name), number(thousands(*entries))]);
            }
            write_table(&mut out, &rows)?;
            print_origins(&mut out, &summary.about.origins, globals)?;
            for (fact, rows) in summary.about.overlapping.iter().filter(|(_, rows)| **rows > 0) {
                let rows = thousands(usize::try_from(*rows)?);
                writeln!(out, "{fact}: {rows} rows lie within or across others; the narrowest range counts")?;
            }
        }
        Dataset::MaxMind(database) => {
            let about = database.about();
            let (kind, nodes) = (escape(&about.database_type).into_owned(), thousands(about.nodes as usize));
            let built = tribunal_core::time::rfc3339_millis(about.build_epoch.saturating_mul(1_000));
            writeln!(out, "MaxMind DB {kind}, IPv{}, {nodes} nodes, built {built}", about.ip_version)?;
            for row in database.first_rows(EXAMPLES) {
                writeln!(out, "example: {}", escape(&row.to_string()))?;
            }
        }
    }
    writeln!(out, "{}", cost_text(dataset, measured))?;
    for (text, rows) in looked {
        let none = if rows.is_empty() { ": nothing" } else { "" };
        writeln!(out, "\n{}{none}", escape(text))?;
        for row in rows {
            writeln!(out, "  {}", escape(&row.to_string()))?;
        }
    }
    Ok(Outcome::Done)
}

fn cost_text(dataset: &Dataset, measured: &Measured) -> String {
    let mut text = format!("{}, {} bytes, {}", dataset.format(), thousands(measured.bytes), measured.digest);
    if let Some((read, check)) = measured.load_ms {
        let _infallible = write!(text, "\nread in {read} ms and checked in {check} ms here");
    }
    if let Some(memory) = measured.memory_bytes {
        let _infallible =
            write!(text, ", {} bytes of memory", thousands(usize::try_from(memory).unwrap_or(0)));
    }
    text
}

fn print_table(out: &mut impl Write, data: &Table, globals: &Globals) -> anyhow::Result<()> {
    let about = data.about();
    let mut rows = table(globals.screen(), &["column", "type", "examples"]);
    for (column, examples) in about.columns.iter().zip(examples(data)) {
        let examples: Vec<String> =
            examples.iter().map(|value| cut(&plain(value), MAX_EXAMPLE).into_owned()).collect();
        rows.add_row([foreign(&column.name), foreign(column.kind.as_str()), foreign(&examples.join(" | "))]);
    }
    write_table(out, &rows)?;
    print_origins(out, &about.origins, globals)?;
    let names = data.first_names(EXAMPLES).join(", ");
    let names = if names.is_empty() { names } else { format!(" ({}, ...)", escape(&names)) };
    let rows = thousands(usize::try_from(about.rows)?);
    writeln!(out, "{rows} rows by {}{names}", keys_text(&about.keys))?;
    Ok(())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn print_origins(out: &mut impl Write, origins: &[Origin], globals: &Globals) -> anyhow::Result<()> {
    let mut rows = table(globals.screen(), &["made from", "rows", "digest"]);
    for origin in origins {
        let count = thousands(usize::try_from(origin.rows)?);
        rows.add_row([foreign(&origin.file), number(count), foreign(&origin.digest)]);
    }
    Ok(write_table(out, &rows)?)
}

/// The first different values of every column.
fn examples(data: &Table) -> Vec<Vec<Value>> {
    let rows = data.first_rows(EXAMPLE_ROWS).to_json();
    let of = |name: &str| {
        let mut found: Vec<Value> = Vec::new();
        for value in rows.iter().filter_map(|row| row.get(name)) {
            if found.len() < EXAMPLES && !found.contains(value) {
                found.push(value.clone());
            }
        }
        found
    };
    data.about().columns.iter().map(|column| of(&column.name)).collect()
}

fn as_json(dataset: &Dataset, measured: &Measured, looked: &[Looked]) -> anyhow::Result<Value> {
    let mut value = match dataset {
        Dataset::Table(data) => {
            let mut value = serde_json::to_value(data.about())?;
            for (i, examples) in examples(data).into_iter().enumerate() {
                value["columns"][i]["examples"] = examples.into();
            }
            value
        }
        Dataset::Ranges(ranges) => serde_json::to_value(ranges.summary())?,
        Dataset::MaxMind(database) => {
            let mut value = serde_json::to_value(database.about())?;
            value["examples"] = database.first_rows(EXAMPLES).into();
            value
        }
    };
    value["format"] = dataset.format().into();
    value["bytes"] = measured.bytes.into();
    value["digest"] = measured.digest.clone().into();
    if let Some((read, check)) = measured.load_ms {
        value["read_ms"] = read.into();
        value["check_ms"] = check.into();
    }
    if let Some(memory) = measured.memory_bytes {
        value["memory_bytes"] = memory.into();
    }
    if !looked.is_empty() {
        value["lookups"] = looked.iter().map(|(key, rows)| json!({"key": key, "rows": rows})).collect();
    }
    Ok(value)
}
