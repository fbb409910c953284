//! What the suite needs of an adapter and its real server.
//!
//! The server knows the names `e0.com`, `e2.com`, ... `e998.com` ([`is_known`], [`KNOWN_BELOW`]), each with the number in
//! it as its `score`, and rows that only a pattern or a broken query would match ([`CANARIES`]).

use std::net::SocketAddr;

use tribunal_sources::source::Record;
use tribunal_sources::{OpenError, Source};

/// Names with numbers below this are asked about.
pub const KNOWN_BELOW: usize = 1_000;
/// Requests under way at once, of every source that the suite opens.
pub const CONCURRENCY: usize = 2;
/// Milliseconds that a source's own limits are set to.
pub const TIMEOUT_MS: u64 = 5_000;
/// Keys of rows that no entity may match.
pub const CANARIES: &[&str] = &["%", "_", "e_.com", "e%.com", "", "*", "$where", "' OR '1'='1", "é1.com"];

/// The name with a number.
pub fn name(number: usize) -> String {
    format!("e{number}.com")
}

/// Whether the server knows the name with the number.
pub const fn is_known(number: usize) -> bool {
    number < KNOWN_BELOW && number.is_multiple_of(2)
}

/// What a source is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Everything in order.
    Sound,
    /// With credentials that the server refuses.
    WrongPassword,
    /// Declares a key that the answer lacks.
    KeyMissing,
    /// Declares a key that is no text in the answer.
    KeyOfWrongType,
    /// The server answers with 10 MB or more about every name.
    Large,
}

/// An adapter and a real server of its kind.
pub trait Fixture: Sized + Send + Sync + 'static {
    /// The server that all cases share, filled; `None` when it is not installed (said on stderr). Blocks.
    fn shared() -> Option<&'static Self>;

    /// Another one, to be killed; `None` likewise, or when the tests were pointed at a server that is not theirs.
    /// Blocks.
    fn own() -> Option<Self>;

    /// Where the server listens.
    fn address(&self) -> SocketAddr;

    /// The source, asking at an address: the server's, or a gate's in front of it.
    ///
    /// # Errors
    /// `Err(reason)` when the adapter knows no such form.
    fn open(&self, form: Form, at: SocketAddr) -> Result<Result<Box<dyn Source>, OpenError>, &'static str>;

    /// Whether a record is what the server holds of the name with this number.
    fn shows(&self, record: &Record, number: usize) -> bool;

    /// Whether a record says that the server knows nothing of a name.
    fn is_unknown(&self, record: &Record) -> bool {
        record.is_empty()
    }

    /// Most bytes that the source may take of the answer of [`Form::Large`].
    fn most_bytes(&self) -> u64;

    /// Ends the server at once, as a crash does. Blocks.
    fn kill(&self);

    /// Starts it again, on the same address, with what it held. Blocks until it answers.
    fn restart(&self);
}
