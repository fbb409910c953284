//! `dataset compile`: published tables of address ranges, as one file.

use std::path::PathBuf;

use anyhow::Context as _;
use tribunal_sources::dataset::Dataset;
use tribunal_sources::{Input, Table, compile};

use super::inspect;
use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::output::shown;

/// Arguments of `dataset compile`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example, with the tables of the npm packages @ip-location-db/asn and \
    @ip-location-db/geo-whois-asn-country:\n  \
    tribunal dataset compile --asn asn-ipv4.csv asn-ipv6.csv \\\n    \
    --country geo-whois-asn-country-ipv4.csv geo-whois-asn-country-ipv6.csv -o ranges.bin")]
pub(super) struct Args {
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
}

/// Compiles.
pub(super) fn run(args: Args, globals: &Globals) -> anyhow::Result<Outcome> {
    let mut tables = Vec::new();
    for (table, paths) in
        [(Table::Network, args.asn), (Table::Country, args.country), (Table::Hosting, args.hosting)]
    {
        for path in paths {
            let content = std::fs::read(&path).with_context(|| format!("cannot read {}", shown(&path)))?;
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            tables.push((table, name, content));
        }
    }
    if tables.is_empty() {
        return Err(Failure::usage("no tables given")
            .hint(
                "name some with --asn, --country or --hosting; other lists are for `tribunal dataset build`",
            )
            .into());
    }
    let inputs: Vec<Input<'_>> =
        tables.iter().map(|(table, file, content)| Input { table: *table, file, content }).collect();
    let bytes = compile(&inputs)?;
    std::fs::write(&args.output, &bytes).with_context(|| format!("cannot write {}", shown(&args.output)))?;
    let digest = tribunal_core::digest::sha256(&bytes);
    let measured = inspect::Measured { bytes: bytes.len(), digest, ..inspect::Measured::default() };
    inspect::print(&Dataset::open(bytes)?, &measured, &[], globals)
}
