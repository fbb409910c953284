//! MongoDB, and what speaks its protocol: one `find` for a whole batch.
//!
//! ```toml
//! [sources.sightings.mongodb]
//! connection = { secret = "tribunal/sightings" }
//! database = "intelligence"
//! collection = "sightings"
//! filter = { domain = { "$in" = ":entities" } }
//! projection = ["domain", "seen"]
//! key = "domain"
//! ```
//! The batch is an array of strings in the filter ([`filter`]), never part of its structure. Connections are encrypted
//! and the server's certificate checked unless the declaration says otherwise; the certificates are the public ones, or
//! those of `ca` instead. Finding a server and connecting take at most three quarters of the source's timeout; the server
//! is told the whole of it. Answers are bounded in rows (`max_rows`) and bytes ([`crate::params::MAX_ANSWER_BYTES`]) while they
//! arrive, in messages of at most 128 documents, and of 48 MB by the protocol.
//!
//! The key is a field by its dotted path; where it holds an array, the document belongs to each of its texts. Forms of
//! values: [`values`]. `mongodb+srv` URLs are not taken: they are a list of servers in DNS, which can be named as well.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf};
use mongodb::options::{ClientOptions, Tls, TlsOptions};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::config::MongodbConfig;
use crate::params::target::{Target, certificates};
use crate::params::{Found, Request, SUBJECTS_PER_REQUEST, Wanted};
use crate::secret::{Secret, SecretStore};
use crate::source::{Record, Replies, Source, Subject};
use crate::{OpenError, SourceError};

mod failure;
mod filter;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
mod values;

use failure::failure;
use filter::Filter;
use values::malformed;

/// Most documents of one message.
const BATCH: u32 = 128;
/// Longest name of a database, a collection or a field.
const MAX_NAME_BYTES: usize = 255;

/// A server of the MongoDB protocol that is asked.
#[derive(Debug)]
pub(crate) struct Mongodb {
    target: Target,
    database: String,
    collection: String,
    filter: Filter,
    projection: Document,
    key: String,
    tls: bool,
    ca: Option<String>,
    max_rows: usize,
    concurrency: u32,
    timeout: Duration,
    secrets: Arc<dyn SecretStore>,
    connected: Mutex<Option<Connected>>,
}

/// A client that is kept between batches.
#[derive(Clone)]
struct Connected {
    url: Secret,
    client: Client,
    /// The driver reads certificates from a file, whenever it meets another server.
    _authorities: Option<Arc<NamedTempFile>>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client would show its user and servers.
        f.write_str("Connected(..)")
    }
}

/// Checks a declaration; makes no connection. At most `concurrency` connections to each server, and `timeout` for an
/// operation.
pub(crate) fn open(
    config: &MongodbConfig,
    concurrency: usize,
    timeout: Duration,
    secrets: Arc<dyn SecretStore>,
) -> Result<Mongodb, OpenError> {
    let wrong = |key: &str| {
        let key = format!("mongodb.{key}");
        move |reason| OpenError::new(key, reason)
    };
    check_name(&config.database, &['/', '\\', '.', ' ', '"', '$']).map_err(wrong("database"))?;
    check_name(&config.collection, &['$']).map_err(wrong("collection"))?;
    check_name(&config.key, &['$']).map_err(wrong("key"))?;
    if let Some(ca) = &config.ca {
        certificates(ca).map_err(wrong("ca"))?;
    }
    Ok(Mongodb {
        target: Target::new(&config.connection, "mongodb", "mongodb.connection")?,
        database: config.database.clone(),
        collection: config.collection.clone(),
        filter: Filter::parse(&config.filter).map_err(wrong("filter"))?,
        projection: projection(&config.projection, &config.key).map_err(wrong("projection"))?,
        key: config.key.clone(),
        tls: config.tls,
        ca: config.ca.clone(),
        max_rows: config.max_rows,
        concurrency: u32::try_from(concurrency.max(1)).unwrap_or(u32::MAX),
        timeout,
        secrets,
        connected: Mutex::new(None),
    })
}

fn check_name(name: &str, forbidden: &[char]) -> Result<(), String> {
    match name.chars().find(|c| *c == '\0' || forbidden.contains(c)) {
        _ if name.is_empty() => Err("empty".to_owned()),
        _ if name.len() > MAX_NAME_BYTES => Err(format!("{} bytes, {MAX_NAME_BYTES} at most", name.len())),
        Some(c) => Err(format!("the character {c:?}")),
        None => Ok(()),
    }
}

/// The declared fields and the key; empty for all.
fn projection(fields: &[String], key: &str) -> Result<Document, String> {
    let mut projection = Document::new();
    if fields.is_empty() {
        return Ok(projection);
    }
    for field in fields {
        check_name(field, &['$']).map_err(|reason| format!("{field}: {reason}"))?;
        projection.insert(field.clone(), 1);
    }
    let parents = key.match_indices('.').filter_map(|(end, _)| key.get(..end)).chain([key]);
    if !parents.into_iter().any(|parent| projection.contains_key(parent)) {
        projection.insert(key, 1);
    }
    if !projection.contains_key("_id") {
        projection.insert("_id", 0);
    }
    Ok(projection)
}

#[async_trait::async_trait]
impl Source for Mongodb {
    fn subjects_per_request(&self) -> usize {
        SUBJECTS_PER_REQUEST
    }

    fn requests(&self, subjects: &[Subject<'_>]) -> Vec<Option<usize>> {
        Wanted::new(self.filter.variable(), subjects).numbers(subjects.len())
    }

    async fn ask(&self, subjects: &[Subject<'_>], replies: &Replies) -> Result<(), SourceError> {
        let wanted = Wanted::new(self.filter.variable(), subjects);
        wanted.answer_nothing(replies);
        for request in wanted.requests() {
            let records = Box::pin(self.request(request)).await?;
            request.answer(records, replies);
        }
        Ok(())
    }
}

impl Mongodb {
    /// One `find`: a record for each text. A secret that is refused is read anew, and tried again if it is another one
    /// by now.
    async fn request(&self, request: Request<'_>) -> Result<Vec<Record>, SourceError> {
        let known = self.connected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let connected = match known {
            Some(connected) => connected,
            None => self.connect(self.target.url(&*self.secrets).await?).await?,
        };
        let refused = match self.read(&connected.client, request).await {
            Err(error @ SourceError::Refused(_)) if self.target.is_secret() => error,
            answer => return answer,
        };
        self.forget();
        self.target.forget(&*self.secrets).await;
        let url = self.target.url(&*self.secrets).await?;
        if url == connected.url {
            return Err(refused);
        }
        let renewed = self.connect(url).await?;
        self.read(&renewed.client, request).await
    }

    fn forget(&self) {
        *self.connected.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Makes a client, which connects when it is used.
    async fn connect(&self, url: Secret) -> Result<Connected, SourceError> {
        let authorities = self.authorities().map_err(|error| SourceError::Unreachable(Box::new(error)))?;
        let path = authorities.as_ref().map(|file| file.path().to_owned());
        // The parser's message quotes the URL: it is not kept.
        let options = ClientOptions::parse(url.expose()).await.map_err(|_| self.target.unusable_secret())?;
        let client =
            Client::with_options(self.limited(options, path)).map_err(|_| self.target.unusable_secret())?;
        let connected = Connected { url, client, _authorities: authorities.map(Arc::new) };
        *self.connected.lock().unwrap_or_else(PoisonError::into_inner) = Some(connected.clone());
        Ok(connected)
    }

    fn authorities(&self) -> std::io::Result<Option<NamedTempFile>> {
        let Some(ca) = self.ca.as_ref().filter(|_| self.tls) else { return Ok(None) };
        let file = NamedTempFile::new()?;
        std::fs::write(file.path(), ca)?;
        Ok(Some(file))
    }

    /// What a URL says of servers, user and topology; limits and encryption are set here.
    fn limited(&self, mut options: ClientOptions, authorities: Option<std::path::PathBuf>) -> ClientOptions {
        let mut tls = TlsOptions::default();
        tls.ca_file_path = authorities;
        options.tls = Some(if self.tls { Tls::Enabled(tls) } else { Tls::Disabled });
        options.app_name = Some("tribunal".to_owned());
        // Before the caller gives up, so that it learns what is wrong.
        let patience = self.timeout * 3 / 4;
        options.connect_timeout = Some(patience);
        options.server_selection_timeout = Some(patience);
        options.max_pool_size = Some(self.concurrency);
        options.min_pool_size = Some(0);
        options
    }

    async fn read(&self, client: &Client, request: Request<'_>) -> Result<Vec<Record>, SourceError> {
        let failed = |error| failure(error, self.timeout);
        let collection = client.database(&self.database).collection::<RawDocumentBuf>(&self.collection);
        let limit = i64::try_from(self.max_rows).unwrap_or(i64::MAX).saturating_add(1);
        let find = collection
            .find(self.filter.document(request.texts))
            .projection(self.projection.clone())
            .limit(limit)
            .batch_size(BATCH)
            .max_time(self.timeout);
        let mut cursor = find.await.map_err(failed)?;
        let mut found = Found::new(request, self.max_rows);
        while cursor.advance().await.map_err(failed)? {
            let document = cursor.current();
            found.count(document.as_bytes().len())?;
            let row = values::json(document, &mut found)?;
            found.add(&self.keys(&row)?, &row)?;
        }
        Ok(found.into_records())
    }

    /// What the key's path leads to, each element of an array on its own.
    fn keys<'a>(&self, row: &'a Value) -> Result<Vec<&'a Value>, SourceError> {
        let mut reached = vec![row];
        for part in self.key.split('.') {
            reached = reached.into_iter().flat_map(elements).filter_map(|value| value.get(part)).collect();
        }
        if reached.is_empty() {
            return Err(malformed(&format!("no field {}", self.key)));
        }
        Ok(reached.into_iter().flat_map(elements).collect())
    }
}

fn elements(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(values) => values.iter(),
        value => std::slice::from_ref(value).iter(),
    }
}
