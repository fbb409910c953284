//! `tribunal sources`, as a person runs it: on files, without any deployment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not seen to be of a test")]

use std::path::Path;
use std::process::{Command, Output};

fn tribunal(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tribunal")).current_dir(folder).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const FEEDS: &str = "entity,feed,first_seen\nbad.example.net,alpha,2026-01-02\nbad.example.net,beta,2026-02-03\nsecure-app1e.site,alpha,2026-01-05\nsecure-app1e.site,beta,2026-01-06\n";

const SOURCES: &str = r#"
[sources.feeds]
description = "two feeds"
check = "bad.example.net"

[sources.feeds.dataset]
path = "feeds.tds"

[[sources.feeds.features]]
name = "feeds_distinct"
field = "feed"
transform = ["distinct"]

[[sources.feeds.features]]
name = "feeds_age_days"
field = "first_seen"
transform = ["min", "age_days"]

[[sources.feeds.evidence]]
fact = "seen on a feed"
value = "feed"
first_seen = "first_seen"
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("feeds.csv"), FEEDS).unwrap();
    std::fs::write(folder.path().join("sources.toml"), SOURCES).unwrap();
    let args = ["dataset", "build", "feeds.csv", "--key", "entity", "-o", "feeds.tds"];
    let built = tribunal(folder.path(), &args);
    assert!(built.status.success(), "{}", text(&built.stderr));
    folder
}

#[test]
fn the_schema_for_editors_is_the_committed_one() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sources.schema.json");
    let schema = tribunal(Path::new("."), &["sources", "schema"]);
    let committed = std::fs::read_to_string(page).unwrap_or_default();
    assert!(
        committed == text(&schema.stdout),
        "docs/sources.schema.json is not what is declared: tribunal sources schema > docs/sources.schema.json"
    );
}

#[test]
fn checking_shows_what_each_feature_got() {
    let folder = folder();
    let checked = tribunal(folder.path(), &["sources", "check", "sources.toml", "--json"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let line: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((line["status"].as_str(), line["entity"].as_str()), (Some("ok"), Some("bad.example.net")));
    assert_eq!(line["features"]["feeds_distinct"], 2.0);
    assert!(line["features"]["feeds_age_days"].as_f64().unwrap() > 0.0);
    assert_eq!(line["evidence"][0]["value"], "alpha");
    let unknown =
        tribunal(folder.path(), &["sources", "check", "sources.toml", "--entity", "fine.example.net"]);
    let shown = text(&unknown.stdout);
    assert!(shown.contains("empty") && shown.contains("missing"), "{shown}");
}

#[test]
fn a_source_that_does_not_answer_is_told_and_the_exit_code_says_so() {
    let folder = folder();
    std::fs::remove_file(folder.path().join("feeds.tds")).unwrap();
    let checked = tribunal(folder.path(), &["sources", "check", "sources.toml"]);
    assert_eq!(checked.status.code(), Some(3));
    assert!(text(&checked.stdout).contains("error"), "{}", text(&checked.stdout));
    assert!(text(&checked.stderr).contains("feeds.tds"), "{}", text(&checked.stderr));
}

#[test]
fn a_mistake_is_told_with_its_line_and_key() {
    let folder = folder();
    let path = folder.path().join("sources.toml");
    std::fs::write(&path, SOURCES.replace("check =", "timeout_ms = 0\ncheck =")).unwrap();
    let listed = tribunal(folder.path(), &["sources", "list", "sources.toml"]);
    assert_eq!(listed.status.code(), Some(2));
    let told = text(&listed.stderr);
    assert!(
        told.contains("sources.toml: line 4: sources.feeds.timeout_ms: 0: allowed is 1 to 6000"),
        "{told}"
    );
}

#[test]
fn declared_features_are_written_for_training_and_change_the_schema() {
    let folder = folder();
    let args = ["features", "--json", "secure-app1e.site", "rust-lang.org", "10.0.0.1"];
    let plain = tribunal(folder.path(), &args);
    let with = tribunal(folder.path(), &[&args[..], &["--sources", "sources.toml"]].concat());
    assert!(with.status.success(), "{}", text(&with.stderr));
    let rows = |output: &Output| -> Vec<serde_json::Value> {
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let values: Vec<_> = rows(&with).iter().map(|row| row["features"]["feeds_distinct"].as_f64()).collect();
    assert_eq!(values, [Some(2.0), Some(0.0), None]);
    for (plain, with) in rows(&plain).iter().zip(rows(&with)) {
        for (name, value) in plain["features"].as_object().unwrap() {
            assert_eq!(&with["features"][name], value, "{name}");
        }
    }
    let digest = |extra: &[&str]| {
        let schema = tribunal(folder.path(), &[&["features", "--schema", "--json"], extra].concat());
        rows(&schema)[0]["digest"].clone()
    };
    assert_ne!(digest(&[]), digest(&["--sources", "sources.toml"]));
}

#[test]
fn the_demos_declaration_is_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/sources/sources.toml");
    let listed = tribunal(Path::new("."), &["sources", "list", file.to_str().unwrap(), "--json"]);
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let value: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let adapters: Vec<&str> =
        value["sources"].as_array().unwrap().iter().filter_map(|source| source["adapter"].as_str()).collect();
    assert_eq!(adapters, ["mongodb", "dataset", "mysql"]);
}
