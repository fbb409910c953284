//! Scores and refusals as text.

pub(crate) mod detail;
pub(crate) mod explained;
pub(crate) mod history;
pub(crate) mod progress;
pub(crate) mod reason;
pub(crate) mod scores;
pub(crate) mod waterfall;

use std::io::{self, Write};

use crate::input::Refused;
use crate::output::counted;

/// Most refusals that are listed one by one.
pub(crate) const MAX_REFUSED: usize = 1_000;
/// Most of them on a screen.
const SHOWN_REFUSED: usize = 20;

/// Lists refused entities on standard error.
pub(crate) fn refused(refused: &[Refused], count: usize) {
    let mut err = io::stderr().lock();
    // Notes: a closed standard error is no reason to fail.
    for one in refused.iter().take(SHOWN_REFUSED) {
        drop(writeln!(err, "refused: {}", one.describe()));
    }
    if count > SHOWN_REFUSED {
        let more = counted(count - SHOWN_REFUSED, "more is", "more are");
        drop(writeln!(err, "refused: {more} not shown (--json lists {MAX_REFUSED})"));
    }
}

/// A note on standard error.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
