//! Texts that are no entities, which [`tribunal_core::Entity`] would never let through, put into the filter for a real
//! server: they are found where they stand as they are, and nothing of them is interpreted.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::doc;
use serde_json::json;

use super::*;
use crate::params::tests::HOSTILE;
use crate::secret::EnvironmentSecrets;
use crate::test_server::Server;

#[tokio::test]
async fn hostile_texts_are_texts() {
    let Some(server) = Server::start("mongodb", false) else { return };
    let url = format!("mongodb://{}/?directConnection=true", server.address);
    let listed = Client::with_uri_str(&url).await.unwrap().database("d").collection::<Document>("listed");
    let rows = HOSTILE.iter().zip(0_i32..).map(|(text, score)| doc! {"domain": *text, "score": score});
    listed.insert_many(rows.chain([doc! {"domain": "canary", "score": -1}])).await.unwrap();

    let declared = |collection: &str| MongodbConfig {
        connection: crate::config::Connection::Url { url: url.clone() },
        database: "d".to_owned(),
        collection: collection.to_owned(),
        filter: serde_json::from_value(json!({"domain": {"$in": ":entities"}})).unwrap(),
        projection: vec!["score".to_owned()],
        key: "domain".to_owned(),
        tls: false,
        ca: None,
        max_rows: 1_000,
    };
    let positions = vec![Vec::new(); HOSTILE.len()];
    let request = Request::of(HOSTILE, &positions);
    let open =
        |collection| open(&declared(collection), 1, Duration::from_secs(5), Arc::new(EnvironmentSecrets));
    // A text also finds those that are the same in normal form: it is at least among its own.
    let records = open("listed").unwrap().request(request).await.unwrap();
    for (score, (text, record)) in HOSTILE.iter().zip(records).enumerate() {
        assert!(record.rows.contains(&json!({"domain": text, "score": score})), "{text:?}: {record:?}");
        assert!(record.rows.iter().all(|row| row["score"] != -1), "{text:?}: {record:?}");
    }
    let records = open("empty").unwrap().request(request).await.unwrap();
    assert!(records.iter().all(Record::is_empty));
    assert_eq!(listed.count_documents(doc! {}).await.unwrap(), HOSTILE.len() as u64 + 1);
}
