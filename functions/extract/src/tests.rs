//! Events in, batches out.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use tribunal_core::ErrorName;
use tribunal_core::entity::Kind;
use tribunal_core::message::{ExtractInput, FeatureBatch, MAX_BATCH_ENTITIES, Row, SourceStatus};
use tribunal_registry::Registry;
use tribunal_runtime::{EventLog, Invocation, Step as _};
use tribunal_sources::{Context, Input, IpRanges, Table};

use crate::{Extract, Extraction, LOOK_AFTER, MAX_OUTPUT_BYTES, RANGES, Ranges};

mod sources;

fn event(input: Value) -> ExtractInput {
    ExtractInput { input, execution: "run-1".to_owned(), started_at: "2026-06-01T12:00:00+02:00".to_owned() }
}

fn extract(input: Value, ranges: &Ranges) -> Result<FeatureBatch, (ErrorName, String)> {
    let extraction = Extraction::new().unwrap();
    extraction.extract(&event(input), ranges).map_err(|e| (e.error_name(), e.to_string()))
}

fn entities(texts: &[&str]) -> FeatureBatch {
    extract(json!({"entities": texts}), &Ranges::Absent).unwrap()
}

fn item(entity: &str, kind: &str) -> Value {
    json!({"entity": entity, "kind": kind, "original": format!("<{entity}>"), "request_id": "m-1",
           "requested_at": "2026-06-01T09:00:00.000Z", "source": "proxy", "tlp": "amber"})
}

fn value(batch: &FeatureBatch, row: usize, feature: &str) -> Option<f32> {
    batch.rows[row].values[batch.features.iter().position(|f| f == feature).unwrap()]
}

fn ranges_file() -> Vec<u8> {
    let table = |table, content: &'static str| Input { table, file: "t.csv", content: content.as_bytes() };
    tribunal_sources::compile(&[
        table(Table::Network, "1.1.1.0,1.1.1.255,13335,\"Cloudflare, Inc.\"\n"),
        table(Table::Country, "1.1.1.0,1.1.1.255,AU\n"),
        table(Table::Hosting, "type,provider,cidr\ncloud,x,1.1.1.0/25\n"),
    ])
    .unwrap()
}

#[test]
fn texts_become_rows_in_normal_form() {
    let batch = entities(&["hxxps://Evil[.]Example[.]com/login", "1[.]1[.]1[.]1"]);
    assert_eq!(batch.batch, "run-1");
    assert!(batch.refused.is_empty());
    let first = &batch.rows[0].item;
    assert_eq!((first.entity.as_str(), first.kind), ("evil.example.com", Kind::Domain));
    assert_eq!(first.original, "hxxps://Evil[.]Example[.]com/login");
    assert_eq!(first.requested_at, "2026-06-01T10:00:00.000Z", "in UTC, with milliseconds");
    assert_eq!(first.request_id, "run-1");
    assert_eq!((batch.rows[1].item.entity.as_str(), batch.rows[1].item.kind), ("1.1.1.1", Kind::Ip));
}

#[test]
fn rows_share_one_vector_with_the_other_kind_missing() {
    let batch = entities(&["paypal-login.evil-site.com", "1.1.1.1"]);
    let extraction = Extraction::new().unwrap();
    assert_eq!(batch.schema, extraction.schema());
    let schema = tribunal_features::schema(tribunal_features::Lexicon::embedded().unwrap());
    assert_eq!(batch.features, schema.names());
    for (row, kind) in [(0, Kind::Domain), (1, Kind::Ip)] {
        assert_eq!(batch.rows[row].values.len(), schema.features.len());
        for (feature, value) in schema.features.iter().zip(&batch.rows[row].values) {
            assert!(value.is_none() || feature.kinds.contains(&kind), "{} of a {kind:?}", feature.name);
        }
        assert!(batch.rows[row].values.iter().flatten().count() > 0);
    }
    let text = serde_json::to_string(&batch).unwrap();
    assert_eq!(serde_json::from_str::<FeatureBatch>(&text).unwrap(), batch, "no value changes on its way");
}

#[test]
fn what_is_not_an_entity_is_reported_and_loses_nothing_else() {
    let long = "x".repeat(3000);
    let input =
        json!({"entities": ["a.example.com", "", 7, null, ["b.example.com"], "10.0.0.0/8", long, "co.uk"]});
    let batch = extract(input, &Ranges::Absent).unwrap();
    assert_eq!(batch.rows.len(), 1);
    let refused: Vec<(&str, &str)> = batch
        .refused
        .iter()
        .map(|r| (r.original.get(..15).unwrap_or(&r.original), r.code.as_str()))
        .collect();
    let expected = [
        ("", "empty"),
        ("7", "not_a_text"),
        ("null", "not_a_text"),
        ("[\"b.example.com", "not_a_text"),
        ("10.0.0.0/8", "cidr"),
        ("xxxxxxxxxxxxxxx", "too_long"),
        ("co.uk", "public_suffix"),
    ];
    assert_eq!(refused, expected.map(|(original, code)| (original.get(..15).unwrap_or(original), code)));
    assert!(batch.refused.iter().all(|r| r.original.len() <= 256 && !r.reason.is_empty()));
    assert!(batch.refused[1].reason.contains("a number"), "{}", batch.refused[1].reason);
}

#[test]
fn texts_of_one_entity_are_one_row() {
    let batch = entities(&["evil.com.", "EVIL[.]com", "user@evil.com", "evil.org"]);
    let rows: Vec<(&str, &str)> =
        batch.rows.iter().map(|r| (r.item.entity.as_str(), r.item.original.as_str())).collect();
    assert_eq!(rows, [("evil.com", "evil.com."), ("evil.org", "evil.org")]);
    assert!(batch.refused.is_empty());
}

#[test]
fn where_scoring_makes_no_sense_nothing_is_asked() {
    let ranges = Ranges::from(IpRanges::open(ranges_file()).unwrap());
    let batch = extract(json!({"entities": ["localhost", "192.168.0.1", "name.test"]}), &ranges).unwrap();
    assert_eq!(batch.rows.len(), 3);
    for Row { special, values, evidence, sources, .. } in &batch.rows {
        assert!(special.is_some() && values.is_empty() && evidence.is_empty() && sources.is_empty());
    }
}

#[test]
fn a_dispatchers_items_are_kept_as_they_are_and_verified() {
    let items = [
        item("evil.com", "domain"),
        item("1.1.1.1", "ip"),
        item("EVIL.com", "domain"),
        item("evil.com", "ip"),
        item("10.0.0.0/8", "ip"),
    ];
    let batch =
        extract(json!({"batch": "b-7", "items": items, "entities": ["unread"]}), &Ranges::Absent).unwrap();
    assert_eq!(batch.batch, "b-7");
    for (row, given) in batch.rows.iter().zip(&items) {
        assert_eq!(serde_json::to_value(&row.item).unwrap(), *given);
    }
    let refused: Vec<(&str, &str)> =
        batch.refused.iter().map(|r| (r.original.as_str(), r.code.as_str())).collect();
    let expected =
        [("<EVIL.com>", "not_normal_form"), ("<evil.com>", "wrong_kind"), ("<10.0.0.0/8>", "cidr")];
    assert_eq!((batch.rows.len(), refused.as_slice()), (2, expected.as_slice()));
    assert!(batch.refused[0].reason.contains("`evil.com`"), "{}", batch.refused[0].reason);
}

#[test]
fn what_is_not_an_event_is_refused_by_name() {
    let invalid = |input: Value, part: &str| {
        let (name, reason) = extract(input, &Ranges::Absent).unwrap_err();
        assert_eq!(name, ErrorName::InvalidInput, "{reason}");
        assert!(reason.contains(part), "{reason}");
    };
    invalid(json!(null), "null");
    invalid(json!("evil.com"), "a text");
    invalid(json!(["evil.com"]), "an array");
    invalid(json!({}), "without entities");
    invalid(json!({"entities": "evil.com"}), "no array");
    invalid(json!({"entities": []}), "no entities: give 1 to 50");
    invalid(json!({"batch": "b", "items": []}), "no entities");
    invalid(json!({"batch": "b", "items": [{"entity": "evil.com"}]}), "not a dispatcher's batch");
    invalid(json!({"items": [item("evil.com", "domain")]}), "not a dispatcher's batch");
    let extraction = Extraction::new().unwrap();
    let at_no_time =
        ExtractInput { started_at: "now".to_owned(), ..event(json!({"entities": ["evil.com"]})) };
    let error = extraction.extract(&at_no_time, &Ranges::Absent).unwrap_err();
    assert!(error.to_string().contains("started_at is \"now\""), "{error}");
}

#[test]
fn a_batch_has_a_short_name() {
    let named = |bytes: usize| json!({"batch": "b".repeat(bytes), "items": [item("a.com", "domain")]});
    assert!(extract(named(128), &Ranges::Absent).is_ok());
    let (name, reason) = extract(named(129), &Ranges::Absent).unwrap_err();
    assert_eq!(name, ErrorName::InvalidInput);
    assert!(reason.contains("129 bytes, the limit is 128"), "{reason}");
}

#[test]
fn a_batch_has_a_size() {
    let texts: Vec<String> = (0..=MAX_BATCH_ENTITIES).map(|i| format!("e{i}.evil-site.com")).collect();
    let (name, reason) = extract(json!({"entities": texts}), &Ranges::Absent).unwrap_err();
    assert_eq!(name, ErrorName::BatchTooLarge);
    assert!(reason.contains("51 entities, the limit is 50"), "{reason}");
    let (name, _) =
        extract(json!({"batch": "b", "items": vec![item("a.com", "domain"); 51]}), &Ranges::Absent)
            .unwrap_err();
    assert_eq!(name, ErrorName::BatchTooLarge);
    // As long as they may be, and every byte two in JSON.
    let path = "\"".repeat(2000);
    let urls: Vec<String> =
        (0..MAX_BATCH_ENTITIES).map(|i| format!("https://e{i}.evil-site.com/{path}")).collect();
    let (name, reason) = extract(json!({"entities": urls}), &Ranges::Absent).unwrap_err();
    assert_eq!(name, ErrorName::BatchTooLarge);
    assert!(
        reason.contains("50 entities take") && reason.contains(&format!("limit is {MAX_OUTPUT_BYTES}")),
        "{reason}"
    );
    let batch = entities(&texts[..50].iter().map(String::as_str).collect::<Vec<_>>());
    let bytes = serde_json::to_vec(&batch).unwrap().len();
    assert!(bytes < MAX_OUTPUT_BYTES / 2, "50 plain names take {bytes} bytes");
}

#[test]
fn an_address_is_looked_up() {
    let ready = Ranges::from(IpRanges::open(ranges_file()).unwrap());
    let input = json!({"entities": ["1.1.1.1", "1.1.1.200", "9.9.9.9", "one.one.one.one"]});
    let batch = extract(input.clone(), &ready).unwrap();
    let facts = |row: usize| -> Vec<(&str, &str)> {
        batch.rows[row].evidence.iter().map(|e| (e.fact.as_str(), e.value.as_str())).collect()
    };
    let known = [("asn", "AS13335 Cloudflare, Inc."), ("country", "AU")];
    assert_eq!(facts(0), [known.as_slice(), &[("hosting", "in a known hosting range")]].concat());
    assert_eq!(facts(1), known);
    assert!(batch.rows[0].evidence.iter().all(|e| e.source == RANGES));
    let status = |batch: &FeatureBatch, row: usize| batch.rows[row].sources.get(RANGES).copied();
    assert_eq!(
        [0, 2, 3].map(|row| status(&batch, row)),
        [Some(SourceStatus::Ok), Some(SourceStatus::Empty), None]
    );
    assert_eq!([0, 2].map(|row| value(&batch, row, "asn_known")), [Some(1.0), Some(0.0)]);
    for (ranges, expected) in [(Ranges::Absent, SourceStatus::Skipped), (Ranges::Broken, SourceStatus::Error)]
    {
        let batch = extract(input.clone(), &ranges).unwrap();
        assert_eq!(status(&batch, 0), Some(expected));
        assert_eq!(value(&batch, 0, "asn_known"), None);
        assert!(batch.rows[0].evidence.is_empty());
    }
}

async fn status_of(function: &Extract) -> SourceStatus {
    let event = event(json!({"entities": ["1.1.1.1"]}));
    let answer = function.handle(event, &Invocation::default(), &mut EventLog::new("extract")).await;
    answer.unwrap().rows[0].sources[RANGES]
}

#[tokio::test(start_paused = true)]
async fn a_data_set_that_is_published_later_is_picked_up() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let registry = Registry::with_store(Arc::clone(&store), "memory");
    let function = Extract::start(registry.clone(), Context::local()).await.unwrap();
    assert_eq!(status_of(&function).await, SourceStatus::Skipped);
    registry.publish_dataset(RANGES, "1", "ranges.bin", Bytes::from(ranges_file())).await.unwrap();
    assert_eq!(status_of(&function).await, SourceStatus::Skipped, "not looked for at once");
    tokio::time::advance(LOOK_AFTER).await;
    assert_eq!(status_of(&function).await, SourceStatus::Skipped, "looked for beside this event");
    assert_eq!(status_of(&function).await, SourceStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_data_set_that_is_corrupt_fails_nothing() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let registry = Registry::with_store(Arc::clone(&store), "memory");
    // Whole, but no data set; then another file than its pointer means.
    registry.publish_dataset(RANGES, "1", "ranges.bin", Bytes::from_static(b"not ranges")).await.unwrap();
    let function = Extract::start(registry.clone(), Context::local()).await.unwrap();
    assert_eq!(status_of(&function).await, SourceStatus::Error);
    let path = Path::from("datasets/ip-ranges/versions/1/ranges.bin");
    store.put(&path, Bytes::from_static(b"NOT ranges").into()).await.unwrap();
    let function = Extract::start(registry, Context::local()).await.unwrap();
    assert_eq!(status_of(&function).await, SourceStatus::Error);
}

#[tokio::test]
async fn every_shipped_model_finds_its_features() {
    let registry = Registry::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models")).unwrap();
    let names = registry.models().await.unwrap();
    assert!(!names.is_empty());
    let batch = entities(&["a.com"]);
    for name in names {
        for (part, _) in registry.load_model(&name).await.unwrap().parts {
            let unknown: Vec<&String> = part
                .features
                .iter()
                .filter(|f| !batch.features.contains(f) && !part.optional.contains(f))
                .collect();
            assert!(unknown.is_empty(), "{name} {}: {unknown:?}", part.file);
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[a-z0-9.:/@\\[\\]-]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{0,8}|entities|items|batch", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_event_has_an_answer(input in any_json()) {
        if let Err((name, reason)) = extract(input, &Ranges::Absent) {
            prop_assert!(!name.is_transient() && !reason.is_empty());
        }
    }

    #[test]
    fn any_entity_has_a_row_or_a_reason(texts in prop::collection::vec(any_json(), 1..6)) {
        let batch = extract(json!({"entities": texts}), &Ranges::Absent).unwrap();
        prop_assert!((1..=texts.len()).contains(&(batch.rows.len() + batch.refused.len())));
        let width = batch.features.len();
        for row in &batch.rows {
            prop_assert_eq!(row.values.len(), if row.special.is_some() { 0 } else { width });
        }
    }
}
