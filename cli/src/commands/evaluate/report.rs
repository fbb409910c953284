//! The figures as tables, or as one JSON object.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::metrics::{self, Figures, Labelled, RATES};
use super::{Rows, Scored};
use crate::globals::Globals;
use crate::output::{foreign, json_line, number, table, thousands, write_table};
use crate::show;

/// A value of a group, with what the thresholds of the whole kind make of its rows.
struct Group<'a> {
    value: &'a str,
    figures: Figures,
    /// Share of its rows above the threshold of each of [`RATES`].
    above: Option<[f64; RATES.len()]>,
}

/// Writes the figures of every kind.
pub(super) fn write(
    scored: &Scored,
    groups: &[String],
    resamples: usize,
    seed: u64,
    globals: &Globals,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut document = Map::new();
    for (kind, rows) in &scored.kinds {
        let ensemble = metrics::figures(&of_ensemble(rows), resamples, seed);
        let members: Vec<(&String, Figures)> = rows
            .members
            .iter()
            .map(|(name, probabilities)| {
                (name, metrics::figures(&of_member(rows, probabilities), resamples, seed))
            })
            .filter(|(_, figures)| figures.n > 0)
            .collect();
        let grouped: Vec<(&String, Vec<Group<'_>>)> =
            groups.iter().enumerate().map(|(at, column)| (column, by_value(rows, scored, at))).collect();
        if globals.json {
            document.insert(kind.as_str().to_owned(), to_json(rows, &ensemble, &members, &grouped));
            continue;
        }
        writeln!(
            out,
            "{}: {} rows, {} malicious",
            kind.as_str(),
            thousands(ensemble.n),
            thousands(ensemble.malicious)
        )?;
        let mut figures = table(globals.screen(), &texts(&header("model")));
        figures.add_row(row("ensemble", &ensemble));
        for (name, found) in &members {
            figures.add_row(row(name, found));
        }
        write_table(&mut out, &figures)?;
        for (column, values) in &grouped {
            write_groups(&mut out, globals, column, values)?;
        }
        writeln!(out)?;
        if rows.unscored > 0 {
            show::note(&format!(
                "{}: {} rows have no risk and are left out",
                kind.as_str(),
                thousands(rows.unscored)
            ));
        }
    }
    if globals.json {
        json_line(&mut out, &Value::Object(document))?;
    }
    out.flush()?;
    if scored.refused > 0 {
        show::note(&format!("{} rows are no entities and are left out", thousands(scored.refused)));
    }
    Ok(())
}

fn of_ensemble(rows: &Rows) -> Vec<Labelled> {
    rows.risks.iter().copied().zip(rows.labels.iter().copied()).collect()
}

/// The rows that a member answered for.
fn of_member(rows: &Rows, probabilities: &[f32]) -> Vec<Labelled> {
    let pairs = probabilities.iter().map(|p| f64::from(*p)).zip(rows.labels.iter().copied());
    pairs.filter(|(probability, _)| !probability.is_nan()).collect()
}

fn by_value<'a>(rows: &Rows, scored: &'a Scored, at: usize) -> Vec<Group<'a>> {
    let names = &scored.values[at].names;
    let mut parts: Vec<Vec<Labelled>> = names.iter().map(|_| Vec::new()).collect();
    // A kind without any risk has no groups.
    for (number, labelled) in rows.groups.get(at).into_iter().flatten().zip(of_ensemble(rows)) {
        parts[*number as usize].push(labelled);
    }
    let thresholds = metrics::thresholds(&of_ensemble(rows));
    let mut groups: Vec<Group<'a>> = names
        .iter()
        .zip(parts)
        .filter(|(_, part)| !part.is_empty())
        .map(|(value, part)| {
            let share = |threshold: f64| {
                part.iter().filter(|(score, _)| *score > threshold).count() as f64 / part.len() as f64
            };
            Group {
                value,
                above: thresholds.map(|found| found.map(share)),
                figures: metrics::figures(&part, 0, 0),
            }
        })
        .collect();
    groups.sort_by(|a, b| b.figures.n.cmp(&a.figures.n).then(a.value.cmp(b.value)));
    groups
}

fn header(first: &str) -> Vec<String> {
    let mut header: Vec<String> = [first, "rows", "AUC"].map(str::to_owned).to_vec();
    header.extend(RATES.map(|rate| format!("recall at {} % FP", rate * 100.0)));
    header.extend(["Brier", "ECE"].map(str::to_owned));
    header
}

fn texts(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

fn row(name: &str, figures: &Figures) -> Vec<comfy_table::Cell> {
    let with = |value: Option<f64>, interval: Option<(f64, f64)>| match (value, interval) {
        (None, _) => "-".to_owned(),
        (Some(value), None) => format!("{value:.4}"),
        (Some(value), Some((low, high))) => format!("{value:.4} [{low:.4}, {high:.4}]"),
    };
    let interval = |at: usize| figures.intervals.map(|intervals| intervals[at]);
    let mut cells = vec![foreign(name), number(thousands(figures.n))];
    cells.push(number(with(figures.ranking.map(|ranking| ranking.auc), interval(0))));
    for at in 0..RATES.len() {
        cells.push(number(with(figures.ranking.map(|ranking| ranking.recall[at]), interval(1 + at))));
    }
    cells.extend([figures.brier, figures.ece].map(|value| number(format!("{value:.4}"))));
    cells
}

fn write_groups(
    out: &mut impl Write,
    globals: &Globals,
    column: &str,
    groups: &[Group<'_>],
) -> anyhow::Result<()> {
    let mut header: Vec<String> = [column, "rows", "malicious", "AUC"].map(str::to_owned).to_vec();
    header.extend(RATES.map(|rate| format!("above at {} % FP", rate * 100.0)));
    let mut rows = table(globals.screen(), &texts(&header));
    for group in groups {
        let mut cells = vec![foreign(if group.value.is_empty() { "(none)" } else { group.value })];
        cells.extend([group.figures.n, group.figures.malicious].map(|n| number(thousands(n))));
        cells.push(number(group.figures.ranking.map_or_else(|| "-".to_owned(), |r| format!("{:.4}", r.auc))));
        for at in 0..RATES.len() {
            cells.push(number(
                group.above.map_or_else(|| "-".to_owned(), |above| format!("{:.4}", above[at])),
            ));
        }
        rows.add_row(cells);
    }
    writeln!(out, "\nBy {column}, at the thresholds of all rows")?;
    write_table(out, &rows)?;
    Ok(())
}

fn to_json(
    rows: &Rows,
    ensemble: &Figures,
    members: &[(&String, Figures)],
    groups: &[(&String, Vec<Group<'_>>)],
) -> Value {
    let mut value = figures_to_json(ensemble);
    let members: Map<String, Value> =
        members.iter().map(|(name, figures)| ((*name).clone(), figures_to_json(figures))).collect();
    value["members"] = Value::Object(members);
    value["unscored"] = json!(rows.unscored);
    let groups: Map<String, Value> =
        groups.iter().map(|(column, values)| ((*column).clone(), groups_to_json(values))).collect();
    if !groups.is_empty() {
        value["groups"] = Value::Object(groups);
    }
    value
}

fn groups_to_json(groups: &[Group<'_>]) -> Value {
    let one = |group: &Group<'_>| {
        let above = group.above.map_or(Value::Null, |above| by_rate(above.map(Value::from)));
        json!({"n": group.figures.n, "malicious": group.figures.malicious,
            "auc": group.figures.ranking.map(|ranking| ranking.auc), "above_at_fpr": above,
            "brier": group.figures.brier})
    };
    Value::Object(groups.iter().map(|group| (group.value.to_owned(), one(group))).collect())
}

fn figures_to_json(figures: &Figures) -> Value {
    let recall = figures.ranking.map_or(Value::Null, |ranking| by_rate(ranking.recall.map(Value::from)));
    let mut value = json!({"n": figures.n, "malicious": figures.malicious,
        "auc": figures.ranking.map(|ranking| ranking.auc), "recall_at_fpr": recall,
        "brier": figures.brier, "ece": figures.ece});
    if let Some([auc, recall @ ..]) = figures.intervals {
        value["intervals"] = json!({"auc": auc, "recall_at_fpr": by_rate(recall.map(|pair| json!(pair)))});
    }
    value
}

fn by_rate(values: [Value; RATES.len()]) -> Value {
    Value::Object(RATES.iter().map(ToString::to_string).zip(values).collect())
}
