//! Tables of numbers in files: feature vectors for a model, and answers to compare with.
//!
//! The name of a file says what it holds: `.npy` (NumPy), `.csv` (with a header of column names), `.jsonl` or
//! `.ndjson` (an object by name or an array by position on each line), `.parquet`. A missing value is NaN: an empty
//! CSV field, `null`, `NaN`, `NA`. Errors name the file, the line or row, and the value.

mod npy;
mod parquet;
mod text;

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::output::shown;

/// Numbers as the file has them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// 32-bit floats.
    Single(Vec<f32>),
    /// Anything else, as 64-bit floats.
    Double(Vec<f64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }
}

/// A row-major table of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    /// `rows x columns`.
    pub(crate) values: Values,
    /// At least 1.
    pub(crate) columns: usize,
    /// Names of the columns, where the file has them.
    pub(crate) names: Option<Vec<String>>,
}

/// Rows as a model takes them.
#[derive(Debug)]
pub(crate) struct Rows {
    /// Row-major, `n x n_features`; NaN is missing.
    pub(crate) values: Vec<f32>,
    /// Values that are not exactly 32-bit floats and were rounded.
    pub(crate) rounded: usize,
    /// Columns of the file that the model does not have.
    pub(crate) unused: Vec<String>,
}

impl Matrix {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", shown(path)))?;
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let matrix = match extension.as_str() {
            "npy" => npy::read(BufReader::new(file)),
            "csv" => text::read_csv(BufReader::new(file)),
            "jsonl" | "ndjson" => text::read_json_lines(BufReader::new(file)),
            "parquet" => parquet::read(file),
            _ => bail!("{}: the name must end in .npy, .csv, .jsonl, .ndjson or .parquet", shown(path)),
        };
        let matrix = matrix.with_context(|| format!("cannot read {}", shown(path)))?;
        ensure!(matrix.columns > 0 && matrix.values.len() > 0, "{} has no rows", shown(path));
        Ok(matrix)
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// The columns that a model takes, in its order: by name where the file and the model have names, else by
    /// position.
    pub(crate) fn into_rows(self, n_features: usize, names: Option<&[String]>) -> anyhow::Result<Rows> {
        let (order, unused) = match (&self.names, names) {
            (Some(have), Some(want)) => by_name(have, want)?,
            _ => {
                ensure!(
                    self.columns == n_features,
                    "the rows have {} columns, the model takes {n_features} features",
                    self.columns
                );
                ((0..n_features).collect(), Vec::new())
            }
        };
        let in_order = order.iter().copied().eq(0..self.columns);
        let mut rounded = 0;
        let values = match self.values {
            Values::Single(values) if in_order => values,
            Values::Single(values) => pick(&values, self.columns, &order).collect(),
            Values::Double(values) => pick(&values, self.columns, &order)
                .map(|x| {
                    let single = x as f32;
                    rounded += usize::from(f64::from(single) != x && !x.is_nan());
                    single
                })
                .collect(),
        };
        Ok(Rows { values, rounded, unused })
    }
}

/// Positions of the wanted columns, and the names of those that are not wanted.
fn by_name(have: &[String], want: &[String]) -> anyhow::Result<(Vec<usize>, Vec<String>)> {
    let mut positions = std::collections::HashMap::new();
    for (i, name) in have.iter().enumerate() {
        let before = positions.insert(name.as_str(), i);
        ensure!(before.is_none(), "two columns have the name {}", crate::output::escape(name));
    }
    let missing: Vec<&str> =
        want.iter().map(String::as_str).filter(|name| !positions.contains_key(name)).collect();
    if !missing.is_empty() {
        let some: Vec<String> =
            missing.iter().take(5).map(|n| crate::output::escape(n).into_owned()).collect();
        bail!(
            "{} of the model's {} features are not among the columns: {}{}",
            missing.len(),
            want.len(),
            some.join(", "),
            if missing.len() > 5 { ", ..." } else { "" }
        );
    }
    let order: Vec<usize> = want.iter().map(|name| positions[name.as_str()]).collect();
    let wanted: std::collections::HashSet<usize> = order.iter().copied().collect();
    let unused =
        have.iter().enumerate().filter(|(i, _)| !wanted.contains(i)).map(|(_, n)| n.clone()).collect();
    Ok((order, unused))
}

fn pick<'a, T: Copy>(values: &'a [T], columns: usize, order: &'a [usize]) -> impl Iterator<Item = T> + 'a {
    values.chunks_exact(columns).flat_map(move |row| order.iter().map(move |&i| row[i]))
}

/// Writes answers as `.npy` or `.csv`, by the name of the file; `names` are the columns' in CSV.
pub(crate) fn write(path: &Path, matrix: &Matrix) -> anyhow::Result<()> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    ensure!(
        matches!(extension.as_str(), "npy" | "csv"),
        "{}: the name must end in .npy or .csv",
        shown(path)
    );
    let context = || format!("cannot write {}", shown(path));
    let mut file = BufWriter::new(File::create(path).with_context(context)?);
    match extension.as_str() {
        "npy" => npy::write(&mut file, matrix),
        _ => text::write_csv(&mut file, matrix),
    }
    .with_context(context)?;
    file.flush().with_context(context)
}

/// Writes answers as CSV.
pub(crate) fn write_csv(out: &mut impl Write, matrix: &Matrix) -> anyhow::Result<()> {
    text::write_csv(out, matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(text: &str, name: &str) -> anyhow::Result<Matrix> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Matrix::read(&path)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&n| n.to_owned()).collect()
    }

    #[test]
    fn columns_are_found_by_name() {
        let csv = matrix("c,a,b\n3,1,\n0.1,NaN,2\n", "x.csv").unwrap();
        let rows = csv.into_rows(2, Some(&names(&["b", "c"]))).unwrap();
        assert!(rows.values[0].is_nan());
        assert_eq!(rows.values[1..], [3.0, 2.0, 0.1]);
        assert_eq!((rows.rounded, rows.unused), (1, names(&["a"])));
        let csv = matrix("c,a\n3,1\n", "x.csv").unwrap();
        let error = csv.clone().into_rows(2, Some(&names(&["a", "q"]))).unwrap_err();
        assert_eq!(error.to_string(), "1 of the model's 2 features are not among the columns: q");
        let twice = matrix("a,b,a\n3,1,2\n", "x.csv").unwrap();
        let error = twice.into_rows(2, Some(&names(&["a", "b"]))).unwrap_err();
        assert_eq!(error.to_string(), "two columns have the name a");
        let error = csv.into_rows(3, None).unwrap_err();
        assert_eq!(error.to_string(), "the rows have 2 columns, the model takes 3 features");
    }

    #[test]
    fn json_lines_are_objects_or_arrays() {
        let by_name = matrix("{\"a\": 1, \"b\": null}\n\n{\"b\": 2}\n", "x.jsonl").unwrap();
        assert_eq!(by_name.names, Some(names(&["a", "b"])));
        let rows = by_name.into_rows(2, Some(&names(&["a", "b"]))).unwrap().values;
        assert_eq!(rows.iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [false, true, true, false]);
        let by_position = matrix("[1, null]\n[true, 0.5]\n", "x.ndjson").unwrap();
        assert_eq!((by_position.columns, by_position.rows(), by_position.names), (2, 2, None));
        let error = format!("{:#}", matrix("[1, 2]\n[1]\n", "x.jsonl").unwrap_err());
        assert!(error.ends_with("line 2: 1 values, the lines before have 2"), "{error}");
        // A few hundred kilobytes that would be a table of gigabytes.
        let wide: String = (0..20_000).map(|i| format!("{{\"{i}\": 1}}\n")).collect();
        let error = format!("{:#}", matrix(&wide, "x.jsonl").unwrap_err());
        assert!(error.ends_with("more than the limit 67108864"), "{error}");
        let error = format!("{:#}", matrix("[1, \"x\"]\n", "x.jsonl").unwrap_err());
        assert!(error.ends_with("line 1: \"x\" is not a number"), "{error}");
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        for (text, name, expected) in [
            ("a,b\n1,x\n", "x.csv", "line 2, column b: \"x\" is not a number"),
            ("a,b\n1\n", "x.csv", "found record with 1 fields"),
            ("a,b\n", "x.csv", "has no rows"),
            ("", "x.csv", "has no rows"),
            ("", "x.npy", "cannot read"),
            ("PAR1", "x.parquet", "cannot read"),
            ("1", "x.txt", "must end in .npy, .csv, .jsonl, .ndjson or .parquet"),
        ] {
            let error = format!("{:#}", matrix(text, name).unwrap_err());
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn npy_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        for values in [
            Values::Single(vec![1.5, f32::NAN, -0.0, 3.0, f32::INFINITY, 1e-45]),
            Values::Double(vec![0.1, 2.0, -3.0, 4.0, 5.0, 1e300]),
        ] {
            let path = folder.path().join("x.npy");
            let matrix = Matrix { values, columns: 3, names: None };
            write(&path, &matrix).unwrap();
            let read = Matrix::read(&path).unwrap();
            assert_eq!(format!("{read:?}"), format!("{matrix:?}"));
        }
    }
}
