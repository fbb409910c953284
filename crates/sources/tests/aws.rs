//! Quotas, shared answers and secrets against a local AWS (ministack) that the tests start themselves.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, in its helpers too, and says when it is left out"
)]

mod local_aws;

#[path = "aws/cache.rs"]
mod cache;
#[path = "aws/faults.rs"]
mod faults;
#[path = "aws/quota.rs"]
mod quota;
#[path = "aws/secrets.rs"]
mod secrets;
#[path = "aws/support.rs"]
mod support;
