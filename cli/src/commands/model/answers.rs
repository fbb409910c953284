//! A model's answers for rows, as a table.

use clap::ValueEnum;
use tribunal_forest::Forest;

use crate::matrix::{Matrix, Values};

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// The sum over trees, before the link function (XGBoost `output_margin`, LightGBM `raw_score`, CatBoost
    /// `RawFormulaVal`).
    Margin,
    /// Probability of class 1, or of every class.
    Probability,
    /// What the trainer's `predict` gives.
    Response,
    /// The leaf that each tree sends the row to, as the trainer counts them.
    Leaf,
    /// What each feature adds to the margin, and then the expected margin (SHAP values; XGBoost `pred_contribs`).
    Contributions,
}

/// Computes one row of answers for each row-major row.
pub(crate) fn compute(forest: &Forest, rows: &[f32], output: Output) -> anyhow::Result<Matrix> {
    let mut out = Vec::new();
    match output {
        Output::Margin => forest.margins(rows, &mut out)?,
        Output::Probability => forest.probabilities(rows, &mut out)?,
        Output::Response => forest.responses(rows, &mut out)?,
        Output::Contributions => forest.contributions_batch(rows, &mut out)?,
        Output::Leaf => {
            let mut leaves = Vec::new();
            forest.leaves(rows, &mut leaves)?;
            out.extend(leaves.into_iter().map(f64::from));
        }
    }
    let n_rows = (rows.len() / forest.n_features()).max(1);
    let columns = (out.len() / n_rows).max(1);
    let single = forest.is_single() && !matches!(output, Output::Leaf | Output::Contributions);
    let values = match single {
        // Exact: they were computed in `f32`.
        true => Values::Single(out.into_iter().map(|x| x as f32).collect()),
        false => Values::Double(out),
    };
    Ok(Matrix { values, columns, names: Some(names(forest, output, columns)) })
}

fn names(forest: &Forest, output: Output, columns: usize) -> Vec<String> {
    let name = match output {
        Output::Margin => "margin",
        Output::Probability => "probability",
        Output::Response => "response",
        Output::Leaf => return (0..columns).map(|tree| format!("tree_{tree}")).collect(),
        Output::Contributions => return contribution_names(forest),
    };
    if columns == 1 {
        return vec![name.to_owned()];
    }
    (0..columns).map(|output| format!("{name}_{output}")).collect()
}

fn contribution_names(forest: &Forest) -> Vec<String> {
    let features: Vec<String> = match forest.feature_names() {
        Some(names) => names.to_vec(),
        None => (0..forest.n_features()).map(|i| format!("feature_{i}")).collect(),
    };
    let one = features.into_iter().chain(["expected".to_owned()]);
    if forest.n_outputs() == 1 {
        return one.collect();
    }
    let one: Vec<String> = one.collect();
    (0..forest.n_outputs())
        .flat_map(|output| one.iter().map(move |name| format!("{name}_{output}")))
        .collect()
}
