//! An explained score on a terminal: how the risk comes about, step by step.
//!
//! Every line is a step: its points, what it says, and a bar that starts where the one before ended. The scale is the
//! risk's, 0 to 100, and wider where the steps lead outside; a dotted line marks the thresholds. Steps towards
//! malicious are red and others green where colours are shown.
//!
//! Columns are those of the terminal, or 80. Bars are drawn in halves of a cell.

use std::io::{self, Write};

use comfy_table::Cell;
use crossterm::style::{Color, Stylize as _, force_color_output};
use tribunal_core::Score;
use tribunal_core::score::ListAction;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::explained::{Explained, Group, LEAST_POINTS};
use super::scores::{now, tint, verdict};
use super::{detail, reason};
use crate::output::{Screen, escape, foreign, number, table, write_table};

/// Columns of the points.
const POINTS: usize = 7;

/// Writes an explained score.
pub(crate) fn write(
    out: &mut impl Write,
    screen: Screen,
    score: &Score,
    shown: &Explained<'_>,
) -> io::Result<()> {
    head(out, screen, score, shown)?;
    writeln!(out)?;
    match &shown.unexplained {
        Some(why) => writeln!(out, "Not explained: {}", escape(why))?,
        None => steps(out, screen, shown)?,
    }
    if !shown.predictors.is_empty() {
        writeln!(out, "\nPredictors")?;
        predictors(out, screen, shown)?;
    }
    if !shown.evidence.is_empty() {
        writeln!(out, "\nEvidence")?;
        detail::evidence(out, screen, score)?;
    }
    Ok(())
}

fn head(out: &mut impl Write, screen: Screen, score: &Score, shown: &Explained<'_>) -> io::Result<()> {
    let mut rows = table(screen, &[]);
    let mut row = |name: &str, cell: Cell| {
        rows.add_row([Cell::new(name), cell]);
    };
    row("entity", foreign(shown.entity));
    row("risk", tint(Cell::new(risk(score, shown)), score, screen));
    row("verdict", tint(Cell::new(verdict_text(shown)), score, screen));
    for (name, outcome) in shown.profiles {
        row("profile", Cell::new(format!("{}: {}", escape(name), verdict(*outcome))));
    }
    if let Some(text) = listed(shown) {
        row("listed", foreign(&text));
    }
    row("scored", foreign(shown.scored_at));
    if let Some(until) = shown.valid_until {
        let expired = if shown.expired { " (expired: score it again)" } else { "" };
        row("valid until", foreign(&format!("{until}{expired}")));
    }
    write_table(out, &rows)
}

/// `63.0, could be 41.0 to 88.0: whois did not answer`.
fn risk(score: &Score, shown: &Explained<'_>) -> String {
    let mut text = super::scores::risk(score);
    if let Some(left) = now(score, shown.effective_risk) {
        text.push_str(&format!(", {left:.1} by {}", escape(shown.at.get(..16).unwrap_or(&shown.at))));
    }
    if let Some(interval) = shown.interval {
        text.push_str(&format!(", could be {:.1} to {:.1}", interval.low, interval.high));
        if !shown.unanswered.is_empty() {
            text.push_str(&format!(": {} did not answer", escape(&shown.unanswered.join(", "))));
        }
    }
    text
}

fn verdict_text(shown: &Explained<'_>) -> String {
    let name = verdict(shown.verdict);
    match shown.thresholds {
        Some(t) => {
            format!("{name} (suspicious from {:.1}, malicious from {:.1})", t.suspicious, t.malicious)
        }
        None => name.to_owned(),
    }
}

/// The list entry that decided, in words.
pub(crate) fn listed(shown: &Explained<'_>) -> Option<String> {
    let listed = shown.listed?;
    let action = match listed.action {
        ListAction::Allow => "allowed",
        ListAction::Deny => "denied",
    };
    let until = listed.expires.as_ref().map_or_else(String::new, |time| format!(", until {time}"));
    Some(format!("{action} by the entry {}: {}{until}", listed.entry, listed.reason))
}

fn predictors(out: &mut impl Write, screen: Screen, shown: &Explained<'_>) -> io::Result<()> {
    let mut rows = table(screen, &["model", "version", "probability", "weight", "points", "reason"]);
    for p in shown.predictors {
        rows.add_row([
            foreign(&p.model),
            foreign(p.version.as_deref().unwrap_or("-")),
            number(p.probability.map_or_else(|| "-".to_owned(), |p| format!("{p:.4}"))),
            number(reason::short(p.weight)),
            number(p.points.map_or_else(|| "-".to_owned(), |points| format!("{points:+.1}"))),
            foreign(p.reason.as_deref().unwrap_or("")),
        ]);
    }
    write_table(out, &rows)
}

/// One line, or several where the text is long.
struct Step {
    points: String,
    text: String,
    /// Where the bar starts and ends, if there is one.
    bar: Option<(f64, f64)>,
    title: bool,
}

fn steps(out: &mut impl Write, screen: Screen, shown: &Explained<'_>) -> io::Result<()> {
    let steps = all(shown);
    let chart = Chart::of(screen, &steps, shown);
    chart.scale(out)?;
    steps.iter().try_for_each(|step| chart.write(out, step))
}

/// The steps from nothing to the risk.
fn all(shown: &Explained<'_>) -> Vec<Step> {
    let base = shown.base_risk.unwrap_or(0.0);
    let mut at = base;
    let mut steps = vec![Step {
        points: format!("{base:.1}"),
        text: "the average entity of the training".to_owned(),
        bar: Some((0.0, base)),
        title: false,
    }];
    let step = |text: String, points: f64, at: &mut f64| {
        let from = *at;
        *at += points;
        Step { points: format!("{points:+.1}"), text, bar: Some((from, *at)), title: false }
    };
    for group in &shown.groups {
        steps.push(Step {
            points: format!("{:+.1}", group.points),
            text: title(group),
            bar: None,
            title: true,
        });
        for reason in &group.reasons {
            steps.push(step(format!("  {}", reason::sentence(reason)), reason.points, &mut at));
        }
        if group.other_points.abs() >= LEAST_POINTS {
            steps.push(step("  the rest of it".to_owned(), group.other_points, &mut at));
        }
    }
    if let Some(points) = shown.other_points.filter(|points| points.abs() >= LEAST_POINTS) {
        steps.push(step("everything else".to_owned(), points, &mut at));
    }
    let risk = shown.risk.unwrap_or(at);
    steps.push(Step {
        points: format!("{risk:.1}"),
        text: "risk".to_owned(),
        bar: Some((0.0, risk)),
        title: true,
    });
    steps
}

fn title(group: &Group<'_>) -> String {
    let name = match (group.source, group.kind) {
        ("entity", _) => "the entity itself".to_owned(),
        (source, "") => source.to_owned(),
        (source, kind) => format!("{source} ({kind})"),
    };
    match group.half_life_hours {
        Some(hours) => format!("{name}, halves in {} h", reason::short(hours)),
        None => name,
    }
}

/// Where the bars are drawn.
struct Chart {
    screen: Screen,
    text: usize,
    cells: usize,
    low: f64,
    high: f64,
    marks: Vec<f64>,
}

impl Chart {
    fn of(screen: Screen, steps: &[Step], shown: &Explained<'_>) -> Self {
        let ends = steps.iter().filter_map(|s| s.bar).flat_map(|(from, to)| [from, to]);
        let (low, high) = ends
            .filter(|end| end.is_finite())
            .fold((0.0_f64, 100.0_f64), |(low, high), end| (low.min(end), high.max(end)));
        let columns = screen.columns();
        let cells = columns * 3 / 8;
        let marks = shown.thresholds.map_or_else(Vec::new, |t| vec![t.suspicious, t.malicious]);
        Self { screen, text: columns - cells - POINTS - 4, cells, low, high, marks }
    }

    /// Half cells from the left.
    fn place(&self, value: f64) -> usize {
        let part = (value - self.low) / (self.high - self.low);
        // Clamped first, so that the cast cannot leave the range; what is no number is at the left.
        (part.clamp(0.0, 1.0) * (2 * self.cells) as f64).round() as usize
    }

    fn scale(&self, out: &mut impl Write) -> io::Result<()> {
        let (low, high) = (format!("{:.0}", self.low), format!("{:.0}", self.high));
        let gap = self.cells.saturating_sub(low.len());
        writeln!(out, "{:indent$}{low}{high:>gap$}", "", indent = POINTS + self.text + 4)
    }

    fn write(&self, out: &mut impl Write, step: &Step) -> io::Result<()> {
        let lines = wrap(&escape(&step.text), self.text);
        for (i, line) in lines.iter().enumerate() {
            let points = if i == 0 { step.points.as_str() } else { "" };
            let pad = " ".repeat(self.text.saturating_sub(line.width()));
            let bar = if i == 0 { step.bar } else { None };
            let text = if step.title && self.screen.color {
                force_color_output(true);
                line.as_str().bold().to_string()
            } else {
                line.clone()
            };
            let line = format!("{points:>POINTS$}  {text}{pad}  {}", self.bar(bar));
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// The bar, on the dotted lines of the thresholds.
    fn bar(&self, bar: Option<(f64, f64)>) -> String {
        let (from, to) = bar.map_or((0, 0), |(from, to)| {
            let (a, b) = (self.place(from), self.place(to));
            (a.min(b), a.max(b))
        });
        let marks: Vec<usize> = self.marks.iter().map(|mark| self.place(*mark) / 2).collect();
        let cell = |i: usize| {
            let filled = |half: usize| (from..to).contains(&half);
            match (filled(2 * i), filled(2 * i + 1)) {
                (true, true) => '█',
                (true, false) => '▌',
                (false, true) => '▐',
                // A step too small to be drawn is still somewhere.
                _ if bar.is_some() && from == to && i == (from / 2).min(self.cells - 1) => '╷',
                _ if marks.contains(&i) => '┊',
                _ => ' ',
            }
        };
        let text: String = (0..self.cells).map(cell).collect();
        match bar {
            Some((from, to)) if self.screen.color => {
                force_color_output(true);
                let color = if to > from { Color::Red } else { Color::Green };
                text.with(color).to_string()
            }
            _ => text,
        }
    }
}

/// Words in lines of at most `columns`; a longer word is broken, and the blanks at the start are kept on every line.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let body = text.trim_start();
    let indent = " ".repeat(text.len() - body.len());
    let mut lines = vec![indent.clone()];
    for word in body.split_whitespace() {
        let mut last = lines.pop().unwrap_or_default();
        let blank = usize::from(last.len() > indent.len());
        if blank > 0 && last.width() + blank + word.width() > columns {
            lines.push(std::mem::replace(&mut last, indent.clone()));
        } else if blank > 0 {
            last.push(' ');
        }
        for c in word.chars() {
            if last.width() + c.width().unwrap_or(0) > columns {
                lines.push(std::mem::replace(&mut last, indent.clone()));
            }
            last.push(c);
        }
        lines.push(last);
    }
    lines
}

#[cfg(test)]
mod tests {
    use tribunal_core::Verdict;
    use tribunal_core::ensemble::Thresholds;
    use tribunal_core::score::Listed;

    use super::*;
    use crate::show::scores::tests::{example, explained};

    const SCORED: u64 = 1_795_506_598_456; // 2026-11-24T07:49:58.456Z
    const LIMITS: Thresholds = Thresholds { suspicious: 50.0, malicious: 75.0 };

    fn text(screen: Screen, score: &Score, at_ms: u64) -> String {
        let shown = Explained::of(score, Some(LIMITS), at_ms);
        let mut out = Vec::new();
        write(&mut out, screen, score, &shown).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_step_starts_where_the_one_before_ended() {
        let text = text(Screen::PLAIN, &explained(), SCORED + 72 * 3_600_000);
        let chart = text.lines().skip_while(|line| !line.is_empty()).take_while(|line| *line != "Predictors");
        assert!(chart.map(str::width).max() == Some(80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_list_entry_is_told_and_foreign_text_moves_no_cursor() {
        let mut score = explained();
        score.listed = Some(Listed {
            action: ListAction::Deny,
            entry: "*.odd.biz\u{1b}[2J".to_owned(),
            reason: "seen in an incident".to_owned(),
            expires: Some("2026-12-01T00:00:00Z".to_owned()),
        });
        score.reasons[0].text = "evil\u{1b}]0;x\u{7}\u{202e} ".repeat(4);
        score.groups[1].source = "\u{9b}2J".to_owned();
        score.profiles.insert("proxy\r".to_owned(), Verdict::Suspicious);
        let text = text(Screen::PLAIN, &score, SCORED);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_score_without_reasons_says_why() {
        let mut score = example("good.org", Verdict::Benign, Some(0.4));
        (score.base_risk, score.other_points) = (None, None);
        score.reasons.clear();
        insta::assert_snapshot!(text(Screen::PLAIN, &score, SCORED));
    }

    #[test]
    fn only_with_colours_steps_are_coloured_by_their_sign() {
        let colored = text(Screen { terminal: false, color: true }, &explained(), SCORED);
        assert!(colored.contains("\u{1b}[38;5;9m") && colored.contains("\u{1b}[38;5;10m"), "{colored:?}");
    }

    #[test]
    fn a_scale_of_no_numbers_is_drawn_too() {
        let mut score = explained();
        score.base_risk = Some(f64::NAN);
        score.groups[0].points = f64::INFINITY;
        score.reasons[0].points = -1e300;
        assert!(text(Screen::PLAIN, &score, SCORED).contains("risk"));
    }

    #[test]
    fn long_texts_are_wrapped_with_their_indent() {
        assert_eq!(wrap("  one two three", 9), ["  one two", "  three"]);
        assert_eq!(wrap("abcdefgh ij", 5), ["abcde", "fgh", "ij"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
    }
}
