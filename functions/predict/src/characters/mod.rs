//! Parts that read the entity's own characters (`tribunal-charnet`), not its vector.
//!
//! Such a part lists no features, its margin is log odds, and no source that does not answer can move it.

use tribunal_characters::CharacterModel;
use tribunal_core::message::{Explanation, MAX_GRAM_BYTES};

/// Why the network gave the margin that it gave; `calibrated` makes a margin the part's probability.
pub(crate) fn explain_characters(
    network: &CharacterModel,
    host: &str,
    calibrated: impl FnOnce(f64) -> f64,
) -> Explanation {
    let told = network.explain(host);
    Explanation {
        base: told.base as f32,
        base_probability: calibrated(told.base) as f32,
        margin: told.margin as f32,
        top: Vec::new(),
        rest: told.rest as f32,
        grams: told.grams.into_iter().map(|(gram, contribution)| (cut(gram), contribution as f32)).collect(),
    }
}

/// The beginning of a gram: what is told of a row has its share of the state, and no more.
fn cut(mut gram: String) -> String {
    gram.truncate(gram.floor_char_boundary(MAX_GRAM_BYTES));
    gram
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &[u8] = include_bytes!("../../../../crates/characters/tests/data/network.bin");

    #[test]
    fn a_long_gram_is_cut() {
        for (gram, expected) in [
            ("secure", "secure".to_owned()),
            (&"é".repeat(40), "é".repeat(16)),
            (&"a".repeat(63), "a".repeat(32)),
        ] {
            assert_eq!(cut(gram.to_owned()), expected);
        }
    }

    #[test]
    fn an_explanation_adds_up_and_names_characters_only() {
        let network = CharacterModel::parse(NETWORK).unwrap();
        let told =
            explain_characters(&network, "secure-login.shop-22.com", |margin| 1.0 / (1.0 + (-margin).exp()));
        let sum = told.base + told.grams.iter().map(|(_, c)| c).sum::<f32>() + told.rest;
        assert!((sum - told.margin).abs() < 1e-5, "{told:?}");
        assert!(told.top.is_empty() && !told.grams.is_empty());
        assert!((told.base_probability - 1.0 / (1.0 + (-told.base).exp())).abs() < 1e-6);
        assert_eq!(f64::from(told.margin), f64::from(network.margin("secure-login.shop-22.com") as f32));
    }
}
