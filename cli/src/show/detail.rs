//! One score with everything that is stored about it.

use std::io::{self, Write};

use comfy_table::Cell;
use tribunal_core::Score;
use tribunal_core::message::Evidence;
use tribunal_core::score::Reason;

use super::reason;
use super::scores::{bar, now, risk, tint, verdict};
use crate::output::{Screen, counted, escape, foreign, number, table, write_table};

/// Writes a score in full, as it is at a time (milliseconds since 1970).
pub(crate) fn write(out: &mut impl Write, screen: Screen, score: &Score, at_ms: u64) -> io::Result<()> {
    head(out, screen, score, at_ms)?;
    if !score.predictors.is_empty() {
        writeln!(out, "\nPredictors")?;
        predictors(out, screen, score)?;
    }
    if !score.reasons.is_empty() {
        writeln!(out, "\nStrongest reasons (above zero moves towards malicious)")?;
        reasons(out, screen, &score.reasons)?;
    }
    if !score.evidence.is_empty() {
        writeln!(out, "\nEvidence")?;
        evidence(out, screen, score)?;
    }
    writeln!(out, "\nVersions")?;
    versions(out, screen, score)
}

/// Facts, with columns for times and links only where there are any.
pub(crate) fn evidence(out: &mut impl Write, screen: Screen, score: &Score) -> io::Result<()> {
    let seen = |e: &Evidence| e.first_seen.is_some() || e.last_seen.is_some();
    let (times, links) = (score.evidence.iter().any(seen), score.evidence.iter().any(|e| e.link.is_some()));
    let mut header = vec!["source", "fact", "value"];
    header.extend(if times { &["first seen", "last seen"][..] } else { &[] });
    header.extend(links.then_some("link"));
    let mut rows = table(screen, &header);
    for e in &score.evidence {
        let mut row = vec![foreign(&e.source), foreign(&e.fact), foreign(&e.value)];
        if times {
            row.extend([&e.first_seen, &e.last_seen].map(|time| foreign(day(time.as_deref().unwrap_or("")))));
        }
        if links {
            row.push(foreign(e.link.as_deref().unwrap_or("")));
        }
        rows.add_row(row);
    }
    write_table(out, &rows)?;
    if score.evidence_dropped > 0 {
        writeln!(out, "and {} more, left out for their size", score.evidence_dropped)?;
    }
    Ok(())
}

/// A time without its clock where that says nothing.
fn day(time: &str) -> &str {
    time.strip_suffix("T00:00:00.000Z").unwrap_or(time)
}

fn head(out: &mut impl Write, screen: Screen, score: &Score, at_ms: u64) -> io::Result<()> {
    let mut rows = table(screen, &[]);
    let mut row = |name: &str, cell: Cell| {
        rows.add_row([Cell::new(name), cell]);
    };
    row("entity", foreign(&score.entity));
    if score.original != score.entity {
        row("given as", foreign(&score.original));
    }
    let risk = format!("{} {}", risk(score), if screen.terminal { bar(score.risk) } else { String::new() });
    row("risk", tint(Cell::new(risk.trim_end()), score, screen));
    row("verdict", tint(Cell::new(verdict(score.verdict)), score, screen));
    if let Some(left) = now(score, score.effective_risk(at_ms)) {
        row("risk now", Cell::new(format!("{left:.1}")));
    }
    if let Some(special) = score.special {
        row("because", Cell::new(special.reason()));
    }
    if let Some(agreement) = score.agreement {
        row("agreement", Cell::new(format!("{agreement:.2}")));
    }
    let quorum = score.quorum;
    let met = if quorum.met { "met" } else { "not met" };
    row("quorum", Cell::new(format!("{met}: {} answered, {} needed", quorum.answered, quorum.needed)));
    for (name, status) in &score.sources {
        let took = score.source_ms.get(name).map_or_else(String::new, |ms| format!(", {ms} ms"));
        row("source", Cell::new(format!("{}: {}{took}", escape(name), status.as_str())));
    }
    if let Some(by) = &score.source {
        row("asked by", foreign(by));
    }
    if let Some(tlp) = &score.tlp {
        row("TLP", foreign(tlp));
    }
    if score.attempt > 0 {
        row(
            "scored again",
            Cell::new(format!("{}, for a quota", counted(score.attempt as usize, "time", "times"))),
        );
    }
    row("asked for", foreign(&score.requested_at));
    row("scored", foreign(&score.scored_at));
    if let Some(until) = &score.valid_until {
        let expired = if score.is_valid(at_ms) { "" } else { " (expired)" };
        row("valid until", foreign(&format!("{until}{expired}")));
    }
    write_table(out, &rows)
}

fn predictors(out: &mut impl Write, screen: Screen, score: &Score) -> io::Result<()> {
    let mut rows = table(screen, &["model", "probability", "weight", "version", "digest", "reason"]);
    for p in &score.predictors {
        rows.add_row([
            foreign(&p.model),
            number(p.probability.map_or_else(|| "-".to_owned(), |p| format!("{p:.4}"))),
            number(p.weight),
            foreign(p.version.as_deref().unwrap_or("-")),
            foreign(&short(p.digest.as_deref().unwrap_or("-"))),
            foreign(p.reason.as_deref().unwrap_or("")),
        ]);
    }
    write_table(out, &rows)
}

fn reasons(out: &mut impl Write, screen: Screen, reasons: &[Reason]) -> io::Result<()> {
    let mut rows = table(screen, &["points", "what it says", "feature", "value"]);
    for r in reasons {
        rows.add_row([
            number(format!("{:+.1}", r.points)),
            foreign(&reason::sentence(r)),
            foreign(&r.feature),
            number(reason::value(r.value)),
        ]);
    }
    write_table(out, &rows)
}

fn versions(out: &mut impl Write, screen: Screen, score: &Score) -> io::Result<()> {
    let mut rows = table(screen, &[]);
    rows.add_row([
        Cell::new("ensemble"),
        foreign(&score.ensemble.version),
        foreign(&short(&score.ensemble.digest)),
    ]);
    rows.add_row([Cell::new("schema"), Cell::new(""), foreign(&short(&score.schema))]);
    rows.add_row([Cell::new("batch"), Cell::new(""), foreign(&score.batch)]);
    rows.add_row([Cell::new("key"), Cell::new(""), foreign(&score.scored_key)]);
    write_table(out, &rows)
}

/// `sha256:` and the first twelve digits: enough to compare by eye; `--json` has the whole.
pub(crate) fn short(digest: &str) -> String {
    match digest.strip_prefix("sha256:").and_then(|hex| hex.get(..12)) {
        Some(start) => format!("sha256:{start}"),
        None => digest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tribunal_core::Verdict;
    use tribunal_core::message::SourceStatus;

    use super::*;
    use crate::show::scores::tests::example;

    #[test]
    fn everything_stored_is_shown_and_nothing_moves_the_cursor() {
        let mut score = example("paypa1-login.com", Verdict::Malicious, Some(97.25));
        score.source = Some("my\tfeed".to_owned());
        score.tlp = Some("amber+strict".to_owned());
        score.original = "hxxp://paypa1-login[.]com/\u{1b}[2J".to_owned();
        score.evidence.push(Evidence {
            source: "ip-ranges".to_owned(),
            fact: "asn".to_owned(),
            value: "AS64500 Evil\u{202e}".to_owned(),
            first_seen: None,
            last_seen: None,
            link: None,
        });
        score.evidence.push(Evidence {
            source: "feeds".to_owned(),
            fact: "seen on a feed".to_owned(),
            value: "alpha".to_owned(),
            first_seen: Some("2026-11-01T00:00:00.000Z".to_owned()),
            last_seen: Some("2026-11-03T10:20:30.000Z".to_owned()),
            link: Some("https://intel.example/paypa1-login%2Ecom".to_owned()),
        });
        score.evidence_dropped = 2;
        score.attempt = 1;
        score.sources.insert("feeds".to_owned(), SourceStatus::Ok);
        score.source_ms.insert("feeds".to_owned(), 12);
        score.sources.insert("ip-ranges".to_owned(), SourceStatus::OpenCircuit);
        score.valid_until = Some("2026-11-25T00:00:00.000Z".to_owned());
        let mut out = Vec::new();
        write(&mut out, Screen::PLAIN, &score, u64::MAX).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        insta::assert_snapshot!(text);
    }
}
