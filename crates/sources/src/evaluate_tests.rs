use serde_json::json;

use super::*;

const NOW: u64 = 1_795_000_000_000;

fn made(toml: &str, rows: &Value) -> f32 {
    let config: FeatureConfig = toml::from_str(&format!("name = \"x\"\nmin = -1000.0\n{toml}")).unwrap();
    feature(&config, rows.as_array().unwrap(), NOW)
}

#[test]
fn every_transform_by_example() {
    let feeds = json!([
        {"feed": "a", "hits": 3, "seen": "2026-11-01", "tags": ["c2", "rat"]},
        {"feed": "b", "hits": "4.5", "seen": "2026-11-11T00:00:00Z", "tags": ["C2 panel"]},
        {"feed": "a", "hits": null, "seen": 1_793_000_000, "tags": []},
    ]);
    let cases = [
        ("transform = [\"count\"]", 3.0),
        ("field = \"hits\"\ntransform = [\"count\"]", 2.0),
        ("field = \"feed\"\ntransform = [\"distinct\"]", 2.0),
        ("field = \"hits\"\ntransform = [\"flag\"]", 1.0),
        ("field = \"hits\"\ntransform = [\"max\"]", 4.5),
        ("field = \"hits\"\ntransform = [\"min\"]", 3.0),
        ("field = \"hits\"\ntransform = [\"sum\"]", 7.5),
        ("field = \"hits\"\ntransform = [\"mean\"]", 3.75),
        ("field = \"hits\"", 3.0),
        ("field = \"hits\"\ntransform = [\"first\", \"log1p\"]", 4f64.ln() as f32),
        ("field = \"hits\"\ntransform = [{ scale = -10.0 }, \"log1p\"]", f32::NAN),
        ("field = \"hits\"\ntransform = [\"sum\", { scale = 2.0 }, \"log10\"]", 15f64.log10() as f32),
        ("field = \"seen\"\ntransform = [\"min\", \"age_days\"]", days(1_793_000_000_000)),
        (
            "field = \"seen\"\ntransform = [\"max\", \"age_days\"]",
            days(parse_rfc3339("2026-11-11T00:00:00Z").unwrap()),
        ),
        ("field = \"feed\"\ntransform = [\"first\", \"length\"]", 1.0),
        ("field = \"tags\"\ntransform = [\"count\"]", 3.0),
        ("field = \"/tags/0\"\ntransform = [{ contains = [\"c2\"] }, \"count\"]", 2.0),
        ("field = \"feed\"\ntransform = [{ equals = [\"b\"] }, \"count\"]", 1.0),
        ("field = \"hits\"\ntransform = [{ equals = [3.0] }, \"count\"]", 1.0),
        ("field = \"feed\"\ntransform = [{ lookup = { b = 7.0 } }]", 7.0),
        ("field = \"feed\"\nwhere = { tags = [\"c2\", \"x\"] }\ntransform = [\"count\"]", 1.0),
        ("field = \"feed\"\nwhere = { feed = [\"a\"], hits = [3] }\ntransform = [\"count\"]", 1.0),
        ("field = \"absent\"\ntransform = [\"max\"]", f32::NAN),
        ("field = \"tags\"\ntransform = [\"sum\"]", 0.0),
    ];
    for (toml, expected) in cases {
        let found = made(toml, &feeds);
        assert!(
            found == expected || (found.is_nan() && expected.is_nan()),
            "{toml}: {found}, not {expected}"
        );
    }
}

fn days(ms: u64) -> f32 {
    ((NOW - ms) as f64 / DAY_MS) as f32
}

#[test]
fn an_answer_that_knows_nothing_is_not_a_missing_one() {
    let none = json!([]);
    assert_eq!(made("transform = [\"count\"]", &none), 0.0);
    assert_eq!(made("transform = [\"flag\"]", &none), 0.0);
    assert!(made("field = \"rank\"\ntransform = [\"min\", \"log10\"]", &none).is_nan());
    assert_eq!(made("field = \"rank\"\nempty = 7.0", &none), 7.0);
}

#[test]
fn values_stay_within_their_range_and_finite() {
    let rows = json!([{"n": 1e300, "t": "2999-12-31", "s": "1e999"}]);
    assert_eq!(made("field = \"n\"\nmax = 5.0", &rows), 5.0);
    assert_eq!(made("field = \"t\"\ntransform = [\"age_days\"]", &rows), 0.0);
    assert!(made("field = \"s\"", &rows).is_nan());
    let huge = json!([{"n": (0..20_000).collect::<Vec<u32>>()}]);
    assert_eq!(made("field = \"n\"\ntransform = [\"count\"]", &huge), MAX_VALUES as f32);
}

#[test]
fn times_in_every_form() {
    let midnight = parse_rfc3339("2026-11-24T00:00:00Z").unwrap();
    for (value, expected) in [
        (json!("2026-11-24"), Some(midnight)),
        (json!("2026-11-24 00:00:00"), Some(midnight)),
        (json!("2026-11-24T00:00:00"), Some(midnight)),
        (json!("2026-11-24T01:00:00+01:00"), Some(midnight)),
        (json!(midnight / 1_000), Some(midnight)),
        (json!(midnight), Some(midnight)),
        (json!("24.11.2026"), None),
        (json!("äääääääääääääääääääää"), None),
        (json!(-5), None),
        (json!(true), None),
    ] {
        assert_eq!(time_of(&value), expected, "{value}");
    }
}

#[test]
fn evidence_is_bounded_merged_and_clean() {
    let configs: Vec<EvidenceConfig> = vec![
        toml::from_str("fact = \"on feed\"\nvalue = \"feed\"\nfirst_seen = \"at\"\nlast_seen = \"at\"")
            .unwrap(),
        toml::from_str("fact = \"tor exit\"\nwhere = { tor = [true] }").unwrap(),
    ];
    let mut rows = vec![
        json!({"feed": "a", "at": "2026-11-02"}),
        json!({"feed": "a", "at": "2026-11-01", "tor": true}),
        json!({"feed": "\u{1b}[31mred\r\n", "tor": false}),
        json!({"other": 1}),
        json!({"feed": "x".repeat(500)}),
    ];
    let found = evidence("feeds", &configs, Some("https://i.example/{entity}"), "a/b?.example", &rows);
    let shown: Vec<(&str, &str)> = found.iter().map(|e| (e.fact.as_str(), e.value.as_str())).collect();
    let cut = format!("{}…", "x".repeat(MAX_VALUE_CHARS - 1));
    assert_eq!(shown, [("on feed", "a"), ("on feed", "[31mred"), ("on feed", &cut), ("tor exit", "")]);
    assert_eq!(found[0].first_seen.as_deref(), Some("2026-11-01T00:00:00.000Z"));
    assert_eq!(found[0].last_seen.as_deref(), Some("2026-11-02T00:00:00.000Z"));
    assert_eq!(found[0].link.as_deref(), Some("https://i.example/a%2Fb%3F%2Eexample"));
    rows.extend((0..50).map(|n| json!({"feed": n.to_string()})));
    assert_eq!(evidence("feeds", &configs, None, "a.example", &rows).len(), MAX_EVIDENCE);
}
