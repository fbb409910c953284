//! What only MongoDB and what speaks its protocol have: keys within documents, encryption on a port of its own.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::json;
use tribunal_sources::Source;

use crate::fixture::{Fixture as _, name};
use crate::gate::Gate;
use crate::mongodb::{DATABASE, Mongodb};
use crate::server::{OneSecret, left_out, open, open_with};
use crate::suite::{ask, run};

fn declaration(collection: &str, key: &str, rest: &str) -> String {
    format!(
        r#"
        [sources.listed]
        timeout_ms = 2000
        [sources.listed.mongodb]
        connection = {{ secret = "listed" }}
        database = "{DATABASE}"
        collection = "{collection}"
        filter = {{ "{key}" = {{ "$in" = ":entities" }} }}
        key = "{key}"
        {rest}
        "#
    )
}

fn source(server: &Mongodb, collection: &str, key: &str, rest: &str) -> Box<dyn Source> {
    open(&declaration(collection, key, &format!("tls = false\n{rest}")), server.url(server.address()))
        .unwrap()
}

#[tokio::test]
async fn a_key_may_lie_deep_and_be_many() {
    let Some(server) = Mongodb::shared() else { return };
    let kinds = server.admin().await.collection::<Document>("nested");
    kinds.drop().await.unwrap();
    let rows = [
        doc! {"_id": 1, "name": "a", "about": {"domains": ["e2.com", "E4.com", "e2.com", "other.com"]}},
        doc! {"_id": 2, "name": "b", "about": {"domains": "e4.com"}},
        doc! {"_id": 3, "name": "c", "about": {}},
        doc! {"_id": 4, "about": [{"domains": "e6.com"}, {"domains": ["e8.com"]}]},
    ];
    kinds.insert_many(rows).await.unwrap();
    let source = source(server, "nested", "about.domains", "projection = ['name', '_id']");
    let asked = ask(&*source, &[name(2), name(4), name(6), name(8), name(10)]).await;
    let ids: Vec<Vec<_>> =
        (0..5).map(|n| asked.rows(n).iter().map(|row| row["_id"].as_i64().unwrap()).collect()).collect();
    assert_eq!(ids, [vec![1], vec![1, 2], vec![4], vec![4], vec![]]);
    assert_eq!(asked.rows(1)[1], json!({"_id": 2, "name": "b", "about": {"domains": "e4.com"}}));
}

#[tokio::test]
async fn what_the_server_cannot_do_is_said() {
    let Some(server) = Mongodb::shared() else { return };
    let few = source(server, "listed", "domain", "max_rows = 2");
    assert_eq!(ask(&*few, &[name(2), name(4)]).await.code(), "ok");
    let error = ask(&*few, &[name(2), name(4), name(6)]).await.result.unwrap_err();
    assert_eq!(error.to_string(), "answer of more than 2 rows");
    let wrong = declaration("listed", "domain", "tls = false")
        .replace("\":entities\" }", "\":entities\", \"$size\" = \"x\" }");
    let wrong = open(&wrong, server.url(server.address())).unwrap();
    let error = ask(&*wrong, &[name(2)]).await.result.unwrap_err();
    assert_eq!(error.to_string(), "answers with failure 2");
    let absent = source(server, "nowhere", "domain", "");
    assert!(ask(&*absent, &[name(2)]).await.rows(0).is_empty());
}

#[tokio::test]
async fn credentials_that_are_changed_are_read_anew() {
    let Some(server) = Mongodb::shared() else { return };
    let right = server.url(server.address());
    let wrong = right.replacen("://", "://tribunal:wrong@", 1);
    let secret = OneSecret::new(wrong);
    let source = open_with(&declaration("listed", "domain", "tls = false"), secret.clone()).unwrap();
    for _ in 0..2 {
        let error = ask(&*source, &[name(2)]).await.result.unwrap_err();
        assert_eq!(error.code(), "refused");
    }
    assert!(!format!("{source:?}").contains("wrong"), "{source:?}");
    secret.set(right);
    assert_eq!(ask(&*source, &[name(2)]).await.code(), "ok");
    let unusable = OneSecret::new("mongodb://hunter2:hunter2:hunter2@/".to_owned());
    let source = open_with(&declaration("listed", "domain", "tls = false"), unusable).unwrap();
    let error = ask(&*source, &[name(2)]).await.result.unwrap_err();
    assert_eq!(error.code(), "secret");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn certificates_are_checked() {
    let Some(server) = Mongodb::shared() else { return };
    let Some(own) = &server.server else {
        return left_out("the authority of a server that is not the tests' own");
    };
    let elsewhere = Gate::at("127.0.0.2", own.tls_address).await;
    let trusted = format!("ca = \"\"\"{}\"\"\"", own.authority());
    for (at, rest, code) in [
        (own.tls_address, trusted.as_str(), "ok"),
        // Not by an authority that is trusted; not for this address; not encrypted at all, on either side.
        (own.tls_address, "", "unreachable"),
        (elsewhere.address(), trusted.as_str(), "unreachable"),
        (own.tls_address, "tls = false", "unreachable"),
        (own.address, trusted.as_str(), "unreachable"),
    ] {
        for options in ["", "&tls=true&tlsAllowInvalidCertificates=true"] {
            // What a URL says of encryption is not heard.
            let url = format!("{}{options}", server.url(at));
            let patience = if code == "ok" { "5000" } else { "700" };
            let declaration = declaration("listed", "domain", rest).replace("2000", patience);
            let source = open(&declaration, url).unwrap();
            let asked = ask(&*source, &[name(2)]).await;
            assert_eq!(asked.code(), code, "{rest}{options} {:?}", asked.result);
        }
    }
}

/// However often a caller gives up, the connections that are left are sound.
#[tokio::test]
async fn giving_up_at_any_moment_leaves_sound_connections() {
    let Some(server) = Mongodb::shared() else { return };
    let source = source(server, "listed", "domain", "projection = ['score']");
    run(Box::pin(async move {
        for step in 0..300_u64 {
            let number = 2 * (step as usize % 100);
            // From nothing to more than an answer takes.
            let patience = Duration::from_micros(step * step % 9_000);
            if let Ok(asked) = tokio::time::timeout(patience, ask(&*source, &[name(number), name(1)])).await {
                assert_eq!(asked.rows(0), [json!({"domain": name(number), "score": number})]);
                assert!(asked.rows(1).is_empty());
            }
        }
        let asked = ask(&*source, &[name(998)]).await;
        assert_eq!(asked.rows(0), [json!({"domain": name(998), "score": 998})]);
    }))
    .await;
}
