//! `tribunal ensemble`, as a person runs it: on a registry in a folder, without any deployment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not seen to be of a test")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tribunal_core::digest::sha256;

fn tribunal(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.current_dir(folder).arg("ensemble").args(args).output().unwrap()
}

/// What a command prints that succeeds.
fn done(folder: &Path, args: &[&str]) -> String {
    let output = tribunal(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn done_json(folder: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&done(folder, &[args, &["--json"]].concat())).unwrap()
}

/// Exit code and standard error of a command that fails.
fn refused(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = tribunal(folder, args);
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn definition(version: &str, model: &str) -> Value {
    json!({
        "version": version,
        "members": [{"model": model, "weight": {"domain": 0.1, "ip": 0.0}},
            {"model": "both", "weight": {"domain": 1.0, "ip": 1.0}, "required": true}],
        "method": {"domain": {"method": "logistic", "bias": -0.3}, "ip": {"method": "mean"}},
        "quorum": {"domain": 1, "ip": 1},
        "thresholds": {"domain": {"suspicious": 50.0, "malicious": 80.0},
            "ip": {"suspicious": 40.0, "malicious": 70.0}},
        "created": "2026-11-01T00:00:00Z",
    })
}

/// A model of one file, which is never run here.
fn model(registry: &Path, name: &str, kinds: &[&str]) {
    let folder = registry.join("models").join(name).join("versions/1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("trees.ubj"), b"trees").unwrap();
    let part = json!({"kinds": kinds, "file": "trees.ubj", "format": "xgboost-ubj", "sha256": sha256(b"trees"),
        "bytes": 5, "features": ["length"]});
    let manifest = json!({"name": name, "version": "1", "parts": [part]}).to_string();
    std::fs::write(folder.join("manifest.json"), &manifest).unwrap();
    let pointer = json!({"version": "1", "digest": sha256(manifest.as_bytes())}).to_string();
    std::fs::write(registry.join("models").join(name).join("current.json"), pointer).unwrap();
}

/// A folder with the registry `r`, two models in it, and the definition `e.json`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    model(&folder.path().join("r"), "names", &["domain"]);
    model(&folder.path().join("r"), "both", &["domain", "ip"]);
    std::fs::write(folder.path().join("e.json"), definition("7", "names").to_string()).unwrap();
    folder
}

#[test]
fn a_definition_is_published_once_and_put_in_force() {
    let folder = folder();
    let at = folder.path();
    assert_eq!(refused(at, &["show", "--registry", "r"]).0, Some(4));
    let said = done(at, &["publish", "e.json", "--registry", "r"]);
    assert_eq!(said, "r: version 7 of the ensemble is in force\n");
    let said = done(at, &["publish", "e.json", "--registry", "r"]);
    assert_eq!(said, "r: version 7 of the ensemble is in force, as before\n");
    let shown = done(at, &["show", "--registry", "r"]);
    for part in ["version 7", "names", "logistic, bias -0.3", "malicious from", "no entries on the lists"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let mut other = definition("7", "names");
    other["quorum"]["domain"] = json!(2);
    std::fs::write(at.join("e.json"), other.to_string()).unwrap();
    let (code, error) = refused(at, &["publish", "e.json", "--registry", "r"]);
    assert!(code == Some(1) && error.contains("ensemble/versions/7.json"), "{error}");
}

#[test]
fn members_that_are_not_there_or_lack_a_kind_are_named() {
    let folder = folder();
    let at = folder.path();
    std::fs::write(at.join("gone.json"), definition("8", "gone").to_string()).unwrap();
    done(at, &["check", "gone.json"]);
    for command in ["check", "publish"] {
        let (code, error) = refused(at, &[command, "gone.json", "--registry", "r"]);
        assert!(code == Some(2) && error.contains("members[0].model: gone is not published"), "{error}");
    }
    let mut wide = definition("8", "names");
    wide["members"][0]["weight"]["ip"] = json!(1.0);
    std::fs::write(at.join("wide.json"), wide.to_string()).unwrap();
    let (_, error) = refused(at, &["publish", "wide.json", "--registry", "r"]);
    assert!(error.contains("members[0].weight.ip: version 1 of names has no part"), "{error}");
    assert!(!at.join("r/ensemble").exists());
}

#[test]
fn lists_are_edited_as_versions_and_survive_the_next_definition() {
    let folder = folder();
    let at = folder.path();
    done(at, &["publish", "e.json", "--registry", "r"]);
    let deny = ["deny", "*.Evil.example", "--reason", "campaign", "--registry", "r"];
    assert_eq!(done_json(at, &deny)["version"], "7-lists.1");
    let allow = ["allow", "hxxps://good.evil[.]example/x", "--reason", "ours", "--expires", "30d"];
    let allowed = done_json(at, &[&allow[..], &["--registry", "r"]].concat());
    assert_eq!(
        (&allowed["version"], &allowed["entry"]["match"]),
        (&json!("7-lists.2"), &json!("good.evil.example"))
    );
    let lists = done_json(at, &["lists", "--registry", "r"]);
    let order: Vec<_> =
        lists["lists"].as_array().unwrap().iter().map(|e| e["match"].as_str().unwrap()).collect();
    assert_eq!(order, ["good.evil.example", "*.evil.example"]);

    std::fs::write(at.join("next.json"), definition("8", "names").to_string()).unwrap();
    let (code, error) = refused(at, &["publish", "next.json", "--registry", "r"]);
    assert!(code == Some(2) && error.contains("lacks 2 entries"), "{error}");
    let kept = done_json(at, &["publish", "next.json", "--registry", "r", "--keep-lists"]);
    assert_eq!((&kept["version"], &kept["kept"]), (&json!("8-lists.1"), &json!(2)));
    let shown = done_json(at, &["show", "--registry", "r"]);
    let mut expected = definition("8-lists.1", "names");
    assert_eq!(shown["definition"]["members"][0]["weight"], expected["members"][0]["weight"].take());
    assert_eq!(shown["definition"]["lists"].as_array().unwrap().len(), 2);

    let removed = done_json(at, &["remove", "good.evil.example", "--registry", "r"]);
    assert_eq!(removed["version"], "8-lists.2");
    let (code, error) = refused(at, &["remove", "good.evil.example", "--registry", "r"]);
    assert!(code == Some(4) && error.contains("*.evil.example covers it"), "{error}");
    assert_eq!(refused(at, &["remove", "--expired", "--registry", "r"]).0, Some(4));
    done(at, &["publish", "next.json", "--registry", "r", "--drop-lists"]);
    assert_eq!(done_json(at, &["lists", "--registry", "r"])["lists"], json!([]));
}

#[test]
fn an_entry_that_is_none_is_refused_and_nothing_is_published() {
    let folder = folder();
    let at = folder.path();
    done(at, &["publish", "e.json", "--registry", "r"]);
    let cases: [(&str, &str, &str); 5] = [
        ("192.0.2.1/24", "r", "30d"),
        ("no entity", "r", "30d"),
        ("a.example", "", "30d"),
        ("a.example", "bell\u{7}", "30d"),
        ("a.example", "r", "2020-01-01"),
    ];
    for (entity, reason, expires) in cases {
        let args = ["deny", entity, "--reason", reason, "--expires", expires, "--registry", "r"];
        let (code, error) = refused(at, &args);
        assert!(code == Some(2) && !error.contains('\u{7}'), "{entity}: {code:?} {error}");
    }
    assert_eq!(done_json(at, &["show", "--registry", "r"])["definition"]["version"], "7");
}
