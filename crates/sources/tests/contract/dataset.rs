//! A published data set: in memory, so that of the contract only what needs no connection is asked of it. What a registry
//! can do to it, its holder's tests show.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use tribunal_registry::Registry;
use tribunal_sources::config::MatchBy;
use tribunal_sources::dataset::{BuildOptions, Builder, DatasetHolder, DatasetSource, Refreshed};
use tribunal_sources::source::Record;
use tribunal_sources::{OpenError, Source};

use crate::fixture::{CANARIES, Fixture, Form, KNOWN_BELOW, is_known, name};
use crate::server::blocking;

/// A data set in a registry, which a source has loaded.
pub struct Published {
    holder: Arc<DatasetHolder>,
}

fn file() -> Vec<u8> {
    let options = BuildOptions { key: Some("name".to_owned()), ..BuildOptions::default() };
    let mut builder = Builder::new(options).unwrap();
    let known = (0..KNOWN_BELOW).filter(|number| is_known(*number)).map(|number| (name(number), number));
    let canaries = CANARIES.iter().map(|canary| ((*canary).to_owned(), KNOWN_BELOW));
    let line = |(name, score): (String, usize)| format!("{}\n", json!({"name": name, "score": score}));
    let lines: String = known.chain(canaries).map(line).collect();
    builder.add_json_lines("known.jsonl", lines.as_bytes()).unwrap();
    builder.finish().unwrap().bytes
}

async fn publish() -> Published {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path().to_str().unwrap()).unwrap();
    registry.publish_dataset("known", "1", "known.tds", file().into()).await.unwrap();
    let holder = DatasetHolder::published(registry, "known");
    assert!(matches!(holder.refresh(Duration::from_secs(10)).await, Refreshed::Changed(_)));
    Published { holder: Arc::new(holder) }
}

impl Fixture for Published {
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Published> = OnceLock::new();
        Some(SHARED.get_or_init(|| blocking(publish())))
    }

    fn own() -> Option<Self> {
        None
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    fn open(&self, form: Form, _: SocketAddr) -> Result<Result<Box<dyn Source>, OpenError>, &'static str> {
        match form {
            Form::Sound => Ok(Ok(Box::new(DatasetSource::new(Arc::clone(&self.holder), MatchBy::Entity)))),
            _ => Err("a data set is in memory"),
        }
    }

    fn shows(&self, record: &Record, number: usize) -> bool {
        record.rows == [json!({"score": number})]
    }

    fn most_bytes(&self) -> u64 {
        0
    }

    fn kill(&self) {}

    fn restart(&self) {}
}
