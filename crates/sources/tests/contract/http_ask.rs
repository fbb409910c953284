//! A source on a server of the test, and what it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tribunal_core::Entity;
use tribunal_sources::config::SourceConfig;
use tribunal_sources::secret::{Secret, SecretStore};
use tribunal_sources::source::{Cause, Record, Replies, Reply, Subject};
use tribunal_sources::{OpenError, Source, SourceError, open_server};

use crate::http_server::HttpServer;

/// The secret of every source, unless a test has its own.
pub const PASSWORD: &str = "hunter2-secret";

/// A store that keeps a secret until it is told to forget it, and then has the next one.
#[derive(Debug)]
pub struct Rotating {
    texts: Vec<&'static str>,
    forgotten: AtomicUsize,
    /// How often a secret was read.
    pub read: AtomicUsize,
}

impl Rotating {
    pub fn new(texts: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { texts: texts.to_vec(), forgotten: AtomicUsize::new(0), read: AtomicUsize::new(0) })
    }
}

#[async_trait::async_trait]
impl SecretStore for Rotating {
    async fn secret(&self, _: &str) -> Result<Secret, Cause> {
        self.read.fetch_add(1, Ordering::SeqCst);
        let at = self.forgotten.load(Ordering::SeqCst).min(self.texts.len() - 1);
        Ok(Secret::new(self.texts[at].to_owned()))
    }

    async fn forget(&self, _: &str) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

/// The source of a declaration.
pub fn opened(toml: &str, secrets: Arc<impl SecretStore + 'static>) -> Result<Box<dyn Source>, OpenError> {
    let secrets: Arc<dyn SecretStore> = secrets;
    let config: SourceConfig = toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    open_server(&config, &secrets)
}

/// A source on a server of the test, with keys of `[http]` and, before them, of the source.
pub fn source_with(server: &HttpServer, path: &str, http: &str, source: &str) -> Box<dyn Source> {
    let at = server.address;
    let toml =
        format!("{source}\n[http]\nurl = 'http://{at}{path}'\ntls = false\nallow_private = true\n{http}");
    opened(&toml, Rotating::new(&[PASSWORD])).unwrap()
}

/// Likewise, with one request at once.
pub fn source(server: &HttpServer, path: &str, http: &str) -> Box<dyn Source> {
    source_with(server, path, http, "concurrency = 1")
}

/// What one batch came to.
pub struct Asked {
    pub result: Result<(), SourceError>,
    pub replies: Vec<Option<Reply>>,
}

impl Asked {
    /// Records of all subjects, none of which failed.
    pub fn records(self) -> Vec<Record> {
        self.result.unwrap();
        self.replies.into_iter().map(|reply| reply.expect("a reply").unwrap()).collect()
    }

    /// What each subject has, in short: the number of rows, or the code of its error or of the batch's.
    pub fn outcomes(&self) -> Vec<String> {
        let of = |reply: &Option<Reply>| match (reply, &self.result) {
            (Some(Ok(record)), _) => record.rows.len().to_string(),
            (Some(Err(error)), _) => error.code().to_owned(),
            (None, Err(error)) => format!("({})", error.code()),
            (None, Ok(())) => "nothing".to_owned(),
        };
        self.replies.iter().map(of).collect()
    }

    /// The error of the only subject.
    pub fn error(mut self) -> SourceError {
        match (self.replies.remove(0), self.result) {
            (Some(Err(error)), _) | (None, Err(error)) => error,
            other => panic!("no error: {other:?}"),
        }
    }
}

pub async fn ask<S: AsRef<str>>(source: &dyn Source, names: &[S]) -> Asked {
    let entities: Vec<_> = names.iter().map(|name| Entity::parse(name.as_ref()).unwrap()).collect();
    let subjects: Vec<_> = entities.iter().map(|entity| Subject { entity, facts: None }).collect();
    let replies = Replies::new(subjects.len());
    let result = source.ask(&subjects, &replies).await;
    Asked { result, replies: replies.into_inner() }
}

pub fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("n{i}.com")).collect()
}

/// The last segment of a path.
pub fn last(target: &str) -> &str {
    target.rsplit('/').next().unwrap()
}
