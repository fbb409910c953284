use serde_json::Value;
use tribunal_core::Kind;

use super::*;
use crate::show::scores::tests::{example, explained};

fn about(tlp: Option<Tlp>) -> About {
    About { producer: "Tribunal".to_owned(), tlp, title: "Tribunal: malicious".to_owned(), at_ms: 0 }
}

fn examples() -> Vec<Score> {
    let mut scores = vec![explained()];
    let mut other = |entity: &str, kind, verdict, risk, tlp: Option<&str>| {
        let mut score = example(entity, verdict, risk);
        score.kind = kind;
        score.tlp = tlp.map(str::to_owned);
        scores.push(score);
    };
    other("192.0.2.7", Kind::Ip, Verdict::Suspicious, Some(55.0), Some("amber+strict"));
    other("2001:db8::7", Kind::Ip, Verdict::Malicious, Some(99.6), Some("red"));
    other("good.org", Kind::Domain, Verdict::Benign, Some(0.4), Some("white"));
    other("nobody-answers.com", Kind::Domain, Verdict::Unknown, None, Some("purple"));
    scores
}

fn export(format: Format, scores: &[Score], tlp: Option<Tlp>) -> String {
    let mut out = Vec::new();
    let mut sink = Sink::open(format, &mut out, about(tlp)).unwrap();
    scores.iter().for_each(|score| sink.write(score).unwrap());
    sink.close().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_bundle_has_an_indicator_for_each_risk() {
    let text = export(Format::Stix, &examples(), Some(Tlp::Green));
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let kinds: Vec<&str> =
        bundle["objects"].as_array().unwrap().iter().map(|o| o["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "indicator").count(), 4);
    assert_eq!(kinds.iter().filter(|kind| **kind == "marking-definition").count(), 4);
    insta::assert_snapshot!(text);
    assert_eq!(export(Format::Stix, &examples(), Some(Tlp::Green)), text, "the same scores, the same bytes");
}

#[test]
fn an_event_has_an_attribute_for_each_risk() {
    let text = export(Format::Misp, &examples(), Some(Tlp::Green));
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["Event"]["Attribute"].as_array().unwrap().len(), 4);
    insta::assert_snapshot!(text);
    let empty: Value = serde_json::from_str(&export(Format::Misp, &[], None)).unwrap();
    assert_eq!(empty["Event"]["threat_level_id"], "4");
}

#[test]
fn a_table_has_no_cell_that_a_spreadsheet_computes() {
    let mut scores = examples();
    scores[0].source = Some("=HYPERLINK(\"http://evil\")".to_owned());
    scores[1].reasons[0].text = "a\r\n@SUM(1)\u{202e}".to_owned();
    let text = export(Format::Csv, &scores, None);
    insta::assert_snapshot!(text);
    for record in ::csv::Reader::from_reader(text.as_bytes()).records() {
        for cell in &record.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
        }
    }
}

#[test]
fn lines_are_the_scores_themselves() {
    let text = export(Format::Jsonl, &examples(), None);
    let read: Vec<Score> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, examples());
}

#[test]
fn a_pattern_cannot_be_left() {
    let mut score = example("a.com", Verdict::Malicious, Some(90.0));
    score.entity = r"x' OR domain-name:value = '\".to_owned();
    assert_eq!(stix::pattern(&score).unwrap(), r"[domain-name:value = 'x\' OR domain-name:value = \'\\']");
    score.kind = Kind::Ip;
    assert!(stix::pattern(&score).unwrap_err().to_string().contains("is none"));
}

#[test]
fn a_time_that_is_none_is_an_error_and_not_another_time() {
    let mut score = explained();
    score.scored_at = "yesterday".to_owned();
    for format in [Format::Stix, Format::Misp] {
        let mut sink = Sink::open(format, Vec::new(), about(None)).unwrap();
        assert!(sink.write(&score).unwrap_err().to_string().contains("yesterday"));
    }
}

#[test]
fn a_marking_that_is_not_known_is_the_strictest() {
    assert_eq!(marking::of(&examples()[4], Some(Tlp::Clear)), Some(Tlp::Red));
    assert_eq!(marking::of(&examples()[0], Some(Tlp::Clear)), Some(Tlp::Clear));
}

#[test]
fn the_newest_score_of_an_entity_counts() {
    let mut newer = example("a.com", Verdict::Malicious, Some(80.0));
    newer.scored_key = "2026-11-25T00:00:00.000Z#r".to_owned();
    let older = example("a.com", Verdict::Malicious, Some(99.0));
    let found = newest(vec![newer.clone(), older]);
    assert_eq!(found.values().collect::<Vec<_>>(), [&newer]);
}
