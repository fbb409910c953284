use std::collections::BTreeMap;

use tribunal_core::message::{Evidence, SourceStatus};
use tribunal_core::score::{EnsembleRef, Group, Interval, PredictorOutcome, Quorum, Reason};
use tribunal_core::{Kind, SpecialUse};

use super::*;

/// A score for tests of what is shown.
pub(crate) fn example(entity: &str, verdict: Verdict, risk: Option<f64>) -> Score {
    let routable = verdict != Verdict::NotRoutable;
    let answered = if risk.is_some() { 2 } else { 0 };
    let predictor = |model: &str, probability: Option<f32>| PredictorOutcome {
        model: model.to_owned(),
        version: probability.map(|_| "1".to_owned()),
        digest: probability.map(|_| format!("sha256:{}", "ab".repeat(32))),
        probability,
        weight: 1.0,
        points: None,
        reason: probability.is_none().then(|| "ModelUnavailable: models/x: digest mismatch".to_owned()),
    };
    let reason = |feature: &str, value, points| Reason {
        feature: feature.to_owned(),
        value,
        points,
        source: "entity".to_owned(),
        text: format!("{feature} in words"),
    };
    Score {
        entity: entity.to_owned(),
        scored_key: "2026-11-24T07:49:58.123Z#r-1".to_owned(),
        kind: Kind::Domain,
        original: entity.replace('.', "[.]"),
        source: None,
        tlp: None,
        attempt: 0,
        requested_at: "2026-11-24T07:49:58.123Z".to_owned(),
        scored_at: "2026-11-24T07:49:58.456Z".to_owned(),
        batch: "b-1".to_owned(),
        risk,
        verdict,
        agreement: risk.map(|_| 0.913),
        quorum: Quorum { met: risk.is_some(), needed: 2, answered },
        predictors: if routable {
            let p = risk.map(|r| (r / 100.0) as f32);
            vec![predictor("xgboost", p), predictor("forest", p), predictor("lightgbm", None)]
        } else {
            Vec::new()
        },
        interval: None,
        base_risk: risk.map(|_| 10.0),
        other_points: risk.map(|r| r - 10.0 - 12.0 + 5.0),
        groups: Vec::new(),
        profiles: BTreeMap::new(),
        listed: None,
        valid_until: None,
        reasons: if risk.is_some() {
            vec![reason("tld_rate", Some(0.834), 12.0), reason("name_length", None, -5.0)]
        } else {
            Vec::new()
        },
        evidence: Vec::new(),
        evidence_dropped: 0,
        sources: BTreeMap::new(),
        source_ms: BTreeMap::new(),
        special: (!routable).then_some(SpecialUse::Localhost),
        schema: "sha256:00".to_owned(),
        ensemble: EnsembleRef { version: "1".to_owned(), digest: "sha256:01".to_owned() },
    }
}

/// An explained score, of two sources, with one that did not answer.
pub(crate) fn explained() -> Score {
    let mut score = example("paypa1-login.com", Verdict::Malicious, Some(92.5));
    let reason = |feature: &str, value, points, source: &str, text: &str| Reason {
        feature: feature.to_owned(),
        value,
        points,
        source: source.to_owned(),
        text: text.to_owned(),
    };
    score.base_risk = Some(12.5);
    score.reasons = vec![
        reason("lm_score", Some(-4.1), 40.0, "entity", "name looks generated (log-likelihood -4.1)"),
        reason("feeds_count", Some(3.0), 30.0, "feeds", "seen on 3 feeds, first 2 days ago"),
        reason("tld_rate", Some(0.02), -6.5, "entity", "few names under com are malicious, as far as known"),
        reason("feeds_age", Some(2.0), 0.2, "feeds", ""),
    ];
    let group = |source: &str, kind: &str, points, half_life_hours| Group {
        source: source.to_owned(),
        kind: kind.to_owned(),
        points,
        half_life_hours,
    };
    score.groups = vec![group("feeds", "dataset", 31.7, Some(72.0)), group("entity", "entity", 48.3, None)];
    score.other_points = Some(16.3);
    score.interval = Some(Interval { low: 71.0, high: 98.0 });
    score.predictors[0].points = Some(45.0);
    score.predictors[1].points = Some(35.0);
    score.valid_until = Some("2026-11-25T07:49:58.456Z".to_owned());
    score.sources.insert("feeds".to_owned(), SourceStatus::Ok);
    score.sources.insert("whois".to_owned(), SourceStatus::Timeout);
    score.evidence.push(Evidence {
        source: "feeds".to_owned(),
        fact: "seen on a feed".to_owned(),
        value: "alpha".to_owned(),
        first_seen: Some("2026-11-22T00:00:00.000Z".to_owned()),
        last_seen: None,
        link: None,
    });
    score
}

fn examples() -> Vec<Score> {
    vec![
        example("localhost", Verdict::NotRoutable, None),
        example("good.org", Verdict::Benign, Some(0.4)),
        example("paypa1-login.com", Verdict::Malicious, Some(97.25)),
        example("nobody-answers.com", Verdict::Unknown, None),
        example("b.odd.biz", Verdict::Suspicious, Some(55.0)),
        example("a.odd.biz", Verdict::Suspicious, Some(55.0)),
    ]
}

#[test]
fn the_table_has_the_riskiest_first() {
    let mut scores = examples();
    scores.sort_by(riskiest_first);
    let mut out = Vec::new();
    write(&mut out, Screen::PLAIN, &scores, true).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn on_a_terminal_there_are_bars_and_colours() {
    let screen = Screen { terminal: false, color: true };
    let mut out = Vec::new();
    write(&mut out, screen, &[example("x.com", Verdict::Malicious, Some(97.0))], false).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\u{1b}["), "{text:?}");
    assert_eq!(bar(Some(100.0)), "████████");
    assert_eq!(bar(Some(50.0)), "████");
    assert_eq!(bar(Some(1.6)), "▏");
    assert_eq!(bar(Some(0.0)), "");
    assert_eq!(bar(Some(f64::NAN)), "");
    assert_eq!(bar(None), "");
}

#[test]
fn the_summary_counts_verdicts() {
    insta::assert_snapshot!(
        Summary::of(&examples()).text(),
        @"6 entities scored: 1 malicious, 2 suspicious, 1 benign, 1 unknown, 1 not routable"
    );
    assert_eq!(Summary::default().text(), "0 entities scored");
}

#[test]
fn the_main_reason_points_towards_the_verdict() {
    assert_eq!(main_reason(&example("x.com", Verdict::Malicious, Some(97.0))), "tld_rate in words ↑");
    assert_eq!(
        main_reason(&example("x.com", Verdict::Benign, Some(1.0))),
        "tld_rate in words ↑",
        "the strongest"
    );
    let mut down = example("x.com", Verdict::Suspicious, Some(60.0));
    down.reasons.swap(0, 1);
    assert_eq!(main_reason(&down), "tld_rate in words ↑", "the strongest towards the alarm");
    down.verdict = Verdict::Benign;
    assert_eq!(main_reason(&down), "name_length in words ↓");
    assert_eq!(
        main_reason(&example("x.com", Verdict::Unknown, None)),
        "ModelUnavailable: models/x: digest mismatch"
    );
}
