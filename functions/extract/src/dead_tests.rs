//! No source answers: a batch has the features that it has without sources, after the budget and not later.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::memory::InMemory;
use serde_json::json;
use tribunal_core::message::{ExtractInput, MAX_BATCH_ENTITIES, SourceStatus};
use tribunal_registry::Registry;
use tribunal_runtime::{EventLog, Invocation, Step as _};
use tribunal_sources::Context;

use crate::{Extract, Extraction, RANGES, Ranges};

const BUDGET_MS: u32 = 300;
/// Of each source: nothing but the budget ends it before.
const TIMEOUT_MS: u32 = 6_000;

/// Sources by table: of each one at a port that takes connections and says nothing, one at a port that is closed.
fn declaration(mute: u16, closed: u16) -> String {
    let mut text = format!("[budget]\ntimeout_ms = {BUDGET_MS}\n");
    for (fault, port) in [("mute", mute), ("closed", closed)] {
        let tables = [
            ("http", format!("url = \"http://127.0.0.1:{port}/{{entity}}\"\nallow_private = true\n")),
            (
                "mysql",
                format!(
                    "connection = {{ url = \"mysql://reader@127.0.0.1:{port}/intel\" }}\nkey = \"entity\"\n\
                     query = \"SELECT entity, n FROM seen WHERE entity IN (:entities)\"\n"
                ),
            ),
            (
                "mongodb",
                format!(
                    "connection = {{ url = \"mongodb://127.0.0.1:{port}/\" }}\nkey = \"entity\"\n\
                     database = \"intel\"\ncollection = \"seen\"\n\
                     filter = {{ entity = {{ \"$in\" = \":entities\" }} }}\n"
                ),
            ),
        ];
        for (table, keys) in tables {
            text.push_str(&format!(
                "[sources.{table}-{fault}]\ntimeout_ms = {TIMEOUT_MS}\n[sources.{table}-{fault}.{table}]\ntls = false\n\
                 {keys}[[sources.{table}-{fault}.features]]\nname = \"{table}_{fault}\"\ntransform = [\"count\"]\n"
            ));
        }
    }
    text
}

fn event() -> ExtractInput {
    let texts: Vec<String> = (0..MAX_BATCH_ENTITIES)
        .map(|i| if i % 5 == 0 { format!("9.9.9.{i}") } else { format!("login-{i}.evil-site.com") })
        .collect();
    ExtractInput {
        input: json!({"entities": texts}),
        execution: "run-1".to_owned(),
        started_at: "2026-06-01T12:00:00Z".to_owned(),
    }
}

#[tokio::test]
async fn a_batch_has_its_own_features_after_the_budget() {
    // The kernel accepts; nobody ever reads.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = declaration(mute.local_addr().unwrap().port(), closed);
    let registry = Registry::with_store(Arc::new(InMemory::new()), "memory");
    registry.publish_sources(Bytes::from(text)).await.unwrap();
    let function = Extract::start(registry, Context::local()).await.unwrap();
    let invocation = Invocation::default();
    let mut log = EventLog::new("extract");
    // Far more than the budget: it ends a test that would hang.
    let handled =
        tokio::time::timeout(Duration::from_secs(60), function.handle(event(), &invocation, &mut log));
    let batch = handled.await.expect("it ends").unwrap();

    let alone = Extraction::new().unwrap().extract(&event(), &Ranges::Absent).unwrap();
    assert_eq!(batch.features.len(), alone.features.len() + 6);
    assert_eq!((batch.rows.len(), batch.refused.len()), (MAX_BATCH_ENTITIES, 0));
    for (row, alone) in batch.rows.iter().zip(&alone.rows) {
        let (built_in, declared) = row.values.split_at(alone.values.len());
        assert_eq!((&row.item, built_in), (&alone.item, alone.values.as_slice()));
        assert_eq!(declared, [None; 6]);
        assert_eq!(row.sources.keys().filter(|source| *source != RANGES).count(), 6);
        for (source, status) in row.sources.iter().filter(|(source, _)| *source != RANGES) {
            let expected = if source.ends_with("mute") { SourceStatus::Timeout } else { SourceStatus::Error };
            // The MongoDB driver looks for a server until the time is up.
            let is_looking = source == "mongodb-closed" && *status == SourceStatus::Timeout;
            assert!(*status == expected || is_looking, "{source}: {status:?}");
        }
    }
    // The budget ended them all, long before their own time was up.
    assert!(batch.source_ms.values().all(|ms| *ms < TIMEOUT_MS), "{:?}", batch.source_ms);
}
