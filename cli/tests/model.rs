//! `tribunal model` as a data scientist runs it, on the models of the goldens.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not seen to be of a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(path)
}

fn tribunal(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

/// Runs a command that has to succeed; its standard output.
fn done(arguments: &[&str], folder: &Path) -> String {
    let output = tribunal(arguments, folder);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// 200 rows of the 20 features of the goldens, in CSV with the columns in reverse order and one too many.
fn rows_csv(folder: &Path) {
    let mut text = String::from("extra");
    for i in (0..20).rev() {
        text.push_str(&format!(",feature_{i:02}"));
    }
    text.push('\n');
    for row in 0..200 {
        text.push('1');
        for i in 0..20 {
            let value = (row * 31 + i * 17) % 23;
            match value {
                0 => text.push(','),
                _ => text.push_str(&format!(",{}", f64::from(value) * 0.25 - 2.0)),
            }
        }
        text.push('\n');
    }
    std::fs::write(folder.join("rows.csv"), text).unwrap();
}

#[test]
fn answers_are_verified_bit_by_bit_from_any_form_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    rows_csv(folder);
    for model in ["xgboost-logistic/model.ubj", "lightgbm-binary/model.txt", "random-forest/model.json"] {
        let model = golden(model);
        let model = model.to_str().unwrap();
        let compiled = done(&["model", "compile", model, "-o", "m.tribunal", "--golden", "rows.csv"], folder);
        assert!(compiled.contains("bytes from"), "{compiled}");
        for output in ["margin", "probability", "response", "leaf", "contributions"] {
            let arguments = ["--rows", "rows.csv", "--output", output];
            let to = ["-o", "y.npy"];
            done(&[&["model", "predict", model][..], &arguments, &to].concat(), folder);
            let verify = [&["model", "verify", "m.tribunal", "--expect", "y.npy"][..], &arguments].concat();
            let text = done(&verify, folder);
            assert!(text.contains("bit-exact on 200 rows"), "{text}");
        }
    }
}

#[test]
fn a_changed_answer_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    rows_csv(folder);
    let model = golden("xgboost-logistic/model.ubj");
    let model = model.to_str().unwrap();
    let csv = done(&["model", "predict", model, "--rows", "rows.csv"], folder);
    let mut lines: Vec<String> = csv.lines().map(str::to_owned).collect();
    assert_eq!((lines.len(), lines[0].as_str()), (201, "margin"));
    std::fs::write(folder.join("y.csv"), &csv).unwrap();
    let verify = ["model", "verify", model, "--rows", "rows.csv", "--expect", "y.csv"];
    done(&verify, folder);

    let changed = lines[8].parse::<f32>().unwrap().next_up();
    lines[8] = changed.to_string();
    std::fs::write(folder.join("y.csv"), lines.join("\n")).unwrap();
    let output = tribunal(&verify, folder);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 of 200 rows differ, by up to 1 ulps"), "{text}");
    let json = tribunal(&[&verify[..], &["--json"]].concat(), folder);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["first"][0]["row"], &json["max_ulps"]), (&Value::from(7), &Value::from(1)));
    done(&[&verify[..], &["--ulps", "1"]].concat(), folder);
}

#[test]
fn a_model_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let model = golden("lightgbm-binary/model.txt");
    let model = model.to_str().unwrap();
    let text = done(&["model", "inspect", model], folder.path());
    assert!(text.contains("lightgbm-text") && text.contains("logistic"), "{text}");
    let json = done(&["model", "inspect", model, "--json"], folder.path());
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["features"], 20);
    assert_eq!(value["feature_names"][19], "feature_19");
    assert!(value["trees"].as_u64().unwrap() > 1 && value["engines"][0] == "reference");
}

#[test]
fn what_is_no_model_is_refused_with_the_formats_that_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.bin"), b"no model").unwrap();
    let output = tribunal(&["model", "inspect", "x.bin"], folder.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("does not look like a model") && text.contains("lightgbm-text"), "{text}");
    let output = tribunal(&["model", "inspect", "x.bin", "--format", "lightgbm-text"], folder.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("x.bin cannot be used as a lightgbm-text model"), "{text}");
    let output = tribunal(&["model", "inspect", "x.bin", "--format", "tensorflow"], folder.path());
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_closed_output_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    rows_csv(folder.path());
    let model = golden("xgboost-logistic/model.ubj");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args([
            "model",
            "predict",
            model.to_str().unwrap(),
            "--rows",
            "rows.csv",
            "--output",
            "contributions",
        ])
        .current_dir(folder.path())
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
