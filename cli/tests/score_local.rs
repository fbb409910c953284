//! `score --local` on a small registry of two models in a folder: no AWS, and the same steps as deployed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not seen to be of a test")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tribunal_core::digest::sha256;

/// One split on a feature: `low` at most at the threshold, `high` above.
fn stump(feature: &str, threshold: f64, low: f64, high: f64) -> Value {
    json!({
        "format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": 1,
        "feature_names": [feature],
        "trees": [{
            "children_left": [1, -1, -1], "children_right": [2, -1, -1], "feature": [0, -1, -1],
            "threshold": [threshold, 0, 0], "missing_go_to_left": [1, 0, 0],
            "value": [0, low, high], "cover": [10, 5, 5]
        }]
    })
}

fn write(path: &Path, value: &Value) -> String {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bytes = serde_json::to_vec(value).unwrap();
    fs::write(path, &bytes).unwrap();
    sha256(&bytes)
}

/// A model that finds long labels and addresses outside IPv4 risky.
fn write_model(registry: &Path, name: &str, high: f64) {
    let folder = registry.join("models").join(name);
    let version = folder.join("versions/1");
    let part = |kind: &str, feature: &str, threshold: f64| {
        let file = format!("{kind}.json");
        let forest = stump(feature, threshold, 0.1, high);
        let digest = write(&version.join(&file), &forest);
        json!({
            "kinds": [kind], "file": file, "format": "tribunal-forest-json", "sha256": digest,
            "bytes": serde_json::to_vec(&forest).unwrap().len(), "features": [feature], "trees": 1,
            "explain_from": 0.3
        })
    };
    let parts = [part("domain", "label_length", 12.0), part("ip", "ip_version", 4.0)];
    let manifest = json!({
        "name": name, "version": "1", "created": "2026-11-24T00:00:00Z", "trainer": "by hand",
        "schema": sha256(b"any"), "parts": parts, "metrics": {}, "training": {}
    });
    let digest = write(&version.join("manifest.json"), &manifest);
    write(&folder.join("current.json"), &json!({"version": "1", "digest": digest}));
}

fn registry() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), "first", 0.9);
    write_model(folder.path(), "second", 0.7);
    let weight = json!({"domain": 1.0, "ip": 1.0});
    let thresholds = json!({"suspicious": 50.0, "malicious": 75.0});
    let definition = json!({
        "version": "1",
        "members": [{"model": "first", "weight": weight}, {"model": "second", "weight": weight}],
        "quorum": {"domain": 1, "ip": 1},
        "thresholds": {"domain": thresholds, "ip": thresholds},
        "created": "2026-11-24T00:00:00Z"
    });
    let digest = write(&folder.path().join("ensemble/versions/1.json"), &definition);
    write(&folder.path().join("ensemble/current.json"), &json!({"version": "1", "digest": digest}));
    folder
}

fn score(registry: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args(["score", "--local", "--models", registry.to_str().unwrap()])
        .args(arguments)
        // Not even an address of AWS: nobody is called.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    bytes
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect()
}

#[test]
fn a_document_has_scores_riskiest_first_and_refusals() {
    let registry = registry();
    let arguments = [
        "--json",
        "short.com",
        "a-rather-long-label.com",
        "A-Rather-Long-Label[.]com",
        "127.0.0.1",
        "10.0.0.0/8",
    ];
    let output = score(registry.path(), &arguments, "");
    assert_eq!(output.status.code(), Some(3));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let scores: Vec<(&str, &str, Option<f64>)> = document["scores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["entity"].as_str().unwrap(), s["verdict"].as_str().unwrap(), s["risk"].as_f64()))
        .collect();
    assert_eq!(scores.len(), 3, "the same entity is scored once");
    assert_eq!((scores[0].0, scores[0].1), ("a-rather-long-label.com", "malicious"));
    assert!((scores[0].2.unwrap() - 80.0).abs() < 0.01);
    assert_eq!((scores[1].0, scores[1].1), ("short.com", "benign"));
    assert_eq!(scores[2], ("127.0.0.1", "not_routable", None));
    let first = &document["scores"][0];
    assert_eq!(first["quorum"], json!({"met": true, "needed": 1, "answered": 2}));
    assert_eq!(document["refused"][0]["code"], "cidr");
    assert_eq!(document["failed"], json!([]));
}

#[test]
fn the_table_is_plain_text_without_a_terminal() {
    let registry = registry();
    let output = score(registry.path(), &["short.com", "a-rather-long-label.com", "localhost"], "");
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn lines_keep_the_order_of_the_input_over_many_batches() {
    let registry = registry();
    let names: Vec<String> = (0..1_234).map(|i| format!("name-{i}.com")).collect();
    let output = score(registry.path(), &["--json", "--lines"], &names.join("\n"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let scored: Vec<String> =
        lines(&output.stdout).iter().map(|s| s["entity"].as_str().unwrap().to_owned()).collect();
    assert_eq!(scored, names);
}

#[test]
fn the_riskiest_are_kept_of_many() {
    let registry = registry();
    let mut names: Vec<String> = (0..500).map(|i| format!("n{i}.com")).collect();
    names[123] = "the-only-long-label-of-all.com".to_owned();
    let output = score(registry.path(), &["--json", "--top", "2"], &names.join("\n"));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["scores"].as_array().unwrap().len(), 2);
    assert_eq!(document["scores"][0]["entity"], "the-only-long-label-of-all.com");
}

#[test]
fn a_broken_model_abstains_and_the_score_says_so() {
    let registry = registry();
    fs::write(registry.path().join("models/second/versions/1/domain.json"), b"{}").unwrap();
    let output = score(registry.path(), &["--json", "a-rather-long-label.com"], "");
    assert_eq!(output.status.code(), Some(0));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let predictors = document["scores"][0]["predictors"].as_array().unwrap();
    assert_eq!(predictors[1]["probability"], Value::Null);
    let reason = predictors[1]["reason"].as_str().unwrap();
    assert!(reason.starts_with("ModelUnavailable") && reason.contains("domain.json"), "{reason}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("warning: second abstains"));
}

#[test]
fn without_a_definition_or_with_a_broken_data_set_nothing_is_scored() {
    let registry = registry();
    let data = registry.path().join("ranges.bin");
    fs::write(&data, b"not a data set").unwrap();
    let output = score(registry.path(), &["--dataset", data.to_str().unwrap(), "a.com"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("ranges.bin"));
    fs::remove_file(registry.path().join("ensemble/current.json")).unwrap();
    let output = score(registry.path(), &["a.com"], "");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("ensemble/current.json"), "{text}");
}

#[test]
fn hostile_input_is_refused_line_by_line() {
    let registry = registry();
    let mut input = format!("{}.com\n", "a".repeat(300));
    input.push_str("nul\u{0}.com\n\u{1f608}.com\n10.0.0.0/8\ngood.com\n");
    input.push_str(&"[".repeat(100_000));
    input.push('\n');
    let output = score(registry.path(), &["--json", "--format", "lines"], &input);
    assert_eq!(output.status.code(), Some(3));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let refused: Vec<u64> =
        document["refused"].as_array().unwrap().iter().map(|r| r["line"].as_u64().unwrap()).collect();
    let scored = document["scores"].as_array().unwrap().len();
    assert_eq!(refused.len() + scored, 6, "{document}");
    assert!(refused.starts_with(&[1, 2]) && refused.contains(&4) && refused.contains(&6), "{refused:?}");
    assert!(document["scores"].as_array().unwrap().iter().any(|s| s["entity"] == "good.com"));
}

#[test]
fn a_reader_that_closes_early_ends_it_without_an_error() {
    let registry = registry();
    let names: Vec<String> = (0..3_000).map(|i| format!("name-{i}.com")).collect();
    let file = registry.path().join("names.txt");
    fs::write(&file, names.join("\n")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args(["score", "--local", "--json", "--lines", "--models"])
        .arg(registry.path())
        .arg("--file")
        .arg(&file)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Megabytes of scores do not fit into the pipe, so a write must meet its end.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Scores an entity into a file, with its vector.
fn scored(registry: &Path, entity: &str) -> std::path::PathBuf {
    let output = score(registry, &["--json", "--lines", "--vectors", entity], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = registry.join("scored.jsonl");
    fs::write(&path, output.stdout).unwrap();
    path
}

fn replay(registry: &Path, entity: &str, file: &Path) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args(["replay", entity, "--json", "--from", file.to_str().unwrap()])
        .args(["--registry", registry.to_str().unwrap()])
        .env_clear()
        .output()
        .unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn a_score_is_computed_again_to_the_last_bit_by_the_versions_that_made_it() {
    let registry = registry();
    for entity in ["a-rather-long-label.com", "2001:4860:4860::8888", "localhost"] {
        let file = scored(registry.path(), entity);
        let (code, report) = replay(registry.path(), entity, &file);
        assert_eq!((code, &report["identical"]), (Some(0), &json!(true)), "{report}");
    }
    // Another definition in force changes nothing: the score names its own.
    let file = scored(registry.path(), "a-rather-long-label.com");
    fs::write(registry.path().join("ensemble/current.json"), "{}").unwrap();
    fs::write(registry.path().join("models/first/current.json"), "{}").unwrap();
    let (code, report) = replay(registry.path(), "a-rather-long-label.com", &file);
    assert_eq!((code, &report["identical"]), (Some(0), &json!(true)), "{report}");
    assert_eq!(report["models"].as_array().unwrap().len(), 2);
}

#[test]
fn what_was_changed_and_what_is_gone_are_told_apart() {
    let (registry, entity) = (registry(), "a-rather-long-label.com");
    let file = scored(registry.path(), entity);
    let mut stored: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    stored["risk"] = json!(80.000001);
    stored["verdict"] = json!("benign");
    let changed = registry.path().join("changed.jsonl");
    fs::write(&changed, stored.to_string()).unwrap();
    let (code, report) = replay(registry.path(), entity, &changed);
    let parts: Vec<&str> =
        report["differences"].as_array().unwrap().iter().map(|d| d["part"].as_str().unwrap()).collect();
    assert_eq!((code, parts), (Some(6), vec!["risk", "verdict"]), "{report}");

    fs::remove_dir_all(registry.path().join("models/second/versions/1")).unwrap();
    let (code, report) = replay(registry.path(), entity, &file);
    assert_eq!(code, Some(4), "{report}");
    let missing = report["missing"][0].as_str().unwrap();
    assert!(missing.starts_with("second 1: ") && missing.contains("no such object"), "{missing}");

    stored["schema"] = json!("sha256:00");
    fs::write(&changed, stored.to_string()).unwrap();
    assert_eq!(replay(registry.path(), entity, &changed).0, Some(4), "another schema");
}
