use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    calibration: Calibration,
    raw: Vec<f64>,
    calibrated: Vec<f64>,
}

/// `training/goldens/calibration_cases.py` made them.
#[test]
fn it_is_scikit_learns() {
    let goldens: Goldens =
        serde_json::from_str(include_str!("../../../tests/data/calibration.json")).unwrap();
    let mut compared = 0;
    for case in &goldens.cases {
        case.calibration.validate().unwrap();
        for (&raw, &expected) in case.raw.iter().zip(&case.calibrated) {
            let found = case.calibration.apply(raw);
            assert!((found - expected).abs() < 1e-14, "{raw:e}: {found:e} is {expected:e}");
            compared += 1;
        }
    }
    assert!(compared > 400, "{compared}");
}

fn isotonic(x: &[f64], y: &[f64]) -> Calibration {
    Calibration::Isotonic { x: x.to_vec(), y: y.to_vec() }
}

#[test]
fn between_points_it_is_linear_and_beyond_constant() {
    let calibration = isotonic(&[0.2, 0.4, 0.8], &[0.1, 0.1, 0.9]);
    let raws = [-1.0, 0.0, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 2.0];
    let found = raws.map(|raw| calibration.apply(raw));
    for (found, expected) in found.iter().zip([0.1, 0.1, 0.1, 0.1, 0.1, 0.5, 0.9, 0.9, 0.9]) {
        assert!((found - expected).abs() < 1e-15, "{found} is {expected}");
    }
    assert_eq!(isotonic(&[0.5], &[0.25]).apply(0.9), 0.25);
}

#[test]
fn the_ends_of_platt_stay_and_no_number_gives_none() {
    let platt = Calibration::Platt { a: 0.5, b: -2.0 };
    assert_eq!([-0.5, 0.0, 1.0, 7.0].map(|raw| platt.apply(raw)), [0.0, 0.0, 1.0, 1.0]);
    assert!(platt.apply(f64::NAN).is_nan() && isotonic(&[0.5], &[0.5]).apply(f64::NAN).is_nan());
}

#[test]
fn what_is_wrong_is_named_with_value_and_limit() {
    let platt = |a, b| Calibration::Platt { a, b };
    let long: Vec<f64> = (0..=MAX_POINTS).map(|i| i as f64 / 2000.0).collect();
    let cases = [
        (platt(0.0, 0.0), "a is 0; 0.001 to 100 is allowed"),
        (platt(f64::NAN, 0.0), "a is NaN; 0.001 to 100 is allowed"),
        (platt(1.0, -101.0), "b is -101; -100 to 100 is allowed"),
        (isotonic(&[], &[]), "x.length is 0; 1 to 1000 is allowed"),
        (isotonic(&long, &long), "x.length is 1001; 1 to 1000 is allowed"),
        (isotonic(&[0.1, 0.2], &[0.1]), "y.length is 1; 2 is expected: as many as x has"),
        (isotonic(&[0.1, 1.5], &[0.1, 0.2]), "x[1] is 1.5; 0 to 1 is allowed"),
        (isotonic(&[0.1, 0.2], &[f64::NAN, 0.2]), "y[0] is NaN; 0 to 1 is allowed"),
        (isotonic(&[0.1, 0.1], &[0.1, 0.2]), "x[1] is 0.1; more than the one before is needed"),
        (isotonic(&[0.1, 0.2], &[0.3, 0.2]), "y[1] is 0.2; the one before, or more, is needed"),
    ];
    for (calibration, expected) in cases {
        assert_eq!(calibration.validate().unwrap_err().to_string(), expected);
    }
}

#[test]
fn it_is_written_as_it_is_read_and_knows_all_fields() {
    for value in [
        json!({"method": "platt", "a": 1.5, "b": -0.25}),
        json!({"method": "isotonic", "x": [0.25, 0.5], "y": [0.125, 1.0]}),
    ] {
        let read: Calibration = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), value);
    }
    for wrong in [
        json!({"method": "platt", "a": 1.5, "b": 0.0, "c": 1}),
        json!({"method": "beta", "a": 1.0, "b": 1.0}),
        json!({"a": 1.5, "b": 0.0}),
    ] {
        assert!(serde_json::from_value::<Calibration>(wrong.clone()).is_err(), "{wrong}");
    }
}

/// Calibrations that validate.
fn sound() -> impl Strategy<Value = Calibration> {
    let platt = (1e-3..100.0, -100.0..100.0).prop_map(|(a, b)| Calibration::Platt { a, b });
    let points = proptest::collection::vec((0.0..=1.0, 0.0..=1.0), 1..40).prop_map(|points| {
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        x.sort_by(f64::total_cmp);
        x.dedup();
        y.truncate(x.len());
        y.sort_by(f64::total_cmp);
        Calibration::Isotonic { x, y }
    });
    prop_oneof![platt, points]
}

proptest! {
    #[test]
    fn it_never_falls_and_stays_a_probability(calibration in sound(), p in 0.0..=1.0_f64, q in 0.0..=1.0_f64) {
        calibration.validate().unwrap();
        let (low, high) = if p <= q { (p, q) } else { (q, p) };
        let (low, high) = (calibration.apply(low), calibration.apply(high));
        prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
        // `ln` and `exp` of a platform may be off by their last bit.
        prop_assert!(low <= high + 1e-14, "{low} falls to {high}");
    }

    #[test]
    fn anything_can_be_validated(x: Vec<f64>, y: Vec<f64>, a: f64, b: f64) {
        let isotonic = Calibration::Isotonic { x, y };
        let platt = Calibration::Platt { a, b };
        for calibration in [isotonic, platt] {
            if calibration.validate().is_ok() {
                prop_assert!((0.0..=1.0).contains(&calibration.apply(0.5)));
            }
        }
    }
}
