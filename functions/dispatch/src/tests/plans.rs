use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use tribunal_core::message::{ExecutionInput, MAX_BATCH_BYTES, MAX_BATCH_ENTITIES};
use tribunal_core::{Kind, Refusal};

use super::{QUEUE_ARN, code, record, value};
use crate::body::MessageRefusal;
use crate::event::Record;
use crate::letter::{MAX_BYTES, attribute};
use crate::plan::{Counts, Plan, plan};

fn inputs(plan: &Plan) -> Vec<ExecutionInput> {
    plan.executions.iter().map(|e| serde_json::from_str(&e.input).unwrap()).collect()
}

fn names(plan: &Plan) -> Vec<String> {
    inputs(plan).into_iter().flat_map(|input| input.items).map(|item| item.entity).collect()
}

#[test]
fn every_form_of_message_is_read() {
    let bodies = [
        ("evil[.]com", &["evil.com"][..]),
        ("  hxxps://evil(.)com/path \n", &["evil.com"]),
        ("\"evil.com\"", &["evil.com"]),
        ("\"b\\u00fccher.de\"", &["xn--bcher-kva.de"]),
        ("[\"evil.com\", \"1.2.3.4\"]", &["evil.com", "1.2.3.4"]),
        (" [\"evil.com\"] ", &["evil.com"]),
        ("{\"entities\": [\"evil.com\", \"::1\"]}", &["evil.com", "::1"]),
        ("[2001:db8::1]:443", &["2001:db8::1"]),
        ("[::1]", &["::1"]),
        ("[evil[.]com]", &["evil.com"]),
    ];
    for (body, expected) in bodies {
        let plan = plan(&[record("m-1", 1, body)], 0);
        assert_eq!(names(&plan), expected, "{body}");
        assert_eq!(plan.letters, [], "{body}");
    }
}

#[test]
fn an_item_says_who_asked_for_what_and_when() {
    let body = r#"{"entities": ["Evil[.]com"], "source": "mail gateway", "tlp": "TLP:AMBER+STRICT"}"#;
    let plan = plan(&[record("m-1", 1_700_000_000, body)], 0);
    let item = &inputs(&plan)[0].items[0];
    assert_eq!(
        (item.entity.as_str(), item.kind, item.original.as_str()),
        ("evil.com", Kind::Domain, "Evil[.]com")
    );
    assert_eq!((item.requested_at.as_str(), item.request_id.as_str()), ("2023-11-14T22:13:20.000Z", "m-1"));
    assert_eq!((item.source.as_deref(), item.tlp.as_deref()), (Some("mail gateway"), Some("amber+strict")));
    assert_eq!(plan.executions[0].batch, inputs(&plan)[0].batch);
    assert_eq!(plan.counts, Counts { received: 1, refused: 0, duplicates: 0 });
}

#[test]
fn a_message_without_a_send_time_takes_the_given_one() {
    let sent = Record { message_id: "m".to_owned(), body: "evil.com".to_owned(), ..Record::default() };
    let plan = plan(&[sent], 1_700_000_000_000);
    assert_eq!(inputs(&plan)[0].items[0].requested_at, "2023-11-14T22:13:20.000Z");
}

/// Messages that are refused as a whole, with the code of the reason.
fn bad_messages() -> Vec<(String, &'static str)> {
    let many: Vec<String> = (0..10_000).map(|i| format!("many-{i}.com")).collect();
    let numbers = format!("[{}0]", "0,".repeat(400_000));
    vec![
        (String::new(), "empty"),
        (" \r\n\t".to_owned(), "empty"),
        ("\"\"".to_owned(), "empty"),
        ("x".repeat(1024 * 1024), "too_long"),
        ("x".repeat(1024 * 1024 + 1), "message_too_large"),
        (json!(many).to_string(), "too_many_entities"),
        (json!({"entities": many}).to_string(), "too_many_entities"),
        (r#"["ok-escape.com", "\ud800 \x"]"#.to_owned(), "not_json"),
        (r#""\ud800.com""#.to_owned(), "not_json"),
        (r#""evil.com\x""#.to_owned(), "not_json"),
        (r#"["evil.com""#.to_owned(), "not_json"),
        (r#""evil.com","#.to_owned(), "not_json"),
        (r#"["evil.com"] ["evil.net"]"#.to_owned(), "not_json"),
        (format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)), "not_json"),
        (format!("{}{}", r#"{"entities":"#.repeat(1_000), "}".repeat(1_000)), "not_json"),
        ("[".repeat(1024 * 1024), "not_json"),
        ("\"evil\0.com\"".to_owned(), "not_json"),
        ("[1, 2, 3]".to_owned(), "not_a_message"),
        (numbers, "not_a_message"),
        (r#"["evil.com", null]"#.to_owned(), "not_a_message"),
        (r#"[["evil.com"]]"#.to_owned(), "not_a_message"),
        (r#"{"hosts": ["evil.com"]}"#.to_owned(), "not_a_message"),
        (r#"{"entities": ["evil.com"], "tpl": "red"}"#.to_owned(), "not_a_message"),
        (r#"{"entities": "evil.com"}"#.to_owned(), "not_a_message"),
        (r#"{"entities": ["a.com"], "entities": ["b.com"]}"#.to_owned(), "not_a_message"),
        ("{}".to_owned(), "not_a_message"),
        ("[]".to_owned(), "no_entities"),
        (r#"{"entities": []}"#.to_owned(), "no_entities"),
        (r#"{"entities": ["evil.com"], "tlp": "purple"}"#.to_owned(), "unknown_tlp"),
        (json!({"entities": ["evil.com"], "source": "s".repeat(257)}).to_string(), "source_too_long"),
        (r#"{"entities": ["evil.com"], "attempt": 11}"#.to_owned(), "attempt_too_large"),
        (r#"{"entities": ["evil.com"], "attempt": 18446744073709551615}"#.to_owned(), "attempt_too_large"),
        (r#"{"entities": ["evil.com"], "attempt": -1}"#.to_owned(), "not_a_message"),
        // One bare entity that is none.
        ("\"evil\\u0000.com\"".to_owned(), "invalid_character"),
        ("evil\0.com".to_owned(), "invalid_character"),
        (format!("{}.com", "a".repeat(300)), "label_too_long"),
        ("\u{1F608}.com".to_owned(), "invalid_character"),
        ("\"\u{1F608}.com\u{1F608} x\"".to_owned(), "several"),
        ("10.0.0.0/8".to_owned(), "cidr"),
        ("true".to_owned(), "single_label"),
        ("a.com\nb.com".to_owned(), "invalid_character"),
    ]
}

#[test]
fn each_bad_message_is_refused_by_name_and_the_good_ones_beside_it_are_kept() {
    let bad = bad_messages();
    let mut records = Vec::new();
    for (i, (body, _)) in bad.iter().enumerate() {
        records.push(record(&format!("bad-{i}"), 1, body));
        records.push(record(&format!("good-{i}"), 1, &format!("beside-{i}.com")));
    }
    let plan = plan(&records, 0);
    let expected: Vec<String> = (0..bad.len()).map(|i| format!("beside-{i}.com")).collect();
    assert_eq!(names(&plan), expected);
    assert_eq!(plan.letters.len(), bad.len());
    for (i, ((body, expected), letter)) in bad.iter().zip(&plan.letters).enumerate() {
        let start: String = body.chars().take(60).collect();
        assert_eq!(code(letter), *expected, "{start:?}: {:?}", value(letter, attribute::REASON));
        assert_eq!(letter.record, 2 * i);
        assert_eq!(value(letter, attribute::MESSAGE_ID), Some(format!("bad-{i}").as_str()));
        assert_eq!(value(letter, attribute::SOURCE_QUEUE), Some(QUEUE_ARN));
        assert!(value(letter, attribute::REASON).is_some_and(|reason| reason.len() > 10), "{start:?}");
        assert!(letter.bytes() <= MAX_BYTES && !letter.body.is_empty(), "{start:?}");
    }
    assert!(plan.executions.iter().all(|e| e.records.iter().all(|r| r % 2 == 1)));
}

#[test]
fn every_message_code_is_listed_and_produced() {
    let produced: BTreeSet<&str> = bad_messages().into_iter().map(|(_, code)| code).collect();
    for code in MessageRefusal::CODES {
        assert!(produced.contains(code), "{code}");
    }
    for code in produced {
        assert!(MessageRefusal::CODES.contains(&code) || Refusal::CODES.contains(&code), "{code}");
    }
}

#[test]
fn the_documentation_names_every_message_code_and_every_attribute() {
    let page = include_str!("../../../../docs/entities.md");
    let (_, table) = page.split_once("| code | when the message as a whole is refused |").unwrap();
    let codes: Vec<&str> = table.lines().skip(2).filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(codes, MessageRefusal::CODES);
    for name in [
        attribute::REASON_CODE,
        attribute::REASON,
        attribute::MESSAGE_ID,
        attribute::SOURCE_QUEUE,
        attribute::ENTITY,
        attribute::REFUSED,
        attribute::ORIGINAL_BYTES,
    ] {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn refusals_name_the_value_and_the_limit() {
    let reason = |body: &str| {
        let plan = plan(&[record("m", 1, body)], 0);
        value(&plan.letters[0], attribute::REASON).unwrap().to_owned()
    };
    let many = serde_json::Value::from(vec!["a.com"; 101]).to_string();
    assert!(reason(&many).starts_with("101 entities are over the limit of 100"), "{}", reason(&many));
    assert!(reason(r#"{"hosts": 1}"#).contains("unknown field `hosts`"), "{}", reason(r#"{"hosts": 1}"#));
    assert!(reason(&"[".repeat(1_000)).contains("recursion limit"), "{}", reason(&"[".repeat(1_000)));
    assert!(reason(r#"{"entities": ["a.com"], "tlp": "x"}"#).contains("amber+strict"));
}

#[test]
fn the_refused_part_of_a_message_keeps_its_form_and_the_rest_is_scored() {
    let body = r#"{"entities": ["kept-one.com", "10.0.0.0/8", "kept-two.com", "a b", "10.0.0.0/9"],
                   "source": "e2e", "tlp": "red"}"#;
    let plan = plan(&[record("m", 1, body)], 0);
    assert_eq!(names(&plan), ["kept-one.com", "kept-two.com"]);
    assert_eq!(plan.letters.iter().map(code).collect::<Vec<_>>(), ["cidr", "several"]);
    let cidr = &plan.letters[0];
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&cidr.body).unwrap(),
        json!({"entities": ["10.0.0.0/8", "10.0.0.0/9"], "source": "e2e", "tlp": "red"})
    );
    assert_eq!(value(cidr, attribute::ENTITY), Some("10.0.0.0/8"));
    assert_eq!(value(cidr, attribute::REFUSED), Some("2"));
    assert_eq!(plan.counts, Counts { received: 5, refused: 3, duplicates: 0 });

    let plain = super::super::plan::plan(&[record("m", 1, r#"["com", "kept.com"]"#)], 0);
    assert_eq!(plain.letters[0].body, r#"["com"]"#);
    // A message of which nothing is left goes as it came.
    let whole = super::super::plan::plan(&[record("m", 1, "[\"com\" , \"net\"]")], 0);
    assert_eq!((whole.letters.len(), whole.letters[0].body.as_str()), (1, "[\"com\" , \"net\"]"));
    assert_eq!(whole.executions, []);
}

#[test]
fn an_entity_that_several_messages_ask_for_is_scored_once_for_all_of_them() {
    let records = [
        record("m-1", 10, r#"{"entities": ["evil.com", "EVIL[.]com", "only-one.com"], "tlp": "green"}"#),
        record("m-2", 30, r#"{"entities": ["hxxp://evil.com/x"], "source": "second", "tlp": "red"}"#),
        record("m-3", 20, "evil.com"),
    ];
    let plan = plan(&records, 0);
    let input = &inputs(&plan)[0];
    assert_eq!(plan.executions.len(), 1);
    assert_eq!(plan.executions[0].records, [0, 1, 2]);
    assert_eq!(plan.counts, Counts { received: 5, refused: 0, duplicates: 3 });
    let evil = &input.items[0];
    // The latest asker's request, so that no asker gets a score older than its message.
    assert_eq!((evil.request_id.as_str(), evil.original.as_str()), ("m-2", "hxxp://evil.com/x"));
    assert_eq!(evil.tlp.as_deref(), Some("red"));
    assert_eq!(input.items[1].tlp.as_deref(), Some("green"));
}

#[test]
fn the_strictest_marking_holds_whoever_asks_last() {
    let records = [
        record("m-1", 10, r#"{"entities": ["evil.com"], "tlp": "amber"}"#),
        record("m-2", 20, r#"{"entities": ["evil.com"], "tlp": "white"}"#),
        record("m-3", 30, "evil.com"),
    ];
    let item = inputs(&plan(&records, 0))[0].items[0].clone();
    assert_eq!((item.request_id.as_str(), item.tlp.as_deref()), ("m-3", Some("amber")));
}

#[test]
fn an_attempt_goes_with_the_latest_asker() {
    let attempt = |bodies: [(&str, u64, &str); 2]| {
        let records = bodies.map(|(id, seconds, body)| record(id, seconds, body));
        inputs(&plan(&records, 0))[0].items[0].attempt
    };
    let again = r#"{"entities": ["evil.com"], "attempt": 10}"#;
    assert_eq!(attempt([("m-1", 10, again), ("m-2", 20, "evil.com")]), 0, "asked for anew");
    assert_eq!(attempt([("m-1", 20, again), ("m-2", 10, "evil.com")]), 10, "queued again");
    let plan = plan(&[record("m", 1, r#"{"entities": ["com", "evil.com"], "attempt": 2}"#)], 0);
    assert!(plan.executions[0].input.ends_with(r#""attempt":2}]}"#), "{}", plan.executions[0].input);
    assert_eq!(plan.letters[0].body, r#"{"attempt":2,"entities":["com"]}"#);
    let first = super::super::plan::plan(&[record("m", 1, r#"{"entities": ["evil.com"], "attempt": 0}"#)], 0);
    assert!(!first.executions[0].input.contains("attempt"), "{}", first.executions[0].input);
}

#[test]
fn executions_are_bounded_by_count() {
    let bodies: Vec<String> = (0..3)
        .map(|m| json!((0..40).map(|i| format!("e{m}-{i}.com")).collect::<Vec<_>>()).to_string())
        .collect();
    let records: Vec<Record> =
        bodies.iter().enumerate().map(|(i, b)| record(&format!("m-{i}"), 1, b)).collect();
    let plan = plan(&records, 0);
    assert_eq!(plan.executions.iter().map(|e| e.entities).collect::<Vec<_>>(), [50, 50, 20]);
    let waiting: Vec<_> = plan.executions.iter().map(|e| e.records.clone()).collect();
    assert_eq!(waiting, [vec![0, 1], vec![1, 2], vec![2]]);
    assert_eq!(names(&plan).len(), 120);
}

#[test]
fn executions_are_bounded_by_bytes() {
    let long = |i: usize| format!("http://e{i}.com/{}", "\u{FC}\"".repeat(600));
    let list: Vec<String> = (0..100).map(long).collect();
    let plan = plan(&[record("m", 1, &json!(list).to_string())], 0);
    assert!(plan.executions.len() > 2);
    for (execution, input) in plan.executions.iter().zip(inputs(&plan)) {
        assert!(execution.input.len() <= MAX_BATCH_BYTES, "{}", execution.input.len());
        assert_eq!(execution.entities, input.items.len());
    }
    // Filled as far as they go: one more would not have fitted.
    let item = plan.executions[0].input.len() / plan.executions[0].entities;
    assert!(plan.executions[0].input.len() + item > MAX_BATCH_BYTES);
    assert_eq!(names(&plan).len(), 100);
}

#[test]
fn the_largest_item_fits_into_an_execution() {
    // Characters that JSON writes with six bytes stand in the source, and at the ends of the text.
    let text = format!("evil.com/{}", "\"".repeat(2_048 - 9));
    let body = json!({"entities": [text], "source": "\u{1}".repeat(256), "tlp": "amber+strict"}).to_string();
    let plan = plan(&[record(&"m".repeat(100), 1, &body)], 0);
    assert_eq!(plan.executions.len(), 1);
    assert!(plan.executions[0].input.len() < 8_192, "{}", plan.executions[0].input.len());
}

#[test]
fn a_second_delivery_has_the_same_batch_and_another_one_has_not() {
    let records = [record("m-1", 1, "evil.com"), record("m-2", 1, "evil.net")];
    assert_eq!(plan(&records, 7), plan(&records, 8));
    let batch = &plan(&records, 0).executions[0].batch;
    assert_eq!((batch.len(), &batch[..2]), (34, "b-"));
    for other in [record("m-3", 1, "evil.com"), record("m-1", 2, "evil.com"), record("m-1", 1, "evil.org")] {
        assert_ne!(&plan(&[other, records[1].clone()], 0).executions[0].batch, batch);
    }
}

fn body() -> impl Strategy<Value = String> {
    let entity = prop_oneof!["[a-c]{1,2}\\.(com|net)", "\\PC{0,12}", any::<String>()];
    let list = proptest::collection::vec(entity.clone(), 0..130);
    prop_oneof![
        entity,
        any::<String>(),
        list.clone().prop_map(|l| json!(l).to_string()),
        list.prop_map(|l| json!({"entities": l, "source": "s"}).to_string()),
        "[\\[\\]{}\",:a-z\\\\0-9. ]{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_batch_panics_and_no_message_is_forgotten(bodies in proptest::collection::vec(body(), 0..8)) {
        let records: Vec<Record> =
            bodies.iter().enumerate().map(|(i, b)| record(&format!("m-{i}"), i as u64, b)).collect();
        let plan = plan(&records, 0);
        let mut seen = BTreeSet::new();
        for execution in &plan.executions {
            prop_assert!(execution.input.len() <= MAX_BATCH_BYTES);
            prop_assert!((1..=MAX_BATCH_ENTITIES).contains(&execution.entities));
            seen.extend(execution.records.iter().copied());
        }
        for letter in &plan.letters {
            prop_assert!(letter.bytes() <= MAX_BYTES && !letter.body.is_empty());
            seen.insert(letter.record);
        }
        prop_assert_eq!(seen.len(), records.len());
        let names = names(&plan);
        prop_assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        prop_assert_eq!(names.len() + plan.counts.refused + plan.counts.duplicates, plan.counts.received);
    }
}
