use super::{code, record, value};
use crate::letter::{Letter, MAX_BYTES, MAX_REQUEST_LETTERS, attribute, requests};
use crate::plan::plan;

fn letter_of(body: &str) -> Letter {
    plan(&[record("m", 1, body)], 0).letters.remove(0)
}

#[test]
fn a_body_that_fits_goes_as_it_came() {
    let letter = letter_of("10.0.0.0/8");
    assert_eq!(letter.body, "10.0.0.0/8");
    assert_eq!(value(&letter, attribute::ORIGINAL_BYTES), None);
}

#[test]
fn a_body_that_does_not_fit_with_its_attributes_is_cut_at_a_character() {
    for filler in ["x", "ü", "\u{1F608}"] {
        let body = format!("x{}", filler.repeat((MAX_BYTES - 1) / filler.len()));
        let letter = letter_of(&body);
        assert!(body.starts_with(&letter.body));
        assert!(letter.bytes() <= MAX_BYTES && letter.bytes() > MAX_BYTES - 8, "{}", letter.bytes());
        assert_eq!(value(&letter, attribute::ORIGINAL_BYTES), Some(body.len().to_string().as_str()));
    }
}

#[test]
fn characters_that_sqs_refuses_are_replaced() {
    let letter = letter_of("evil\0\u{FFFF}.com");
    assert_eq!(letter.body, "evil\u{FFFD}\u{FFFD}.com");
    assert_eq!(value(&letter, attribute::ORIGINAL_BYTES), Some("12"));
    for (name, text) in &letter.attributes {
        assert!(!text.is_empty() && !text.contains(['\0', '\u{FFFF}']), "{name}: {text:?}");
    }
}

#[test]
fn an_empty_body_becomes_an_empty_json_string() {
    let letter = letter_of("");
    assert_eq!((letter.body.as_str(), code(&letter)), ("\"\"", "empty"));
    // The refused entity is empty: there is no attribute for it.
    let letter = letter_of("\"\"");
    assert_eq!(value(&letter, attribute::ENTITY), None);
}

#[test]
fn requests_are_bounded_by_count_and_bytes() {
    let letter = |bytes: usize| Letter { record: 0, body: "x".repeat(bytes), attributes: Vec::new() };
    let small: Vec<Letter> = (0..25).map(|_| letter(10)).collect();
    let positions: Vec<usize> = (0..25).collect();
    let sizes: Vec<usize> = requests(&small, &positions).iter().map(Vec::len).collect();
    assert_eq!(sizes, [MAX_REQUEST_LETTERS, MAX_REQUEST_LETTERS, 5]);

    let half = MAX_BYTES / 2;
    let large = [letter(half), letter(half), letter(1), letter(MAX_BYTES), letter(1)];
    assert_eq!(requests(&large, &[0, 1, 2, 3, 4]), [vec![0, 1], vec![2], vec![3], vec![4]]);
    assert_eq!(requests(&large, &[4, 0]), [vec![4, 0]]);
    assert_eq!(requests(&large, &[]), Vec::<Vec<usize>>::new());
}
