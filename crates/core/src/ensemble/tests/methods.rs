//! Methods, intervals and attributions against `training/goldens/ensemble_cases.py`.

use super::*;
use crate::message::Explanation;

fn goldens() -> Vec<Value> {
    let text = include_str!("../../../tests/data/ensemble.json");
    let mut goldens: Value = serde_json::from_str(text).unwrap();
    goldens["cases"].as_array_mut().map(std::mem::take).unwrap()
}

fn numbers(value: &Value) -> Vec<Option<f64>> {
    value.as_array().unwrap().iter().map(Value::as_f64).collect()
}

fn golden_definition(case: &Value) -> EnsembleDefinition {
    let members: Vec<Value> = numbers(&case["weights"])
        .iter()
        .enumerate()
        .map(|(i, w)| json!({"model": format!("m{i}"), "weight": {"domain": w, "ip": 1.0}}))
        .collect();
    let mut definition = example();
    definition["members"] = json!(members);
    definition["quorum"] = json!({"domain": 1, "ip": 1});
    definition["method"] = json!({"domain": case["method"], "ip": {"method": "mean"}});
    definition["calibration"] = json!({"domain": case["calibration"]});
    parse(&definition).unwrap()
}

fn explanation(base_probability: f64) -> Explanation {
    Explanation {
        base: 0.0,
        base_probability: base_probability as f32,
        margin: 1.0,
        top: vec![(0, 1.0)],
        rest: 0.0,
        grams: Vec::new(),
    }
}

#[test]
fn risks_and_points_are_those_of_the_definition_in_python() {
    let goldens = goldens();
    assert!(goldens.len() >= 50);
    for (at, case) in goldens.iter().enumerate() {
        let definition = golden_definition(case);
        let p: Vec<Option<f32>> = numbers(&case["p"]).into_iter().map(|p| p.map(|p| p as f32)).collect();
        let combined = definition.combine(Kind::Domain, &named(&names8(), &p));
        let close = |name: &str, got: f64, expected: f64| {
            assert!((got - expected).abs() < 2e-6, "case {at}, {name}: {got}, expected {expected}: {case}");
        };
        close("risk", combined.risk.unwrap(), case["risk"].as_f64().unwrap());
        let explanations: Vec<_> =
            numbers(&case["base"]).into_iter().map(|base| base.map(explanation)).collect();
        let explanations: Vec<_> = explanations.iter().map(Option::as_ref).collect();
        let Some(attribution) = definition.attribute(Kind::Domain, &combined, &explanations, 1) else {
            assert!(case["base_risk"].is_null(), "case {at}");
            continue;
        };
        close("base risk", attribution.base_risk, case["base_risk"].as_f64().unwrap());
        let expected = numbers(&case["points"]);
        assert_eq!(attribution.members.len(), expected.len());
        for (got, expected) in attribution.members.iter().zip(expected) {
            assert_eq!(got.is_some(), expected.is_some(), "case {at}");
            close("points", got.unwrap_or(0.0), expected.unwrap_or(0.0));
        }
    }
}

fn names8() -> Vec<String> {
    (0..8).map(|i| format!("m{i}")).collect()
}

fn with_method(method: Method) -> EnsembleDefinition {
    let mut definition = parse(&example()).unwrap();
    definition.method.domain = method;
    definition.quorum.domain = 1;
    definition
}

fn risk(method: Method, p: [Option<f32>; 3]) -> f64 {
    let names = ["xgboost", "lightgbm", "forest"];
    let predictions: Vec<_> = names.into_iter().zip(p).collect();
    with_method(method).combine(Kind::Domain, &predictions).risk.unwrap()
}

#[test]
fn methods_by_hand() {
    let logistic = Method::Logistic { bias: 0.0 };
    let cases = [
        // The weights are 2, 1, 1: xgboost has exactly half.
        (Method::Median, [Some(0.2), Some(0.4), Some(0.8)], 30.0),
        (Method::Median, [Some(0.5), Some(0.0), Some(1.0)], 50.0),
        (Method::Median, [None, Some(0.25), Some(0.75)], 50.0),
        (Method::Maximum, [Some(0.25), Some(0.5), None], 50.0),
        (Method::NoisyOr, [Some(0.0), Some(0.0), Some(0.0)], 0.0),
        (Method::NoisyOr, [Some(0.0), Some(0.0), Some(1.0)], 100.0),
        (Method::NoisyOr, [Some(0.0), Some(0.75), Some(0.75)], 50.0),
        (logistic, [Some(0.5), Some(0.5), Some(0.5)], 50.0),
        (logistic, [Some(0.5), Some(0.75), Some(0.5)], 75.0),
        // Half of the weight is missing: the other half speaks for it.
        (logistic, [None, Some(0.75), Some(0.5)], 90.0),
        (logistic, [Some(0.0), Some(1.0), Some(1.0)], 50.0),
    ];
    for (method, p, expected) in cases {
        assert!((risk(method, p.map(|p| p.map(|p: f32| p))) - expected).abs() < 1e-5, "{method:?} {p:?}");
    }
}

#[test]
fn an_interval_is_the_risk_at_the_bounds() {
    let definition = with_method(Method::Mean);
    let predictions = [("xgboost", Some(0.5)), ("lightgbm", Some(0.5)), ("forest", Some(0.5))];
    let combined = definition.combine(Kind::Domain, &predictions);
    let interval = |bounds: &[Option<(f32, f32)>]| {
        definition.interval(Kind::Domain, &combined, bounds).map(|i| (i.low, i.high))
    };
    assert_eq!(interval(&[Some((0.25, 0.75)), Some((0.5, 1.0)), None]), Some((37.5, 75.0)));
    assert_eq!(interval(&[None, None, None]), None);
    assert_eq!(interval(&[]), None);
    for nonsense in [(0.75, 0.25), (f32::NAN, 1.0), (-0.5, 0.5), (0.0, 1.5)] {
        assert_eq!(interval(&[Some(nonsense)]), None, "{nonsense:?}");
    }
    let nobody = definition.combine(Kind::Domain, &[]);
    assert_eq!(definition.interval(Kind::Domain, &nobody, &[Some((0.0, 1.0))]), None);
}

proptest! {
    #[test]
    fn an_interval_holds_every_risk_within_the_bounds(
        d in definitions(),
        rows in prop::collection::vec((0.0..=1.0_f32, 0.0..=1.0_f32, 0.0..=1.0_f32, any::<bool>()), 6),
        at in 0.0..=1.0_f32,
    ) {
        let bounds: Vec<_> =
            rows.iter().map(|&(a, b, c, known)| known.then(|| (a.min(b).min(c), a.max(b).max(c)))).collect();
        let own: Vec<Option<f32>> = rows.iter().map(|row| Some(row.0)).collect();
        let elsewhere: Vec<Option<f32>> = rows
            .iter()
            .zip(&bounds)
            .map(|(row, bounds)| Some(bounds.map_or(row.0, |(low, high)| low + at * (high - low)).min(1.0)))
            .collect();
        for kind in Kind::ALL {
            let combined = d.combine(kind, &named(&names(), &own));
            let Some(interval) = d.interval(kind, &combined, &bounds) else { continue };
            let other = d.combine(kind, &named(&names(), &elsewhere)).risk.unwrap();
            prop_assert!((0.0..=100.0).contains(&interval.low) && interval.high <= 100.0);
            prop_assert!(interval.low <= other + 1e-4 && other <= interval.high + 1e-4, "{other} {interval:?}");
            let risk = combined.risk.unwrap();
            prop_assert!(interval.low <= risk && risk <= interval.high);
        }
    }
}
