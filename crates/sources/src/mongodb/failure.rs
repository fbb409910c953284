//! What the driver's and the server's errors mean.

use std::time::Duration;

use mongodb::error::{Error, ErrorKind};

use super::values::malformed;
use crate::SourceError;

/// Codes that refuse the user or the permission: `Unauthorized` (13), `AuthenticationFailed` (18),
/// `MechanismUnavailable` (334), Atlas's own (8000).
const REFUSED: [i32; 4] = [13, 18, 334, 8000];
/// Codes that ask to slow down: `IngressRequestRateLimitExceeded` (462), a rate limit of Azure's (16500).
const THROTTLED: [i32; 2] = [462, 16_500];
/// `MaxTimeMSExpired`.
const TOO_LATE: i32 = 50;

/// In the port's words.
pub(super) fn failure(error: Error, limit: Duration) -> SourceError {
    let code = match &*error.kind {
        ErrorKind::Command(command) => command.code,
        ErrorKind::Authentication { .. } => return SourceError::Refused(Box::new(error)),
        // The server's name is not what was selected for: nobody answered in time.
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::Shutdown => return SourceError::Unreachable(Box::new(error)),
        // These quote what they could not read.
        ErrorKind::InvalidResponse { .. } | ErrorKind::Bson(_) => {
            return malformed("it is not what the protocol says");
        }
        _ => return SourceError::Failed { code: "driver".to_owned(), source: Some(Box::new(error)) },
    };
    match code {
        code if REFUSED.contains(&code) => SourceError::Refused(Box::new(error)),
        code if THROTTLED.contains(&code) => SourceError::Throttled { retry_after: None },
        TOO_LATE => SourceError::Timeout { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) },
        code => SourceError::Failed { code: code.to_string(), source: Some(Box::new(error)) },
    }
}
