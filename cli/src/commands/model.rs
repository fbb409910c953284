//! `model`: what a model file is, what it answers, whether that is what the trainer answered, and its compiled form.

mod answers;
mod compile;
mod inspect;
mod verify;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tribunal_forest::{Forest, Format};

use crate::exit::{Failure, Outcome};
use crate::globals::Globals;
use crate::matrix::{self, Matrix, Rows};
use crate::output::{counted, escape, shown};
use crate::show;

use answers::Output;

/// Arguments of `model`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what a model file holds.
    Inspect {
        #[command(flatten)]
        model: Model,
    },
    /// Compute a model's answers for rows of features.
    #[command(after_help = "\
Examples:
  tribunal model predict model.ubj --rows X.npy --output probability
  tribunal model predict model.txt --rows rows.parquet --output contributions -o why.csv")]
    Predict {
        #[command(flatten)]
        model: Model,
        #[command(flatten)]
        rows: RowsArgs,
        /// File to write, .npy or .csv; without it, CSV to standard output.
        #[arg(long, short = 'o', value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Compare a model's answers with those that the trainer gave.
    #[command(after_help = "\
Exit code 0: every answer is the same (with --ulps, near enough). Exit code 3: some are not.

Example, after `np.save('y.npy', booster.predict(dmatrix, output_margin=True))`:
  tribunal model verify model.ubj --rows X.npy --expect y.npy")]
    Verify {
        #[command(flatten)]
        model: Model,
        #[command(flatten)]
        rows: RowsArgs,
        /// The trainer's answers: .npy, .csv, .jsonl or .parquet, one row for each row.
        #[arg(long, value_name = "FILE")]
        expect: PathBuf,
        /// Units in the last place that an answer may differ by.
        #[arg(long, value_name = "N", default_value_t = 0)]
        ulps: u64,
    },
    /// Compile a model to a file that loads in place.
    Compile {
        #[command(flatten)]
        model: Model,
        /// File to write.
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Rows whose answers are verified whenever the file is loaded (at most 64 are kept); without them, a few
        /// are made from the model's own thresholds.
        #[arg(long, value_name = "FILE")]
        golden: Option<PathBuf>,
    },
}

/// A model file.
#[derive(Debug, clap::Args)]
struct Model {
    /// The model: a trainer's own file, or a compiled one.
    #[arg(value_name = "MODEL")]
    file: PathBuf,
    /// Its format, where the first bytes do not tell.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
}

/// Rows, and what to compute for them.
#[derive(Debug, clap::Args)]
struct RowsArgs {
    /// Feature vectors: .npy, .csv (with a header), .jsonl or .parquet. Columns are found by name where the file and
    /// the model have names.
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    /// What to compute.
    #[arg(long, value_enum, default_value_t = Output::Margin)]
    output: Output,
}

/// Runs a command.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<Outcome> {
    match args.command {
        Command::Inspect { model } => inspect::run(&model.load()?, globals),
        Command::Predict { model, rows, to } => predict(&model, &rows, to.as_deref()),
        Command::Verify { model, rows, expect, ulps } => {
            let loaded = model.load()?;
            let answers = rows.answers(&loaded.forest)?;
            let expected = Matrix::read(&expect)?;
            verify::run(&loaded, &answers, &expected, ulps, globals)
        }
        Command::Compile { model, output, golden } => {
            compile::run(&model.load()?, &output, golden.as_deref(), globals)
        }
    }
}

fn predict(model: &Model, rows: &RowsArgs, to: Option<&Path>) -> anyhow::Result<Outcome> {
    let answers = rows.answers(&model.load()?.forest)?;
    match to {
        Some(path) => matrix::write(path, &answers)?,
        None => matrix::write_csv(&mut io::stdout().lock(), &answers)?,
    }
    Ok(Outcome::Done)
}

/// A model file in memory.
struct Loaded {
    forest: Forest,
    format: Format,
    bytes: Vec<u8>,
    file: PathBuf,
}

impl Model {
    fn load(&self) -> anyhow::Result<Loaded> {
        let mut bytes = Vec::new();
        File::open(&self.file)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .with_context(|| format!("cannot read {}", shown(&self.file)))?;
        let format = self.format.or_else(|| Format::detect(&bytes)).ok_or_else(|| {
            Failure::failed(format!("{} does not look like a model that is read", shown(&self.file)))
                .hint(format!("say what it is with --format: {}", formats()))
        })?;
        let forest = Forest::parse(&bytes, format)
            .with_context(|| format!("{} cannot be used as a {format} model", shown(&self.file)))?;
        Ok(Loaded { forest, format, bytes, file: self.file.clone() })
    }
}

impl RowsArgs {
    /// The answers for the rows; notes on standard error what was left out or rounded.
    fn answers(&self, forest: &Forest) -> anyhow::Result<Matrix> {
        let rows = Matrix::read(&self.rows)?.into_rows(forest.n_features(), forest.feature_names());
        let rows = rows.with_context(|| format!("cannot use {}", shown(&self.rows)))?;
        self.note(&rows, forest);
        answers::compute(forest, &rows.values, self.output)
    }

    fn note(&self, rows: &Rows, forest: &Forest) {
        // A trainer that computes in 32 bits rounds likewise.
        if rows.rounded > 0 && !forest.is_single() {
            show::note(&format!(
                "note: {} in {} not exactly 32-bit floats and rounded; a trainer that reads them in 64 bits may \
                 answer differently next to a threshold",
                counted(rows.rounded, "value is", "values are"),
                shown(&self.rows)
            ));
        }
        if !rows.unused.is_empty() {
            let some: Vec<String> = rows.unused.iter().take(5).map(|n| escape(n).into_owned()).collect();
            let more = if rows.unused.len() > 5 { ", ..." } else { "" };
            show::note(&format!(
                "note: the model does not have {}: {}{more}",
                counted(rows.unused.len(), "column", "columns"),
                some.join(", ")
            ));
        }
    }
}

fn format(text: &str) -> Result<Format, String> {
    Format::ALL
        .into_iter()
        .find(|format| format.as_str() == text)
        .ok_or_else(|| format!("formats are {}", formats()))
}

fn formats() -> String {
    Format::ALL.map(Format::as_str).join(", ")
}
