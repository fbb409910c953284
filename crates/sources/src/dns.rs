//! The domain name system: what a name resolves to, and whose networks that is in.
//!
//! ```text
//! names of one batch -> one question per name and record type, at most `concurrency` under way
//!                    -> one row per name (module `row`)
//! ```
//! Asking tells the owner of the name, whose servers see the question: there is no such source unless one is
//! declared, and entities marked above its ceiling are not sent.
//!
//! - Questions go to the declared resolvers or the system's, with recursion, for the name as it is: no search
//!   domains are appended and no `hosts` file is read. A resolver that does not answer is not asked twice by us; over
//!   UDP a lost question is repeated within the time limit, and a truncated answer is fetched over TCP.
//! - NXDOMAIN and NODATA are answers. SERVFAIL, silence and the like are that name's error, not the batch's; asking
//!   stops when the resolver refuses us, or cannot be reached [`MAX_UNREACHED`] times in a row.
//! - Nothing is cached here: the cache in front keeps rows, and the resolver keeps records.
//! - Addresses are not asked about (no reverse lookups): an address has an empty record.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, Record as DnsRecord, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};

use crate::config::{DnsConfig, RecordKind};
use crate::open::{FactsOf, OpenError};
use crate::source::{Record, Replies, Source, SourceError, Subject};

mod row;

/// Questions in a row that did not reach a resolver, after which no more are asked for this batch.
const MAX_UNREACHED: usize = 3;
/// Most resolvers that a declaration may name.
const MAX_RESOLVERS: usize = 8;
/// Questions under way at once on one TCP connection; above any concurrency, so that hickory never makes us wait.
const MAX_IN_FLIGHT: usize = 1_024;
const PORT: u16 = 53;

/// The domain name system.
pub(crate) struct DnsSource {
    resolver: TokioResolver,
    records: Vec<RecordKind>,
    concurrency: usize,
    timeout: Duration,
    facts_of: FactsOf,
}

impl fmt::Debug for DnsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsSource").field("records", &self.records).finish_non_exhaustive()
    }
}

/// Checks a declaration and makes the resolver. Nothing is asked.
///
/// # Errors
/// [`OpenError`] with the key that is wrong.
pub(crate) fn open(
    config: &DnsConfig,
    concurrency: usize,
    timeout: Duration,
    facts_of: FactsOf,
) -> Result<DnsSource, OpenError> {
    let mut records = config.records.clone();
    records.sort_unstable();
    records.dedup();
    if records.is_empty() {
        return Err(OpenError::new("dns.records", "no record type, so there is nothing to ask"));
    }
    let mut builder = builder(config)?;
    *builder.options_mut() = options(timeout);
    let resolver = builder.build().map_err(|error| OpenError::new("dns.resolvers", error.to_string()))?;
    Ok(DnsSource { resolver, records, concurrency: concurrency.max(1), timeout, facts_of })
}

fn builder(config: &DnsConfig) -> Result<ResolverBuilder<TokioRuntimeProvider>, OpenError> {
    let refused = |reason: String| OpenError::new("dns.resolvers", reason);
    if config.resolvers.len() > MAX_RESOLVERS {
        return Err(refused(format!("{}, and at most {MAX_RESOLVERS} are allowed", config.resolvers.len())));
    }
    let declared = config.resolvers.iter().map(|text| {
        address_of(text).ok_or_else(|| refused(format!("{text:?} is not an address, or address:port")))
    });
    let declared: Vec<SocketAddr> = declared.collect::<Result<_, _>>()?;
    let servers = if declared.is_empty() {
        let (system, _) = hickory_resolver::system_conf::read_system_conf()
            .map_err(|error| refused(format!("none is given, and the system's are not known: {error}")))?;
        system.name_servers.iter().map(|server| SocketAddr::new(server.ip, PORT)).collect()
    } else {
        declared
    };
    let servers = servers.into_iter().map(|address| server(address, config.tcp)).collect();
    let config = ResolverConfig::from_name_servers(servers);
    Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
}

fn address_of(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, PORT)))
}

fn server(address: SocketAddr, tcp_only: bool) -> NameServerConfig {
    let connection = |protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = address.port();
        connection
    };
    let mut connections = vec![connection(ProtocolConfig::Tcp)];
    if !tcp_only {
        connections.insert(0, connection(ProtocolConfig::Udp));
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn options(timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options.attempts = 0;
    // One resolver is asked; the next one only if it cannot be reached.
    options.num_concurrent_reqs = 1;
    options.max_active_requests = MAX_IN_FLIGHT;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options
}

/// One question.
#[derive(Debug)]
struct Question {
    position: usize,
    kind: RecordKind,
    name: Name,
}

/// What became of a question; `Skipped` when another one about the same subject has failed.
enum Outcome {
    Answer(row::Answer),
    Skipped,
    Failed(SourceError),
}

#[async_trait::async_trait]
impl Source for DnsSource {
    /// What a quota counts is a name, whatever number of record types it is asked about.
    fn subjects_per_request(&self) -> usize {
        1
    }

    async fn ask(&self, subjects: &[Subject<'_>], replies: &Replies) -> Result<(), SourceError> {
        let questions = self.questions(subjects, replies);
        let mut rows: Vec<row::Gathering> =
            subjects.iter().map(|_| row::Gathering::new(self.records.len())).collect();
        let failed: Vec<AtomicBool> = subjects.iter().map(|_| AtomicBool::new(false)).collect();
        let stopped = AtomicBool::new(false);
        let mut outcomes = stream::iter(questions)
            .take_while(|_| std::future::ready(!stopped.load(Ordering::Relaxed)))
            .map(|question| self.put_question(question, &failed))
            .buffer_unordered(self.concurrency);
        let mut unreached = 0;
        let mut stop_reason = None;
        while let Some((position, outcome)) = outcomes.next().await {
            let error = match outcome {
                Outcome::Skipped => continue,
                Outcome::Answer(answer) => {
                    unreached = 0;
                    if let Some(row) = rows.get_mut(position).and_then(|row| row.add(answer)) {
                        let row = row.into_value(&*self.facts_of);
                        replies.put(position, Ok(Record::of(vec![row])));
                    }
                    continue;
                }
                Outcome::Failed(error) => error,
            };
            unreached = if matches!(error, SourceError::Unreachable(_)) { unreached + 1 } else { 0 };
            if unreached >= MAX_UNREACHED || matches!(error, SourceError::Refused(_)) {
                stopped.store(true, Ordering::Relaxed);
                stop_reason.get_or_insert(error);
            } else if failed.get(position).is_some_and(|failed| !failed.swap(true, Ordering::Relaxed)) {
                replies.put(position, Err(error));
            }
        }
        stop_reason.map_or(Ok(()), Err)
    }
}

impl DnsSource {
    /// What is asked. Subjects that are not asked about have their reply already.
    fn questions(&self, subjects: &[Subject<'_>], replies: &Replies) -> Vec<Question> {
        let mut questions = Vec::with_capacity(subjects.len() * self.records.len());
        for (position, subject) in subjects.iter().enumerate() {
            let entity = subject.entity;
            if entity.address().is_some() {
                replies.put(position, Ok(Record::default()));
                continue;
            }
            // Hosts have no name servers of their own.
            let zone = entity.registrable_domain().unwrap_or(entity.name());
            let (Some(name), Some(zone)) = (fully_qualified(entity.name()), fully_qualified(zone)) else {
                let reason = "not a name that can be asked about".into();
                replies.put(
                    position,
                    Err(SourceError::Failed { code: "name".to_owned(), source: Some(reason) }),
                );
                continue;
            };
            questions.extend(self.records.iter().map(|kind| Question {
                position,
                kind: *kind,
                name: if *kind == RecordKind::NS { zone.clone() } else { name.clone() },
            }));
        }
        questions
    }

    async fn put_question(&self, question: Question, failed: &[AtomicBool]) -> (usize, Outcome) {
        let position = question.position;
        if failed.get(position).is_some_and(|failed| failed.load(Ordering::Relaxed)) {
            return (position, Outcome::Skipped);
        }
        let answer = |records: &[DnsRecord], exists| row::Answer::new(question.kind, records, exists);
        let outcome = match Box::pin(self.resolver.lookup(question.name, record_type(question.kind))).await {
            Ok(lookup) => {
                let exists = lookup.message().response_code != ResponseCode::NXDomain;
                Outcome::Answer(answer(lookup.answers(), exists))
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
                ResponseCode::NXDomain => Outcome::Answer(answer(&[], false)),
                ResponseCode::NoError => Outcome::Answer(answer(&[], true)),
                code => Outcome::Failed(refused_or_failed(code)),
            },
            Err(error) => Outcome::Failed(self.failed(error)),
        };
        (position, outcome)
    }

    fn failed(&self, error: NetError) -> SourceError {
        match error {
            NetError::Timeout => {
                SourceError::Timeout { limit_ms: self.timeout.as_millis().try_into().unwrap_or(u64::MAX) }
            }
            NetError::Dns(DnsError::ResponseCode(code)) => refused_or_failed(code),
            // The texts of these quote the answer.
            NetError::Proto(_)
            | NetError::ForeignClassRecord { .. }
            | NetError::QueryCaseMismatch
            | NetError::Truncated
            | NetError::Dns(_) => SourceError::Malformed { reason: error.as_metrics_label().to_owned() },
            other => SourceError::Unreachable(other.into()),
        }
    }
}

const fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::AAAA => RecordType::AAAA,
        RecordKind::NS => RecordType::NS,
        RecordKind::MX => RecordType::MX,
        RecordKind::TXT => RecordType::TXT,
    }
}

fn fully_qualified(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn refused_or_failed(code: ResponseCode) -> SourceError {
    let code = match code {
        ResponseCode::Refused => return SourceError::Refused("REFUSED by the resolver".into()),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        other => format!("RCODE{}", u16::from(other)),
    };
    SourceError::Failed { code, source: None }
}
