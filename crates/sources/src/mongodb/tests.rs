use jiff::Timestamp;
use mongodb::bson::{Bson, RawDocumentBuf, doc, oid::ObjectId, rawdoc};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::{projection, values};
use crate::params::{Found, Request, Variable};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

fn parse(template: Value) -> Result<Filter, String> {
    Filter::parse(&object(template))
}

#[test]
fn the_variable_becomes_a_list_of_texts() {
    let filter = parse(json!({
        "domain": {"$in": ":entities"},
        "added": {"$gte": {"$date": "2026-11-24T10:20:30Z"}},
        "$or": [{"n": 1}, {"n": {"$ne": 1.5}}, {"id": {"$oid": "65a000000000000000000001"}}, {"f": [null, true, "$where"]}],
    }))
    .unwrap();
    assert_eq!(filter.variable(), Variable::Entities);
    let time: Timestamp = "2026-11-24T10:20:30Z".parse().unwrap();
    let hostile = ["{\"$where\": \"1\"}", "$where", ":entities", "' OR 1", "\0"];
    assert_eq!(
        filter.document(&hostile),
        doc! {
            "$or": [{"n": 1_i64}, {"n": {"$ne": 1.5}},
                {"id": ObjectId::parse_str("65a000000000000000000001").unwrap()}, {"f": [Bson::Null, true, "$where"]}],
            "added": {"$gte": mongodb::bson::DateTime::from_millis(time.as_millisecond())},
            "domain": {"$in": hostile.to_vec()},
        }
    );
}

#[test]
fn filters_that_run_code_or_are_none_are_refused() {
    for (template, reason) in [
        (json!({}), "none of :entities"),
        (json!({"domain": "a.com"}), "none of :entities"),
        (json!({"domain": ":entities"}), ":entities is not the value of an \"$in\""),
        (json!({"domain": {"$in": [":entities"]}}), ":entities is not the value of an \"$in\""),
        (json!({"domain": {"$nin": ":entities"}}), ":entities is not the value of an \"$in\""),
        (json!({"domain": {"$eq": ":entities"}}), ":entities is not the value of an \"$in\""),
        (json!({"domain": {"$in": ":entitys"}}), "unknown variable :entitys"),
        (json!({"a": {"$in": ":entities"}, "b": {"$in": ":addresses"}}), "more than one of"),
        (json!({"a": {"$in": ":entities"}, "$where": "sleep(1000)"}), "operator $where"),
        (json!({"$expr": {"$in": ["$a", ":entities"]}}), "operator $expr"),
        (json!({"$or": [{"a": {"$in": ":entities"}}, {"$expr": {"$function": {}}}]}), "operator $expr"),
        (json!({"a": {"$in": ":entities", "$regex": ".*"}}), "operator $regex"),
        (json!({"a": {"$in": ":entities"}, "b": {"$not": {"$accumulator": 1}}}), "operator $accumulator"),
        (json!({"a": {"$in": ":entities"}, "b": {"$date": "yesterday"}}), "a $date or $oid"),
        (json!({"a": {"$in": ":entities"}, "b": {"$oid": "1"}}), "a $date or $oid"),
        (json!({"a": {"$in": ":entities"}, "b": u64::MAX}), "the number 18446744073709551615"),
        (json!({"a": {"$in": ":entities"}, "b\0": 1}), "a NUL character"),
        (json!({"a": {"$in": ":entities"}, "b": vec![0; 2_000]}), "more than 1000 values"),
    ] {
        let error = parse(template.clone()).unwrap_err();
        assert!(error.starts_with(reason), "{template}: {error}");
    }
    let mut deep = json!({"a": {"$in": ":entities"}});
    for _ in 0..100 {
        deep = json!({ "$and": [deep] });
    }
    assert!(parse(deep).unwrap_err().starts_with("nested deeper"));
}

#[test]
fn a_projection_has_the_key_once() {
    let fields = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
    for (declared, key, expected) in [
        (&[][..], "domain", doc! {}),
        (&["score"], "domain", doc! {"score": 1, "domain": 1, "_id": 0}),
        (&["domain", "_id"], "domain", doc! {"domain": 1, "_id": 1}),
        (&["about"], "about.domain", doc! {"about": 1, "_id": 0}),
        (&["score"], "about.domain", doc! {"score": 1, "about.domain": 1, "_id": 0}),
    ] {
        assert_eq!(projection(&fields(declared), key).unwrap(), expected);
    }
    assert!(projection(&fields(&["$where"]), "domain").is_err());
    assert!(projection(&fields(&[""]), "domain").is_err());
}

fn json_of(document: &RawDocumentBuf) -> Result<Value, crate::SourceError> {
    values::json(document, &mut Found::new(Request::default(), 10))
}

#[test]
fn every_kind_of_value_has_a_form() {
    use mongodb::bson::{Binary, DateTime, Decimal128, Regex, Timestamp, Uuid, spec::BinarySubtype};
    let decimal = |text: &str| text.parse::<Decimal128>().unwrap();
    let document = doc! {
        "int": 1_i32, "long": i64::MAX, "double": 0.1, "nan": f64::NAN, "text": "é", "flag": true, "null": Bson::Null,
        "id": ObjectId::parse_str("65a000000000000000000001").unwrap(),
        "date": DateTime::from_millis(1_795_515_630_500),
        "far": DateTime::MAX,
        "timestamp": Timestamp { time: 1_795_515_630, increment: 7 },
        "whole": decimal("12"), "decimal": decimal("0.10"), "infinite": decimal("Infinity"),
        "uuid": Uuid::parse_str("936da01f-9abd-4d9d-80c7-02af85c822a8").unwrap(),
        "bytes": Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 255] },
        "regex": Bson::RegularExpression(Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() }),
        "code": Bson::JavaScriptCode("f()".to_owned()), "symbol": Bson::Symbol("s".to_owned()),
        "undefined": Bson::Undefined, "max": Bson::MaxKey, "min": Bson::MinKey,
        "nested": {"list": [1_i32, {"a": "b"}]},
    };
    assert_eq!(
        json_of(&RawDocumentBuf::try_from(&document).unwrap()).unwrap(),
        json!({
            "int": 1, "long": i64::MAX, "double": 0.1, "nan": null, "text": "é", "flag": true, "null": null,
            "id": "65a000000000000000000001", "date": "2026-11-24T10:20:30.5Z", "far": null,
            "timestamp": "2026-11-24T10:20:30Z", "whole": 12, "decimal": 0.1, "infinite": null,
            "uuid": "936da01f-9abd-4d9d-80c7-02af85c822a8", "bytes": "0x01ff", "regex": "/^a/i", "code": "f()",
            "symbol": "s", "undefined": null, "max": null, "min": null, "nested": {"list": [1, {"a": "b"}]},
        })
    );
}

#[test]
fn a_document_that_is_deep_or_wide_is_refused() {
    let mut deep = rawdoc! {"a": 1};
    for _ in 0..1_000 {
        deep = rawdoc! {"a": deep};
    }
    assert_eq!(json_of(&deep).unwrap_err().code(), "malformed");
    let wide = doc! {"a": vec![0_i32; 200_000]};
    assert_eq!(json_of(&RawDocumentBuf::try_from(&wide).unwrap()).unwrap_err().code(), "too_large");
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 5..200)) {
        let length = i32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        *bytes.last_mut().unwrap() = 0;
        if let Ok(document) = RawDocumentBuf::from_bytes(bytes) {
            let _ = json_of(&document);
        }
    }
}
