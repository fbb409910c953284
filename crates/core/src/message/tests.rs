use super::*;

/// The longest text that a number has as JSON.
const LONG: f32 = -1.234_567_9e-38;
/// More positions than any vector has take no more digits.
const POSITION: u32 = 4_095;

fn explained(top: usize, grams: &[&str]) -> Explanation {
    Explanation {
        base: LONG,
        base_probability: -LONG,
        margin: LONG,
        top: vec![(POSITION, LONG); top],
        rest: LONG,
        grams: grams.iter().map(|text| ((*text).to_owned(), LONG)).collect(),
    }
}

fn prediction(rows: usize, explanation: &Explanation) -> PredictionBatch {
    PredictionBatch {
        model: "m".repeat(32),
        version: "v".repeat(64),
        digest: format!("sha256:{}", "d".repeat(64)),
        probabilities: vec![Some(-LONG); rows],
        explanations: vec![Some(explanation.clone()); rows],
        bounds: vec![Some((-LONG, -LONG)); rows],
        abstentions: vec![format!("feature_unknown: {}", "f".repeat(100)), "kind_not_covered".to_owned()],
    }
}

fn bytes(prediction: &PredictionBatch) -> usize {
    serde_json::to_string(prediction).unwrap().len()
}

/// A model explains by features, or by the parts of a name.
#[test]
fn a_prediction_at_its_longest_fits_into_its_share_of_the_state() {
    let part = "a".repeat(MAX_GRAM_BYTES);
    for explanation in [explained(MAX_EXPLAINED, &[]), explained(0, &[part.as_str(); MAX_GRAMS])] {
        let frame = bytes(&prediction(0, &explanation));
        assert!(frame + "explanations,bounds:[]".len() <= MAX_PREDICTION_FRAME_BYTES, "{frame}");
        let row = bytes(&prediction(2, &explanation)) - bytes(&prediction(1, &explanation));
        assert!(row <= MAX_PREDICTION_BYTES, "{row}");
        assert!(row + 40 > MAX_PREDICTION_BYTES, "the share is larger than it has to be: {row}");
    }
}
