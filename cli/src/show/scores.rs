//! A table of scores, riskiest first, and a summary of their verdicts.

use std::cmp::Ordering;
use std::io::{self, Write};

use comfy_table::{Cell, ColumnConstraint};
use crossterm::style::{Color, Stylize as _, force_color_output};
use tribunal_core::{Score, Verdict};

use super::reason;
use crate::output::{Screen, counted, escape, foreign, number, table, thousands, write_table};

/// Characters of the bar.
const BAR_CELLS: usize = 8;
/// Longest name that a narrow terminal does not break.
const MAX_UNBROKEN: usize = 48;
/// A bar is drawn in eighths of a character.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Riskiest first; those without a risk last, `unknown` before `not_routable`; then by name.
pub(crate) fn riskiest_first(a: &Score, b: &Score) -> Ordering {
    let rank = |score: &Score| match score.verdict {
        Verdict::NotRoutable => 2,
        Verdict::Unknown => 1,
        _ => 0,
    };
    rank(a)
        .cmp(&rank(b))
        .then_with(|| b.risk.unwrap_or(-1.0).total_cmp(&a.risk.unwrap_or(-1.0)))
        .then_with(|| a.entity.cmp(&b.entity))
        .then_with(|| b.scored_key.cmp(&a.scored_key))
}

/// Writes the table. `with_time` adds when each was asked for.
pub(crate) fn write(
    out: &mut impl Write,
    screen: Screen,
    scores: &[Score],
    with_time: bool,
) -> io::Result<()> {
    let mut header = vec!["risk"];
    if screen.terminal {
        header.push("");
    }
    let now_ms = tribunal_runtime::now_ms();
    let left = |score: &Score| now(score, score.effective_risk(now_ms));
    // Scores of this moment have nothing to say there.
    let with_now = scores.iter().any(|score| left(score).is_some() || !score.is_valid(now_ms));
    if with_now {
        header.push("now");
    }
    header.extend(["entity", "verdict", "agree", "models", "main reason"]);
    if with_time {
        header.push("asked for");
    }
    let mut rows = table(screen, &header);
    for score in scores {
        let mut row = vec![tint(number(risk(score)), score, screen)];
        if screen.terminal {
            row.push(tint(Cell::new(bar(score.risk)), score, screen));
        }
        if with_now {
            let text = left(score).map_or_else(String::new, |left| format!("{left:.1}"));
            let expired = if score.is_valid(now_ms) { "" } else { " expired" };
            row.push(number(format!("{text}{expired}").trim_start()));
        }
        row.push(foreign(&score.entity));
        row.push(tint(Cell::new(verdict(score.verdict)), score, screen));
        row.push(number(score.agreement.map_or_else(|| "-".to_owned(), |a| format!("{a:.2}"))));
        row.push(number(answered(score)));
        row.push(foreign(&main_reason(score)));
        if with_time {
            row.push(Cell::new(score.requested_at.get(..19).unwrap_or(&score.requested_at)));
        }
        rows.add_row(row);
    }
    // A name that is broken over two lines cannot be copied; one of 253 characters must be.
    let longest = scores.iter().map(|score| score.entity.len()).max().unwrap_or(0);
    if longest <= MAX_UNBROKEN
        && let Some(column) = rows.column_mut(usize::from(screen.terminal) + usize::from(with_now) + 1)
    {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    write_table(out, &rows)
}

/// Writes the table and the summary.
pub(crate) fn write_all(out: &mut impl Write, screen: Screen, scores: &[Score]) -> io::Result<()> {
    write_top(out, screen, scores, &Summary::of(scores))
}

/// Writes a table of the riskiest, and the summary of all.
pub(crate) fn write_top(
    out: &mut impl Write,
    screen: Screen,
    shown: &[Score],
    summary: &Summary,
) -> io::Result<()> {
    if !shown.is_empty() {
        write(out, screen, shown, false)?;
        writeln!(out)?;
    }
    writeln!(out, "{}", summary.text())
}

/// Writes one score in one line.
pub(crate) fn write_line(out: &mut impl Write, screen: Screen, score: &Score) -> io::Result<()> {
    let head = format!("{:>5}  {:<12}", risk(score), verdict(score.verdict));
    let head = if screen.color {
        force_color_output(true);
        head.with(color(score.verdict)).to_string()
    } else {
        head
    };
    let line = format!("{head}  {}  {}", escape(&score.entity), escape(&main_reason(score)));
    writeln!(out, "{}", line.trim_end())
}

/// Why, in a few words.
pub(crate) fn main_reason(score: &Score) -> String {
    if let Some(special) = score.special {
        return special.reason().to_owned();
    }
    if score.verdict == Verdict::Unknown {
        let failed =
            score.predictors.iter().find_map(|p| p.reason.as_deref()).unwrap_or("no predictor answered");
        return crate::output::cut(failed, 80).into_owned();
    }
    reason::top(score).map(reason::words).unwrap_or_default()
}

fn answered(score: &Score) -> String {
    if score.verdict == Verdict::NotRoutable {
        return "-".to_owned();
    }
    let members = score.predictors.iter().filter(|p| p.weight > 0.0).count();
    format!("{}/{members}", score.quorum.answered)
}

/// `87.3`, or `-` without a risk.
pub(crate) fn risk(score: &Score) -> String {
    score.risk.map_or_else(|| "-".to_owned(), |risk| format!("{risk:.1}"))
}

/// What is left of the risk, where that is another number for a person.
pub(crate) fn now(score: &Score, effective: Option<f64>) -> Option<f64> {
    const LEAST: f64 = 0.1;
    let (risk, left) = (score.risk?, effective?);
    ((risk - left).abs() >= LEAST).then_some(left)
}

/// As an analyst says it.
pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotRoutable => "not routable",
        other => other.as_str(),
    }
}

/// Colours a cell by the verdict of its score.
pub(crate) fn tint(cell: Cell, score: &Score, screen: Screen) -> Cell {
    if screen.color { cell.fg(color(score.verdict)) } else { cell }
}

const fn color(verdict: Verdict) -> Color {
    match verdict {
        Verdict::Malicious => Color::Red,
        Verdict::Suspicious => Color::Yellow,
        Verdict::Benign => Color::Green,
        Verdict::Unknown => Color::Magenta,
        Verdict::NotRoutable => Color::DarkGrey,
    }
}

/// The risk as a bar.
pub(crate) fn bar(risk: Option<f64>) -> String {
    let Some(risk) = risk else { return String::new() };
    // Clamped first, so that the cast cannot leave the range.
    let eighths = (risk.clamp(0.0, 100.0) / 100.0 * (BAR_CELLS * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8 - 1]);
    }
    bar
}

/// How many scores have each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    by_verdict: [usize; Verdict::ALL.len()],
}

impl Summary {
    /// Counts a score.
    pub(crate) fn add(&mut self, verdict: Verdict) {
        self.by_verdict[verdict as usize] += 1;
    }

    /// The summary of scores.
    pub(crate) fn of(scores: &[Score]) -> Self {
        let mut summary = Self::default();
        for score in scores {
            summary.add(score.verdict);
        }
        summary
    }

    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.by_verdict.iter().sum()
    }

    /// `204 entities scored: 31 malicious, 60 suspicious, 113 benign`.
    pub(crate) fn text(&self) -> String {
        let order = [
            Verdict::Malicious,
            Verdict::Suspicious,
            Verdict::Benign,
            Verdict::Unknown,
            Verdict::NotRoutable,
        ];
        let parts: Vec<String> = order
            .iter()
            .filter(|v| self.by_verdict[**v as usize] > 0)
            .map(|v| format!("{} {}", thousands(self.by_verdict[*v as usize]), verdict(*v)))
            .collect();
        let total = counted(self.total(), "entity scored", "entities scored");
        if parts.is_empty() { total } else { format!("{total}: {}", parts.join(", ")) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
