//! `crates/forest`: every engine that takes the model on this processor, and its own choice among them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tribunal_forest::{Engine as Kernel, Forest, Format, Source};

use super::{Answers, Engine, Task};
use crate::case::Case;

struct Tribunal {
    name: String,
    case: Arc<Case>,
    forest: Arc<Forest>,
    /// `None`: the forest chooses.
    kernel: Option<Kernel>,
    call: Vec<f64>,
    answers: Vec<f64>,
}

impl Engine for Tribunal {
    fn name(&self) -> &str {
        &self.name
    }

    fn predict(&mut self, first: usize, count: usize) -> Result<()> {
        let rows = self.case.span(first, count);
        match self.kernel {
            Some(kernel) => self.forest.margins_with(kernel, rows, &mut self.call)?,
            None => self.forest.margins(rows, &mut self.call)?,
        }
        ensure!(self.call.len() == count, "{} margins for {count} rows", self.call.len());
        self.answers[first..first + count].copy_from_slice(&self.call);
        Ok(())
    }

    fn answers(&self) -> Answers<'_> {
        Answers::F64(&self.answers)
    }
}

/// The forest's own choice, and each engine that can take it.
pub fn engines(case: &Arc<Case>) -> Result<Vec<Box<dyn Engine>>> {
    let Some(path) = case.file("tribunal") else { return Ok(Vec::new()) };
    let forest = match read(&path) {
        Ok(forest) => Arc::new(forest),
        Err(error) => {
            eprintln!("    tribunal cannot read {}: {error:#}", path.display());
            return Ok(Vec::new());
        }
    };
    forest.prepare();
    let kernels = Kernel::available(&forest);
    let choices = std::iter::once(None).chain(kernels.into_iter().map(Some));
    Ok(choices
        .map(|kernel| {
            Box::new(Tribunal {
                name: format!("tribunal {}", kernel.map_or("auto", Kernel::as_str)),
                case: Arc::clone(case),
                forest: Arc::clone(&forest),
                kernel,
                call: Vec::new(),
                answers: vec![f64::NAN; case.n_rows],
            }) as Box<dyn Engine>
        })
        .collect())
}

/// From the trainer's file, and from the compiled one, which is made outside the clock.
pub fn loads(case: &Arc<Case>) -> Result<Vec<Task>> {
    let Some(path) = case.file("tribunal") else { return Ok(Vec::new()) };
    let Ok(forest) = read(&path) else { return Ok(Vec::new()) };
    let compiled = case.folder.join("model.tribunal");
    compile(&forest, &path, &compiled)?;
    let (file, with_row) = (compiled.clone(), Arc::clone(case));
    let case = Arc::clone(case);
    Ok(vec![
        Task::new("tribunal, trainer's file", move || first_row(&read(&path)?, &case)),
        Task::new("tribunal, compiled, load only", move || read_compiled(&compiled).map(drop)),
        Task::new("tribunal, compiled", move || first_row(&read_compiled(&file)?, &with_row)),
    ])
}

fn compile(forest: &Forest, source: &Path, compiled: &Path) -> Result<()> {
    let bytes = std::fs::read(source)?;
    let format = Format::detect(&bytes).context("a format that is not known")?;
    // The file stays beside its source: nothing asks for the digest.
    let source = Source { format, sha256: "0".repeat(64), bytes: bytes.len() as u64 };
    std::fs::write(compiled, forest.compile(&source, &[])?)?;
    Ok(())
}

fn read_compiled(path: &Path) -> Result<Forest> {
    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    Ok(Forest::read_compiled(file, length)?)
}

fn first_row(forest: &Forest, case: &Case) -> Result<()> {
    let mut out = Vec::new();
    forest.margins(case.span(0, 1), &mut out)?;
    Ok(())
}

/// Contributions of one row after another.
pub fn contributions(case: &Arc<Case>) -> Result<Vec<Task>> {
    let Some(forest) = case.file("tribunal").and_then(|path| read(&path).ok()) else { return Ok(Vec::new()) };
    let (case, mut row) = (Arc::clone(case), 0);
    Ok(vec![Task::new("tribunal contributions", move || {
        let contributions = forest.contributions(case.span(row, 1))?;
        std::hint::black_box(contributions);
        row = (row + 1) % case.n_rows;
        Ok(())
    })])
}

fn read(path: &Path) -> Result<Forest> {
    let bytes = std::fs::read(path)?;
    let format = Format::detect(&bytes).context("a format that is not known")?;
    Ok(Forest::parse(&bytes, format)?)
}
