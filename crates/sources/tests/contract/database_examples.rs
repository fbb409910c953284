//! The declarations of docs/sources-databases.md, as they stand there, on real servers.

use mongodb::bson::{DateTime, Document, doc};
use mysql_async::prelude::Queryable as _;
use serde_json::json;
use tribunal_sources::Declaration;

use crate::fixture::Fixture as _;
use crate::mongodb::{DATABASE, Mongodb};
use crate::mysql::Mysql;
use crate::server::open;
use crate::suite::ask;

const PAGE: &str = include_str!("../../../../docs/sources-databases.md");

/// The page's blocks in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    let blocks = PAGE.split(start.as_str()).skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// The declaration of a source, without encryption.
fn declaration(name: &str) -> String {
    let table = format!("[sources.{name}]");
    let block = blocks("toml").into_iter().find(|block| block.contains(&table)).unwrap();
    block.replacen("connection =", "tls = false\nconnection =", 1)
}

#[test]
fn every_example_can_be_opened() {
    for block in blocks("toml") {
        let declared: Declaration = toml::from_str(block).unwrap();
        assert!(declared.sources.values().all(|source| !source.features.is_empty()));
        open(block, String::new()).unwrap();
    }
}

#[tokio::test]
async fn the_blocklist_answers() {
    let Some(server) = Mysql::shared() else { return };
    let mut admin = server.admin().await;
    admin.query_drop("CREATE OR REPLACE DATABASE tribunal_example").await.unwrap();
    admin.query_drop("DROP USER IF EXISTS tribunal_reader").await.unwrap();
    admin.query_drop("USE tribunal_example").await.unwrap();
    // The user's server may have a reader of its own.
    let script = blocks("sql").concat().replace("reader", "tribunal_reader");
    for statement in script.split(';').filter(|statement| !statement.trim().is_empty()) {
        admin.query_drop(statement).await.unwrap();
    }
    let insert =
        "INSERT INTO listed VALUES ('evil.com', 'a', 1, '2026-11-24 10:20:30'), ('evil.com', 'b', 0, NOW())";
    admin.query_drop(insert).await.unwrap();
    let url = server
        .url("tribunal_reader:choose%20another", server.address())
        .replace("tribunal_contract", "tribunal_example");
    let source = open(&declaration("blocklist"), url).unwrap();
    let asked = ask(&*source, &["login.evil.com", "good.com"]).await;
    let row = json!({"domain": "evil.com", "feed": "a", "score": 1, "added": "2026-11-24T10:20:30Z"});
    assert_eq!(asked.rows(0), [row]);
    assert!(asked.rows(1).is_empty());
}

#[tokio::test]
async fn the_campaigns_answer() {
    let Some(server) = Mongodb::shared() else { return };
    let campaigns = server.admin().await.collection::<Document>("campaigns");
    campaigns.drop().await.unwrap();
    let seen = DateTime::parse_rfc3339_str("2026-11-24T10:20:30Z").unwrap();
    let named = |name: &str| doc! {"name": name, "kind": "c2"};
    campaigns
        .insert_many([
            doc! {"name": "A", "confidence": 80, "seen": seen, "indicators": [named("login.evil.com"), named("192.0.2.1")]},
            doc! {"name": "B", "confidence": 90, "retracted": true, "indicators": [named("192.0.2.1")]},
        ])
        .await
        .unwrap();
    let declaration = declaration("campaigns").replace("intelligence", DATABASE);
    let source = open(&declaration, server.url(server.address())).unwrap();
    let asked = ask(&*source, &["login.evil.com", "192.0.2.1", "good.com"]).await;
    for position in [0, 1] {
        let names = json!([{"name": "login.evil.com"}, {"name": "192.0.2.1"}]);
        let row = json!({"name": "A", "confidence": 80, "seen": "2026-11-24T10:20:30Z", "indicators": names});
        assert_eq!(asked.rows(position), [row]);
    }
    assert!(asked.rows(2).is_empty());
}
