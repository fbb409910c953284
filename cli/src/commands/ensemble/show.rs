//! `ensemble show` and `ensemble lists`: a definition as tables.

use std::io::Write;
use std::path::Path;

use comfy_table::Table;
use serde_json::json;
use tribunal_core::Kind;
use tribunal_core::digest::sha256;
use tribunal_core::ensemble::{Calibration, EnsembleDefinition, ListEntry, Method, PerKind, Thresholds};
use tribunal_core::score::ListAction;
use tribunal_core::time::parse_rfc3339;

use super::edit::has_expired;
use super::{Place, read, required};
use crate::exit::Outcome;
use crate::globals::Globals;
use crate::output::{Screen, counted, escape, foreign, json_line, number, shown, table, write_table};
use crate::show::detail::short;
use crate::show::note;
use crate::when::age;

/// Shows the definition in force.
pub(super) async fn published(place: &Place, globals: &Globals) -> anyhow::Result<Outcome> {
    let registry = place.open(globals).await?;
    let found = required(&registry).await?;
    show(registry.location(), &found.digest, &found.definition, globals)
}

/// Shows a definition in a file.
pub(super) fn file(path: &Path, globals: &Globals) -> anyhow::Result<Outcome> {
    let (definition, bytes) = read(path)?;
    show(&shown(path), &sha256(&bytes), &definition, globals)
}

fn show(
    location: &str,
    digest: &str,
    definition: &EnsembleDefinition,
    globals: &Globals,
) -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    if globals.json {
        let value = json!({"location": location, "digest": digest, "definition": definition});
        json_line(&mut out, &value)?;
        return Ok(Outcome::Done);
    }
    write(&mut out, location, digest, definition, globals.screen())?;
    Ok(Outcome::Done)
}

fn write(
    out: &mut impl Write,
    location: &str,
    digest: &str,
    definition: &EnsembleDefinition,
    screen: Screen,
) -> anyhow::Result<()> {
    let (version, created) = (escape(&definition.version), escape(&definition.created));
    writeln!(out, "{}: version {version}, {}, made {created}\n", escape(location), short(digest))?;
    write_table(out, &members(definition, screen))?;
    writeln!(out)?;
    write_table(out, &kinds(definition, screen))?;
    if !definition.profiles.is_empty() {
        writeln!(out)?;
        write_table(out, &profiles(definition, screen))?;
    }
    if !definition.half_life_hours.is_empty() {
        writeln!(out)?;
        let mut rows = table(screen, &["source", "half-life, h"]);
        for (kind, hours) in &definition.half_life_hours {
            rows.add_row([foreign(kind), number(hours)]);
        }
        write_table(out, &rows)?;
    }
    writeln!(out)?;
    write_lists(out, &definition.lists, tribunal_runtime::now_ms(), screen)?;
    Ok(())
}

fn members(definition: &EnsembleDefinition, screen: Screen) -> Table {
    let mut rows = table(screen, &["member", "weight domain", "weight ip", "required"]);
    for member in &definition.members {
        let required = if member.required { "yes" } else { "" };
        rows.add_row([
            foreign(&member.model),
            number(member.weight.domain),
            number(member.weight.ip),
            foreign(required),
        ]);
    }
    rows
}

/// One row per setting, one column per kind.
fn kinds(definition: &EnsembleDefinition, screen: Screen) -> Table {
    let mut rows = table(screen, &["", "domain", "ip"]);
    let mut row = |title: &str, value: &dyn Fn(Kind) -> String| {
        rows.add_row([foreign(title), number(value(Kind::Domain)), number(value(Kind::Ip))]);
    };
    row("method", &|kind| method(definition.method.get(kind)));
    row("calibration", &|kind| calibration(definition.calibration.get(kind).as_ref()));
    row("quorum", &|kind| definition.quorum.get(kind).to_string());
    row("suspicious from", &|kind| definition.thresholds.get(kind).suspicious.to_string());
    row("malicious from", &|kind| definition.thresholds.get(kind).malicious.to_string());
    let optional =
        |value: Option<&PerKind<f64>>, kind| value.map_or(String::new(), |v| v.get(kind).to_string());
    if definition.base_rate.is_some() {
        row("base rate", &|kind| optional(definition.base_rate.as_ref(), kind));
    }
    if definition.valid_hours.is_some() {
        row("valid, h", &|kind| optional(definition.valid_hours.as_ref(), kind));
    }
    rows
}

fn method(method: &Method) -> String {
    match method {
        Method::Mean => "mean".to_owned(),
        Method::Median => "median".to_owned(),
        Method::Maximum => "maximum".to_owned(),
        Method::NoisyOr => "noisy or".to_owned(),
        Method::Logistic { bias } => format!("logistic, bias {bias}"),
    }
}

fn calibration(calibration: Option<&Calibration>) -> String {
    match calibration {
        None => "none".to_owned(),
        Some(Calibration::Platt { a, b }) => format!("platt, a {a}, b {b}"),
        Some(Calibration::Isotonic { x, .. }) => format!("isotonic, {} points", x.len()),
    }
}

fn profiles(definition: &EnsembleDefinition, screen: Screen) -> Table {
    let mut rows = table(screen, &["profile", "kind", "suspicious from", "malicious from"]);
    for (name, profile) in &definition.profiles {
        for kind in Kind::ALL {
            let Thresholds { suspicious, malicious } = profile.get(kind);
            rows.add_row([foreign(name), foreign(kind.as_str()), number(suspicious), number(malicious)]);
        }
    }
    rows
}

/// Shows the lists in force.
pub(super) async fn lists(place: &Place, globals: &Globals) -> anyhow::Result<Outcome> {
    let registry = place.open(globals).await?;
    let found = required(&registry).await?;
    let now_ms = tribunal_runtime::now_ms();
    let mut out = std::io::stdout().lock();
    if globals.json {
        let entries: Vec<_> = found.definition.lists.iter().map(|entry| as_json(entry, now_ms)).collect();
        let value = json!({"location": registry.location(), "version": found.definition.version,
            "digest": found.digest, "lists": entries});
        json_line(&mut out, &value)?;
    } else if found.definition.lists.is_empty() {
        note("no entries: `tribunal ensemble allow` and `tribunal ensemble deny` make them");
    } else {
        write_lists(&mut out, &found.definition.lists, now_ms, globals.screen())?;
    }
    Ok(Outcome::Done)
}

fn as_json(entry: &ListEntry, now_ms: u64) -> serde_json::Value {
    json!({"match": entry.pattern, "action": entry.action, "reason": entry.reason, "expires": entry.expires,
        "expired": has_expired(entry, now_ms)})
}

fn write_lists(
    out: &mut impl Write,
    lists: &[ListEntry],
    now_ms: u64,
    screen: Screen,
) -> std::io::Result<()> {
    if lists.is_empty() {
        return writeln!(out, "no entries on the lists");
    }
    let mut rows = table(screen, &["match", "action", "ends", "reason"]);
    for entry in lists {
        let action = match entry.action {
            ListAction::Allow => "allow",
            ListAction::Deny => "deny",
        };
        rows.add_row([
            foreign(&entry.pattern),
            foreign(action),
            foreign(&ends(entry, now_ms)),
            foreign(&entry.reason),
        ]);
    }
    write_table(out, &rows)?;
    let expired = lists.iter().filter(|entry| has_expired(entry, now_ms)).count();
    if expired > 0 {
        let entries = counted(expired, "entry has expired", "entries have expired");
        writeln!(out, "{entries}: `tribunal ensemble remove --expired`")?;
    }
    Ok(())
}

fn ends(entry: &ListEntry, now_ms: u64) -> String {
    match entry.expires.as_deref() {
        None => "never".to_owned(),
        Some(_) if has_expired(entry, now_ms) => "expired".to_owned(),
        Some(expires) => format!("in {}", age(now_ms, parse_rfc3339(expires).unwrap_or(now_ms))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_521_600_000; // 2026-11-24T12:00:00Z

    #[test]
    fn lists_are_shown_in_their_order_with_what_is_left_and_harmless() {
        let entry = |pattern: &str, action, reason: &str, expires: Option<&str>| ListEntry {
            pattern: pattern.into(),
            action,
            reason: reason.into(),
            expires: expires.map(str::to_owned),
        };
        let lists = [
            entry("portal.example", ListAction::Allow, "ours", Some("2026-11-30T12:00:00Z")),
            entry("*.evil.example", ListAction::Deny, "May\u{202e}", None),
            entry("192.0.2.0/24", ListAction::Deny, "old", Some("2026-11-24T12:00:00Z")),
        ];
        let mut out = Vec::new();
        write_lists(&mut out, &lists, NOON, Screen::PLAIN).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
         match           action  ends     reason
         portal.example  allow   in 6 d   ours
         *.evil.example  deny    never    May\u{202e}
         192.0.2.0/24    deny    expired  old
        1 entry has expired: `tribunal ensemble remove --expired`
        ");
    }
}
