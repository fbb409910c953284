//! Connections that are kept between batches, at most as many as may be asked through at once.
//!
//! The driver's own pool is not used: it gives a connection that was left in the middle of an answer back only after it has
//! read the rest of it, however long that takes or however silent the server is. Here such a connection is closed on
//! the spot; only one whose answer was read to its end is kept.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use mysql_async::prelude::Queryable as _;
use mysql_async::{
    BinaryProtocol, Conn, DriverError, Opts, OptsBuilder, Params, QueryResult, SslOpts, Statement,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::failure::{failure, is_access_denied};
use crate::SourceError;
use crate::params::MAX_ANSWER_BYTES;
use crate::params::target::Target;
use crate::secret::{Secret, SecretStore};

/// A connection that lay idle for longer is closed instead of used: networks forget them silently after some minutes.
const MAX_IDLE: Duration = Duration::from_secs(120);
/// Prepared statements that a connection keeps: one for each power of two.
const STATEMENTS: usize = 16;

/// How connections are made.
pub(super) struct Connections {
    target: Target,
    tls: Option<SslOpts>,
    timeout: Duration,
    secrets: Arc<dyn SecretStore>,
    /// What was resolved last, and worked or was not tried yet.
    options: Mutex<Option<Opts>>,
    idle: Mutex<Vec<(Conn, Instant)>>,
    permits: Semaphore,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// A connection in use. When it is dropped it is closed, unless it was kept.
pub(super) struct Lease<'a> {
    owner: &'a Connections,
    connection: Option<Conn>,
    /// What was prepared on it last.
    statement: Option<Statement>,
    /// Whether it was used before: the server may have closed it since.
    pub(super) was_idle: bool,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    /// None yet.
    pub(super) fn new(
        target: Target,
        tls: Option<SslOpts>,
        most: usize,
        timeout: Duration,
        secrets: Arc<dyn SecretStore>,
    ) -> Self {
        let (options, idle) = (Mutex::new(None), Mutex::new(Vec::new()));
        Self { target, tls, timeout, secrets, options, idle, permits: Semaphore::new(most) }
    }

    /// An idle connection, else a new one; waits while the most are in use.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, SourceError> {
        let permit =
            self.permits.acquire().await.map_err(|closed| SourceError::Unreachable(Box::new(closed)))?;
        let idle = self.take_idle();
        let was_idle = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Lease { owner: self, connection: Some(connection), statement: None, was_idle, _permit: permit })
    }

    /// Closes every idle connection: one of them was found dead.
    pub(super) fn forget_idle(&self) {
        for (connection, _) in self.idle().drain(..) {
            close(connection);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Conn, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Conn> {
        loop {
            let (connection, since) = self.idle().pop()?;
            if since.elapsed() <= MAX_IDLE {
                return Some(connection);
            }
            close(connection);
        }
    }

    /// Connects; a secret that is refused is read anew, and tried again if it is another one by now.
    async fn connect(&self) -> Result<Conn, SourceError> {
        let known = self.options.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let options = match known {
            Some(options) => options,
            None => self.resolve().await?,
        };
        let refused = match self.open(options.clone()).await {
            Ok(connection) => return Ok(connection),
            Err(error) if is_access_denied(&error) => error,
            Err(error) => return Err(failure(error, self.timeout)),
        };
        *self.options.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if !self.target.is_secret() {
            return Err(failure(refused, self.timeout));
        }
        self.target.forget(&*self.secrets).await;
        let renewed = self.resolve().await?;
        if renewed == options {
            return Err(failure(refused, self.timeout));
        }
        self.open(renewed).await.map_err(|error| failure(error, self.timeout))
    }

    async fn resolve(&self) -> Result<Opts, SourceError> {
        let url = self.target.url(&*self.secrets).await?;
        let options = self.options_of(&url).ok_or_else(|| self.target.unusable_secret())?;
        *self.options.lock().unwrap_or_else(PoisonError::into_inner) = Some(options.clone());
        Ok(options)
    }

    /// What a URL says of server, user and database; everything else is set here. `None` when it cannot be read.
    fn options_of(&self, url: &Secret) -> Option<Opts> {
        let given = Opts::from_url(url.expose()).ok()?;
        let host = given.ip_or_hostname().trim_matches(['[', ']']).to_owned();
        let cleartext = given.enable_cleartext_plugin() && self.tls.is_some();
        let options = OptsBuilder::default()
            .tcp_port(given.tcp_port())
            .ip_or_hostname(host)
            .user(given.user())
            .pass(given.pass())
            .db_name(given.db_name())
            .enable_cleartext_plugin(cleartext)
            .ssl_opts(self.tls.clone())
            .prefer_socket(false)
            .stmt_cache_size(STATEMENTS)
            // Given, so that connecting does not ask the server for them; the first also bounds a packet before it is
            // taken in.
            .max_allowed_packet(Some(MAX_ANSWER_BYTES))
            .wait_timeout(Some(usize::try_from(MAX_IDLE.as_secs()).unwrap_or_default()))
            .init(vec!["SET SESSION TRANSACTION READ ONLY", "SET time_zone = '+00:00'"]);
        Some(options.into())
    }

    async fn open(&self, options: Opts) -> Result<Conn, mysql_async::Error> {
        let mut connection = Unfinished(Some(Conn::new(options).await?));
        let Some(conn) = connection.0.as_mut() else {
            return Err(DriverError::ConnectionClosed.into());
        };
        // A query that nobody waits for any more ends. Of the two comments MySQL runs the first, MariaDB the second;
        // a server that knows neither limit is used without.
        let limits = format!(
            "SET SESSION sql_safe_updates = 1 /*!50708 , max_execution_time = {} */ /*M! , max_statement_time = {} */",
            self.timeout.as_millis().max(1),
            self.timeout.as_secs_f64().max(0.001)
        );
        match conn.query_drop(limits).await {
            Ok(()) | Err(mysql_async::Error::Server(_)) => {}
            Err(error) => return Err(error),
        }
        connection.0.take().ok_or_else(|| DriverError::ConnectionClosed.into())
    }
}

/// A connection that is closed on the spot when it is dropped.
struct Unfinished(Option<Conn>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            close(connection);
        }
    }
}

impl Lease<'_> {
    /// Runs a statement on the connection.
    pub(super) async fn run(
        &mut self,
        statement: String,
        parameters: Params,
    ) -> Result<QueryResult<'_, 'static, BinaryProtocol>, mysql_async::Error> {
        let Some(connection) = self.connection.as_mut() else {
            return Err(DriverError::ConnectionClosed.into());
        };
        let statement = connection.prep(statement).await?;
        self.statement = Some(statement.clone());
        connection.exec_iter(statement, parameters).await
    }

    /// Gives the connection back: its answer was read to its end.
    pub(super) fn keep(mut self) {
        if let Some(connection) = self.connection.take() {
            self.owner.idle().push((connection, Instant::now()));
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match self.statement.take() {
            // Closed otherwise, the driver would read the rest of the answer first: without bound, and with a panic at a
            // type of value that it does not know. It drops the connection, unread, over a statement that it cannot send.
            Some(statement) => drop(connection.exec_drop(statement, Params::Empty).now_or_never()),
            None => close(connection),
        }
    }
}

/// Closes a connection on which nothing is under way, without waiting: what cannot be said to the server at once is not
/// said.
fn close(connection: Conn) {
    let _ = connection.disconnect().now_or_never();
}
