//! Progress on standard error; nothing is drawn when that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::input::Input;

/// Progress through an input: by bytes of a file, else a spinner.
pub(crate) fn of(input: &Input) -> ProgressBar {
    bytes(input.total_bytes())
}

/// Progress by bytes, if it is known how many there are; else a spinner.
pub(crate) fn bytes(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => styled(ProgressBar::new(total), "{bar:30} {percent:>3} % {msg} {eta}"),
        None => styled(ProgressBar::new_spinner(), "{spinner} {msg}"),
    }
}

/// Progress by count.
pub(crate) fn count(total: usize, what: &str) -> ProgressBar {
    styled(
        ProgressBar::new(total as u64),
        &format!("{{bar:30}} {{human_pos}}/{{human_len}} {what} {{elapsed}}"),
    )
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
