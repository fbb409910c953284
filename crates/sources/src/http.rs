//! An HTTP service that answers in JSON.
//!
//! ```text
//! subjects -> requests (one per entity, or `batch` entities each) -> at most `concurrency` under way
//!          -> status: answer / empty / throttled / refused / error -> rows at a JSON pointer -> replies
//! ```
//! - The host is the declared one. What an entity says is percent-encoded in path and query, or a JSON string in the
//!   body ([`crate::template`]); the entity itself is never asked.
//! - TLS unless `tls = false`. Redirects are not followed, proxies of the environment not used, no cookies kept.
//!   Addresses that are not of the public Internet are refused at every connection unless `allow_private`
//!   ([`address`]).
//! - An answer is read up to `max_bytes` and no further, uncompressed: none is asked for in a compressed form, and a
//!   compressed one is refused.
//! - Requests that would be the same are made once: two names of one registrable domain, asked about with
//!   `{registrable_domain}`.
//!
//! One subject's failure is its own. Asking stops (requests under way still count) when the service asks to slow down
//! or refuses the credentials, when a secret cannot be had, and after [`MAX_UNREACHED`] requests in a row that did
//! not reach it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt};

use crate::config::HttpConfig;
use crate::open::OpenError;
use crate::secret::SecretStore;
use crate::source::{Record, Replies, Source, SourceError, Subject};

mod address;
mod answer;
mod client;
mod headers;
mod request;
mod status;

use request::{Plan, Request};

/// Requests in a row that did not reach the service, after which no more are made for this batch.
const MAX_UNREACHED: usize = 3;

/// An HTTP service.
pub(crate) struct HttpSource {
    plan: Plan,
    concurrency: usize,
    shape: answer::Shape,
    exchange: client::Exchange,
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource").field("host", &self.plan.origin().host_str()).finish_non_exhaustive()
    }
}

/// Checks a declaration and makes the client. Nothing is asked and no secret read.
///
/// # Errors
/// [`OpenError`] with the key that is wrong.
pub(crate) fn open(
    config: &HttpConfig,
    concurrency: usize,
    timeout: Duration,
    secrets: Arc<dyn SecretStore>,
) -> Result<HttpSource, OpenError> {
    let plan = Plan::new(config)?;
    client::check_origin(plan.origin(), config)?;
    Ok(HttpSource {
        plan,
        concurrency: concurrency.max(1),
        shape: answer::Shape::new(config)?,
        exchange: client::Exchange::new(config, concurrency.max(1), timeout, secrets)?,
    })
}

#[async_trait::async_trait]
impl Source for HttpSource {
    fn subjects_per_request(&self) -> usize {
        self.plan.subjects_per_request()
    }

    fn requests(&self, subjects: &[Subject<'_>]) -> Vec<Option<usize>> {
        let mut numbers = vec![None; subjects.len()];
        let requests = self.plan.requests(subjects, &Replies::new(subjects.len()));
        for (number, request) in requests.iter().enumerate() {
            for position in request.groups.iter().flat_map(|(_, positions)| positions) {
                if let Some(place) = numbers.get_mut(*position) {
                    *place = Some(number);
                }
            }
        }
        numbers
    }

    async fn ask(&self, subjects: &[Subject<'_>], replies: &Replies) -> Result<(), SourceError> {
        let stopped = AtomicBool::new(false);
        let requests = self.plan.requests(subjects, replies);
        let mut outcomes = stream::iter(requests)
            .take_while(|_| std::future::ready(!stopped.load(Ordering::Relaxed)))
            .map(|request| self.perform(request))
            .buffer_unordered(self.concurrency);
        let mut progress = Progress::default();
        while let Some((request, result)) = outcomes.next().await {
            progress.take(&request, result, replies);
            stopped.store(progress.stops, Ordering::Relaxed);
        }
        progress.error.map_or(Ok(()), Err)
    }
}

impl HttpSource {
    async fn perform(&self, request: Request) -> (Request, Result<Vec<Record>, SourceError>) {
        let result = match self.exchange.perform(&request.url, request.body.as_deref()).await {
            Ok(Some(body)) => self.records(&request, &body),
            Ok(None) => Ok(request.groups.iter().map(|_| Record::default()).collect()),
            Err(error) => Err(error),
        };
        (request, result)
    }

    /// One record for each group of the request.
    fn records(&self, request: &Request, body: &[u8]) -> Result<Vec<Record>, SourceError> {
        if !self.plan.is_of_many() {
            return Ok(vec![self.shape.one(body)?]);
        }
        let names: Vec<&str> = request.groups.iter().map(|(name, _)| name.as_str()).collect();
        self.shape.many(body, &names)
    }
}

/// How asking goes: what is answered, and whether to go on.
#[derive(Debug, Default)]
struct Progress {
    unreached: usize,
    stops: bool,
    /// Why subjects have no reply.
    error: Option<SourceError>,
}

impl Progress {
    fn take(&mut self, request: &Request, result: Result<Vec<Record>, SourceError>, replies: &Replies) {
        let error = match result {
            Ok(records) => {
                self.unreached = 0;
                for ((_, positions), record) in request.groups.iter().zip(records) {
                    for position in positions {
                        replies.put(*position, Ok(record.clone()));
                    }
                }
                return;
            }
            Err(error) => error,
        };
        let was_stopped = self.stops;
        self.stops |= match error {
            SourceError::Throttled { .. } | SourceError::Refused(_) | SourceError::Secret { .. } => true,
            SourceError::Unreachable(_) | SourceError::Timeout { .. } => {
                self.unreached += 1;
                self.unreached >= MAX_UNREACHED
            }
            _ => {
                self.unreached = 0;
                false
            }
        };
        match request.sole_position() {
            Some(position) if was_stopped || !self.stops => replies.put(position, Err(error)),
            // The first reason to stop outweighs what befell a single request.
            _ if self.error.is_none() || (self.stops && !was_stopped) => self.error = Some(error),
            _ => {}
        }
    }
}
