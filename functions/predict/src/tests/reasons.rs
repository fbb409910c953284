//! Calibration, explanations and bounds, and a network over characters.

use tribunal_core::message::{SourceFeatures, SourceStatus};

use super::*;

const NETWORK: &[u8] = include_bytes!("../../../../crates/characters/tests/data/network.bin");

fn part(changes: &[(&str, Value)]) -> Model {
    let mut model = Model::new();
    for (field, value) in changes {
        model.part = with(&model.part, field, value.clone());
    }
    model
}

fn run(source: &str, first: usize, count: usize) -> SourceFeatures {
    SourceFeatures { source: source.to_owned(), kind: "http".to_owned(), first, count, phrases: Vec::new() }
}

/// `length, digits`, of which `intel` says the digits.
fn asked(rows: Vec<Row>) -> FeatureBatch {
    FeatureBatch { source_features: vec![run("intel", 1, 1)], ..batch(&["length", "digits"], rows) }
}

fn answered(status: SourceStatus, values: &[Option<f32>]) -> Row {
    let mut row = row("a.com", values);
    row.sources.insert("intel".to_owned(), status);
    row.sources.insert("other".to_owned(), SourceStatus::Ok);
    row
}

#[tokio::test]
async fn probabilities_are_calibrated_before_anything_is_compared() {
    // 0.875 becomes 0.5, 0.375 becomes 0.125, the base 0.625 becomes 0.25.
    let isotonic = json!({"method": "isotonic", "x": [0.375, 0.625, 0.875], "y": [0.125, 0.25, 0.5]});
    let rows = || vec![row("a.com", &[Some(9.0), Some(8.0)]), row("b.com", &[None, Some(1.0)])];
    let model = part(&[("calibration", isotonic), ("explain_from", json!(0.25))]);
    let answer = model.load().await.unwrap().predict(&batch(&["length", "digits"], rows())).unwrap();
    assert_eq!(answer.probabilities, [Some(0.5), Some(0.125)]);
    let why = answer.explanations[0].as_ref().unwrap();
    assert_eq!((why.base, why.margin, why.base_probability), (0.625, 0.875, 0.25));
    assert_eq!(answer.explanations[1], None, "0.125 is below explain_from, 0.375 would not be");

    let platt = json!({"method": "platt", "a": 1.0, "b": -(3.0_f64.ln())});
    let answer = part(&[("calibration", platt)]).load().await.unwrap();
    let answer = answer.predict(&batch(&["length", "digits"], rows())).unwrap();
    let expected = 7.0_f32 / 10.0;
    assert!((answer.probabilities[0].unwrap() - expected).abs() < 1e-6, "odds of 7 to 1, divided by three");
}

#[tokio::test]
async fn a_calibration_that_cannot_be_used_is_refused_with_its_field() {
    let falls = json!({"method": "isotonic", "x": [0.2, 0.4], "y": [0.5, 0.25]});
    let error = part(&[("calibration", falls)]).load().await.unwrap_err();
    assert!(chain(&error).contains("parts[0].calibration.y[1] is 0.25"), "{}", chain(&error));
}

#[tokio::test]
async fn bounds_are_what_the_silent_source_could_have_made_of_it() {
    let predictor = Model::new().load().await.unwrap();
    let silent = [SourceStatus::Timeout, SourceStatus::Error, SourceStatus::Quota, SourceStatus::OpenCircuit];
    let spoke = [SourceStatus::Ok, SourceStatus::Empty, SourceStatus::Skipped];
    let rows: Vec<Row> = silent.iter().chain(&spoke).map(|s| answered(*s, &[Some(9.0), None])).collect();
    let answer = predictor.predict(&asked(rows)).unwrap();
    // Digits decide between 0.25 and 0.75, the length is known and says 1: their means.
    assert_eq!(answer.bounds[..4], [Some((0.625, 0.875)); 4]);
    assert_eq!(answer.bounds[4..], [None; 3]);
    assert!(answer.probabilities.iter().all(|p| *p == Some(0.625)));
}

#[tokio::test]
async fn bounds_are_calibrated_and_absent_where_all_answered() {
    let isotonic = json!({"method": "isotonic", "x": [0.625, 0.875], "y": [0.25, 0.5]});
    let predictor = part(&[("calibration", isotonic)]).load().await.unwrap();
    let late = answered(SourceStatus::Timeout, &[Some(9.0), None]);
    assert_eq!(predictor.predict(&asked(vec![late])).unwrap().bounds, [Some((0.25, 0.5))]);
    let fine = answered(SourceStatus::Ok, &[Some(9.0), Some(9.0)]);
    assert!(predictor.predict(&asked(vec![fine])).unwrap().bounds.is_empty());
}

#[tokio::test]
async fn a_silent_source_that_no_model_reads_moves_nothing() {
    let predictor = Model::new().load().await.unwrap();
    let late = answered(SourceStatus::Timeout, &[Some(9.0), Some(8.0)]);
    let elsewhere = FeatureBatch { source_features: vec![run("other", 1, 1)], ..asked(vec![late]) };
    assert_eq!(predictor.predict(&elsewhere).unwrap().bounds, [Some((0.875, 0.875))]);
}

#[tokio::test]
async fn without_reasons_there_are_no_bounds() {
    let mut predictor = Model::new().load().await.unwrap();
    predictor.leave_out_contributions();
    let answer =
        predictor.predict(&asked(vec![answered(SourceStatus::Timeout, &[Some(9.0), None])])).unwrap();
    assert_eq!((answer.bounds, answer.explanations), (vec![None], vec![None]));
}

#[tokio::test]
async fn runs_of_features_that_the_batch_lacks_are_refused() {
    let predictor = Model::new().load().await.unwrap();
    for (runs, expected) in [
        (vec![run("intel", 1, 2)], "source_features[0] has 2 features from 1 on, the batch has 2"),
        (vec![run("intel", usize::MAX, 2)], "source_features[0] has 2 features from"),
        (vec![run("intel", 0, 1); 3], "source_features[2] has 1 features from 0 on, the batch has 2"),
    ] {
        let rows = vec![answered(SourceStatus::Timeout, &[None, None])];
        let error = predictor.predict(&FeatureBatch { source_features: runs, ..asked(rows) }).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.error_name(), ErrorName::InvalidInput);
    }
}

#[tokio::test]
async fn an_optional_feature_that_is_absent_is_part_of_the_rest() {
    let model = part(&[("optional", json!(["digits"])), ("explain_from", json!(0.0))]);
    let rows = vec![row("a.com", &[Some(9.0)])];
    let answer = model.load().await.unwrap().predict(&batch(&["length"], rows)).unwrap();
    let why = answer.explanations[0].as_ref().unwrap();
    assert_eq!((why.top.as_slice(), why.rest), ([(0, 0.125)].as_slice(), -0.125));
    assert_eq!(why.base + 0.125 + why.rest, why.margin);
}

async fn network(changes: &[(&str, Value)]) -> Result<Predictor, LoadError> {
    let format = json!(tribunal_characters::FORMAT);
    let mut model = part(&[("format", format), ("features", json!([]))]);
    for (field, value) in changes {
        model.part = with(&model.part, field, value.clone());
    }
    let store = InMemory::new();
    model.publish_bytes(&store, NETWORK.to_vec()).await;
    Predictor::load(&Registry::with_store(Arc::new(store), "memory"), "small").await
}

#[tokio::test]
async fn a_network_reads_the_name_and_no_feature() {
    let platt = json!({"method": "platt", "a": 0.5, "b": -1.0});
    let predictor = network(&[("explain_from", json!(0.0)), ("calibration", platt)]).await.unwrap();
    let margin = tribunal_characters::CharacterModel::parse(NETWORK).unwrap().margin("shop.example.com");
    let rows = vec![row("shop.example.com", &[]), row("192.0.2.1", &[]), answered(SourceStatus::Error, &[])];
    let answer = predictor.predict(&batch(&[], rows)).unwrap();
    let expected = 1.0 / (1.0 + (1.0 - 0.5 * margin).exp());
    assert!((f64::from(answer.probabilities[0].unwrap()) - expected).abs() < 1e-6);
    assert_eq!(
        (answer.probabilities[1], answer.abstentions.as_slice()),
        (None, ["kind_not_covered: ip".to_owned()].as_slice())
    );
    let why = answer.explanations[0].as_ref().unwrap();
    let sum = why.base + why.grams.iter().map(|(_, value)| value).sum::<f32>() + why.rest;
    assert!((sum - why.margin).abs() < 1e-5 && why.top.is_empty() && !why.grams.is_empty());
    let unmoved = answer.probabilities[2].unwrap();
    assert_eq!(answer.bounds, [None, None, Some((unmoved, unmoved))], "no source says what the name is");
}

#[tokio::test]
async fn a_network_that_does_not_fit_its_manifest_is_refused() {
    for (field, value, expected) in [
        ("kinds", json!(["domain", "ip"]), "reads names, but its manifest lets it answer for the kind ip"),
        ("features", json!(["length"]), "reads 0 features, but its manifest names 1"),
        ("format", json!("tribunal-compiled"), "cannot be run as tribunal-compiled"),
    ] {
        let error = network(&[(field, value)]).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.error_name(), ErrorName::ModelUnavailable);
    }
    let trees = part(&[("format", json!(tribunal_characters::FORMAT)), ("features", json!([]))]);
    let error = trees.load().await.unwrap_err();
    assert!(
        chain(&error).contains("cannot be run as tribunal-charnet: file does not begin"),
        "{}",
        chain(&error)
    );
}
