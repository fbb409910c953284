//! Secrets in Secrets Manager: the environment first, then the store.
//!
//! A value is kept in memory for [`KEPT`]. After a refused login an adapter forgets it ([`SecretStore::forget`]), and
//! the next one reads what has been put in its place: a rotation needs no new deployment. A value that was read less
//! than [`FRESH`] ago is kept until it is as old as that, so that a wrong password is not read over and over again.
//!
//! No error holds an answer of the service as it came: it may be a secret.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

use super::{ATTEMPTS, timeouts};
use crate::clock::{Clock, Steady, SystemClock};
use crate::secret::{EnvironmentSecrets, MAX_SECRET_BYTES, Secret, SecretStore};
use crate::source::Cause;

/// How long a value is kept.
pub const KEPT: Duration = Duration::from_secs(600);
/// How long a value is kept though it is forgotten.
pub const FRESH: Duration = Duration::from_secs(5);
/// Most values kept.
const MAX_KEPT: usize = 1_000;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretFailure {
    /// The service says no.
    #[error("Secrets Manager answers {code}")]
    Answered {
        /// Its code: `ResourceNotFoundException`, `AccessDeniedException`.
        code: String,
    },
    /// No answer, or none that can be read.
    #[error("Secrets Manager cannot be reached: {what}")]
    Unreachable {
        /// What went wrong, in a word.
        what: &'static str,
    },
    /// A value that is no text.
    #[error("it is not a text")]
    NotText,
    /// A value that is larger than the service holds.
    #[error("{bytes} bytes are over the limit of {MAX_SECRET_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Secrets Manager, behind the environment.
#[derive(Debug)]
pub struct SecretsManager {
    client: aws_sdk_secretsmanager::Client,
    clock: Steady,
    kept: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug)]
struct Kept {
    secret: Secret,
    read_at_ms: u64,
    /// When it is read again.
    until_ms: u64,
}

impl SecretsManager {
    /// The account's secrets.
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// The account's secrets, by this clock.
    pub fn with_clock(config: &aws_config::SdkConfig, clock: Arc<dyn Clock>) -> Self {
        let config = aws_sdk_secretsmanager::config::Builder::from(config)
            .timeout_config(timeouts())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Self {
            client: aws_sdk_secretsmanager::Client::from_conf(config),
            clock: Steady::new(clock),
            kept: Mutex::default(),
        }
    }

    fn kept(&self, name: &str) -> Option<Secret> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        kept.get(name).filter(|kept| now < kept.until_ms).map(|kept| kept.secret.clone())
    }

    fn keep(&self, name: &str, secret: Secret) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        let read_at_ms = self.clock.now_ms();
        kept.insert(name.to_owned(), Kept { secret, read_at_ms, until_ms: after(read_at_ms, KEPT) });
    }

    async fn read(&self, name: &str) -> Result<Secret, SecretFailure> {
        let call = self.client.get_secret_value().secret_id(name).send();
        let output = Box::pin(call).await.map_err(|error| failure(&error))?;
        let text = output.secret_string.ok_or(SecretFailure::NotText)?;
        if text.len() > MAX_SECRET_BYTES {
            return Err(SecretFailure::TooLarge { bytes: text.len() });
        }
        Ok(Secret::new(text))
    }
}

#[async_trait::async_trait]
impl SecretStore for SecretsManager {
    async fn secret(&self, name: &str) -> Result<Secret, Cause> {
        if let Ok(secret) = EnvironmentSecrets.secret(name).await {
            return Ok(secret);
        }
        if let Some(secret) = self.kept(name) {
            return Ok(secret);
        }
        let secret = self.read(name).await?;
        self.keep(name, secret.clone());
        Ok(secret)
    }

    async fn forget(&self, name: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.get_mut(name) {
            kept.until_ms = after(kept.read_at_ms, FRESH);
        }
    }
}

fn after(ms: u64, time: Duration) -> u64 {
    ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn failure(error: &SdkError<GetSecretValueError>) -> SecretFailure {
    match error {
        SdkError::ServiceError(answer) => match answer.err().code() {
            Some(code) => SecretFailure::Answered { code: code.chars().take(100).collect() },
            None => SecretFailure::Unreachable { what: "its answer cannot be read" },
        },
        SdkError::TimeoutError(_) => SecretFailure::Unreachable { what: "no answer in time" },
        SdkError::DispatchFailure(_) => SecretFailure::Unreachable { what: "no connection" },
        SdkError::ConstructionFailure(_) => {
            SecretFailure::Unreachable { what: "no request can be made of the name" }
        }
        _ => SecretFailure::Unreachable { what: "its answer cannot be read" },
    }
}
