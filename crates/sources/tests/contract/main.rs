//! The contract of every adapter, on its real server: found, not found, late, refused, malformed, too much, gone and
//! back, many at once, hostile.
//!
//! One [`suite`], generic over a [`fixture::Fixture`] per adapter. Servers are started by the tests themselves, once per
//! test binary, and end with it ([`server`]). A [`gate::Gate`] in front of a server shows the faults that the server
//! cannot be made to show on command: silence, a cut in the middle of an answer.
//!
//! A server that is not installed leaves its cases out with a message; with `TRIBUNAL_TESTS_COMPLETE=1` that is a
//! failure.

#![allow(missing_docs, unreachable_pub, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod database_examples;
mod dataset;
mod dns;
mod dns_cases;
mod dns_server;
mod fixture;
mod gate;
mod http;
mod http_ask;
mod http_cases;
mod http_examples;
mod http_safety;
mod http_server;
mod mongodb;
mod mongodb_only;
mod mysql;
mod mysql_only;
mod server;
mod suite;

contract!(mysql_contract, crate::mysql::Mysql);
contract!(mongodb_contract, crate::mongodb::Mongodb);
contract!(http_contract, crate::http::Http);
contract!(http_batched_contract, crate::http::HttpBatched);
contract!(dns_contract, crate::dns::Dns);
contract!(@cases dataset_contract, crate::dataset::Published,
    [found, not_found, some_of_many, subjects_twice, a_thousand, hostile_names]);
