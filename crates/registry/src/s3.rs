//! The S3 client: bounded in time, one TLS library, and with status codes that can be told apart.
//!
//! Configuration comes from the environment as for every AWS SDK (`AWS_REGION`, keys, `AWS_ENDPOINT_URL`,
//! `AWS_ENDPOINT_URL_S3`, container and instance credentials); [`S3Access`] overrides it. Profiles and SSO
//! are not read: a caller that has them resolves them and hands in the keys.
//!
//! An endpoint is addressed by path (`http://host/bucket/key`), since a local AWS has no host name per
//! bucket. Plain HTTP is accepted for an endpoint on this machine, and elsewhere only with
//! `AWS_ALLOW_HTTP=true`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::client::{
    ClientConfigKey, ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, HttpService,
};
use object_store::{BackoffConfig, RetryConfig, StaticCredentialProvider};

use crate::error::{Cause, RegistryError};

/// Time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for one attempt, body included: 64 MiB at 7 MB/s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// No attempt starts later than this after the first.
const RETRY_TIMEOUT: Duration = Duration::from_secs(6);
const MAX_RETRIES: usize = 3;
const USER_AGENT: &str = concat!("tribunal/", env!("CARGO_PKG_VERSION"));

/// How to reach S3, where that differs from the environment.
#[derive(Clone, Default)]
pub struct S3Access {
    /// Region.
    pub region: Option<String>,
    /// Another endpoint than AWS's, such as `http://127.0.0.1:4566`.
    pub endpoint: Option<String>,
    /// Access key, secret key and, for temporary ones, session token.
    pub keys: Option<(String, String, Option<String>)>,
}

impl fmt::Debug for S3Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Access")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("keys", &self.keys.as_ref().map(|_| "..."))
            .finish()
    }
}

/// An answer that says the store is not able to serve now.
#[derive(Debug, thiserror::Error)]
#[error("HTTP status {0}")]
pub(crate) struct HttpStatus(u16);

impl HttpStatus {
    /// S3 says "SlowDown" with 503, and other stores say 429.
    pub(crate) const fn is_throttling(&self) -> bool {
        matches!(self.0, 429 | 503)
    }
}

/// Opens a bucket.
pub(crate) fn open(address: &str, bucket: &str, access: &S3Access) -> Result<AmazonS3, RegistryError> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    if let Some(region) = &access.region {
        builder = builder.with_region(region);
    }
    if let Some((id, secret, token)) = access.keys.clone() {
        // As a whole: a session token from the environment belongs to other keys.
        let credential = AwsCredential { key_id: id, secret_key: secret, token };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
    }
    if let Some(endpoint) = &access.endpoint {
        // The endpoint for S3 wins over the one for every service.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint.as_str());
    }
    let endpoint = builder
        .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    let connector = Connector::new(address, endpoint.as_deref(), &builder)?;
    builder = builder
        .with_allow_http(connector.plain_http)
        .with_virtual_hosted_style_request(endpoint.is_none() && !bucket.contains('.'))
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        })
        .with_http_connector(connector);
    builder.build().map_err(|source| RegistryError::Open {
        address: address.to_owned(),
        source: Cause(Box::new(source)),
    })
}

/// Makes HTTP clients for the bucket and, where there are no other credentials, for the instance's metadata.
#[derive(Debug)]
struct Connector {
    address: String,
    plain_http: bool,
    loopback: bool,
}

impl Connector {
    fn new(address: &str, endpoint: Option<&str>, builder: &AmazonS3Builder) -> Result<Self, RegistryError> {
        install_tls_provider();
        let wrong = |reason: String| RegistryError::Address { address: address.to_owned(), reason };
        let mut connector = Self { address: address.to_owned(), plain_http: false, loopback: false };
        let Some(endpoint) = endpoint else { return Ok(connector) };
        let url = reqwest::Url::parse(endpoint).map_err(|e| wrong(format!("endpoint {endpoint:?}: {e}")))?;
        connector.loopback = is_loopback(&url);
        connector.plain_http = url.scheme() == "http";
        let allow_http = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
        let allowed = builder.get_config_value(&allow_http).as_deref() == Some("true");
        if connector.plain_http && !connector.loopback && !allowed {
            let advice = "is plain HTTP and not on this machine (AWS_ALLOW_HTTP=true accepts it)";
            return Err(wrong(format!("endpoint {endpoint:?} {advice}")));
        }
        Ok(connector)
    }

    fn client(&self, plain_http: bool) -> Result<reqwest::Client, RegistryError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ATTEMPT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!plain_http);
        if plain_http {
            // No certificate is ever looked at: do not spend a cold start on reading those of the system, and
            // do not fail on a machine that has none.
            builder = builder.tls_certs_only([]);
        }
        if self.loopback {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|source| RegistryError::HttpClient { address: self.address.clone(), source })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        let client = self
            .client(allow_http.as_deref() == Some("true"))
            .map_err(|source| object_store::Error::Generic { store: "S3", source: Box::new(source) })?;
        Ok(HttpClient::new(Service { client }))
    }
}

/// Turns the answers "slow down" and "cannot now" into typed errors, which `object_store` retries as it
/// retries the answers, and hands on: its own error type for them cannot be inspected.
#[derive(Debug)]
struct Service {
    client: reqwest::Client,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.client.call(request).await?;
        match response.status().as_u16() {
            status @ (408 | 429 | 500..=599) => {
                Err(HttpError::new(HttpErrorKind::Request, HttpStatus(status)))
            }
            _ => Ok(response),
        }
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One TLS library for the process. Another part of the process may have installed it already.
fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(endpoint: Option<&str>) -> Result<Connector, RegistryError> {
        Connector::new("s3://bucket", endpoint, &AmazonS3Builder::new())
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for endpoint in
            ["http://127.0.0.1:4566", "http://localhost:4566/", "http://[::1]:1", "http://s3.localhost"]
        {
            let made = connector(Some(endpoint)).unwrap();
            assert!(made.plain_http && made.loopback, "{endpoint}");
        }
        assert!(!connector(Some("https://s3.example.com")).unwrap().plain_http);
        assert!(!connector(None).unwrap().plain_http);
        for endpoint in ["http://s3.example.com", "http://10.0.0.1:9000", "http://localhost.example.com"] {
            let error = connector(Some(endpoint)).unwrap_err().to_string();
            assert!(error.contains("plain HTTP") && error.contains(endpoint), "{error}");
        }
        assert!(connector(Some("not a url")).unwrap_err().to_string().contains("not a url"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let keys = Some(("id".to_owned(), "hidden".to_owned(), Some("hidden".to_owned())));
        let text = format!("{:?}", S3Access { keys, ..S3Access::default() });
        assert!(!text.contains("hidden"), "{text}");
    }
}
