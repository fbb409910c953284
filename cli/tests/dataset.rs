//! `tribunal dataset` as a detection engineer runs it: from a list to a published data set.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not seen to be of a test")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn tribunal(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

/// Runs a command that ends with `code`; standard output and standard error.
fn ends(arguments: &[&str], folder: &Path, code: i32) -> (String, String) {
    let output = tribunal(arguments, folder);
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    (out, err)
}

fn json_of(arguments: &[&str], folder: &Path, code: i32) -> Value {
    let (out, _) = ends(&[arguments, &["--json"]].concat(), folder, code);
    serde_json::from_str(&out).unwrap()
}

const FEEDS: &str = "feed,entity,first_seen,confidence\n\
    one,evil[.]example,<=2026-08-22,60\ntwo,hxxps://EVIL.example/login,2026-08-23,90\n\
    two,198.51.100.0/24,2026-08-01,50\none,198.51.100.7,2026-08-02,70\n";

fn gzip(path: &Path, text: &str) {
    let mut file =
        flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    file.write_all(text.as_bytes()).unwrap();
    file.finish().unwrap();
}

#[test]
fn a_list_becomes_a_data_set_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    gzip(&folder.join("feeds.csv.gz"), FEEDS);
    let lines = "{\"entity\": \"other.example\", \"feed\": \"three\", \"tags\": [\"a\", \"b\"]}\n";
    std::fs::write(folder.join("more.zst"), zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
    let arguments = ["dataset", "build", "feeds.csv.gz", "more.zst", "--key", "entity"];
    let (out, err) =
        ends(&[&arguments[..], &["--type", "first_seen=date", "-o", "f.tds"]].concat(), folder, 0);
    assert!(out.contains("f.tds: 5 rows by 2 domains, 1 address, 1 range; ") && err.is_empty(), "{out}{err}");

    let (out, _) = ends(&["dataset", "inspect", "f.tds"], folder, 0);
    for expected in ["confidence  number  60 | 90", "first_seen  date    2026-08-22 |", "feeds.csv.gz     4"]
    {
        assert!(out.contains(expected), "no {expected:?} in {out}");
    }
    let lookups = ["dataset", "inspect", "f.tds", "--lookup", "EVIL.example", "--lookup", "198.51.100.7"];
    let more = ["--lookup", "198.51.100.8", "--lookup", "other.example", "--lookup", "good.example"];
    let inspected = json_of(&[&lookups[..], &more].concat(), folder, 0);
    assert_eq!((&inspected["format"], &inspected["rows"]), (&json!("table"), &json!(5)));
    assert_eq!(inspected["keys"]["domain"], 2);
    let rows: Vec<&Value> =
        inspected["lookups"].as_array().unwrap().iter().map(|found| &found["rows"]).collect();
    let expected = [
        json!([
            {"feed": "one", "first_seen": "2026-08-22", "confidence": 60},
            {"feed": "two", "first_seen": "2026-08-23", "confidence": 90},
        ]),
        json!([{"feed": "one", "first_seen": "2026-08-02", "confidence": 70}]),
        json!([{"feed": "two", "first_seen": "2026-08-01", "confidence": 50}]),
        json!([{"feed": "three", "tags": ["a", "b"]}]),
        json!([]),
    ];
    assert_eq!(rows, expected.iter().collect::<Vec<_>>());
    let (out, _) = ends(&["dataset", "inspect", "f.tds", "--lookup", "good.example"], folder, 4);
    assert!(out.contains("good.example: nothing"), "{out}");
    let parents = ["--lookup", "www.evil.example", "--match", "parents"];
    ends(&[&["dataset", "inspect", "f.tds"][..], &parents].concat(), folder, 0);
}

#[test]
fn refused_rows_are_named_and_strict_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("l.csv"), "domain\ngood.example\nno name\n13335\n").unwrap();
    let build = ["dataset", "build", "l.csv", "--key", "domain", "-o", "l.tds"];
    let (_, err) = ends(&build, folder, 3);
    assert!(err.contains("refused: l.csv:3: ") && err.contains("refused: l.csv:4: number: "), "{err}");
    let built = json_of(&build, folder, 3);
    assert_eq!(built["report"]["refused"], 2);
    assert_eq!(built["report"]["refused_rows"][1]["line"], 4);
    std::fs::remove_file(folder.join("l.tds")).unwrap();
    let (_, err) = ends(&[&build[..], &["--strict"]].concat(), folder, 1);
    assert!(err.contains("2 rows are refused; nothing was written"), "{err}");
    assert!(!folder.join("l.tds").exists());
    let (_, err) = ends(&["dataset", "build", "l.csv", "--key", "host", "-o", "l.tds"], folder, 2);
    assert!(err.contains("no column \"host\", only: domain") && err.contains("--header"), "{err}");
    let (_, err) = ends(&[&build[..], &["--keys", "country"]].concat(), folder, 1);
    assert!(err.contains("no row has a key that can be looked up, of 3") && err.contains("--keys"), "{err}");
    let (_, err) = ends(&["dataset", "inspect", "l.csv"], folder, 1);
    assert!(err.contains("l.csv cannot be used as a data set") && err.contains("dataset build"), "{err}");
}

#[test]
fn forms_of_lists_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let lists: [(&str, &str, &[&str]); 5] = [
        ("tabs.tsv", "e\tn\na.example\t1\n", &[]),
        ("semicolons.csv", "e;n\na.example;1\n", &["--delimiter", ";"]),
        ("bare.txt", "a.example,1\n", &["--header", "e,n"]),
        ("unnamed", "{\"e\": \"a.example\", \"n\": 1}\n", &[]),
        ("lines.csv", "{\"e\": \"a.example\", \"n\": 1}\n", &["--format", "jsonl"]),
    ];
    for (name, content, options) in lists {
        std::fs::write(folder.join(name), content).unwrap();
        ends(&[&["dataset", "build", name, "--key", "e", "-o", "x.tds"][..], options].concat(), folder, 0);
        let inspected = json_of(&["dataset", "inspect", "x.tds", "--lookup", "a.example"], folder, 0);
        assert_eq!(inspected["lookups"][0]["rows"], json!([{"n": 1}]), "{name}");
    }
    // A compressed file that ends early.
    gzip(&folder.join("cut.csv.gz"), &format!("e,n\n{}", "a.example,1\n".repeat(500)));
    let whole = std::fs::read(folder.join("cut.csv.gz")).unwrap();
    std::fs::write(folder.join("cut.csv.gz"), &whole[..whole.len() / 2]).unwrap();
    let (_, err) = ends(&["dataset", "build", "cut.csv.gz", "--key", "e", "-o", "y.tds"], folder, 1);
    assert!(err.contains("cannot read cut.csv.gz") && !folder.join("y.tds").exists(), "{err}");
}

#[test]
fn a_data_set_is_published_and_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("registry")).unwrap();
    for n in 1..3 {
        std::fs::write(folder.join("l.csv"), format!("domain,n\na.example,{n}\n")).unwrap();
        let output = format!("{n}.tds");
        ends(&["dataset", "build", "l.csv", "--key", "domain", "-o", &output], folder, 0);
    }
    let publish = |file: &str| {
        json_of(&["dataset", "publish", file, "--name", "list", "--registry", "registry"], folder, 0)
    };
    let first = publish("1.tds");
    assert_eq!(first["previous"], Value::Null);
    let second = publish("2.tds");
    assert_eq!(second["previous"], first["version"]);
    assert_eq!(publish("1.tds")["version"], first["version"], "the same file is the same version");
    let pointer = std::fs::read(folder.join("registry/datasets/list/current.json")).unwrap();
    let pointer: Value = serde_json::from_slice(&pointer).unwrap();
    assert_eq!((&pointer["version"], &pointer["sha256"]), (&first["version"], &first["digest"]));
    let (out, _) = ends(&["models", "--from", "registry"], folder, 0);
    assert!(out.contains("data set") && out.contains("list"), "{out}");
    for (name, reason) in [("../x", "is ../x, allowed is"), ("ip-ranges", "dataset compile")] {
        let arguments = ["dataset", "publish", "1.tds", "--name", name, "--registry", "registry"];
        let (_, err) = ends(&arguments, folder, 2);
        assert!(err.contains(reason) && err.contains("--name"), "{err}");
    }
    let (_, err) =
        ends(&["dataset", "publish", "l.csv", "--name", "list", "--registry", "registry"], folder, 1);
    assert!(err.contains("cannot be used as a data set"), "{err}");
}

/// A snapshot of intelligence, how it is built, one entity that it knows, and what it says of it.
type Snapshot = (&'static str, &'static [&'static str], &'static str, fn(&Value) -> bool);

fn snapshots() -> [Snapshot; 10] {
    [
        ("asn_names", &["--key", "asn"], "AS3356", |row| row["name"].is_string()),
        ("bad_asn", &["--key", "asn"], "AS198375", |row| row["name"].is_string()),
        ("domain_context", &["--key", "domain"], "1822direkt.com", |row| row["list"] == "bank-website"),
        ("domain_created_benign_2020", &["--key", "domain"], "netflix.com", |row| {
            row["created"] == "1997-11-11"
        }),
        ("feed_sightings", &["--key", "entity"], "assure-ameli-cartevitale.fr", |row| {
            row["confidence"] == 60
        }),
        ("hosting_ranges", &["--key", "cidr"], "1.92.3.4", |row| row["type"] == "datacenter"),
        ("ip_asn", &["--range", "start,end"], "1.0.0.77", |row| row["asn"] == 13335),
        ("ip_country", &["--range", "start,end"], "1.0.2.9", |row| row["country"] == "CN"),
        ("popularity", &["--key", "domain"], "0-1.ru", |row| row["alexa2016"] == 96427),
        ("tld_stats_train_only", &["--key", "tld"], "ac", |row| row["smoothed_rate"] == 0.3548),
    ]
}

#[test]
fn snapshots_of_intelligence_all_load() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/intel");
    let Ok(beside) = beside.canonicalize() else {
        println!("left out: there are no snapshots in ../shared/data/intel beside the repository");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, key, entity, expected) in snapshots() {
        let input: PathBuf = beside.join(format!("{name}.csv.zst"));
        let arguments =
            [&["dataset", "build", input.to_str().unwrap(), "-o", "x.tds", "--json"][..], key].concat();
        let output = tribunal(&arguments, folder);
        let built: Value = serde_json::from_slice(&output.stdout).unwrap();
        let (read, refused) =
            (built["report"]["read"].as_u64().unwrap(), built["report"]["refused"].as_u64().unwrap());
        assert!(read > 100 && refused * 1_000 < read, "{name}: {refused} of {read} refused");
        let inspected = json_of(&["dataset", "inspect", "x.tds", "--lookup", entity], folder, 0);
        let rows = inspected["lookups"][0]["rows"].as_array().unwrap();
        assert!(rows.iter().any(expected), "{name}: {rows:?}");
    }
}
