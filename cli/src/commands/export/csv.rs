//! Scores as CSV, with a header.
//!
//! A spreadsheet computes cells that begin with `=`, `+`, `-`, `@`, a tab or a carriage return. Entities and reasons are
//! text of others, so such a text cell begins with an apostrophe instead (OWASP, "CSV Injection"). Control characters
//! are written out.

use std::io::Write;

use tribunal_core::Score;

use super::reason_in_words;
use crate::output::escape;

/// The columns.
const HEADER: [&str; 13] = [
    "entity",
    "kind",
    "verdict",
    "risk",
    "effective_risk",
    "agreement",
    "requested_at",
    "scored_at",
    "valid_until",
    "tlp",
    "asked_by",
    "listed",
    "reasons",
];

/// Writes rows.
pub(super) struct Sink<W: Write> {
    rows: csv::Writer<W>,
    at_ms: u64,
}

impl<W: Write> Sink<W> {
    /// Writes the header.
    pub(super) fn open(out: W, at_ms: u64) -> anyhow::Result<Self> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record(HEADER)?;
        Ok(Self { rows, at_ms })
    }

    /// Writes a score.
    pub(super) fn write(&mut self, score: &Score) -> anyhow::Result<()> {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let reasons: Vec<String> = score.reasons.iter().map(reason_in_words).collect();
        let listed = score.listed.as_ref().map_or_else(String::new, |l| format!("{}: {}", l.entry, l.reason));
        self.rows.write_record([
            cell(&score.entity),
            score.kind.as_str().to_owned(),
            score.verdict.as_str().to_owned(),
            number(score.risk),
            number(score.effective_risk(self.at_ms).map(|risk| (risk * 1e6).round() / 1e6)),
            score.agreement.map_or_else(String::new, |agreement| agreement.to_string()),
            cell(&score.requested_at),
            cell(&score.scored_at),
            cell(score.valid_until.as_deref().unwrap_or("")),
            cell(score.tlp.as_deref().unwrap_or("")),
            cell(score.source.as_deref().unwrap_or("")),
            cell(&listed),
            cell(&reasons.join("; ")),
        ])?;
        Ok(())
    }

    /// Gives the output back.
    pub(super) fn close(self) -> anyhow::Result<W> {
        self.rows.into_inner().map_err(|error| anyhow::Error::from(error.into_error()))
    }
}

/// A cell of text that no spreadsheet computes.
pub(super) fn cell(text: &str) -> String {
    let computed = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("{}{}", if computed { "'" } else { "" }, escape(text))
}
