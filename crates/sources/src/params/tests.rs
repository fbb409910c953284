use proptest::prelude::*;
use serde_json::json;
use tribunal_core::Entity;

use super::target::{Target, certificates};
use super::*;
use crate::config::{Connection, SecretRef};
use crate::secret::{Secret, SecretStore};
use crate::source::Cause;

/// Texts that would do harm where they were taken for anything else.
pub(crate) const HOSTILE: &[&str] = &[
    "'",
    "''",
    "\"",
    "`",
    "\\",
    "\\'",
    "x' OR '1'='1",
    "x') OR 1=1 -- ",
    "'; DROP TABLE listed; -- ",
    "x\" OR \"1\"=\"1",
    "0) UNION SELECT 'canary', -1 -- ",
    "/*! OR 1=1 */",
    "?",
    ":entities",
    "@@version",
    "%",
    "_",
    "c%",
    "canar_",
    "%27%20OR%201=1",
    "%s%n%x",
    "{\"$ne\": null}",
    "{\"$where\": \"sleep(1000)\"}",
    "$where",
    "$gt",
    "$domain",
    "/^c/",
    ".*",
    "../../../etc/passwd",
    "a\r\nX-Injected: yes",
    "a\nb",
    "\0",
    "canary\0",
    "a\0b",
    "\u{1}\u{7f}\u{1b}[31m",
    "\u{202e}moc.live",
    "\u{feff}canary",
    "évil.com",
    "ｃanary",
    "ＣＡＮＡＲＹ．ｃｏｍ",
    "😀",
    "\u{10ffff}",
    "NULL",
    "true",
    "0",
    "1e309",
    "0x63616e617279",
];

fn entities(names: &[&str]) -> Vec<Entity> {
    names.iter().map(|name| Entity::parse(name).unwrap()).collect()
}

fn subjects(entities: &[Entity]) -> Vec<Subject<'_>> {
    entities.iter().map(|entity| Subject { entity, facts: None }).collect()
}

/// For a request of these texts.
fn nothing_found<'a>(texts: &'a [&'a str], max_rows: usize) -> Found<'a> {
    const ONE: &[Vec<usize>] = &[Vec::new(), Vec::new(), Vec::new()];
    Found::new(Request { texts, positions: &ONE[..texts.len()] }, max_rows)
}

#[test]
fn a_row_counts_once_for_every_subject_that_it_is_about() {
    let (texts, positions) = (["a.com", "b.com"], [(0..5).collect::<Vec<_>>(), vec![5]]);
    let request = Request { texts: &texts, positions: &positions };
    let keys = [json!("a.com"), json!("b.com"), json!("a.com"), json!("c.com")];
    let keys: Vec<_> = keys.iter().collect();
    let mut found = Found::new(request, 10);
    found.count(MAX_ANSWER_BYTES / 6).unwrap();
    found.add(&keys, &json!(1)).unwrap();
    found.count(100).unwrap_err();
    let records = found.into_records();
    assert_eq!(records.iter().map(|record| record.rows.len()).collect::<Vec<_>>(), [1, 1]);
    let mut found = Found::new(request, 10);
    found.count(MAX_ANSWER_BYTES / 5).unwrap();
    found.add(&keys, &json!(1)).unwrap_err();
}

#[test]
fn hostile_texts_are_their_own_keys() {
    let mut found = Found::new(Request { texts: HOSTILE, positions: &[] }, HOSTILE.len());
    for text in HOSTILE {
        found.add(&[&json!(text)], &json!(text)).unwrap();
    }
    for (text, record) in HOSTILE.iter().zip(found.into_records()) {
        assert_eq!(record.rows, [json!(text)]);
    }
}

#[test]
fn a_variable_takes_what_it_says_of_each_kind() {
    let entities = entities(&["a.example.com", "192.0.2.1", "b.example.com", "2001:db8::1", "a.example.com"]);
    let subjects = subjects(&entities);
    for (variable, texts, nothing) in [
        (Variable::Entities, &["a.example.com", "192.0.2.1", "b.example.com", "2001:db8::1"][..], &[][..]),
        (Variable::RegistrableDomains, &["example.com"], &[1, 3]),
        (Variable::Addresses, &["192.0.2.1", "2001:db8::1"], &[0, 2, 4]),
    ] {
        let wanted = Wanted::new(variable, &subjects);
        assert_eq!(wanted.texts, texts);
        assert_eq!(wanted.nothing, nothing);
    }
}

#[test]
fn a_registrable_domain_answers_for_every_name_below_it() {
    let entities = entities(&["a.example.com", "192.0.2.1", "example.com", "other.org"]);
    let subjects = subjects(&entities);
    let wanted = Wanted::new(Variable::RegistrableDomains, &subjects);
    let replies = Replies::new(subjects.len());
    wanted.answer_nothing(&replies);
    for request in wanted.requests() {
        let mut found = Found::new(request, 10);
        found.add(&[&json!("EXAMPLE.com.")], &json!({"score": 1})).unwrap();
        request.answer(found.into_records(), &replies);
    }
    let rows: Vec<_> =
        replies.into_inner().into_iter().map(|reply| reply.unwrap().unwrap().rows.len()).collect();
    assert_eq!(rows, [1, 0, 1, 0]);
}

#[test]
fn many_subjects_go_in_several_requests() {
    let names: Vec<_> = (0..2 * SUBJECTS_PER_REQUEST + 1).map(|n| format!("e{n}.com")).collect();
    let entities: Vec<_> = names.iter().map(|name| Entity::parse(name).unwrap()).collect();
    let subjects = subjects(&entities);
    let wanted = Wanted::new(Variable::Entities, &subjects);
    let replies = Replies::new(subjects.len());
    let mut sizes = Vec::new();
    for request in wanted.requests() {
        sizes.push(request.texts.len());
        let mut found = Found::new(request, request.texts.len());
        for text in request.texts {
            found.add(&[&json!(text)], &json!(text)).unwrap();
        }
        request.answer(found.into_records(), &replies);
    }
    assert_eq!(sizes, [SUBJECTS_PER_REQUEST, SUBJECTS_PER_REQUEST, 1]);
    for (name, reply) in names.iter().zip(replies.into_inner()) {
        assert_eq!(reply.unwrap().unwrap().rows, [json!(name)]);
    }
}

#[test]
fn a_key_is_compared_in_normal_form() {
    let texts = ["evil.com", "192.0.2.1", "2001:db8::1"];
    for (key, at) in [
        ("evil.com", Some(0)),
        ("EVIL.Com", Some(0)),
        (" evil.com. ", Some(0)),
        ("192.0.2.1", Some(1)),
        ("::ffff:192.0.2.1", Some(1)),
        ("2001:0DB8:0:0::0001", Some(2)),
        // What a collation or a pattern may hold for equal, and names do not.
        ("évil.com", None),
        ("evil.com%", None),
        ("192.0.2.01", None),
        ("evil.com..", None),
        ("", None),
    ] {
        let mut found = nothing_found(&texts, 10);
        found.add(&[&json!(key)], &json!(1)).unwrap();
        let rows: Vec<_> = found.into_records().iter().map(|record| record.rows.len()).collect();
        let expected: Vec<_> = (0..texts.len()).map(|n| usize::from(Some(n) == at)).collect();
        assert_eq!(rows, expected, "{key:?}");
    }
    for key in [json!(1), json!(null), json!(["evil.com"])] {
        assert_eq!(nothing_found(&texts, 10).add(&[&key], &json!(1)).unwrap_err().code(), "malformed");
    }
}

#[test]
fn rows_and_bytes_are_bounded() {
    let mut found = nothing_found(&["a.com"], 2);
    found.count(10).unwrap();
    found.count(10).unwrap();
    assert!(matches!(found.count(10), Err(SourceError::TooLarge { limit: 2, unit: "rows" })));
    let mut found = nothing_found(&["a.com"], 10);
    found.count(MAX_ANSWER_BYTES).unwrap();
    assert!(matches!(found.count(1), Err(SourceError::TooLarge { unit: "bytes", .. })));
    assert!(nothing_found(&["a.com"], 10).count(usize::MAX).is_err());
    assert!(nothing_found(&["a.com"], 10).count_fields(usize::MAX).is_err());
}

#[test]
fn bytes_and_decimals_lose_nothing() {
    assert_eq!(text_of_bytes(b"plain".to_vec()), "plain");
    assert_eq!(text_of_bytes(vec![0xff, 0x00, 0x1a]), "0xff001a");
    for (text, value) in [
        ("12", json!(12)),
        ("-12", json!(-12)),
        ("18446744073709551615", json!(u64::MAX)),
        ("0.10", json!(0.1)),
        ("1E+3", json!(1000.0)),
        ("NaN", json!(null)),
    ] {
        assert_eq!(decimal(text).unwrap(), value);
    }
    assert_eq!(decimal("many"), None);
}

#[derive(Debug)]
struct Always(&'static str);

#[async_trait::async_trait]
impl SecretStore for Always {
    async fn secret(&self, _: &str) -> Result<Secret, Cause> {
        Ok(Secret::new(self.0.to_owned()))
    }
}

fn plain(url: &str) -> Connection {
    Connection::Url { url: url.to_owned() }
}

fn secret() -> Connection {
    Connection::Secret(SecretRef { secret: "db".to_owned(), field: None })
}

#[test]
fn a_url_in_the_file_holds_no_secret() {
    for url in ["mysql://host", "mysql://user@host:3306/database", "mysql://user@[::1]/d?compress=fast"] {
        Target::new(&plain(url), "mysql", "mysql.connection").unwrap();
    }
    for url in ["mongodb://a:1,b:2,c:3/?replicaSet=r", "mongodb://user@a,b/db"] {
        Target::new(&plain(url), "mongodb", "mongodb.connection").unwrap();
    }
    for (url, reason) in [
        ("mysql://user:hunter2@host/", "holds a password"),
        ("mysql://user:@host/", "holds a password"),
        ("mysql://user:hunter/2@host/", "holds a password"),
        ("mysql://host/?password=hunter2", "holds the option password"),
        ("mysql://host/?a=b&authMechanismProperties=AWS_SESSION_TOKEN:hunter2", "holds the option auth"),
        ("mysql:/host", "not a URL mysql://"),
        ("postgres://host", "not a URL mysql://"),
        ("mysqlx://host", "not a URL mysql://"),
        ("", "not a URL mysql://"),
    ] {
        let error = Target::new(&plain(url), "mysql", "mysql.connection").unwrap_err();
        assert_eq!(error.key, "mysql.connection.url");
        assert!(error.reason.starts_with(reason), "{url}: {error}");
        assert!(!error.reason.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_secret_is_a_url_or_what_secrets_manager_keeps_for_a_database() {
    for (text, url) in [
        ("mysql://u:p@host/d", "mysql://u:p@host/d"),
        ("\n mysql://u:p@host/d \n", "mysql://u:p@host/d"),
        (
            r#"{"engine":"mysql","host":"db.example.com","port":3306,"username":"u","password":"p:/@?","dbname":"d d"}"#,
            "mysql://u:p%3A%2F%40%3F@db%2Eexample%2Ecom:3306/d%20d",
        ),
        (r#"{"host":"h"}"#, "mysql://h/"),
    ] {
        let target = Target::new(&secret(), "mysql", "mysql.connection").unwrap();
        let got = target.url(&Always(text)).await.unwrap();
        assert_eq!(got.expose().replace("%2E", "."), url.replace("%2E", "."));
    }
    for text in ["hunter2", "postgres://u:hunter2@host", r#"{"password":"hunter2"}"#, "{hunter2", ""] {
        let target = Target::new(&secret(), "mysql", "mysql.connection").unwrap();
        let error = target.url(&Always(text)).await.unwrap_err();
        assert_eq!(error.code(), "secret");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn certificates_are_checked_when_they_are_declared() {
    for (pem, reason) in [
        ("", "no certificate"),
        ("/etc/ssl/ca.pem", "no certificate"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "not PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate"),
    ] {
        let error = certificates(pem).unwrap_err();
        assert!(error.starts_with(reason), "{pem}: {error}");
    }
}

proptest! {
    #[test]
    fn no_key_panics(key in ".*") {
        nothing_found(&["a.com"], 10).add(&[&json!(key)], &json!(1)).unwrap();
    }

    #[test]
    fn no_url_panics(url in "(mysql://)?.*") {
        let _ = Target::new(&plain(&url), "mysql", "mysql.connection");
    }
}
