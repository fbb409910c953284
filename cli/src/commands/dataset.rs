//! `dataset`: compiles published tables of address ranges to one file, and shows what such a file holds.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use tribunal_sources::{Input, IpRanges, Table, compile};

use crate::exit::Outcome;
use crate::output::{escape, json_line, number, shown, table, thousands, write_table};

/// Arguments of `dataset`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Compile tables to one file.
    #[command(after_help = "Example, with the tables of the npm packages @ip-location-db/asn and \
        @ip-location-db/geo-whois-asn-country:\n  \
        tribunal dataset compile --asn asn-ipv4.csv asn-ipv6.csv \\\n    \
        --country geo-whois-asn-country-ipv4.csv geo-whois-asn-country-ipv6.csv -o ranges.bin")]
    Compile {
        /// Tables `first,last,number,name` of autonomous systems.
        #[arg(long, value_name = "CSV", num_args = 1..)]
        asn: Vec<PathBuf>,
        /// Tables `first,last,CC` of countries.
        #[arg(long, value_name = "CSV", num_args = 1..)]
        country: Vec<PathBuf>,
        /// Tables `type,provider,cidr` of hosting ranges, with a header.
        #[arg(long, value_name = "CSV", num_args = 1..)]
        hosting: Vec<PathBuf>,
        /// File to write.
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Check a file and say what it holds.
    Inspect {
        /// File to check.
        file: PathBuf,
    },
}

/// Compiles or inspects.
pub(crate) fn run(args: Args, json: bool) -> anyhow::Result<Outcome> {
    match args.command {
        Command::Compile { asn, country, hosting, output } => {
            let mut tables = Vec::new();
            for (table, paths) in
                [(Table::Network, asn), (Table::Country, country), (Table::Hosting, hosting)]
            {
                for path in paths {
                    let content =
                        std::fs::read(&path).with_context(|| format!("cannot read {}", shown(&path)))?;
                    let name =
                        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                    tables.push((table, name, content));
                }
            }
            anyhow::ensure!(
                !tables.is_empty(),
                "no tables given: name some with --asn, --country or --hosting"
            );
            let inputs: Vec<Input<'_>> =
                tables.iter().map(|(table, file, content)| Input { table: *table, file, content }).collect();
            let bytes = compile(&inputs)?;
            std::fs::write(&output, &bytes).with_context(|| format!("cannot write {}", shown(&output)))?;
            print(&IpRanges::open(bytes)?, json)
        }
        Command::Inspect { file } => {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", shown(&file)))?;
            let ranges = IpRanges::open(bytes)
                .with_context(|| format!("{} cannot be used as a data set", shown(&file)))?;
            print(&ranges, json)
        }
    }
}

fn print(ranges: &IpRanges, json: bool) -> anyhow::Result<Outcome> {
    let summary = ranges.summary();
    let mut out = std::io::stdout().lock();
    if json {
        json_line(&mut out, &summary)?;
        return Ok(Outcome::Done);
    }
    let screen = crate::output::Screen { terminal: false, color: false };
    let mut rows = table(screen, &["section", "entries"]);
    for (name, entries) in &summary.sections {
        rows.add_row([comfy_table::Cell::new(name), number(thousands(*entries))]);
    }
    write_table(&mut out, &rows)?;
    let mut rows = table(screen, &["compiled from", "rows", "digest"]);
    for origin in &summary.about.origins {
        rows.add_row([
            comfy_table::Cell::new(escape(&origin.file)),
            number(thousands(usize::try_from(origin.rows)?)),
            comfy_table::Cell::new(&origin.digest),
        ]);
    }
    write_table(&mut out, &rows)?;
    for (fact, rows) in summary.about.overlapping.iter().filter(|(_, rows)| **rows > 0) {
        let rows = thousands(usize::try_from(*rows)?);
        writeln!(out, "{fact}: {rows} rows lie within or across others; the narrowest range counts")?;
    }
    writeln!(out, "{} bytes, {}", thousands(summary.bytes), summary.digest)?;
    Ok(Outcome::Done)
}
