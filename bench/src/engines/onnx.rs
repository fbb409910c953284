//! onnxruntime through `ort`, with the library of the wheel; one thread, no arena of threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

use super::{Answers, Engine, Libraries, Task};
use crate::case::Case;

struct Onnx {
    case: Arc<Case>,
    session: Session,
    answers: Vec<f32>,
}

impl Engine for Onnx {
    fn name(&self) -> &str {
        "onnxruntime"
    }

    fn predict(&mut self, first: usize, count: usize) -> Result<()> {
        let out = &mut self.answers[first..first + count];
        run(&mut self.session, self.case.span(first, count), self.case.n_features, out)
    }

    fn answers(&self) -> Answers<'_> {
        Answers::F32(&self.answers)
    }
}

fn run(session: &mut Session, rows: &[f32], n_features: usize, out: &mut [f32]) -> Result<()> {
    let input = TensorRef::from_array_view(([out.len(), n_features], rows))?;
    let outputs = session.run(ort::inputs![input])?;
    let (_, margins) = outputs[0].try_extract_tensor::<f32>()?;
    out.copy_from_slice(margins);
    Ok(())
}

/// The one environment that a process may have, with the wheel's library.
fn environment(libraries: &Libraries) -> Result<&'static Environment> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let environment = ort::init_from(library(libraries)?)?.build()?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// The library's name ends in its version.
fn library(libraries: &Libraries) -> Result<PathBuf> {
    let folder = libraries.packages.join("onnxruntime/capi");
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let is_library = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"libonnxruntime.so"))
    };
    let library = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).find(is_library);
    library.with_context(|| format!("no libonnxruntime.so in {}", folder.display()))
}

fn open(path: &Path, libraries: &Libraries) -> Result<Session> {
    let mut builder = Session::builder(environment(libraries)?)?
        .with_intra_threads(1)
        .map_err(ort::Error::<()>::from)?
        .with_inter_threads(1)
        .map_err(ort::Error::<()>::from)?;
    Ok(builder.commit_from_file(path)?)
}

/// Its one call.
pub fn engines(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Box<dyn Engine>>> {
    let Some(path) = case.file("onnx") else { return Ok(Vec::new()) };
    let session = open(&path, libraries)?;
    Ok(vec![Box::new(Onnx { case: Arc::clone(case), session, answers: vec![f32::NAN; case.n_rows] })])
}

/// From the file to the first row.
pub fn loads(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Task>> {
    let Some(path) = case.file("onnx") else { return Ok(Vec::new()) };
    environment(libraries)?;
    let case = Arc::clone(case);
    let libraries = libraries.clone();
    Ok(vec![Task::new("onnxruntime", move || {
        run(&mut open(&path, &libraries)?, case.span(0, 1), case.n_features, &mut [0.0])
    })])
}
