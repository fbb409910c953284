//! Peers as Python calls them: a worker process that times its own calls, bound to the same processor.
//!
//! Protocol: a line `first_call rows warmup calls` to the worker; from it a line with nanoseconds of CPU time, then the
//! answers of the timed calls as little-endian `f64`. `python/worker.py` is the other side.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Answers, Engine, Libraries, Round};
use crate::case::{Case, Precision};

/// A worker with its model loaded.
pub struct Worker {
    name: &'static str,
    precision: Precision,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    single: Vec<f32>,
    double: Vec<f64>,
}

impl Worker {
    /// Starts the worker and waits until it is ready.
    pub fn start(
        name: &'static str,
        library: &str,
        model: &Path,
        case: &Case,
        libraries: &Libraries,
    ) -> Result<Self> {
        let mut child = Command::new(&libraries.python)
            .arg(libraries.scripts.join("worker.py"))
            .arg(library)
            .arg(model)
            .arg(case.folder.join("rows.f32"))
            .arg(case.n_features.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| libraries.python.display().to_string())?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().context("the worker has no output")?);
        let (single, double) = (vec![f32::NAN; case.n_rows], vec![f64::NAN; case.n_rows]);
        let mut worker = Self { name, precision: case.precision, child, to, from, single, double };
        ensure!(worker.line()? == "ready", "the worker did not start");
        Ok(worker)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.from.read_line(&mut line)? > 0, "the worker ended");
        Ok(line.trim().to_owned())
    }

    fn ask(&mut self, round: Round, n_rows: usize) -> Result<Duration> {
        let Round { rows, first_call, warmup, calls } = round;
        let to = self.to.as_mut().context("the worker takes no input")?;
        writeln!(to, "{first_call} {rows} {warmup} {calls}")?;
        let time = Duration::from_nanos(self.line()?.parse()?);
        let mut bytes = vec![0; rows * 8];
        for (first, count) in round.spans(n_rows) {
            self.from.read_exact(&mut bytes)?;
            for (at, chunk) in (first..first + count).zip(bytes.as_chunks::<8>().0) {
                self.double[at] = f64::from_le_bytes(*chunk);
                self.single[at] = self.double[at] as f32;
            }
        }
        Ok(time)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The worker ends with its input.
        self.to = None;
        let _ = self.child.wait();
    }
}

impl Engine for Worker {
    fn name(&self) -> &str {
        self.name
    }

    fn predict(&mut self, first: usize, count: usize) -> Result<()> {
        let round = Round { rows: count, first_call: first / count, warmup: 0, calls: 1 };
        self.ask(round, self.double.len()).map(drop)
    }

    fn answers(&self) -> Answers<'_> {
        match self.precision {
            Precision::F32 => Answers::F32(&self.single),
            Precision::F64 => Answers::F64(&self.double),
        }
    }

    /// The cache is swept by the harness, not by the worker.
    fn can_evict(&self) -> bool {
        false
    }

    fn time(&mut self, round: Round, n_rows: usize) -> Result<Duration> {
        self.ask(round, n_rows)
    }
}
