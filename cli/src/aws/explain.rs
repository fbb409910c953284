//! What an error of an AWS call means, and what to do next.
//!
//! The SDK's errors say what happened on the wire. A person wants to know which of four things it is: the
//! endpoint is down, the credentials are wrong, a permission is missing, or the thing is not there.

use std::error::Error;

use anyhow::anyhow;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::exit::Failure;

/// Where calls go, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Name of the stack.
    pub(crate) stack: String,
    /// Region of the calls.
    pub(crate) region: String,
    /// Endpoint, when it is not AWS itself.
    pub(crate) endpoint: Option<String>,
}

impl Reach {
    /// `region eu-west-1` or `http://127.0.0.1:4566 (region eu-west-1)`.
    pub(crate) fn place(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{endpoint} (region {})", self.region),
            None => format!("region {}", self.region),
        }
    }

    /// Turns an SDK's error into one for a person. `doing` is what failed: `cannot read the queue`.
    pub(crate) fn explain<E, R>(&self, doing: &str, error: SdkError<E, R>) -> anyhow::Error
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let service = match error {
            SdkError::ServiceError(service) => service.into_err(),
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                return self.unreachable(doing, &causes(&error)).into();
            }
            other => return anyhow!("{doing}: {}", causes(&other)),
        };
        let code = service.code().unwrap_or("unknown error").to_owned();
        let message = service.message().unwrap_or("no reason given").to_owned();
        self.service(doing, &code, &message)
    }

    fn unreachable(&self, doing: &str, cause: &str) -> Failure {
        let hint = match &self.endpoint {
            Some(endpoint) => {
                format!("is {endpoint} running? `make demo` starts a local AWS and prints its address")
            }
            None => "is the network up, and the region right (AWS_REGION)?".to_owned(),
        };
        Failure::unreached(format!("{doing}: {} cannot be reached: {cause}", self.place())).hint(hint)
    }

    fn service(&self, doing: &str, code: &str, message: &str) -> anyhow::Error {
        let text = format!("{doing}: {code}: {message}");
        match classify(code) {
            Meaning::Credentials => Failure::unreached(text)
                .hint("the credentials are wrong or have expired: sign in again, or check AWS_PROFILE")
                .into(),
            Meaning::Gone => Failure::unreached(text)
                .hint(format!("stack {} names something that is not there: deploy it again", self.stack))
                .into(),
            Meaning::Permission => {
                anyhow!("{text} (the permission is missing: docs/deploy.md lists what each command needs)")
            }
            Meaning::Other => anyhow!(text),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Credentials,
    Permission,
    Gone,
    Other,
}

fn classify(code: &str) -> Meaning {
    // Query protocols prefix some codes with the service: `AWS.SimpleQueueService.NonExistentQueue`.
    match code.rsplit('.').next().unwrap_or(code) {
        "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Meaning::Credentials,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Meaning::Permission,
        "NonExistentQueue"
        | "QueueDoesNotExist"
        | "ResourceNotFoundException"
        | "StateMachineDoesNotExist" => Meaning::Gone,
        _ => Meaning::Other,
    }
}

/// The innermost causes of an error: the outer ones of an SDK say nothing (`dispatch failure`).
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        // Some causes are lists over several lines.
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    let from = texts.len().saturating_sub(2);
    if texts.is_empty() { error.to_string() } else { texts[from..].join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(endpoint: Option<&str>) -> Reach {
        Reach { stack: "T".into(), region: "eu-west-1".into(), endpoint: endpoint.map(Into::into) }
    }

    #[test]
    fn codes_of_every_protocol_are_understood() {
        for (code, meaning) in [
            ("ExpiredToken", Meaning::Credentials),
            ("UnrecognizedClientException", Meaning::Credentials),
            ("AccessDenied", Meaning::Permission),
            ("AWS.SimpleQueueService.NonExistentQueue", Meaning::Gone),
            ("ResourceNotFoundException", Meaning::Gone),
            ("ValidationError", Meaning::Other),
        ] {
            assert_eq!(classify(code), meaning, "{code}");
        }
    }

    #[test]
    fn a_message_names_the_place() {
        let failure = reach(Some("http://127.0.0.1:1")).unreachable("cannot list", "connection refused");
        assert_eq!(
            failure.to_string(),
            "cannot list: http://127.0.0.1:1 (region eu-west-1) cannot be reached: connection refused"
        );
        assert!(reach(None).unreachable("cannot list", "x").to_string().contains("region eu-west-1 cannot"));
    }
}
