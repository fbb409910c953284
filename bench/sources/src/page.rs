//! The page for people: `docs/performance-sources.md`.

use std::fmt::Write as _;

use crate::concurrent::Concurrent;
use crate::dataset::{Measured, Structure};
use crate::dead::Dying;
use crate::lexical::Lexical;
use crate::results::Results;
use crate::spread::Spread;

/// What stands below the table of structures.
const RIVALS: &str = "
*hash map*: `HashMap<String, Row>` of the standard library. *fst map*: `fst::Map` from name to number, its bytes alone,
without columns. *network table*: `ip_network_table`, a tree bitmap. *sorted ranges*: a `Vec`, searched by halves. Each of
these holds its part of the list only, names or ranges, and the first two know no parents.
";

/// The figures that have a target, as a table.
pub(crate) fn targets(results: &Results) -> String {
    let mut text = String::from("| what | target | measured | runs | met |\n|---|--:|--:|--:|---|\n");
    for figure in &results.figures {
        let (target, value) = (amount(figure.target, figure.unit), amount(figure.value, figure.unit));
        let met = if figure.met { "yes" } else { "no" };
        push(
            &mut text,
            format_args!(
                "| {} | {} {target} | {value} | {} | {met} |\n",
                figure.what, figure.bound, figure.runs
            ),
        );
    }
    text
}

/// The whole page.
pub(crate) fn page(results: &Results) -> String {
    let mut text = String::from("# Performance of sources and extraction\n\n");
    text.push_str("Made by `make bench-sources` from what it also writes to `bench/results/sources.json`; do not edit. ");
    text.push_str("How it is measured:\n[bench/README.md](../bench/README.md#sources). Inference: ");
    text.push_str("[performance.md](performance.md).\n\n");
    let machine = &results.machine;
    let quiet =
        if machine.quiet { "quiet" } else { "**not quiet: others kept it busy, the figures do not count**" };
    push(&mut text, format_args!("- Processor: {}\n- Date: {}\n", machine.line(), results.date));
    push(&mut text, format_args!("- Machine: {quiet} (others: {:.2} processors)\n", machine.busy));
    let versions: Vec<String> =
        results.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    push(&mut text, format_args!("- Versions: {}\n\n", versions.join(", ")));
    text.push_str("Medians over the runs. Every answer of every run was checked.\n\n## Targets\n\n");
    text.push_str(&targets(results));
    if let Some(measured) = &results.concurrent {
        concurrent(&mut text, measured);
    }
    if let Some(measured) = &results.dataset {
        dataset(&mut text, measured);
    }
    if let Some(measured) = &results.dead {
        dead(&mut text, measured);
    }
    if let Some(measured) = &results.lexical {
        lexical(&mut text, measured);
    }
    text
}

fn concurrent(text: &mut String, measured: &Concurrent) {
    let Concurrent { entities, sources, delay_ms, .. } = measured;
    push(
        text,
        format_args!(
            "\n## {sources} sources at once\n\n{entities} entities, HTTP services on loopback that take {delay_ms} ms \
             for an answer. One after the other they\nwould take {} ms even batched. *Of itself*: what one service \
             takes for its requests, so many at once.\n\n",
            *sources as u64 * delay_ms
        ),
    );
    text.push_str("| mode | requests of a source | at once | of itself, ms | median, ms | 95 % within, ms | beyond, ms | \
         first batch, ms |\n",
    );
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for case in &measured.cases {
        let (ms, beyond) = (case.ms, case.beyond_ms.median);
        push(
            text,
            format_args!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
                case.mode,
                case.requests,
                case.concurrency,
                case.slowest_source_ms,
                plain(ms.median),
                plain(ms.p95),
                plain(beyond),
                plain(case.first_ms)
            ),
        );
    }
}

fn dataset(text: &mut String, measured: &Measured) {
    push(
        text,
        format_args!(
            "\n## A data set of {} names and {} ranges\n\nIts file has {}. In random order, one core, millions of lookups \
             per second; beside it what a program could hold the\nsame list in, in processes of their own, filled \
             from CSV in memory.\n\n",
            grouped(measured.domains as f64),
            grouped(measured.ranges as f64),
            amount(measured.file_bytes as f64, "bytes")
        ),
    );
    const KINDS: [(&str, &str); 7] = [
        ("domain_hit", "name"),
        ("domain_miss", "unknown name"),
        ("ipv4_hit", "IPv4"),
        ("ipv4_miss", "unknown IPv4"),
        ("ipv6_hit", "IPv6"),
        ("third_parent_hit", "third parent"),
        ("third_parent_hit_as_json_rows", "that, as rows of JSON"),
    ];
    let head: Vec<&str> = KINDS.iter().map(|(_, title)| *title).collect();
    push(
        text,
        format_args!(
            "| structure | load, ms | memory | {} |\n|---|--:|--:|{}\n",
            head.join(" | "),
            "--:|".repeat(KINDS.len())
        ),
    );
    for structure in std::iter::once(&measured.ours).chain(&measured.rivals) {
        let Structure { name, load_ms, memory_bytes, lookups_per_second } = structure;
        push(
            text,
            format_args!("| {name} | {} | {} |", plain(load_ms.median), amount(memory_bytes.median, "bytes")),
        );
        for (kind, _) in KINDS {
            let rate = lookups_per_second
                .get(kind)
                .map_or(String::new(), |rate| format!("{:.2}", rate.median / 1e6));
            push(text, format_args!(" {rate} |"));
        }
        text.push('\n');
    }
    text.push_str(RIVALS);
}

fn dead(text: &mut String, measured: &Dying) {
    push(
        text,
        format_args!(
            "\n## Every source dead\n\nA batch of {}, from entities to scores of {} models, and {} sources:\n{}.\nWithout \
             sources it takes {} ms. All features and scores are those of the batch without sources.\n\n",
            measured.entities,
            measured.models,
            measured.sources.len(),
            measured.sources.join(", "),
            plain(measured.without_sources_ms)
        ),
    );
    text.push_str(
        "| budget, ms | asked, ms | the slowest, ms | beyond the budget, ms | circuits open, ms |\n\
         |--:|--:|--:|--:|--:|\n",
    );
    for case in &measured.cases {
        let Spread { median, greatest, .. } = case.asked_ms;
        push(
            text,
            format_args!(
                "| {} | {} | {} | {} | {} |\n",
                case.budget_ms,
                plain(median),
                plain(greatest),
                plain(case.beyond_ms.median),
                plain(case.open_circuit_ms.median)
            ),
        );
    }
}

fn lexical(text: &mut String, measured: &Lexical) {
    let (rate, parsing) = (measured.per_second, measured.per_second_with_parsing);
    push(
        text,
        format_args!(
            "\n## Lexical extraction\n\n{} different names, {} features, one core: {} names per second (the slowest run {}), \
             from the\ntext on {}. The extractor is ready in {} ms.\n",
            grouped(measured.names as f64),
            measured.features,
            grouped(rate.median),
            grouped(rate.least),
            grouped(parsing.median),
            plain(measured.ready_ms)
        ),
    );
}

/// With its unit.
fn amount(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => format!("{:.1} MB", value / 1e6),
        "ms" => format!("{} ms", plain(value)),
        _ => format!("{} {unit}", grouped(value)),
    }
}

/// Three significant digits at least.
fn plain(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

/// A whole number, its thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(plain(12.345), "12.3");
        assert_eq!(amount(93_500_000.0, "bytes"), "93.5 MB");
    }
}
