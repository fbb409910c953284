//! MySQL and MariaDB: one prepared SELECT for a whole batch.
//!
//! ```toml
//! [sources.blocklist.mysql]
//! connection = { secret = "tribunal/blocklist" }
//! query = "SELECT domain, score, added FROM listed WHERE domain IN (:entities)"
//! key = "domain"
//! ```
//! Values are bound, never put into the text; the session reads only and has a time limit of its own; connections are
//! encrypted and the server's certificate checked unless the declaration says otherwise. The driver's handler for `LOAD
//! DATA LOCAL` is absent, so a server that asks for a file gets none, and prepared statements cannot be several.
//! Answers are bounded in rows (`max_rows`) and bytes ([`crate::params::MAX_ANSWER_BYTES`]) while they arrive. A future
//! that is dropped closes its connection.
//!
//! Forms of values: [`values`]; of queries: [`query`]. The `tls` certificates are the public ones and those of `ca`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::{Column, Params, SslOpts, Value as Sql};
use serde_json::{Map, Value};

use crate::config::MysqlConfig;
use crate::params::target::{Target, certificates};
use crate::params::{Found, Request, SUBJECTS_PER_REQUEST, Wanted};
use crate::secret::SecretStore;
use crate::source::{Record, Replies, Source, Subject};
use crate::{OpenError, SourceError};

mod connections;
mod failure;
#[cfg(test)]
mod hostile;
mod query;
#[cfg(test)]
mod tests;
mod values;

use connections::{Connections, Lease};
use failure::{failure, is_gone};
use query::Query;

/// A MySQL or MariaDB server that is asked.
#[derive(Debug)]
pub(crate) struct Mysql {
    query: Query,
    key: String,
    max_rows: usize,
    timeout: Duration,
    connections: Connections,
}

/// Checks a declaration; makes no connection. At most `concurrency` connections, and `timeout` for a statement.
pub(crate) fn open(
    config: &MysqlConfig,
    concurrency: usize,
    timeout: Duration,
    secrets: Arc<dyn SecretStore>,
) -> Result<Mysql, OpenError> {
    let query = Query::parse(&config.query).map_err(|reason| OpenError::new("mysql.query", reason))?;
    if config.key.is_empty() {
        return Err(OpenError::new("mysql.key", "empty"));
    }
    let target = Target::new(&config.connection, "mysql", "mysql.connection")?;
    let authorities = config.ca.as_deref().map(certificates).transpose();
    let authorities = authorities.map_err(|reason| OpenError::new("mysql.ca", reason))?;
    let roots = authorities.map(|pem| pem.as_bytes().to_vec().into());
    let tls = config.tls.then(|| SslOpts::default().with_root_certs(roots.into_iter().collect()));
    // The driver takes the process's; there is one already, or it is this.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connections = Connections::new(target, tls, concurrency.max(1), timeout, secrets);
    Ok(Mysql { query, key: config.key.clone(), max_rows: config.max_rows, timeout, connections })
}

#[async_trait::async_trait]
impl Source for Mysql {
    fn subjects_per_request(&self) -> usize {
        SUBJECTS_PER_REQUEST
    }

    fn requests(&self, subjects: &[Subject<'_>]) -> Vec<Option<usize>> {
        Wanted::new(self.query.variable(), subjects).numbers(subjects.len())
    }

    async fn ask(&self, subjects: &[Subject<'_>], replies: &Replies) -> Result<(), SourceError> {
        let wanted = Wanted::new(self.query.variable(), subjects);
        wanted.answer_nothing(replies);
        for request in wanted.requests() {
            let records = self.request(request).await?;
            request.answer(records, replies);
        }
        Ok(())
    }
}

/// Why a request came to nothing.
enum Broken {
    /// The driver or the server failed.
    Driver(mysql_async::Error),
    /// The answer is not taken.
    Answer(SourceError),
}

impl From<mysql_async::Error> for Broken {
    fn from(error: mysql_async::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<SourceError> for Broken {
    fn from(error: SourceError) -> Self {
        Self::Answer(error)
    }
}

impl Mysql {
    /// One query: a record for each text. What was sent on a connection that had died in the meantime is sent again on
    /// a new one, once: it only reads.
    async fn request(&self, request: Request<'_>) -> Result<Vec<Record>, SourceError> {
        loop {
            let mut lease = self.connections.lease().await?;
            let broken = match Box::pin(self.read(&mut lease, request)).await {
                Ok(records) => {
                    lease.keep();
                    return Ok(records);
                }
                Err(broken) => broken,
            };
            match broken {
                Broken::Driver(error) if is_gone(&error) && lease.was_idle => self.connections.forget_idle(),
                Broken::Driver(error) => {
                    if !error.is_fatal() && !is_gone(&error) {
                        lease.keep();
                    }
                    return Err(failure(error, self.timeout));
                }
                Broken::Answer(error) => return Err(error),
            }
        }
    }

    async fn read(&self, lease: &mut Lease<'_>, request: Request<'_>) -> Result<Vec<Record>, Broken> {
        let (statement, parameters) = self.bound(request.texts);
        let mut answer = lease.run(statement, parameters).await?;
        let columns = answer.columns().unwrap_or_else(|| Arc::from([]));
        let names = names(&columns)?;
        if !names.contains(&self.key) {
            return Err(malformed(format!("no column {}", self.key)).into());
        }
        let name_bytes: usize = names.iter().map(String::len).sum();
        let mut found = Found::new(request, self.max_rows);
        while let Some(row) = answer.next().await? {
            let row = row.unwrap();
            let size =
                row.iter().zip(&*columns).map(|(value, column)| values::size(value, column)).sum::<usize>();
            found.count(name_bytes.saturating_add(size))?;
            found.count_fields(row.len())?;
            let row = row.into_iter().zip(&*columns).map(|(value, column)| values::json(value, column));
            let row: Value = names.iter().cloned().zip(row).collect::<Map<_, _>>().into();
            found.add(&[&row[self.key.as_str()]], &row)?;
        }
        Ok(found.into_records())
    }

    /// The statement and a value for each of its placeholders.
    fn bound(&self, texts: &[&str]) -> (String, Params) {
        let (statement, width) = self.query.statement(texts.len());
        let last = texts.last().copied().unwrap_or_default();
        let place = texts.iter().copied().chain(std::iter::repeat(last)).take(width);
        let values = (0..self.query.places()).flat_map(|_| place.clone());
        (statement, Params::Positional(values.map(|text| Sql::Bytes(text.into())).collect()))
    }
}

/// The columns' names, if their values can be read.
fn names(columns: &[Column]) -> Result<Vec<String>, SourceError> {
    if let Some(column) = columns.iter().find(|column| !values::is_readable(column.column_type())) {
        return Err(malformed(format!("a column of type {:?}", column.column_type())));
    }
    let names: Vec<_> = columns.iter().map(|column| column.name_str().into_owned()).collect();
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(malformed(format!("two columns {name}"))),
        None => Ok(names),
    }
}

const fn malformed(reason: String) -> SourceError {
    SourceError::Malformed { reason }
}
