//! `tribunal evaluate` on the shipped models: the figures are those of the scores that `score --local` prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not seen to be of a test")]

use std::path::Path;
use std::process::{Command, Output};

fn tribunal(args: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new(env!("CARGO_BIN_EXE_tribunal")).current_dir(root).args(args).output().unwrap()
}

const ROWS: [(&str, u8, &str); 8] = [
    ("google.com", 0, "known"),
    ("wikipedia.org", 0, "known"),
    ("github.com", 0, "known"),
    ("rust-lang.org", 0, "known"),
    ("secure-app1e.site", 1, "lookalike"),
    ("paypal-login-verify.top", 1, "lookalike"),
    ("8c2fdc979413576d8088.net", 1, "generated"),
    ("qbiqdxsnclcvoafqw.xyz", 1, "generated"),
];

fn file(folder: &Path, rows: &str) -> String {
    let path = folder.join("labelled.csv");
    std::fs::write(&path, rows).unwrap();
    path.to_str().unwrap().to_owned()
}

fn labelled(folder: &Path) -> String {
    let mut text = "entity,label,source\n".to_owned();
    for (entity, label, source) in ROWS {
        text.push_str(&format!("{entity},{label},{source}\n"));
    }
    text.push_str("10.0.0.1,0,known\nnot an entity,1,known\n");
    file(folder, &text)
}

#[test]
fn the_figures_are_those_of_the_scores() {
    let folder = tempfile::tempdir().unwrap();
    let path = labelled(folder.path());
    let evaluated = tribunal(&["evaluate", &path, "--json", "--group", "source", "--bootstrap", "50"]);
    assert_eq!(evaluated.status.code(), Some(3), "one row is no entity");
    let found: serde_json::Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    let names: Vec<&str> = ROWS.iter().map(|row| row.0).collect();
    let scored = tribunal(&[&["score", "--local", "--json", "--lines"][..], &names].concat());
    let mut risks = Vec::new();
    for line in String::from_utf8(scored.stdout).unwrap().lines() {
        let score: serde_json::Value = serde_json::from_str(line).unwrap();
        risks.push(score["risk"].as_f64().unwrap() / 100.0);
    }
    let brier: f64 =
        risks.iter().zip(ROWS).map(|(risk, row)| (risk - f64::from(row.1)).powi(2)).sum::<f64>() / 8.0;
    let domain = &found["domain"];
    assert!((domain["brier"].as_f64().unwrap() - brier).abs() < 1e-12);
    let (benign, malicious) = risks.split_at(4);
    let pairs = malicious.iter().flat_map(|m| benign.iter().map(move |b| f64::from(u8::from(m > b))));
    assert_eq!(domain["auc"].as_f64().unwrap(), pairs.sum::<f64>() / 16.0);
    assert_eq!((domain["n"].as_u64(), domain["malicious"].as_u64()), (Some(8), Some(4)));
    assert_eq!(domain["groups"]["source"]["lookalike"]["n"], 2);
    assert!(domain["recall_at_fpr"]["0.0001"].is_number() && domain["members"]["xgboost"]["auc"].is_number());
    assert_eq!(found["ip"]["unscored"], 1);
}

#[test]
fn a_file_without_labels_is_told_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "entity,kind\ngoogle.com,domain\n");
    let evaluated = tribunal(&["evaluate", &path]);
    assert_eq!(evaluated.status.code(), Some(2));
    let told = String::from_utf8(evaluated.stderr).unwrap();
    assert!(told.contains("no column label") && told.contains("entity, kind"), "{told}");
    let path = file(folder.path(), "entity,label\ngoogle.com,0\nx.com,maybe\n");
    let told = String::from_utf8(tribunal(&["evaluate", &path]).stderr).unwrap();
    assert!(told.contains("labelled.csv:3: label \"maybe\""), "{told}");
}
