use std::collections::BTreeMap;

use super::*;

fn tables() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("words.tsv", "login\t4.5\nbank\t5.1\n"),
        ("ngrams.benign.tsv", "a\t3\nb\t2\n^a\t1\nab\t2\nb$\t2\n^ab\t1\nab$\t2\n^ab$\t1\n"),
        ("rates.tld.tsv", "*\t0.4\t0\ncom\t0.2\t1000\n"),
        ("rates.asn.tsv", "13335\t0.1\t40\n"),
        ("asn_hosting.tsv", "13335\t0.9\n"),
    ])
}

fn compiled(tables: &BTreeMap<&'static str, &'static str>) -> Result<Vec<u8>, LexiconError> {
    compile(|name| Ok(tables.get(name).map(|text| (*text).to_owned())))
}

#[test]
fn the_embedded_lexicon_opens() {
    let lexicon = Lexicon::embedded().unwrap();
    assert!(lexicon.digest().starts_with("sha256:"));
    assert!(EMBEDDED.len() <= 1_500_000, "{} bytes", EMBEDDED.len());
}

#[test]
fn what_was_compiled_is_found() {
    let lexicon = Lexicon::open(compiled(&tables()).unwrap()).unwrap();
    let tld = lexicon.rates("tld").unwrap().unwrap();
    let (rate, support) = tld.get(b"com").unwrap();
    assert!((rate - 0.2).abs() < 1e-4 && support == 1000.0);
    assert!((tld.get(b"zip").unwrap().0 - 0.4).abs() < 1e-4);
    let asn = lexicon.rates("asn").unwrap().unwrap();
    assert!(asn.get(&13335_u32.to_be_bytes()).is_some());
    assert_eq!(asn.get(&1_u32.to_be_bytes()), None);
    assert!(lexicon.rates("country").unwrap().is_none());
    assert_eq!(lexicon.map(WORDS).unwrap().unwrap().get("bank"), Some(39));
    let entries: Vec<(String, usize)> =
        lexicon.summary().unwrap().into_iter().map(|s| (s.name, s.entries)).collect();
    assert_eq!(entries[0], ("words".to_owned(), 2));
    assert_eq!(entries[1], ("ngram.benign".to_owned(), 1));
}

#[test]
fn every_changed_bit_and_every_cut_is_noticed() {
    let file = compiled(&BTreeMap::from([("words.tsv", "login\t4.5\n")])).unwrap();
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(Lexicon::open(changed).is_err(), "byte {at}");
        assert!(Lexicon::open(file[..at].to_vec()).is_err(), "cut at {at}");
    }
    let mut longer = file;
    longer.push(0);
    assert!(Lexicon::open(longer).is_err());
}

#[test]
fn bad_lines_are_named() {
    for (file, text, expected) in [
        ("words.tsv", "ok\t3\nBad\t3\n", "words.tsv:2: word \"Bad\""),
        ("words.tsv", "ok\t3\nok\t4\n", "words.tsv:2: \"ok\" is given twice"),
        ("words.tsv", "ok\n", "words.tsv:1: 1 fields, 2 are expected"),
        ("words.tsv", "ok\tNaN\n", "words.tsv:1: \"NaN\" is not a number in [0, 9]"),
        ("ngrams.phishing.tsv", "abcde\t1\n", "ngrams.phishing.tsv:1: gram \"abcde\" has 5"),
        ("rates.tld.tsv", "com\t1.5\t3\n", "rates.tld.tsv:1: \"1.5\" is not a number in [0, 1]"),
        ("rates.asn.tsv", "AS1\t0.5\t3\n", "rates.asn.tsv:1: \"AS1\" is not the number"),
    ] {
        let error = compiled(&BTreeMap::from([(file, text)])).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
