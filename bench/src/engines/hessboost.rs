//! hessboost, which reads XGBoost's and LightGBM's files. Two calls: one row at a time, and many rows in place.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use hessboost::data::DMatrix;
use hessboost::model::{BoostedModel, ModelFormat};

use super::{Answers, Engine, Task};
use crate::case::Case;

struct Hessboost {
    case: Arc<Case>,
    model: Arc<BoostedModel>,
    batch: bool,
    answers: Vec<f32>,
}

impl Engine for Hessboost {
    fn name(&self) -> &str {
        if self.batch { "hessboost batch" } else { "hessboost rows" }
    }

    fn predict(&mut self, first: usize, count: usize) -> Result<()> {
        if self.batch {
            let margins = self.model.predict_margin_rows(self.case.span(first, count), ..)?;
            self.answers[first..first + count].copy_from_slice(margins.as_slice());
            return Ok(());
        }
        let rows = self.case.span(first, count).chunks_exact(self.case.n_features);
        for (row, out) in rows.zip(self.answers[first..first + count].chunks_exact_mut(1)) {
            self.model.predict_margin_row_into(row, .., out)?;
        }
        Ok(())
    }

    fn answers(&self) -> Answers<'_> {
        Answers::F32(&self.answers)
    }
}

fn format(case: &Case) -> Option<(std::path::PathBuf, ModelFormat)> {
    let xgboost = case.file("xgboost").map(|path| (path, ModelFormat::XgboostUbjson));
    xgboost.or_else(|| case.file("lightgbm").map(|path| (path, ModelFormat::LightgbmText)))
}

fn read(path: &Path, format: ModelFormat) -> Result<BoostedModel> {
    Ok(BoostedModel::load(path, format)?)
}

/// Both calls.
pub fn engines(case: &Arc<Case>) -> Result<Vec<Box<dyn Engine>>> {
    let Some((path, format)) = format(case) else { return Ok(Vec::new()) };
    let model = Arc::new(read(&path, format)?);
    Ok([false, true]
        .into_iter()
        .map(|batch| {
            let answers = vec![f32::NAN; case.n_rows];
            Box::new(Hessboost { case: Arc::clone(case), model: Arc::clone(&model), batch, answers })
                as Box<dyn Engine>
        })
        .collect())
}

/// From the file to the first row.
pub fn loads(case: &Arc<Case>) -> Vec<Task> {
    let Some((path, format)) = format(case) else { return Vec::new() };
    let case = Arc::clone(case);
    vec![Task::new("hessboost", move || {
        read(&path, format)?.predict_margin_row(case.span(0, 1), ..)?;
        Ok(())
    })]
}

/// `predict_contribs` of one row; its matrix is made outside the clock.
pub fn contributions(case: &Arc<Case>) -> Result<Vec<Task>> {
    let Some((path, format)) = format(case) else { return Ok(Vec::new()) };
    let model = read(&path, format)?;
    let (case, mut row) = (Arc::clone(case), 0);
    let run = Box::new(move || {
        let data = DMatrix::from_dense(case.span(row, 1), 1, case.n_features)?;
        row = (row + 1) % case.n_rows;
        let start = crate::clock::cpu_time();
        std::hint::black_box(model.predict_contribs(&data, ..)?);
        Ok(crate::clock::cpu_time() - start)
    });
    Ok(vec![Task { engine: "hessboost".to_owned(), run }])
}
