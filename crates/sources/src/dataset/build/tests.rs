use serde_json::{Value, json};
use tribunal_core::Entity;

use super::*;
use crate::config::MatchBy;
use crate::dataset::Dataset;

fn options(key: &str) -> BuildOptions {
    BuildOptions { key: Some(key.to_owned()), ..BuildOptions::default() }
}

fn built(options: BuildOptions, csv: &str) -> Built {
    let mut builder = Builder::new(options).unwrap();
    builder.add_csv("t.csv", csv.as_bytes()).unwrap();
    builder.finish().unwrap()
}

fn error(options: BuildOptions, csv: &str) -> String {
    let mut builder = Builder::new(options).unwrap();
    let result = builder.add_csv("t.csv", csv.as_bytes()).and_then(|_| builder.finish());
    result.unwrap_err().to_string()
}

fn rows(built: &Built, entity: &str) -> Vec<Value> {
    let dataset = Dataset::open(built.bytes.clone()).unwrap();
    dataset.ask(&Entity::parse(entity).unwrap(), None, MatchBy::Entity).unwrap()
}

#[test]
fn every_type_is_read_back() {
    let csv = "entity,text,number,rate,day,seen,exact,flag\n\
        a.com,\"x, \"\"y\"\"\",-5,0.25,1997-03-29,2026-11-24 07:49:58,2026-11-24T07:49:58.25Z,true\n\
        b.com,,,,,,,\n\
        a.com,z,9007199254740992,1,1960-01-01,1960-01-01 00:00:00,1960-01-01T00:00:00Z,FALSE\n";
    let built = built(options("entity"), csv);
    assert_eq!(
        rows(&built, "a.com"),
        [
            json!({
                "text": "x, \"y\"", "number": -5, "rate": 0.25, "day": "1997-03-29",
                "seen": "2026-11-24T07:49:58Z", "exact": "2026-11-24T07:49:58.25Z", "flag": true,
            }),
            json!({
                "text": "z", "number": 9_007_199_254_740_992_i64, "rate": 1.0, "day": "1960-01-01",
                "seen": "1960-01-01T00:00:00Z", "exact": "1960-01-01T00:00:00Z", "flag": false,
            }),
        ]
    );
    assert_eq!(rows(&built, "b.com"), [json!({})]);
    assert!(rows(&built, "c.com").is_empty());
}

#[test]
fn keys_of_all_kinds_stand_in_one_column() {
    let csv = "feed,entity,score\n\
        one,evil[.]example,1\none,1.2.3.4,2\ntwo,hxxp://EVIL.example/x,3\ntwo,1.2.0.0/16,4\n\
        two,2001:db8::/32,5\nthree,1.2.3.0-1.2.3.255,6\nthree,2001:db8::1,7\n";
    let built = built(options("entity"), csv);
    let scores = |entity: &str| -> Vec<i64> {
        rows(&built, entity).iter().map(|row| row["score"].as_i64().unwrap()).collect()
    };
    assert_eq!(scores("evil.example"), [1, 3]);
    assert_eq!(scores("1.2.3.4"), [2], "the address itself is the narrowest");
    assert_eq!(scores("1.2.3.5"), [6]);
    assert_eq!(scores("1.2.4.5"), [4]);
    assert_eq!(scores("1.3.0.0"), [0; 0]);
    assert_eq!(scores("2001:db8::1"), [7]);
    assert_eq!(scores("2001:db8::2"), [5]);
    assert_eq!(scores("2001:db9::2"), [0; 0]);
    let keys = built.report.keys;
    assert_eq!((keys.domain, keys.address, keys.range), (1, 2, 3));
    assert_eq!((built.report.rows, built.report.refused), (7, 0));
}

#[test]
fn a_range_stands_in_two_columns_and_a_key_beside_it() {
    let range = Some(("start".to_owned(), "end".to_owned()));
    let options = BuildOptions { key: Some("entity".to_owned()), range, ..BuildOptions::default() };
    let built = built(options, "start,end,entity,n\n1.0.0.0,1.0.0.9,,1\n,,a.com,2\n1.0.0.0,x,,3\n");
    assert_eq!(rows(&built, "1.0.0.9"), [json!({"n": 1})]);
    assert_eq!(rows(&built, "a.com"), [json!({"n": 2})]);
    assert_eq!(built.report.refused_by, BTreeMap::from([("address", 1)]));
}

#[test]
fn refused_rows_are_counted_and_named_by_line() {
    let text = "# a comment\nentity,n\na.com,1\n\nnot a name,2\n# more\n1.2.3.4/33,3\nb.com\n\"\n\",\"4\n\"\n12345,5";
    for csv in [text.to_owned(), text.replace('\n', "\r\n"), format!("{text}\n")] {
        let built = built(options("entity"), &csv);
        let refused = &built.report.refused_rows;
        let lines: Vec<(u64, &str)> = refused.iter().map(|refused| (refused.line, refused.code)).collect();
        assert_eq!(lines[0].0, 5);
        assert_eq!(lines[1..], [(7, "cidr"), (8, "fields"), (9, "empty"), (12, "number")]);
        assert_eq!((built.report.read, built.report.rows, built.report.refused), (6, 1, 5));
    }
    let nothing = error(options("entity"), "entity\n-\n");
    assert!(nothing.contains("no row has a key") && nothing.contains("of 1"), "{nothing}");
}

#[test]
fn a_list_without_columns_says_that_a_key_is_listed() {
    let header = Some(vec!["domain".to_owned()]);
    let built = built(BuildOptions { header, ..options("domain") }, "#bad names\na.com\nb.com\n");
    assert_eq!(rows(&built, "b.com"), [json!({"listed": true})]);
}

#[test]
fn columns_are_chosen_and_the_key_can_be_kept() {
    let columns = Some(vec!["n".to_owned(), "entity".to_owned()]);
    let built = built(BuildOptions { columns, ..options("entity") }, "entity,m,n\n1.0.0.0/8,1,2\n");
    assert_eq!(rows(&built, "1.1.1.1"), [json!({"n": 2, "entity": "1.0.0.0/8"})]);
}

#[test]
fn a_type_that_is_said_is_used_and_what_is_not_of_it_is_missing() {
    let types = BTreeMap::from([
        ("seen".to_owned(), ColumnType::Time),
        ("n".to_owned(), ColumnType::Number),
        ("id".to_owned(), ColumnType::Text),
    ]);
    let built =
        built(BuildOptions { types, ..options("e") }, "e,seen,n,id\na.com,0,x,7\nb.com,1795506598,2,8\n");
    assert_eq!(rows(&built, "a.com"), [json!({"seen": "1970-01-01T00:00:00Z", "id": "7"})]);
    assert_eq!(rows(&built, "b.com"), [json!({"seen": "2026-11-24T07:49:58Z", "n": 2, "id": "8"})]);
    assert_eq!(built.report.unreadable, BTreeMap::from([("n".to_owned(), 1)]));
}

#[test]
fn json_lines_keep_what_json_says() {
    let mut builder = Builder::new(options("name")).unwrap();
    let lines = "\u{feff}{\"name\": \"a.com\", \"id\": \"007\", \"n\": 1.5, \"tags\": [\"x\", 1]}\n\n\
        {\"name\": \"b.com\", \"id\": null, \"tags\": \"[x\", \"late\": true}\n\
        [1]\n{\"n\": 1}\n{\"name\": 5}\n{\"name\": \"c.com\"";
    assert_eq!(builder.add_json_lines("t.jsonl", lines.as_bytes()).unwrap(), 6);
    let built = builder.finish().unwrap();
    assert_eq!(rows(&built, "a.com"), [json!({"id": "007", "n": 1.5, "tags": ["x", 1]})]);
    assert_eq!(rows(&built, "b.com"), [json!({"tags": "[x", "late": true})]);
    let codes: Vec<&str> = built.report.refused_rows.iter().map(|refused| refused.code).collect();
    assert_eq!(codes, ["invalid_json", "empty", "number", "invalid_json"]);
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let csv = "e,x,y\nb.com,1,a\na.com,2,b\n1.0.0.0/8,3,a\n";
    assert_eq!(built(options("e"), csv).bytes, built(options("e"), csv).bytes);
}

#[test]
fn rows_of_one_key_are_bounded() {
    let csv = format!("e,n\n{}b.com,7\n", "a.com,1\n".repeat(MAX_ROWS + 5));
    let built = built(options("e"), &csv);
    assert_eq!(rows(&built, "a.com").len(), MAX_ROWS);
    assert_eq!(rows(&built, "b.com"), [json!({"n": 7})]);
    assert_eq!(built.report.over_limit, 5);
}

#[test]
fn what_is_wrong_with_an_input_is_named() {
    assert!(Builder::new(BuildOptions::default()).unwrap_err().to_string().contains("no column of keys"));
    let missing = error(options("domain"), "host,n\na.com,1\n");
    assert!(missing.contains("t.csv has no column \"domain\", only: host, n"), "{missing}");
    let twice = error(options("e"), "e,n,n\na.com,1,2\n");
    assert!(twice.contains("\"n\": comes twice"), "{twice}");
    let types = BTreeMap::from([("m".to_owned(), ColumnType::Date)]);
    let misspelt = error(BuildOptions { types, ..options("e") }, "e,n\na.com,1\n");
    assert!(misspelt.contains("the table has no column \"m\", only: n"), "{misspelt}");
    let empty = error(options("e"), "");
    assert!(empty.contains("no column \"e\""), "{empty}");
    let wide: Vec<String> = (0..=MAX_COLUMNS).map(|i| format!("c{i}")).collect();
    let wide = error(options("e"), &format!("e,{}\n", wide.join(",")));
    assert!(wide.contains("more than 24 columns"), "{wide}");
    let control = error(options("e"), "e,\"a\u{1b}\"\n");
    assert!(control.contains("control"), "{control}");
}

#[test]
fn a_value_that_is_too_long_refuses_its_row() {
    let built = built(options("e"), &format!("e,x\na.com,{}\nb.com,y\n", "x".repeat(MAX_VALUE_BYTES + 1)));
    assert_eq!(built.report.refused_by, BTreeMap::from([("value_too_long", 1)]));
    assert!(rows(&built, "a.com").is_empty());
}

#[test]
fn an_answer_takes_no_more_memory_than_it_may() {
    // Each value stands once in the file, however many rows have it.
    let columns: Vec<String> = (0..MAX_COLUMNS).map(|i| format!("c{i}")).collect();
    let row = format!("a.com{}\n", format!(",{}", "x".repeat(MAX_VALUE_BYTES)).repeat(MAX_COLUMNS));
    let built = built(options("e"), &format!("e,{}\n{}", columns.join(","), row.repeat(100)));
    assert!(built.bytes.len() < 200_000, "{}", built.bytes.len());
    assert_eq!(rows(&built, "a.com").len(), (4 << 20) / (MAX_VALUE_BYTES * MAX_COLUMNS));
}

#[test]
fn a_quote_that_is_left_open_takes_no_more_memory_than_a_row() {
    let csv = format!("e,x\na.com,\"{}", "x\n".repeat(2 << 20));
    let mut builder = Builder::new(options("e")).unwrap();
    let error = builder.add_csv("t.csv", csv.as_bytes()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("quote left open"), "{source}");
    let line = format!("{{\"e\": \"{}\"}}", "x".repeat(2 << 20));
    let error = builder.add_json_lines("t.jsonl", line.as_bytes()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("line 1 has more than 1048576 bytes"), "{source}");
}
