//! The AWS SDKs' shared configuration, on the one TLS library of the workspace.

use std::net::IpAddr;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::EndpointPrefix;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// For a person's machine: region, credentials and endpoint wherever an AWS SDK looks for them (environment, profile,
/// roles).
pub async fn config() -> aws_config::SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client()).load().await
}

/// For a function: Lambda gives region and credentials in the environment, and nothing else is looked at. Profiles, roles
/// and the metadata of machines would be a tenth of a megabyte of every function. `AWS_ENDPOINT_URL` points a client at
/// another endpoint.
pub fn function_config() -> aws_config::SdkConfig {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(variable("AWS_REGION").map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .http_client(http_client());
    if let Some(url) = variable("AWS_ENDPOINT_URL") {
        config = config.endpoint_url(url);
    }
    config.build()
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Interceptor for operations with a host prefix (`StartSyncExecution` goes to `sync-states...`): an endpoint that
/// is an address, or `localhost`, has no such name, so the prefix is left out there and nowhere else.
///
/// Use with `.customize().interceptor(HostPrefix::for_endpoint(config.endpoint_url()))`.
#[derive(Debug, Clone, Copy)]
pub struct HostPrefix {
    keep: bool,
}

impl HostPrefix {
    /// The interceptor for an endpoint; `None` is AWS itself.
    pub fn for_endpoint(endpoint_url: Option<&str>) -> Self {
        Self { keep: endpoint_url.is_none_or(|url| !is_bare_host(url)) }
    }
}

fn is_bare_host(url: &str) -> bool {
    let authority = url.split("://").last().unwrap_or(url).split('/').next().unwrap_or_default();
    if authority.starts_with('[') {
        return true;
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for HostPrefix {
    fn name(&self) -> &'static str {
        "HostPrefix"
    }

    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if !self.keep {
            cfg.interceptor_state().unset::<EndpointPrefix>();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_without_a_name_lose_the_prefix() {
        for (url, bare) in [
            ("http://127.0.0.1:4566", true),
            ("http://[::1]:4566/", true),
            ("http://LOCALHOST:4566", true),
            ("https://states.eu-west-1.amazonaws.com", false),
            ("https://vpce-1.states.eu-west-1.vpce.amazonaws.com/x", false),
        ] {
            assert_eq!(is_bare_host(url), bare, "{url}");
        }
        assert!(HostPrefix::for_endpoint(None).keep);
    }
}
