//! The AWS SDKs' shared configuration, on the one TLS library of the workspace.

use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// Reads region, credentials and endpoint from the environment, as every AWS SDK does; `AWS_ENDPOINT_URL` points
/// a client at another endpoint.
pub async fn config() -> aws_config::SdkConfig {
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(http).load().await
}
