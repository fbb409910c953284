//! Texts that are no entities, which [`tribunal_core::Entity`] would never let through, bound by a real server: they
//! are found where they stand as they are, and nothing of them is interpreted.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder};
use serde_json::json;

use super::*;
use crate::params::tests::HOSTILE;
use crate::secret::EnvironmentSecrets;
use crate::test_server::Server;

#[tokio::test]
async fn hostile_texts_are_texts() {
    let Some(server) = Server::start("mariadb", false) else { return };
    let port = server.address.port();
    let options = OptsBuilder::default().tcp_port(port).user(Some("root")).prefer_socket(false);
    let mut admin = Conn::new(options).await.unwrap();
    for statement in [
        "CREATE DATABASE d CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "CREATE TABLE d.listed (domain VARCHAR(1000), score INT)",
        "CREATE TABLE d.empty LIKE d.listed",
        "SET GLOBAL log_output = 'TABLE', GLOBAL general_log = ON",
    ] {
        admin.query_drop(statement).await.unwrap();
    }
    let rows = HOSTILE.iter().enumerate().map(|(score, text)| (*text, score));
    admin.exec_batch("INSERT INTO d.listed VALUES (?, ?)", rows).await.unwrap();
    admin.query_drop("INSERT INTO d.listed VALUES ('canary', -1)").await.unwrap();

    let declared = |table: &str| MysqlConfig {
        connection: crate::config::Connection::Url { url: format!("mysql://root@127.0.0.1:{port}/d") },
        query: format!("SELECT domain, score FROM {table} WHERE domain IN (:entities)"),
        key: "domain".to_owned(),
        tls: false,
        ca: None,
        max_rows: 1_000,
    };
    let positions = vec![Vec::new(); HOSTILE.len()];
    let request = Request::of(HOSTILE, &positions);
    let open =
        |table| open(&declared(table), 1, Duration::from_secs(5), Arc::new(EnvironmentSecrets)).unwrap();
    // A text also finds those that are the same in normal form: it is at least among its own.
    let records = open("listed").request(request).await.unwrap();
    for (score, (text, record)) in HOSTILE.iter().zip(records).enumerate() {
        assert!(record.rows.contains(&json!({"domain": text, "score": score})), "{text:?}: {record:?}");
        assert!(record.rows.iter().all(|row| row["score"] != -1), "{text:?}: {record:?}");
    }
    let records = open("empty").request(request).await.unwrap();
    assert!(records.iter().all(Record::is_empty));

    // What the server was told to run: this statement, with placeholders.
    let logged = "SELECT DISTINCT argument FROM mysql.general_log WHERE command_type = 'Prepare' AND argument LIKE '%d%IN (?%'";
    let prepared: Vec<String> = admin.query(logged).await.unwrap();
    let places = vec!["?"; HOSTILE.len().next_power_of_two()].join(",");
    for table in ["listed", "empty"] {
        let statement = format!("SELECT domain, score FROM {table} WHERE domain IN ({places})");
        assert!(prepared.contains(&statement), "{prepared:?}");
    }
    let count = admin.query_first::<usize, _>("SELECT COUNT(*) FROM d.listed").await.unwrap();
    assert_eq!(count, Some(HOSTILE.len() + 1));
}
