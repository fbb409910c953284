//! Writing to standard output: tables, JSON lines, and text of others made harmless.
//!
//! Entities, messages on the dead-letter queue and error texts come from anywhere. Before they reach a
//! terminal, [`escape`] shows control characters and those that reorder or hide text as `\u{..}`. JSON needs
//! no such care.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;
use tribunal_core::Score;

/// What standard output can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Whether a person looks at it.
    pub(crate) terminal: bool,
    /// Whether to colour.
    pub(crate) color: bool,
}

impl Screen {
    /// A file or a pipe.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { terminal: false, color: false };

    /// Columns: the terminal's, within reason; 80 elsewhere.
    pub(crate) fn columns(self) -> usize {
        const ELSEWHERE: usize = 80;
        let asked = if self.terminal { crossterm::terminal::size().ok() } else { None };
        asked.map_or(ELSEWHERE, |(columns, _)| usize::from(columns).clamp(60, 160))
    }
}

/// Writes one line of JSON.
pub(crate) fn json_line(out: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// An object with scores and what else there is to say (an object too). Scores are written as they are, never
/// through [`serde_json::Value`]: that would widen their 32-bit numbers, and the same score would look different.
#[derive(Serialize)]
struct WithScores<'a> {
    scores: &'a [Score],
    #[serde(flatten)]
    rest: Value,
}

/// Writes scores, and the members of `rest`, as one line of JSON.
pub(crate) fn json_scores(out: &mut impl Write, scores: &[Score], rest: Value) -> anyhow::Result<()> {
    json_line(out, &WithScores { scores, rest })
}

/// A path as it may be shown.
pub(crate) fn shown(path: &Path) -> String {
    escape(&path.display().to_string()).into_owned()
}

/// A table without borders: on a terminal as wide as it, elsewhere as wide as its content.
pub(crate) fn table(screen: Screen, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header.iter().map(|title| {
            let cell = Cell::new(title);
            if screen.color { cell.add_attribute(comfy_table::Attribute::Bold) } else { cell }
        }));
    }
    if screen.terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    if screen.color {
        // The flag or the terminal has decided already, NO_COLOR included.
        crossterm::style::force_color_output(true);
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// A cell of numbers.
pub(crate) fn number(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// A cell of text that somebody else wrote.
pub(crate) fn foreign(text: &str) -> Cell {
    Cell::new(escape(text))
}

/// Writes a table, without the blanks at the ends of lines.
pub(crate) fn write_table(out: &mut impl Write, table: &Table) -> io::Result<()> {
    let text = table.to_string();
    for line in text.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Shows control characters and characters that reorder or hide text as `\u{..}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(c: char) -> bool {
    // Controls; zero-width and direction marks; line and paragraph separators; embeddings and isolates;
    // invisible operators; byte order mark; interlinear annotation; tags.
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// At most `limit` bytes of a text, cut at a character, with an ellipsis when cut.
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

/// `1 entity`, `2 entities`, with thousands marked.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

/// `1,234,567`.
pub(crate) fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_move_the_cursor() {
        assert_eq!(escape("plain-ü.example"), "plain-ü.example");
        assert_eq!(escape("a\u{1b}[2Jb\r\n"), r"a\u{1b}[2Jb\u{d}\u{a}");
        assert_eq!(escape("evil\u{202e}moc.elgoog\u{0}"), r"evil\u{202e}moc.elgoog\u{0}");
        assert_eq!(escape("\u{9b}31m"), r"\u{9b}31m");
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("äöü", 3), "ä…");
        assert_eq!(cut("äöü", 6), "äöü");
    }

    #[test]
    fn numbers_have_their_thousands_marked() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(counted(1, "entity", "entities"), "1 entity");
        assert_eq!(counted(1_000, "entity", "entities"), "1,000 entities");
    }

    #[test]
    fn a_table_without_a_terminal_is_plain_text() {
        let mut t = table(Screen::PLAIN, &["entity", "n"]);
        t.add_row([foreign("a\u{7}.example"), number(7)]);
        let mut out = Vec::new();
        write_table(&mut out, &t).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        entity          n
        a\u{7}.example  7
        ");
    }
}
