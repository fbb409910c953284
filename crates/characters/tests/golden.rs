//! The trainer's margins to the bit, and files that anyone could send.
//!
//! `tests/data` is written by `training/goldens/names_cases.py`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use proptest::prelude::*;
use tribunal_characters::{CharacterModel, MAX_BYTES, MAX_GRAMS, ParseError};

const NETWORK: &[u8] = include_bytes!("data/network.bin");
const GOLDEN: &str = include_str!("data/golden.json");
/// Where the first convolution's width stands.
const FIRST_WIDTH: usize = 28;

fn network() -> CharacterModel {
    CharacterModel::parse(NETWORK).unwrap()
}

fn golden() -> Vec<(String, f64)> {
    let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
    let texts = |key: &str| {
        let values = golden[key].as_array().unwrap().iter();
        values.map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let margins = texts("margin_bits");
    let margins = margins.iter().map(|bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap()));
    texts("hosts").into_iter().zip(margins).collect()
}

#[test]
fn margins_are_the_trainers_to_the_bit() {
    let (network, golden) = (network(), golden());
    assert!(golden.len() >= 200);
    for (host, margin) in golden {
        assert_eq!(network.margin(&host).to_bits(), margin.to_bits(), "{host:?}");
    }
}

#[test]
fn an_explanation_adds_up_to_the_margin() {
    let network = network();
    let mut named = 0;
    for (host, margin) in golden() {
        let told = network.explain(&host);
        assert_eq!(told.margin.to_bits(), margin.to_bits(), "{host:?}");
        assert_eq!(told.base, network.base_margin());
        let sum = told.base + told.grams.iter().map(|(_, c)| c).sum::<f64>() + told.rest;
        assert!((sum - margin).abs() < 1e-9, "{host:?}: {sum} and {margin}");
        assert!(told.grams.len() <= MAX_GRAMS);
        assert!(told.grams.is_sorted_by(|a, b| a.1.abs() >= b.1.abs()), "{host:?}: {told:?}");
        for (gram, contribution) in &told.grams {
            assert!(*contribution != 0.0 && contribution.is_finite());
            assert!(!gram.is_empty());
            let found = host.contains(gram.as_str()) || host == gram[1..] || gram.contains('?');
            assert!(found, "{host:?}: {gram:?}");
        }
        named += told.grams.len();
    }
    assert!(named > 200);
}

#[test]
fn what_is_not_a_network_is_refused_with_the_reason() {
    let parse = |bytes: &[u8]| CharacterModel::parse(bytes).unwrap_err().to_string();
    assert_eq!(parse(b""), "file ends at byte 0, within the magic");
    assert_eq!(parse(b"TRBCHAR2rest"), "file does not begin with \"TRBCHAR1\"");
    assert_eq!(parse(&[NETWORK, b"xy"].concat()), "2 bytes follow the end of the network");
    let too_large = CharacterModel::parse(&vec![0; MAX_BYTES + 1]);
    assert_eq!(too_large, Err(ParseError::TooLarge { bytes: MAX_BYTES + 1 }));
    let with = |at: usize, value: &[u8]| {
        let mut bytes = NETWORK.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        parse(&bytes)
    };
    assert_eq!(with(8, &[0, 0]), "convolutions is 0, must be 1 to 8");
    assert_eq!(with(10, &[43, 0]), "symbols is 43, must be 42 to 42");
    assert_eq!(with(14, &[1, 1]), "hidden units is 257, must be 1 to 256");
    assert_eq!(with(16, &[255, 255]), "suffixes is 65535, must be 0 to 16384");
    assert_eq!(with(18, &[63, 0]), "shift is 63, must be 0 to 62");
    assert_eq!(with(20, &f64::NAN.to_le_bytes()), "base margin is not finite");
    assert_eq!(with(FIRST_WIDTH, &[10, 0]), "width is 10, must be 1 to 9");
    // The first filter's bias, on top of what its table adds.
    let overflow = with(FIRST_WIDTH + 4, &i16::MIN.to_le_bytes());
    assert!(
        overflow.starts_with("filter 0 can reach ") && overflow.ends_with(", the limit is 32767"),
        "{overflow}"
    );
    // The last suffix ("zz") comes before the one before it then.
    assert_eq!(with(NETWORK.len() - 2, b"aa"), "suffix 3 does not come after the one before it");
}

/// One filter of width 1 that `a` alone sets off, one number a suffix, one hidden unit: all at their limits.
fn at_the_limit(filter_bias: i16, hidden_bias: i32) -> Vec<u8> {
    let mut file = b"TRBCHAR1".to_vec();
    // Convolutions, symbols, numbers of a suffix, hidden units, suffixes, shift.
    file.extend([1_u16, 42, 1, 1, 1, 62].into_iter().flat_map(u16::to_le_bytes));
    file.extend(0_f64.to_le_bytes());
    file.extend([1_u16, 1].into_iter().flat_map(u16::to_le_bytes));
    file.extend(filter_bias.to_le_bytes());
    // `a` is symbol 5.
    file.extend((0..42).flat_map(|symbol| if symbol == 5 { i16::MAX } else { -1 }.to_le_bytes()));
    // Vectors of the unknown suffix and of "zz", the means, the hidden layer, the output.
    file.extend([0, i16::MIN, 0, 0].into_iter().flat_map(i16::to_le_bytes));
    file.extend(hidden_bias.to_le_bytes());
    file.extend([i16::MAX, -i16::MAX, i16::MIN].into_iter().flat_map(i16::to_le_bytes));
    file.extend((-(1_i64 << 62)).to_le_bytes());
    file.extend(b"\x02zz");
    file
}

#[test]
fn sums_may_reach_their_limits_and_go_no_further() {
    let products = i64::from(i16::MAX) * (i64::from(i16::MAX) + 32_768);
    let room = i32::try_from(i64::from(i32::MAX) - products).unwrap();
    let network = CharacterModel::parse(&at_the_limit(0, room)).unwrap();
    let margin = |host: &str, hidden: i64| {
        let output = -(1_i64 << 62) - 32_768 * hidden;
        assert_eq!(network.margin(host), output as f64 / (1_i64 << 62) as f64, "{host}");
        assert_eq!(network.explain(host).margin, network.margin(host));
    };
    margin("bab.zz", i64::from(i32::MAX));
    margin("bab.com", i64::from(i16::MAX).pow(2) + i64::from(room));
    margin("bob.com", i64::from(room));
    let refused = |file: &[u8]| CharacterModel::parse(file).unwrap_err().to_string();
    assert_eq!(refused(&at_the_limit(1, 0)), "filter 0 can reach 32768, the limit is 32767");
    let beyond = refused(&at_the_limit(0, room + 1));
    assert_eq!(beyond, "hidden unit 0 can reach 2147483648, the limit is 2147483647");
}

#[test]
fn every_cut_of_the_file_is_refused() {
    for end in 0..NETWORK.len() {
        assert!(CharacterModel::parse(&NETWORK[..end]).is_err(), "{end}");
    }
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((0..NETWORK.len(), any::<u8>()), 1..6)) {
        let mut bytes = NETWORK.to_vec();
        for (at, value) in changes {
            bytes[at] = value;
        }
        if let Ok(network) = CharacterModel::parse(&bytes) {
            for (host, _) in golden().iter().take(20) {
                let told = network.explain(host);
                prop_assert_eq!(told.margin.to_bits(), network.margin(host).to_bits());
                prop_assert!(told.margin.is_finite());
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut file = b"TRBCHAR1".to_vec();
        file.extend(bytes);
        prop_assert!(CharacterModel::parse(&file).is_err());
    }

    #[test]
    fn any_text_has_a_margin_and_an_explanation(host in "\\PC{0,80}|[a-z0-9.-]{0,300}") {
        let network = network();
        let told = network.explain(&host);
        prop_assert_eq!(told.margin.to_bits(), network.margin(&host).to_bits());
    }
}
