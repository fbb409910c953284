//! `lexicon`: compiles what training fitted to one file, and shows what such a file holds.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tribunal_features::{Lexicon, LexiconError, lexicon};

use crate::exit::Outcome;
use crate::output::{json_line, number, shown, table, thousands, write_table};

/// Arguments of `lexicon`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Compile the tables of a folder to one file.
    Compile {
        /// Folder with words.tsv, ngrams.MODEL.tsv, rates.KEY.tsv and asn_hosting.tsv; each may be absent.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// File to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a file and list its sections; without a file, the built-in lexicon.
    Inspect {
        /// File to check.
        file: Option<PathBuf>,
    },
}

/// Compiles or inspects.
pub(crate) fn run(args: Args, json: bool) -> anyhow::Result<Outcome> {
    match args.command {
        Command::Compile { from, out } => {
            anyhow::ensure!(from.is_dir(), "{} is not a folder", shown(&from));
            let mut tables = 0;
            let bytes = lexicon::compile(|name| {
                let table = read_table(&from, name);
                tables += usize::from(matches!(table, Ok(Some(_))));
                table
            })?;
            anyhow::ensure!(tables > 0, "{} has no table of a lexicon, as words.tsv is", shown(&from));
            std::fs::write(&out, &bytes).with_context(|| format!("cannot write {}", shown(&out)))?;
            print(&Lexicon::open(bytes)?, json)
        }
        Command::Inspect { file: None } => print(Lexicon::embedded()?, json),
        Command::Inspect { file: Some(file) } => {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", shown(&file)))?;
            let lexicon = Lexicon::open(bytes)
                .with_context(|| format!("{} cannot be used as a lexicon", shown(&file)))?;
            print(&lexicon, json)
        }
    }
}

/// An absent table is no failure; one that cannot be read is.
fn read_table(folder: &Path, name: &str) -> Result<Option<String>, anyhow::Error> {
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", shown(&path))),
    }
}

fn print(lexicon: &Lexicon, json: bool) -> anyhow::Result<Outcome> {
    let sections = lexicon.summary().map_err(|error: LexiconError| anyhow::Error::from(error))?;
    let mut out = std::io::stdout().lock();
    if json {
        let (digest, bytes) = (lexicon.digest(), lexicon.bytes());
        json_line(&mut out, &serde_json::json!({ "digest": digest, "bytes": bytes, "sections": sections }))?;
        return Ok(Outcome::Done);
    }
    let screen = crate::output::Screen { terminal: false, color: false };
    let mut rows = table(screen, &["section", "bytes", "entries"]);
    for section in &sections {
        rows.add_row([
            comfy_table::Cell::new(&section.name),
            number(thousands(section.bytes)),
            number(thousands(section.entries)),
        ]);
    }
    write_table(&mut out, &rows)?;
    writeln!(out, "{} bytes, {}", thousands(lexicon.bytes()), lexicon.digest())?;
    Ok(Outcome::Done)
}
