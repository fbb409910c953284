//! Do our answers have the trainer's bits?

use std::io::{self, Write as _};

use anyhow::ensure;
use serde_json::json;

use super::Loaded;
use crate::exit::Outcome;
use crate::globals::Globals;
use crate::matrix::{Matrix, Values};
use crate::output::{counted, foreign, json_line, number, shown, table, thousands, write_table};

/// Differences that are shown one by one.
const SHOWN: usize = 5;

/// One answer that is not the expected one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Difference {
    row: usize,
    column: usize,
    ours: f64,
    expected: f64,
    ulps: u64,
}

/// What a comparison found.
#[derive(Debug, Default, PartialEq)]
struct Comparison {
    rows: usize,
    /// Rows with an answer of other bits.
    differing: usize,
    /// Rows with an answer that is further off than was allowed.
    beyond: usize,
    max_ulps: u64,
    first: Vec<Difference>,
}

/// Compares and reports.
pub(crate) fn run(
    model: &Loaded,
    ours: &Matrix,
    expected: &Matrix,
    ulps: u64,
    globals: &Globals,
) -> anyhow::Result<Outcome> {
    let found = compare(ours, expected, ulps)?;
    let mut out = io::stdout().lock();
    if globals.json {
        json_line(&mut out, &value(&found, ulps))?;
    } else {
        let rows = counted(found.rows, "row", "rows");
        let name = shown(&model.file);
        match (found.differing, found.beyond) {
            (0, _) => writeln!(out, "{name}: bit-exact on {rows}")?,
            (differing, 0) => writeln!(
                out,
                "{name}: within {} of the last place on {rows}, {} bit-exact",
                counted(usize::try_from(found.max_ulps).unwrap_or(usize::MAX), "unit", "units"),
                counted(found.rows - differing, "row is", "rows are"),
            )?,
            (differing, _) => {
                let most = thousands(usize::try_from(found.max_ulps).unwrap_or(usize::MAX));
                writeln!(
                    out,
                    "{name}: {} of {rows} differ, by up to {most} ulps; the first:",
                    thousands(differing)
                )?;
                let mut rows = table(globals.screen(), &["row", "column", "ours", "expected", "ulps"]);
                let names = ours.names.as_deref().unwrap_or_default();
                for d in &found.first {
                    rows.add_row([
                        number(d.row),
                        foreign(names.get(d.column).map_or("", String::as_str)),
                        number(d.ours),
                        number(d.expected),
                        number(d.ulps),
                    ]);
                }
                write_table(&mut out, &rows)?;
            }
        }
    }
    Ok(if found.beyond == 0 { Outcome::Done } else { Outcome::Partial })
}

fn value(found: &Comparison, allowed: u64) -> serde_json::Value {
    let first: Vec<_> = found
        .first
        .iter()
        .map(|d| json!({"row": d.row, "column": d.column, "ours": d.ours, "expected": d.expected, "ulps": d.ulps}))
        .collect();
    json!({
        "rows": found.rows,
        "bit_exact": found.differing == 0,
        "differing_rows": found.differing,
        "rows_beyond": found.beyond,
        "max_ulps": found.max_ulps,
        "allowed_ulps": allowed,
        "first": first,
    })
}

fn compare(ours: &Matrix, expected: &Matrix, allowed: u64) -> anyhow::Result<Comparison> {
    ensure!(
        ours.rows() == expected.rows(),
        "{} expected, for {}",
        counted(expected.rows(), "row of answers", "rows of answers"),
        counted(ours.rows(), "row", "rows")
    );
    ensure!(
        ours.columns == expected.columns,
        "{} a row expected, the model gives {}: is --output what was computed?",
        counted(expected.columns, "answer", "answers"),
        thousands(ours.columns)
    );
    // Answers that one side has in 32 bits only are compared in 32 bits.
    let single = matches!(ours.values, Values::Single(_)) || matches!(expected.values, Values::Single(_));
    let mut found = Comparison { rows: ours.rows(), ..Comparison::default() };
    let mut last = None;
    let mut last_beyond = None;
    for i in 0..ours.rows() * ours.columns {
        let (a, b) = (at(&ours.values, i), at(&expected.values, i));
        let (same, ulps) = if single { distance_f32(a as f32, b as f32) } else { distance_f64(a, b) };
        if same {
            continue;
        }
        let row = i / ours.columns;
        found.max_ulps = found.max_ulps.max(ulps);
        if last.replace(row) != Some(row) {
            found.differing += 1;
            if found.first.len() < SHOWN {
                let column = i % ours.columns;
                found.first.push(Difference { row, column, ours: a, expected: b, ulps });
            }
        }
        if ulps > allowed && last_beyond.replace(row) != Some(row) {
            found.beyond += 1;
        }
    }
    Ok(found)
}

fn at(values: &Values, i: usize) -> f64 {
    match values {
        Values::Single(values) => f64::from(values[i]),
        Values::Double(values) => values[i],
    }
}

/// Whether the bits are the same (any two NaN are), and how many numbers lie between: zeros of both signs are
/// neighbours, and NaN is further away than any number.
fn distance_f64(a: f64, b: f64) -> (bool, u64) {
    if a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() {
        return (true, 0);
    }
    if a.is_nan() || b.is_nan() {
        return (false, u64::MAX);
    }
    let place = |x: f64| {
        let bits = x.to_bits() as i64;
        i128::from(if bits < 0 { i64::MIN - bits - 1 } else { bits })
    };
    (false, u64::try_from(place(a).abs_diff(place(b))).unwrap_or(u64::MAX))
}

/// As [`distance_f64`], for 32 bits.
fn distance_f32(a: f32, b: f32) -> (bool, u64) {
    if a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() {
        return (true, 0);
    }
    if a.is_nan() || b.is_nan() {
        return (false, u64::MAX);
    }
    let place = |x: f32| {
        let bits = x.to_bits() as i32;
        i64::from(if bits < 0 { i32::MIN - bits - 1 } else { bits })
    };
    (false, place(a).abs_diff(place(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn singles(values: &[f32], columns: usize) -> Matrix {
        Matrix { values: Values::Single(values.to_vec()), columns, names: None }
    }

    fn doubles(values: &[f64], columns: usize) -> Matrix {
        Matrix { values: Values::Double(values.to_vec()), columns, names: None }
    }

    #[test]
    fn distances_count_the_numbers_between() {
        assert_eq!(distance_f32(1.0, 1.0), (true, 0));
        assert_eq!(distance_f32(1.0, 1.0_f32.next_up()), (false, 1));
        assert_eq!(distance_f32(0.0, -0.0), (false, 1));
        assert_eq!(distance_f32(f32::from_bits(1), -f32::from_bits(1)), (false, 3));
        assert_eq!(distance_f64(-1.0, (-1.0_f64).next_down()), (false, 1));
        assert_eq!(distance_f64(f64::NAN, -f64::NAN), (true, 0));
        assert_eq!(distance_f64(f64::NAN, 1.0), (false, u64::MAX));
        assert_eq!(distance_f64(f64::MAX, f64::MIN), (false, 2 * f64::MAX.to_bits() + 1));
    }

    #[test]
    fn rows_that_differ_are_counted_once() {
        let ours = singles(&[1.0, 2.0, 3.0, 4.0], 2);
        assert_eq!(compare(&ours, &ours, 0).unwrap().differing, 0);
        let near = singles(&[1.0_f32.next_up(), 2.0_f32.next_down(), 3.0, 4.0], 2);
        let found = compare(&ours, &near, 0).unwrap();
        assert_eq!((found.differing, found.beyond, found.max_ulps, found.first.len()), (1, 1, 1, 1));
        assert_eq!((found.first[0].row, found.first[0].column), (0, 0));
        assert_eq!(compare(&ours, &near, 1).unwrap().beyond, 0);
        // The same numbers, widened.
        assert_eq!(compare(&ours, &doubles(&[1.0, 2.0, 3.0, 4.0], 2), 0).unwrap().differing, 0);
    }

    #[test]
    fn tables_of_other_shapes_are_refused() {
        let ours = singles(&[1.0, 2.0], 1);
        let error = compare(&ours, &singles(&[1.0, 2.0], 2), 0).unwrap_err();
        assert_eq!(error.to_string(), "1 row of answers expected, for 2 rows");
        let error = compare(&ours, &singles(&[1.0, 2.0, 3.0, 4.0], 2), 0).unwrap_err();
        assert!(error.to_string().starts_with("2 answers a row expected, the model gives 1"), "{error}");
    }
}
