use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::entity::Kind;
use crate::score::Verdict;

mod fields;
mod methods;

fn example() -> Value {
    json!({
        "version": "1",
        "members": [
            {"model": "xgboost", "weight": {"domain": 2.0, "ip": 1.0}},
            {"model": "lightgbm", "weight": {"domain": 1.0, "ip": 1.0}},
            {"model": "forest", "weight": {"domain": 1.0, "ip": 0.0}},
        ],
        "quorum": {"domain": 2, "ip": 1},
        "thresholds": {
            "domain": {"suspicious": 50.0, "malicious": 75.0},
            "ip": {"suspicious": 40.0, "malicious": 90.0},
        },
        "created": "2026-11-24T07:49:58.123Z",
        "metrics": {"domain": {"auc": 0.9}},
    })
}

fn parse(value: &Value) -> Result<EnsembleDefinition, DefinitionError> {
    EnsembleDefinition::parse(value.to_string().as_bytes())
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut definition = example();
    *definition.pointer_mut(pointer).unwrap() = value;
    definition
}

#[test]
fn a_definition_goes_there_and_back() {
    let definition = parse(&example()).unwrap();
    let again = EnsembleDefinition::parse(&serde_json::to_vec(&definition).unwrap()).unwrap();
    assert_eq!(definition, again);
    assert_eq!(
        definition.voters(Kind::Ip).map(|m| m.model.as_str()).collect::<Vec<_>>(),
        ["xgboost", "lightgbm"]
    );
}

#[test]
fn a_calibration_may_cover_one_kind() {
    let mut definition = example();
    definition["calibration"] = json!({"domain": {"method": "platt", "a": 1.5, "b": -0.25}});
    let definition = parse(&definition).unwrap();
    assert_eq!(
        definition.calibration,
        PerKind { domain: Some(Calibration::Platt { a: 1.5, b: -0.25 }), ip: None }
    );
}

#[test]
fn what_is_wrong_is_named_with_value_and_limit() {
    let cases = [
        ("/version", json!("a b"), r#"version is "a b"; 1 to 64 of A-Z"#),
        ("/version", json!(""), r#"version is ""; 1 to 64 of A-Z"#),
        ("/members", json!([]), "members is 0 members; 1 to 8 are allowed"),
        ("/members/1/model", json!("Light GBM"), r#"members[1].model is "Light GBM"; 1 to 64"#),
        ("/members/1/model", json!("../x"), r#"members[1].model is "../x"; 1 to 64"#),
        (
            "/members/2/model",
            json!("xgboost"),
            "members[2].model is xgboost; members[0] has that name already",
        ),
        (
            "/members/0/weight/ip",
            json!(-1),
            "members[0].weight.ip is -1; 0, or 0.000001 to 1000000, is allowed",
        ),
        ("/members/0/weight/ip", json!(1e300), "; 0, or 0.000001 to 1000000, is allowed"),
        ("/members/0/weight/ip", json!(1e-9), "members[0].weight.ip is 0.000000001; 0, or"),
        ("/quorum/domain", json!(0), "quorum.domain is 0; 1 to 3 is allowed"),
        ("/quorum/ip", json!(3), "quorum.ip is 3; 1 to 2 is allowed"),
        ("/thresholds/ip/suspicious", json!(-0.5), "thresholds.ip.suspicious is -0.5; 0 to 100 is allowed"),
        (
            "/thresholds/domain/malicious",
            json!(49),
            "thresholds.domain.malicious is 49; 50 (thresholds.domain.",
        ),
        ("/thresholds/domain/malicious", json!(100.5), "thresholds.domain.malicious is 100.5; 50 "),
    ];
    for (pointer, value, expected) in cases {
        let error = parse(&changed(pointer, value)).unwrap_err().to_string();
        assert!(error.contains(expected), "{pointer}: {error}");
    }
    let mut no_say = example();
    for i in 0..3 {
        no_say["members"][i]["weight"]["ip"] = json!(0);
    }
    let error = parse(&no_say).unwrap_err().to_string();
    assert_eq!(error, "ensemble definition: members[*].weight.ip is 0; at least one has to be above 0");
    for (a, b, expected) in
        [(0.0, 0.0, "calibration.ip.a is 0; 0.001 to 100"), (1.0, 1e3, "calibration.ip.b is 1000")]
    {
        let mut definition = example();
        definition["calibration"] = json!({"ip": {"method": "platt", "a": a, "b": b}});
        let error = parse(&definition).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn numbers_that_json_cannot_carry_are_refused_too() {
    let mut definition = parse(&example()).unwrap();
    definition.members[0].weight.domain = f64::NAN;
    assert!(definition.validate().is_err());
    let mut definition = parse(&example()).unwrap();
    definition.thresholds.ip.malicious = f64::NAN;
    assert!(definition.validate().is_err());
}

#[test]
fn other_forms_are_refused() {
    let mut unknown = example();
    unknown["wieghts"] = json!({});
    let mut inner = example();
    inner["members"][0]["weight"]["url"] = json!(1.0);
    for text in ["", "null", "[]", "{}", &"[".repeat(1_000), &unknown.to_string(), &inner.to_string()] {
        let error = EnsembleDefinition::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, DefinitionError::NotOfTheForm(_)), "{text}: {error}");
    }
    let large = vec![b' '; MAX_DEFINITION_BYTES + 1];
    assert!(matches!(EnsembleDefinition::parse(&large), Err(DefinitionError::TooLarge { bytes: 4_194_305 })));
}

type Case<'a> = (&'a str, Kind, &'a [(&'a str, Option<f32>)], Option<f64>, Verdict, usize);

#[test]
fn the_formula_by_hand() {
    use Kind::{Domain, Ip};
    let definition = parse(&example()).unwrap();
    let cases: [Case<'_>; 13] = [
        (
            "all",
            Domain,
            &[("xgboost", Some(0.5)), ("lightgbm", Some(0.75)), ("forest", Some(0.25))],
            Some(50.0),
            Verdict::Suspicious,
            3,
        ),
        (
            "just below",
            Domain,
            &[("xgboost", Some(0.5)), ("lightgbm", Some(0.5)), ("forest", Some(0.25))],
            Some(43.75),
            Verdict::Benign,
            3,
        ),
        (
            "at malicious",
            Domain,
            &[("xgboost", Some(0.75)), ("lightgbm", Some(0.75))],
            Some(75.0),
            Verdict::Malicious,
            2,
        ),
        (
            "one missing",
            Domain,
            &[("lightgbm", Some(1.0)), ("forest", Some(0.5))],
            Some(75.0),
            Verdict::Malicious,
            2,
        ),
        (
            "abstains",
            Domain,
            &[("xgboost", None), ("lightgbm", Some(0.25)), ("forest", Some(0.25))],
            Some(25.0),
            Verdict::Benign,
            2,
        ),
        ("no quorum", Domain, &[("xgboost", Some(1.0))], None, Verdict::Unknown, 1),
        ("nobody", Domain, &[], None, Verdict::Unknown, 0),
        ("stranger", Domain, &[("other", Some(1.0)), ("xgboost", Some(1.0))], None, Verdict::Unknown, 1),
        (
            "twice",
            Domain,
            &[("xgboost", Some(1.0)), ("xgboost", Some(1.0)), ("forest", Some(1.0))],
            None,
            Verdict::Unknown,
            1,
        ),
        ("zero weight", Ip, &[("forest", Some(1.0))], None, Verdict::Unknown, 0),
        (
            "zero weight aside",
            Ip,
            &[("forest", Some(1.0)), ("xgboost", Some(0.25))],
            Some(25.0),
            Verdict::Benign,
            1,
        ),
        (
            "not numbers",
            Ip,
            &[("xgboost", Some(f32::NAN)), ("lightgbm", Some(1.5))],
            None,
            Verdict::Unknown,
            0,
        ),
        (
            "the ends",
            Ip,
            &[("xgboost", Some(0.0)), ("lightgbm", Some(1.0))],
            Some(50.0),
            Verdict::Suspicious,
            2,
        ),
    ];
    for (name, kind, predictions, risk, verdict, answered) in cases {
        let combined = definition.combine(kind, predictions);
        assert_eq!((combined.risk, combined.verdict), (risk, verdict), "{name}");
        assert_eq!(combined.quorum.answered, answered, "{name}");
        assert_eq!(combined.quorum.met, risk.is_some(), "{name}");
        assert_eq!(combined.members.len(), 3, "{name}");
    }
}

#[test]
fn who_does_not_count_says_why() {
    let definition = parse(&example()).unwrap();
    let reasons = |predictions: &[(&str, Option<f32>)]| -> Vec<String> {
        let members = definition.combine(Kind::Ip, predictions).members;
        members.iter().map(|m| m.probability.map_or_else(|r| r.to_string(), |p| p.to_string())).collect()
    };
    assert_eq!(reasons(&[]), ["no prediction", "no prediction", "weight 0 for this kind"]);
    assert_eq!(
        reasons(&[("lightgbm", None), ("xgboost", Some(-0.5)), ("forest", Some(0.5))]),
        ["probability -0.5 is outside 0 to 1", "abstained", "weight 0 for this kind"]
    );
    assert_eq!(
        reasons(&[("xgboost", Some(f32::INFINITY)), ("lightgbm", Some(f32::NAN))])[..2],
        ["probability inf is outside 0 to 1", "probability NaN is outside 0 to 1"]
    );
    assert_eq!(reasons(&[("xgboost", Some(0.5)), ("xgboost", None)])[0], "more than one prediction");
}

#[test]
fn agreement_needs_two() {
    let definition = parse(&example()).unwrap();
    let agreement =
        |predictions: &[(&str, Option<f32>)]| definition.combine(Kind::Domain, predictions).agreement;
    assert_eq!(agreement(&[("xgboost", Some(0.5))]), None);
    assert_eq!(agreement(&[("xgboost", Some(0.5)), ("forest", Some(0.75))]), Some(0.75));
    assert_eq!(
        agreement(&[("xgboost", Some(1.0)), ("forest", Some(0.0)), ("lightgbm", Some(0.5))]),
        Some(0.0)
    );
}

#[test]
fn a_calibration_bends_the_mean() {
    let mut definition = parse(&example()).unwrap();
    definition.calibration.domain = Some(Calibration::Platt { a: 1.0, b: 0.0 });
    let risk = |definition: &EnsembleDefinition, p: f32| {
        definition.combine(Kind::Domain, &[("xgboost", Some(p)), ("forest", Some(p))]).risk.unwrap()
    };
    for p in [0.0, 0.125, 0.5, 0.75, 1.0] {
        assert_eq!(risk(&definition, p), f64::from(p) * 100.0, "the identity");
    }
    definition.calibration.domain = Some(Calibration::Platt { a: 1.0, b: -(3.0_f64.ln()) });
    assert_eq!([0.0, 0.5, 1.0].map(|p| risk(&definition, p)), [0.0, 25.0, 100.0], "odds divided by three");
    definition.calibration.domain = Some(Calibration::Platt { a: 2.0, b: 0.0 });
    assert_eq!(risk(&definition, 0.75), 90.0, "odds squared: 3 to 9");
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Mean),
        Just(Method::Median),
        Just(Method::Maximum),
        Just(Method::NoisyOr),
        (-10.0..=10.0_f64).prop_map(|bias| Method::Logistic { bias }),
    ]
}

fn definitions() -> impl Strategy<Value = EnsembleDefinition> {
    let weight = prop_oneof![Just(0.0), 1e-6..=1e6_f64, Just(1.0)];
    let calibration = prop::option::of((1e-3..=100.0_f64, -100.0..=100.0_f64));
    (
        prop::collection::vec((weight.clone(), weight), 1..=6),
        calibration,
        0.0..=100.0_f64,
        0.0..=100.0_f64,
        1..=6_usize,
        (methods(), methods()),
    )
        .prop_map(|(weights, calibration, t, u, quorum, (domain, ip))| {
            let mut members: Vec<Member> = weights
                .iter()
                .enumerate()
                .map(|(i, (domain, ip))| Member {
                    model: format!("m{i}"),
                    weight: PerKind { domain: *domain, ip: *ip },
                    required: false,
                })
                .collect();
            members[0].weight = PerKind { domain: 1.0, ip: 1.0 };
            let voters = |kind: Kind| members.iter().filter(|m| *m.weight.get(kind) > 0.0).count();
            let quorum =
                PerKind { domain: quorum.min(voters(Kind::Domain)), ip: quorum.min(voters(Kind::Ip)) };
            let thresholds = Thresholds { suspicious: t.min(u), malicious: t.max(u) };
            EnsembleDefinition {
                version: "1".to_owned(),
                members,
                method: PerKind { domain, ip },
                quorum,
                thresholds: PerKind { domain: thresholds, ip: thresholds },
                calibration: PerKind {
                    domain: calibration.map(|(a, b)| Calibration::Platt { a, b }),
                    ip: None,
                },
                profiles: BTreeMap::new(),
                base_rate: None,
                lists: Vec::new(),
                half_life_hours: BTreeMap::new(),
                valid_hours: None,
                created: "2026-11-24T07:49:58.123Z".to_owned(),
                metrics: Value::Null,
            }
        })
}

fn probabilities() -> impl Strategy<Value = Vec<Option<f32>>> {
    let one = prop_oneof![
        4 => (0.0..=1.0_f32).prop_map(Some),
        1 => Just(None),
        1 => prop::num::f32::ANY.prop_map(Some),
        1 => prop::sample::select(vec![0.0, 1.0, f32::MIN_POSITIVE, f32::from_bits(1)]).prop_map(Some),
    ];
    prop::collection::vec(one, 6)
}

fn named<'a>(names: &'a [String], values: &[Option<f32>]) -> Vec<(&'a str, Option<f32>)> {
    names.iter().map(String::as_str).zip(values.iter().copied()).collect()
}

fn names() -> Vec<String> {
    (0..6).map(|i| format!("m{i}")).collect()
}

proptest! {
    #[test]
    fn every_definition_made_here_is_valid_and_every_result_in_bounds(
        d in definitions(),
        p in probabilities(),
    ) {
        d.validate().unwrap();
        for kind in Kind::ALL {
            let combined = d.combine(kind, &named(&names(), &p));
            let counted: Vec<f32> = combined.members.iter().filter_map(|m| m.probability.ok()).collect();
            prop_assert_eq!(counted.len(), combined.quorum.answered);
            prop_assert_eq!(combined.risk.is_some(), counted.len() >= *d.quorum.get(kind));
            prop_assert_eq!(combined.risk.is_none(), combined.verdict == Verdict::Unknown);
            prop_assert!(combined.agreement.is_none_or(|a| (0.0..=1.0).contains(&a)));
            let shares: f64 = combined.members.iter().map(|m| m.share).sum();
            prop_assert!(counted.is_empty() || (shares - 1.0).abs() < 1e-9, "{}", shares);
            if let Some(risk) = combined.risk {
                prop_assert!((0.0..=100.0).contains(&risk), "{}", risk);
                prop_assert_eq!(combined.verdict, d.verdict(kind, Some(risk)));
                let is_logistic = matches!(d.method.get(kind), Method::Logistic { .. });
                if d.calibration.get(kind).is_none() && !is_logistic {
                    let least = f64::from(counted.iter().copied().fold(1.0, f32::min)) * 100.0;
                    let most = f64::from(counted.iter().copied().fold(0.0, f32::max)) * 100.0;
                    prop_assert!(risk >= least - 1e-6 && risk <= most + 1e-6, "{} {} {}", least, risk, most);
                }
            }
        }
    }

    #[test]
    fn the_order_of_predictions_is_irrelevant(d in definitions(), p in probabilities(), turn in 0..6_usize) {
        let names = names();
        let predictions = named(&names, &p);
        let mut turned = predictions.clone();
        turned.rotate_left(turn);
        turned.swap(0, 5);
        for kind in Kind::ALL {
            // Compared as text: two NaN are the same reason.
            let (one, other) = (d.combine(kind, &predictions), d.combine(kind, &turned));
            prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
    }

    #[test]
    fn a_risk_never_falls_when_a_probability_rises(
        d in definitions(),
        p in prop::collection::vec(0.0..=1.0_f32, 6),
        which in 0..6_usize,
        to in 0.0..=1.0_f32,
    ) {
        let before: Vec<Option<f32>> = p.iter().copied().map(Some).collect();
        let mut after = before.clone();
        after[which] = Some(to.max(p[which]));
        for kind in Kind::ALL {
            let risk = |values: &[Option<f32>]| d.combine(kind, &named(&names(), values)).risk.unwrap();
            prop_assert!(risk(&after) >= risk(&before));
        }
    }

    #[test]
    fn a_missing_member_equals_a_definition_without_it(
        d in definitions(),
        p in prop::collection::vec(0.0..=1.0_f32, 6),
        mask in prop::collection::vec(any::<bool>(), 6),
    ) {
        let names = names();
        let all = names.iter().zip(&p).zip(&mask);
        let present: Vec<(&str, Option<f32>)> =
            all.filter(|(_, keep)| **keep).map(|((name, p), _)| (name.as_str(), Some(*p))).collect();
        // In logistic stacking the weights of those who are missing count: by them the bias keeps its part.
        let mut d = d;
        d.method = PerKind { domain: d.method.domain, ip: Method::Mean };
        if matches!(d.method.domain, Method::Logistic { .. }) {
            d.method.domain = Method::Median;
        }
        let mut smaller = d.clone();
        smaller.members.retain(|m| present.iter().any(|(n, _)| *n == m.model));
        for kind in Kind::ALL {
            let (with, without) = (d.combine(kind, &present), smaller.combine(kind, &present));
            prop_assert_eq!(with.risk, without.risk);
            prop_assert_eq!(with.quorum, without.quorum);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(EnsembleDefinition::parse(&bytes).is_err());
    }
}
