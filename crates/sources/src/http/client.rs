//! One exchange with the service: a request out, a body in, within limits.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Certificate, Client, Response, Url, redirect};

use super::address::{PrivateAddress, PublicOnly, is_public};
use super::headers::Headers;
use super::status::{Statuses, retry_after};
use crate::config::{HttpConfig, Method, StatusMeaning};
use crate::open::OpenError;
use crate::params::target::certificates;
use crate::secret::SecretStore;
use crate::source::SourceError;

/// Most bytes of an answer that any declaration allows.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Bytes of an answer without interest that are read so that the connection can be used again.
const MAX_DRAINED_BYTES: usize = 65_536;
/// Longer than this, servers close a connection that is not used.
const IDLE: Duration = Duration::from_secs(60);

/// The client, and how it asks.
#[derive(Debug)]
pub(super) struct Exchange {
    client: Client,
    method: reqwest::Method,
    headers: Headers,
    statuses: Statuses,
    max_bytes: usize,
    timeout: Duration,
}

/// Checks scheme and host against what is declared of them.
pub(super) fn check_origin(origin: &Url, config: &HttpConfig) -> Result<(), OpenError> {
    let refused = |reason: &str| Err(OpenError::new("http.url", reason));
    match (origin.scheme(), config.tls) {
        ("https", true) | ("http", false) => {}
        ("http", _) => return refused("http:// is not encrypted: needs tls = false"),
        _ => return refused("https:// is encrypted: take tls = false away"),
    }
    let literal = match origin.host() {
        Some(url::Host::Ipv4(address)) => Some(address.into()),
        Some(url::Host::Ipv6(address)) => Some(address.into()),
        _ => None,
    };
    match literal {
        Some(address) if !config.allow_private && !is_public(address) => {
            refused("a private address, and allow_private is not set")
        }
        _ => Ok(()),
    }
}

impl Exchange {
    pub(super) fn new(
        config: &HttpConfig,
        concurrency: usize,
        timeout: Duration,
        secrets: Arc<dyn SecretStore>,
    ) -> Result<Self, OpenError> {
        if !(1..=MAX_ANSWER_BYTES).contains(&config.max_bytes) {
            let reason = format!("{}, and must be from 1 to {MAX_ANSWER_BYTES}", config.max_bytes);
            return Err(OpenError::new("http.max_bytes", reason));
        }
        Ok(Self {
            client: client(config, concurrency, timeout)?,
            method: match config.method {
                Method::GET => reqwest::Method::GET,
                Method::POST => reqwest::Method::POST,
            },
            headers: Headers::new(&config.headers, config.body.is_some(), secrets)?,
            statuses: Statuses::new(&config.status)?,
            max_bytes: config.max_bytes,
            timeout,
        })
    }

    /// The body of the answer, or `None` if the service knows nothing.
    pub(super) async fn perform(
        &self,
        url: &Url,
        body: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let headers = self.headers.current().await?;
        let mut response = self.send(url, body, &headers.map).await?;
        let mut meaning = self.statuses.meaning(response.status(), response.headers());
        if meaning == StatusMeaning::Refused
            && let Some(renewed) = self.headers.renewed(&headers).await?
        {
            drain(response).await;
            response = self.send(url, body, &renewed.map).await?;
            meaning = self.statuses.meaning(response.status(), response.headers());
        }
        let status = response.status();
        let error = match meaning {
            StatusMeaning::Answer => return self.read(response).await.map(Some),
            StatusMeaning::Empty => {
                drain(response).await;
                return Ok(None);
            }
            StatusMeaning::Throttled => SourceError::Throttled {
                retry_after: retry_after(response.headers(), jiff::Timestamp::now()),
            },
            StatusMeaning::Refused => SourceError::Refused(format!("status {}", status.as_u16()).into()),
            StatusMeaning::Error => SourceError::Failed { code: status.as_u16().to_string(), source: None },
        };
        drain(response).await;
        Err(error)
    }

    async fn send(
        &self,
        url: &Url,
        body: Option<&[u8]>,
        headers: &HeaderMap,
    ) -> Result<Response, SourceError> {
        let request = || {
            let request = self.client.request(self.method.clone(), url.clone()).headers(headers.clone());
            match body {
                Some(body) => request.body(body.to_vec()),
                None => request,
            }
        };
        match request().send().await {
            // A connection that was kept since an earlier event may have been closed meanwhile without notice (an
            // environment is frozen between events); nothing says so before it is used. Once is enough: the second
            // request has a new connection.
            Err(error) if error.is_request() && !error.is_connect() && !error.is_timeout() => {
                request().send().await
            }
            other => other,
        }
        .map_err(|error| self.failed(error))
    }

    /// Reads an answer, no further than `max_bytes`.
    async fn read(&self, mut response: Response) -> Result<Vec<u8>, SourceError> {
        let too_large = || SourceError::TooLarge { limit: self.max_bytes as u64, unit: "bytes" };
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
            && encoding.as_bytes() != b"identity"
        {
            return Err(SourceError::Malformed { reason: "compressed, which was not asked for".to_owned() });
        }
        let announced = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if announced > self.max_bytes {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if chunk.len() > self.max_bytes - body.len() {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Why nothing came back. The URL, which has the entity in it, is taken out of the cause.
    fn failed(&self, error: reqwest::Error) -> SourceError {
        if let Some(private) = cause::<PrivateAddress>(&error) {
            return SourceError::Unreachable(private.clone().into());
        }
        if error.is_timeout() {
            return SourceError::Timeout {
                limit_ms: self.timeout.as_millis().try_into().unwrap_or(u64::MAX),
            };
        }
        SourceError::Unreachable(error.without_url().into())
    }
}

fn cause<E: Error + 'static>(error: &dyn Error) -> Option<&E> {
    std::iter::successors(error.source(), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

/// Reads the rest of a short answer, so that its connection can be used again.
async fn drain(mut response: Response) {
    let mut left = MAX_DRAINED_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(less) => left = less,
            None => break,
        }
    }
}

fn client(config: &HttpConfig, concurrency: usize, timeout: Duration) -> Result<Client, OpenError> {
    install_tls_provider();
    let mut builder = Client::builder()
        .http1_only()
        .https_only(config.tls)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .connect_timeout(timeout)
        .timeout(timeout)
        .pool_max_idle_per_host(concurrency)
        .pool_idle_timeout(IDLE);
    if !config.allow_private {
        builder = builder.dns_resolver(PublicOnly);
    }
    if let Some(pem) = &config.ca {
        let refused = |reason: String| OpenError::new("http.ca", reason);
        let pem = certificates(pem).map_err(refused)?;
        let certificates = Certificate::from_pem_bundle(pem.as_bytes());
        let certificates = certificates.map_err(|error| refused(error.to_string()))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| {
        OpenError::new(if config.ca.is_some() { "http.ca" } else { "http" }, error.to_string())
    })
}

/// One TLS library for the process. Another part of the process may have installed it already.
fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}
