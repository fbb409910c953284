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

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use reqwest::Url;

use crate::config::{HttpConfig, Method};
use crate::open::OpenError;
use crate::secret::SecretStore;
use crate::source::{Record, Replies, Source, SourceError, Subject};
use crate::template::{BodyTemplate, MAX_URL_BYTES, Unrenderable, UrlTemplate, Values, Variable};

mod address;
mod answer;
mod client;
mod headers;
mod status;

/// Requests in a row that did not reach the service, after which no more are made for this batch.
const MAX_UNREACHED: usize = 3;

/// An HTTP service.
pub(crate) struct HttpSource {
    url: UrlTemplate,
    body: Option<BodyTemplate>,
    /// Last labels of the names that are asked about; anything if there are none.
    tlds: BTreeSet<String>,
    /// Most entities of one request; `None` if a request is about one.
    batch: Option<usize>,
    concurrency: usize,
    shape: answer::Shape,
    exchange: client::Exchange,
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource")
            .field("host", &self.url.origin().host_str())
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

/// One request, and whose replies its answer holds.
#[derive(Debug)]
struct Request {
    url: Url,
    body: Option<Vec<u8>>,
    /// The entities that it asks about, with the positions of their subjects.
    groups: Vec<(String, Vec<usize>)>,
}

impl Request {
    /// The one subject that it asks about, if it is one.
    fn sole_position(&self) -> Option<usize> {
        match self.groups.as_slice() {
            [(_, positions)] => match positions.as_slice() {
                [position] => Some(*position),
                _ => None,
            },
            _ => None,
        }
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
    let url = UrlTemplate::parse(&config.url).map_err(|reason| OpenError::new("http.url", reason))?;
    client::check_origin(url.origin(), config)?;
    let body = match (&config.body, config.method) {
        (Some(_), Method::GET) => return Err(OpenError::new("http.body", "only a POST has a body")),
        (Some(text), Method::POST) => {
            Some(BodyTemplate::parse(text).map_err(|reason| OpenError::new("http.body", reason))?)
        }
        (None, _) => None,
    };
    Ok(HttpSource {
        tlds: tlds_of(config)?,
        batch: batch_of(config, &url, body.as_ref())?,
        concurrency: concurrency.max(1),
        shape: answer::Shape::new(config)?,
        exchange: client::Exchange::new(config, concurrency.max(1), timeout, secrets)?,
        url,
        body,
    })
}

fn tlds_of(config: &HttpConfig) -> Result<BTreeSet<String>, OpenError> {
    let is_label = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match config.tlds.iter().find(|tld| !is_label(tld)) {
        Some(tld) => Err(OpenError::new("http.tlds", format!("{tld:?} is not a label as in com, xn--p1ai"))),
        None => Ok(config.tlds.iter().cloned().collect()),
    }
}

/// Whether a request is about many entities, by the variables that are used.
fn batch_of(
    config: &HttpConfig,
    url: &UrlTemplate,
    body: Option<&BodyTemplate>,
) -> Result<Option<usize>, OpenError> {
    let mut variables: Vec<Variable> = url.variables().collect();
    variables.extend(body.map(BodyTemplate::variables).unwrap_or_default());
    let of_many = variables.iter().filter(|variable| **variable == Variable::Entities).count();
    let refused = |key: &str, reason: String| Err(OpenError::new(key, reason));
    if variables.is_empty() {
        return refused("http.url", "no variable, so every entity would have the same answer".to_owned());
    }
    if of_many == 0 {
        return match config.key {
            Some(_) => refused("http.key", "is for answers to {entities}".to_owned()),
            None => Ok(None),
        };
    }
    if let Some(other) = variables.iter().find(|variable| **variable != Variable::Entities) {
        return refused("http.url", format!("{{entities}} asks about many, and {other} about one"));
    }
    if !(1..=1_000).contains(&config.batch) {
        return refused("http.batch", format!("{}, and must be from 1 to 1000", config.batch));
    }
    Ok(Some(config.batch))
}

#[async_trait::async_trait]
impl Source for HttpSource {
    fn subjects_per_request(&self) -> usize {
        self.batch.unwrap_or(1)
    }

    async fn ask(&self, subjects: &[Subject<'_>], replies: &Replies) -> Result<(), SourceError> {
        let stopped = AtomicBool::new(false);
        let requests = self.requests(subjects, replies);
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
        if self.batch.is_none() {
            return Ok(vec![self.shape.one(body)?]);
        }
        let names: Vec<&str> = request.groups.iter().map(|(name, _)| name.as_str()).collect();
        self.shape.many(body, &names)
    }

    /// The subjects that are asked about, by position. The others are known to nobody.
    fn in_scope<'a>(&self, subjects: &[Subject<'a>], replies: &Replies) -> Vec<(usize, Subject<'a>)> {
        let mut asked = Vec::with_capacity(subjects.len());
        for (position, subject) in subjects.iter().enumerate() {
            if self.tlds.is_empty() || values_of(subject).tld.is_some_and(|tld| self.tlds.contains(tld)) {
                asked.push((position, *subject));
            } else {
                replies.put(position, Ok(Record::default()));
            }
        }
        asked
    }

    /// The requests to make. Subjects that cannot be asked about have their reply already.
    fn requests(&self, subjects: &[Subject<'_>], replies: &Replies) -> Vec<Request> {
        let subjects = self.in_scope(subjects, replies);
        let mut places: HashMap<(Url, Option<Vec<u8>>), usize> = HashMap::new();
        let mut requests: Vec<Request> = Vec::new();
        let mut push = |values: &Values<'_>, groups: Vec<(String, Vec<usize>)>| match self.render(values) {
            Ok((url, body)) => {
                let place = *places.entry((url.clone(), body.clone())).or_insert(requests.len());
                match requests.get_mut(place).and_then(|same| same.groups.first_mut()) {
                    Some((_, positions)) => positions.extend(groups.into_iter().flat_map(|(_, more)| more)),
                    None => requests.push(Request { url, body, groups }),
                }
            }
            Err(error) => {
                for position in groups.iter().flat_map(|(_, positions)| positions) {
                    replies.put(*position, unrendered(error));
                }
            }
        };
        match self.batch {
            None => {
                for (position, subject) in &subjects {
                    push(&values_of(subject), vec![(subject.entity.name().to_owned(), vec![*position])]);
                }
            }
            Some(batch) => {
                for groups in self.chunks(&subjects, batch) {
                    let names: Vec<String> = groups.iter().map(|(name, _)| name.clone()).collect();
                    let entities: Vec<&str> = names.iter().map(String::as_str).collect();
                    push(&Values { entities: &entities, ..Values::default() }, groups);
                }
            }
        }
        requests
    }

    fn render(&self, values: &Values<'_>) -> Result<(Url, Option<Vec<u8>>), Unrenderable> {
        let url = self.url.render(values)?;
        let body = self.body.as_ref().map(|body| body.render(values)).transpose()?;
        Ok((url, body.map(|body| body.to_string().into_bytes())))
    }

    /// The entities, each once, in groups of at most `batch` whose URL servers take.
    fn chunks(&self, subjects: &[(usize, Subject<'_>)], batch: usize) -> Vec<Vec<(String, Vec<usize>)>> {
        let mut places: HashMap<&str, (usize, usize)> = HashMap::new();
        let mut chunks: Vec<Vec<(String, Vec<usize>)>> = Vec::new();
        let in_url = self.url.variables().count();
        let room = MAX_URL_BYTES.saturating_sub(self.url.origin().as_str().len());
        let mut bytes = 0;
        for (position, subject) in subjects {
            let name = subject.entity.name();
            if let Some((chunk, place)) = places.get(name) {
                if let Some((_, positions)) = chunks.get_mut(*chunk).and_then(|groups| groups.get_mut(*place))
                {
                    positions.push(*position);
                }
                continue;
            }
            let more = in_url * (UrlTemplate::encoded_bytes(name) + 1);
            if chunks.last().is_none_or(|last| last.len() >= batch || bytes + more > room) {
                chunks.push(Vec::new());
                bytes = 0;
            }
            bytes += more;
            let chunk = chunks.len() - 1;
            if let Some(last) = chunks.last_mut() {
                places.insert(name, (chunk, last.len()));
                last.push((name.to_owned(), vec![*position]));
            }
        }
        chunks
    }
}

fn values_of<'a>(subject: &Subject<'a>) -> Values<'a> {
    let entity = subject.entity;
    let is_name = entity.address().is_none();
    Values {
        entity: Some(entity.name()),
        registrable_domain: entity.registrable_domain(),
        tld: entity.name().rsplit('.').next().filter(|_| is_name),
        entities: &[],
    }
}

/// A service that is asked by registrable domain knows nothing of an address.
fn unrendered(error: Unrenderable) -> Result<Record, SourceError> {
    match error {
        Unrenderable::NoValue(_) => Ok(Record::default()),
        other => Err(SourceError::Failed { code: "request".to_owned(), source: Some(other.into()) }),
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
