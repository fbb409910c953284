//! What only MySQL and MariaDB have: forms of values, grants, limits of the session, encryption on the one port.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use serde_json::json;
use tribunal_sources::Source;

use crate::fixture::{Fixture as _, name};
use crate::gate::Gate;
use crate::mysql::Mysql;
use crate::server::{OneSecret, left_out, open, open_with};
use crate::suite::{ask, garbled_at, run};

const LISTED: &str =
    "SELECT domain, score FROM listed WHERE domain IN (:entities) AND ':x;?' = ':x;?' -- :y ?";

fn declaration(query: &str, rest: &str) -> String {
    format!(
        r#"
        [sources.listed]
        timeout_ms = 2000
        [sources.listed.mysql]
        connection = {{ secret = "listed" }}
        query = """{query}"""
        key = "domain"
        {rest}
        "#
    )
}

fn source(server: &Mysql, query: &str) -> Box<dyn Source> {
    let url = server.url("tribunal:right", server.address());
    open(&declaration(query, "tls = false"), url).unwrap()
}

#[tokio::test]
async fn values_have_the_form_that_is_documented() {
    let Some(server) = Mysql::shared() else { return };
    let mut admin = server.admin().await;
    for statement in [
        "CREATE OR REPLACE TABLE kinds (domain VARBINARY(255), tiny TINYINT, big BIGINT, huge BIGINT UNSIGNED, \
         single_ FLOAT, double_ DOUBLE, whole DECIMAL(20, 0), money DECIMAL(10, 2), bits BIT(9), year_ YEAR, date_ DATE, \
         datetime_ DATETIME(6), timestamp_ TIMESTAMP, time_ TIME, text_ TEXT, kind ENUM('a', 'b'), set_ SET('a', 'b'), \
         blob_ BLOB, nothing INT, zero DATE)",
        "SET time_zone = '+03:00', sql_mode = ''",
        "INSERT INTO kinds VALUES ('e2.com', -1, -9007199254740993, 18446744073709551615, 0.1, 0.1, 12345678901234567890, \
         12.50, b'100000001', 2026, '2026-11-24', '2026-11-24 10:20:30.000001', '2026-11-24 13:20:30', '-30:00:01', 'é\\n', \
         'b', 'a,b', x'00ff', NULL, '0000-00-00')",
    ] {
        admin.query_drop(statement).await.unwrap();
    }
    let source = source(
        server,
        "SELECT kinds.*, domain IN (:entities) AS found FROM kinds WHERE domain IN (:entities)",
    );
    let asked = ask(&*source, &[name(2)]).await;
    assert_eq!(
        asked.rows(0),
        [json!({
            "domain": "e2.com", "tiny": -1, "big": -9_007_199_254_740_993_i64, "huge": u64::MAX, "single_": 0.1,
            "double_": 0.1, "whole": 12_345_678_901_234_567_890_u64, "money": 12.5, "bits": 257, "year_": 2026,
            "date_": "2026-11-24", "datetime_": "2026-11-24T10:20:30.000001Z", "timestamp_": "2026-11-24T10:20:30Z",
            "time_": "-30:00:01", "text_": "é\n", "kind": "b", "set_": "a,b", "blob_": "0x00ff", "nothing": null,
            "zero": null, "found": 1,
        })]
    );
}

#[tokio::test]
async fn parts_of_a_batch_are_asked_for_by_what_they_are() {
    let Some(server) = Mysql::shared() else { return };
    let mut admin = server.admin().await;
    admin.query_drop("CREATE OR REPLACE TABLE parts (domain VARCHAR(255), score INT)").await.unwrap();
    let insert = "INSERT INTO parts VALUES ('Example.COM', 1), ('198.51.100.7', 2), ('a.example.com', 3)";
    admin.query_drop(insert).await.unwrap();
    let names = ["a.example.com", "198.51.100.7", "b.example.com", "example.org"];
    for (variable, scores) in [
        (":entities", [Some(3), Some(2), None, None]),
        (":registrable_domains", [Some(1), None, Some(1), None]),
        (":addresses", [None, Some(2), None, None]),
    ] {
        let source = source(server, &format!("SELECT domain, score FROM parts WHERE domain IN ({variable})"));
        let asked = ask(&*source, &names).await;
        let got: Vec<_> =
            (0..names.len()).map(|n| asked.rows(n).first().and_then(|row| row["score"].as_i64())).collect();
        assert_eq!(got, scores, "{variable}");
    }
}

#[tokio::test]
async fn the_session_only_reads() {
    let Some(server) = Mysql::shared() else { return };
    let mut admin = server.admin().await;
    for statement in [
        "CREATE OR REPLACE TABLE written (n INT) ENGINE = InnoDB",
        "DROP FUNCTION IF EXISTS writes",
        "CREATE FUNCTION writes() RETURNS INT DETERMINISTIC BEGIN INSERT INTO written VALUES (1); RETURN 1; END",
        "GRANT EXECUTE ON FUNCTION writes TO tribunal",
    ] {
        admin.query_drop(statement).await.unwrap();
    }
    let source = source(server, "SELECT domain, writes() FROM listed WHERE domain IN (:entities)");
    let error = ask(&*source, &[name(2)]).await.result.unwrap_err();
    assert_eq!(error.to_string(), "answers with failure 1792");
    assert_eq!(admin.query_first::<i64, _>("SELECT COUNT(*) FROM written").await.unwrap(), Some(0));
}

#[tokio::test]
async fn the_server_ends_a_statement_that_takes_too_long() {
    let Some(server) = Mysql::shared() else { return };
    let source = source(server, "SELECT domain, SLEEP(100) FROM listed WHERE domain IN (:entities)");
    let asked = ask(&*source, &[name(2)]).await;
    assert_eq!(asked.code(), "timeout", "{:?}", asked.result);
}

#[tokio::test]
async fn errors_of_the_server_have_their_words() {
    let Some(server) = Mysql::shared() else { return };
    for (query, message) in [
        ("SELECT User AS domain FROM mysql.user WHERE User IN (:entities)", "access is refused"),
        ("SELECT domain FROM nowhere WHERE domain IN (:entities)", "answers with failure 1146"),
        ("SELECT domain, nothing FROM listed WHERE domain IN (:entities)", "answers with failure 1054"),
        (
            "SELECT domain, 1 AS domain FROM listed WHERE domain IN (:entities)",
            "answer is malformed: two columns domain",
        ),
        (
            "SELECT REPEAT('x', 9000000) AS domain FROM listed WHERE domain IN (:entities)",
            "answer of more than 8388608 bytes",
        ),
    ] {
        let source = source(server, query);
        for _ in 0..2 {
            let error = ask(&*source, &[name(2)]).await.result.expect_err(query);
            assert_eq!(error.to_string(), message, "{query}: {error:?}");
        }
    }
    let few = declaration(LISTED, "tls = false\nmax_rows = 2");
    let few = open(&few, server.url("tribunal:right", server.address())).unwrap();
    assert_eq!(ask(&*few, &[name(2), name(4)]).await.code(), "ok");
    let error = ask(&*few, &[name(2), name(4), name(6)]).await.result.unwrap_err();
    assert_eq!(error.to_string(), "answer of more than 2 rows");
}

#[tokio::test]
async fn too_many_connections_ask_to_slow_down() {
    let Some(server) = Mysql::shared() else { return };
    let mut admin = server.admin().await;
    admin
        .query_drop("CREATE OR REPLACE USER tribunal_few IDENTIFIED BY 'right' WITH MAX_USER_CONNECTIONS 1")
        .await
        .unwrap();
    admin.query_drop("GRANT SELECT ON listed TO tribunal_few").await.unwrap();
    let url = server.url("tribunal_few:right", server.address());
    let sources = [(); 2].map(|()| open(&declaration(LISTED, "tls = false"), url.clone()).unwrap());
    assert_eq!(ask(&*sources[0], &[name(2)]).await.code(), "ok");
    assert_eq!(ask(&*sources[1], &[name(2)]).await.code(), "throttled");
    assert_eq!(ask(&*sources[0], &[name(2)]).await.code(), "ok");
}

#[tokio::test]
async fn a_password_that_is_changed_is_read_anew() {
    let Some(server) = Mysql::shared() else { return };
    let mut admin = server.admin().await;
    admin.query_drop("CREATE OR REPLACE USER tribunal_renewed IDENTIFIED BY 'old'").await.unwrap();
    admin.query_drop("GRANT SELECT ON listed TO tribunal_renewed").await.unwrap();
    let gate = Gate::before(server.address()).await;
    let url = |password: &str| server.url(&format!("tribunal_renewed:{password}"), gate.address());
    let secret = OneSecret::new(url("old"));
    let source = open_with(&declaration(LISTED, "tls = false"), secret.clone()).unwrap();
    assert_eq!(ask(&*source, &[name(2)]).await.code(), "ok");
    admin.query_drop("ALTER USER tribunal_renewed IDENTIFIED BY 'new'").await.unwrap();
    gate.cut();
    assert_eq!(ask(&*source, &[name(2)]).await.code(), "refused", "the secret is still the old one");
    secret.set(url("new"));
    assert_eq!(ask(&*source, &[name(2)]).await.code(), "ok");
    admin.query_drop("ALTER USER tribunal_renewed IDENTIFIED BY 'newer'").await.unwrap();
    secret.set(url("newer"));
    gate.cut();
    assert_eq!(ask(&*source, &[name(2)]).await.code(), "ok", "nobody notices when both have changed");
    let other = open_with(&declaration(LISTED, "tls = false"), secret.clone()).unwrap();
    admin.query_drop("ALTER USER tribunal_renewed IDENTIFIED BY 'newer still'").await.unwrap();
    secret.set(url("newer%20still"));
    assert_eq!(ask(&*other, &[name(2)]).await.code(), "ok", "nor at the first connection");
    assert!(!format!("{source:?}").contains("newer"), "{source:?}");
    secret.set("hunter2".to_owned());
    admin.query_drop("ALTER USER tribunal_renewed IDENTIFIED BY 'newest'").await.unwrap();
    gate.cut();
    let error = ask(&*source, &[name(2)]).await.result.unwrap_err();
    assert_eq!(error.code(), "secret");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn certificates_are_checked() {
    let Some(server) = Mysql::shared() else { return };
    let Some(own) = &server.server else {
        return left_out("the authority of a server that is not the tests' own");
    };
    let mut admin = server.admin().await;
    admin
        .query_drop("CREATE OR REPLACE USER tribunal_encrypted IDENTIFIED BY 'right' REQUIRE SSL")
        .await
        .unwrap();
    admin.query_drop("GRANT SELECT ON listed TO tribunal_encrypted").await.unwrap();
    let elsewhere = Gate::at("127.0.0.2", server.address()).await;
    let trusted = format!("ca = \"\"\"{}\"\"\"", own.authority());
    for (at, rest, code) in [
        (server.address(), trusted.as_str(), "ok"),
        // Not by an authority that is trusted; not for this address; not encrypted at all.
        (server.address(), "", "unreachable"),
        (elsewhere.address(), trusted.as_str(), "unreachable"),
        (server.address(), "tls = false", "refused"),
    ] {
        let url = server.url("tribunal_encrypted:right", at);
        let source = open(&declaration(LISTED, rest), url.clone()).unwrap();
        let asked = ask(&*source, &[name(2)]).await;
        assert_eq!(asked.code(), code, "{rest} {:?}", asked.result);
        // What a URL says of certificates is not heard.
        let lax = open(
            &declaration(LISTED, rest),
            format!("{url}?require_ssl=true&verify_ca=false&verify_identity=false"),
        );
        assert_eq!(ask(&*lax.unwrap(), &[name(2)]).await.code(), code, "{rest}");
    }
}

/// The driver has no value for some types of columns, and panics: they are refused before.
#[tokio::test]
async fn garbled_anywhere() {
    garbled_at::<Mysql>(u64::MAX, &[0xff]).await;
}

/// However often a caller gives up, the connections that are left are sound, and none more than there may be.
#[tokio::test]
async fn giving_up_at_any_moment_leaves_sound_connections() {
    let Some(server) = Mysql::shared() else { return };
    let source = source(server, "SELECT domain, score FROM listed WHERE domain IN (:entities)");
    run(Box::pin(async move {
        for step in 0..300_u64 {
            let (number, names) = (2 * (step as usize % 100), [name(2 * (step as usize % 100)), name(1)]);
            // From nothing to more than an answer takes.
            let patience = Duration::from_micros(step * step % 5_000);
            if let Ok(asked) = tokio::time::timeout(patience, ask(&*source, &names)).await {
                assert_eq!(asked.rows(0), [json!({"domain": name(number), "score": number})]);
                assert!(asked.rows(1).is_empty());
            }
        }
        let asked = ask(&*source, &[name(998)]).await;
        assert_eq!(asked.rows(0), [json!({"domain": name(998), "score": 998})]);
    }))
    .await;
}
