//! What the driver's and the server's errors mean.

use std::time::Duration;

use mysql_async::{DriverError, Error, IoError};

use crate::SourceError;
use crate::params::too_many_bytes;

/// Error numbers, of MySQL and MariaDB, that refuse the user or the permission: access to a database (1044), to the
/// server (1045, 1698), to a table (1142), a column (1143), a view or routine (1370, 1227), from this host (1130), with an
/// expired password (1820, 1862) or a locked account (3118, 4151).
const REFUSED: [u16; 12] = [1044, 1045, 1698, 1142, 1143, 1370, 1227, 1130, 1820, 1862, 3118, 4151];
/// Those that come of the credentials alone.
const ACCESS_DENIED: [u16; 6] = [1045, 1698, 1820, 1862, 3118, 4151];
/// Too many connections, of all (1040), of this user (1203), or too much of something else in this hour (1226).
const THROTTLED: [u16; 3] = [1040, 1203, 1226];
/// The statement took longer than it may: MySQL (3024), MariaDB (1969).
const TOO_LATE: [u16; 2] = [3024, 1969];
/// The server shuts down (1053), or ended the statement (1317) or the connection (1927, 4031).
const GONE: [u16; 4] = [1053, 1317, 1927, 4031];
/// The driver's message for a packet over the limit.
const TOO_LARGE: &str = "Packet is larger than max_allowed_packet";

/// Whether other credentials might help.
pub(super) fn is_access_denied(error: &Error) -> bool {
    matches!(error, Error::Server(server) if ACCESS_DENIED.contains(&server.code))
}

/// Whether the connection is gone, so that another one might answer.
pub(super) fn is_gone(error: &Error) -> bool {
    match error {
        Error::Io(error) => !is_too_large(error),
        Error::Driver(DriverError::ConnectionClosed) => true,
        Error::Server(server) => GONE.contains(&server.code),
        _ => false,
    }
}

/// In the port's words.
pub(super) fn failure(error: Error, limit: Duration) -> SourceError {
    match error {
        Error::Server(server) => match server.code {
            code if REFUSED.contains(&code) => SourceError::Refused(Box::new(server)),
            code if THROTTLED.contains(&code) => SourceError::Throttled { retry_after: None },
            code if TOO_LATE.contains(&code) => {
                SourceError::Timeout { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
            }
            code if GONE.contains(&code) => SourceError::Unreachable(Box::new(server)),
            code => SourceError::Failed { code: code.to_string(), source: Some(Box::new(server)) },
        },
        Error::Io(error) if is_too_large(&error) => too_many_bytes(),
        Error::Io(error) => SourceError::Unreachable(Box::new(error)),
        Error::Driver(DriverError::PacketTooLarge) => too_many_bytes(),
        Error::Driver(DriverError::ConnectionClosed) => {
            SourceError::Unreachable(Box::new(DriverError::ConnectionClosed))
        }
        Error::Driver(
            error @ (DriverError::NoClientSslFlagFromServer
            | DriverError::CleartextPluginDisabled
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::UnknownAuthPlugin { .. }),
        ) => SourceError::Refused(Box::new(error)),
        // The rest quotes what it could not read.
        _ => SourceError::Malformed { reason: "it is not what the protocol says".to_owned() },
    }
}

/// Whether a packet was over the limit; the error itself is of a crate that the driver does not show.
fn is_too_large(error: &IoError) -> bool {
    match error {
        IoError::Io(error) => error.get_ref().is_some_and(|error| error.to_string() == TOO_LARGE),
        IoError::Tls(_) => false,
    }
}
