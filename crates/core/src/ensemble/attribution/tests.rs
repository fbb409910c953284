use proptest::prelude::*;

use super::*;
use crate::ensemble::{Member, Method, PerKind, Thresholds};
use crate::score::Verdict;

fn definition(weights: &[f64], method: Method) -> EnsembleDefinition {
    let members = weights.iter().enumerate().map(|(i, w)| Member {
        model: format!("m{i}"),
        weight: PerKind { domain: *w, ip: *w },
        required: false,
    });
    let thresholds = Thresholds { suspicious: 50.0, malicious: 75.0 };
    EnsembleDefinition {
        version: "1".to_owned(),
        members: members.collect(),
        method: PerKind { domain: method, ip: method },
        quorum: PerKind { domain: 1, ip: 1 },
        thresholds: PerKind { domain: thresholds, ip: thresholds },
        profiles: BTreeMap::new(),
        calibration: PerKind { domain: None, ip: None },
        base_rate: None,
        lists: Vec::new(),
        half_life_hours: BTreeMap::new(),
        valid_hours: None,
        created: "2026-11-24T07:49:58.123Z".to_owned(),
        metrics: serde_json::Value::Null,
    }
}

fn explanation(base: f32, top: &[(u32, f32)], rest: f32, grams: &[(&str, f32)]) -> Explanation {
    let grams: Vec<(String, f32)> = grams.iter().map(|(text, c)| ((*text).to_owned(), *c)).collect();
    let moved: f32 = top.iter().map(|(_, c)| c).chain(grams.iter().map(|(_, c)| c)).sum();
    Explanation { base: 0.0, base_probability: base, margin: moved + rest, top: top.to_vec(), rest, grams }
}

fn combined(definition: &EnsembleDefinition, p: &[Option<f32>]) -> Combined {
    let names: Vec<String> = definition.members.iter().map(|m| m.model.clone()).collect();
    let predictions: Vec<_> = names.iter().map(String::as_str).zip(p.iter().copied()).collect();
    definition.combine(Kind::Domain, &predictions)
}

#[test]
fn points_of_members_and_features_by_hand() {
    let d = definition(&[1.0, 1.0], Method::Mean);
    let c = combined(&d, &[Some(0.75), Some(0.5)]);
    let trees = explanation(0.25, &[(3, 2.0), (1, -1.0)], 1.0, &[]);
    let text = explanation(0.25, &[], 1.0, &[("payp", 3.0)]);
    let a = d.attribute(Kind::Domain, &c, &[Some(&trees), Some(&text)], 4).unwrap();
    assert_eq!(a.base_risk, 25.0);
    assert_eq!(a.members, [Some(25.0), Some(12.5)]);
    let gram = Origin::Gram { model: "m1", text: "payp" };
    assert_eq!(
        a.parts,
        [
            (Origin::Feature(1), -12.5),
            (Origin::Feature(3), 25.0),
            (gram, 9.375),
            (Origin::Text { model: "m1" }, 3.125),
            (Origin::Other, 12.5)
        ]
    );
}

#[test]
fn a_feature_of_two_members_gets_the_points_of_both() {
    let d = definition(&[1.0, 1.0], Method::Mean);
    let c = combined(&d, &[Some(1.0), Some(0.0)]);
    let (up, down) = (explanation(0.5, &[(0, 2.0)], 0.0, &[]), explanation(0.5, &[(0, -9.0)], 0.0, &[]));
    let a = d.attribute(Kind::Domain, &c, &[Some(&up), Some(&down)], 1).unwrap();
    assert_eq!((a.base_risk, a.members), (50.0, vec![Some(25.0), Some(-25.0)]));
    assert_eq!(a.parts, [(Origin::Feature(0), 0.0)]);
}

#[test]
fn a_member_without_an_explanation_keeps_its_probability() {
    let d = definition(&[1.0, 1.0], Method::Mean);
    let c = combined(&d, &[Some(1.0), Some(0.5)]);
    let it = explanation(0.25, &[(0, 1.0)], 0.0, &[]);
    let a = d.attribute(Kind::Domain, &c, &[None, Some(&it)], 1).unwrap();
    assert_eq!((a.base_risk, a.members), (62.5, vec![None, Some(12.5)]));
    assert_eq!(d.attribute(Kind::Domain, &c, &[None, None], 1), None);
    assert_eq!(d.attribute(Kind::Domain, &c, &[], 1), None);
    let nobody = combined(&d, &[None, None]);
    assert_eq!(nobody.verdict, Verdict::Unknown);
    assert_eq!(d.attribute(Kind::Domain, &nobody, &[Some(&it), Some(&it)], 1), None);
}

#[test]
fn explanations_that_are_none_are_not_used() {
    let d = definition(&[1.0], Method::Mean);
    let c = combined(&d, &[Some(1.0)]);
    let explains = |e: &Explanation| d.attribute(Kind::Domain, &c, &[Some(e)], 2).is_some();
    assert!(explains(&explanation(0.5, &[(1, 1.0)], 0.0, &[])));
    for nonsense in [
        explanation(0.5, &[(2, 1.0)], 0.0, &[]),
        explanation(0.5, &[(u32::MAX, 1.0)], 0.0, &[]),
        explanation(1.5, &[(1, 1.0)], 0.0, &[]),
        explanation(f32::NAN, &[(1, 1.0)], 0.0, &[]),
        explanation(0.5, &[(1, f32::INFINITY)], 0.0, &[]),
        explanation(0.5, &[], f32::NAN, &[]),
        explanation(0.5, &[], 0.0, &[("a", f32::NAN)]),
    ] {
        assert!(!explains(&nonsense), "{nonsense:?}");
    }
}

#[test]
fn contributions_that_cancel_out_blame_nobody() {
    let d = definition(&[1.0], Method::Mean);
    let c = combined(&d, &[Some(0.75)]);
    for top in [[(0, 1.0), (1, -1.0)], [(0, 1_000.0), (1, -999.9)], [(0, -1.0), (1, -1.0)]] {
        let e = explanation(0.25, &top, 0.0, &[]);
        let a = d.attribute(Kind::Domain, &c, &[Some(&e)], 2).unwrap();
        assert_eq!(a.parts, [(Origin::Other, 50.0)], "{top:?}");
    }
}

fn explanations() -> impl Strategy<Value = Option<Explanation>> {
    let c = || -3.0..3.0_f32;
    let top = prop::collection::vec((0..12_u32, c()), 0..=10);
    let grams = prop::collection::vec(("[a-c]{2,3}", c()), 0..=4);
    prop::option::weighted(0.9, (0.0..=1.0_f32, top, c(), grams)).prop_map(|it| {
        it.map(|(base, top, rest, grams)| {
            let grams: Vec<(&str, f32)> = grams.iter().map(|(text, c)| (text.as_str(), *c)).collect();
            explanation(base, &top, rest, &grams)
        })
    })
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Mean),
        Just(Method::Median),
        Just(Method::Maximum),
        Just(Method::NoisyOr),
        (-5.0..=5.0_f64).prop_map(|bias| Method::Logistic { bias }),
    ]
}

proptest! {
    #[test]
    fn points_add_up_to_the_risk(
        members in prop::collection::vec((0.0..3.0_f64, prop::option::of(0.0..=1.0_f32), explanations()), 1..=8),
        method in methods(),
    ) {
        let weights: Vec<f64> = members.iter().map(|m| m.0).collect();
        let p: Vec<Option<f32>> = members.iter().map(|m| m.1).collect();
        let explanations: Vec<_> = members.iter().map(|m| m.2.as_ref()).collect();
        let d = definition(&weights, method);
        let c = combined(&d, &p);
        let Some(a) = d.attribute(Kind::Domain, &c, &explanations, 12) else { return Ok(()) };
        let risk = c.risk.unwrap();
        let members: f64 = a.members.iter().flatten().sum();
        prop_assert!((a.base_risk + members - risk).abs() < 1e-9, "{} {} {}", a.base_risk, members, risk);
        let parts: f64 = a.parts.iter().map(|(_, points)| points).sum();
        prop_assert!((a.base_risk + parts - risk).abs() < 2e-6, "{} {} {}", a.base_risk, parts, risk);
        for (i, points) in a.members.iter().enumerate() {
            let (Some(points), Some(e), Some(p)) = (points, explanations[i], p[i]) else { continue };
            // Every method is monotone, so a member above its base speaks against the entity.
            let direction = f64::from(p) - f64::from(e.base_probability);
            prop_assert!(points * direction >= -1e-5, "{points} {direction}");
        }
    }
}
