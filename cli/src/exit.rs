//! What became of a command, as an exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | wrong usage; nothing was done |
//! | 3 | done in part: some entities were refused, some messages left alone, or some answers differ |
//! | 4 | not found: no such score, or nothing matches |
//! | 5 | the deployment was not reached: no such stack, no credentials, wrong region, endpoint down |
//! | 6 | `replay`: a score that was computed again is another |
//!
//! A closed output (`tribunal list | head`) is no failure: the command ends with 0.

use std::error::Error;
use std::fmt;
use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use crate::output::escape;

/// The exit codes, as `--help` shows them.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage; nothing was done
  3  done in part: some entities were refused, or some answers differ
  4  not found
  5  the deployment was not reached (no such stack, no credentials, wrong region, endpoint down)
  6  replay: the score that was computed again is another

Results go to standard output, everything else to standard error. Documentation: docs/cli.md";

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything asked for was done.
    Done,
    /// Some of it was not: the rest was named.
    Partial,
    /// There is no such thing.
    NotFound,
    /// What was computed again is not the same.
    Differs,
}

impl Outcome {
    /// Partial when anything was refused.
    pub(crate) fn of_refused(refused: usize) -> Self {
        if refused == 0 { Self::Done } else { Self::Partial }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partial => 3,
            Self::NotFound => 4,
            Self::Differs => 6,
        }
    }
}

/// Class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Whatever is none of the others.
    Failed,
    /// Wrong usage.
    Usage,
    /// No such thing.
    NotFound,
    /// The deployment was not reached.
    Unreached,
}

impl Class {
    const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 4,
            Self::Unreached => 5,
        }
    }
}

/// A failure with an exit code of its own, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    class: Class,
    message: String,
    hint: String,
}

impl Failure {
    /// Whatever is none of the others.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { class: Class::Failed, message: message.into(), hint: String::new() }
    }

    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { class: Class::Usage, message: message.into(), hint: String::new() }
    }

    /// No such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { class: Class::NotFound, message: message.into(), hint: String::new() }
    }

    /// The deployment was not reached.
    pub(crate) fn unreached(message: impl Into<String>) -> Self {
        Self { class: Class::Unreached, message: message.into(), hint: String::new() }
    }

    /// Says what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// Reports a failure on standard error and gives the exit code.
pub(crate) fn report(result: anyhow::Result<Outcome>, json: bool) -> ExitCode {
    let error = match result {
        Ok(outcome) => return outcome.code().into(),
        Err(error) => error,
    };
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    let code = failure.map_or(1, |failure| failure.class.code());
    let hint = failure.map_or("", |failure| failure.hint.as_str());
    let text = render(&escape(&format!("{error:#}")), hint, code, json);
    // Nobody left to tell when standard error is closed too.
    drop(writeln!(io::stderr().lock(), "{text}"));
    code.into()
}

fn render(message: &str, hint: &str, code: u8, json: bool) -> String {
    if json {
        json!({"error": {"message": message, "hint": hint, "code": code}}).to_string()
    } else if hint.is_empty() {
        format!("error: {message}")
    } else {
        format!("error: {message}\n  {}", hint.replace('\n', "\n  "))
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let direct = cause.downcast_ref::<io::Error>();
        let inner = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        let csv = cause.downcast_ref::<csv::Error>().and_then(|error| match error.kind() {
            csv::ErrorKind::Io(error) => Some(error.kind()),
            _ => None,
        });
        direct.map(io::Error::kind).or(inner).or(csv) == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn the_class_decides_the_code_through_any_context() {
        let error = Err::<(), _>(Failure::unreached("no stack")).context("cannot list").unwrap_err();
        let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).unwrap();
        assert_eq!(failure.class.code(), 5);
        assert_eq!(format!("{error:#}"), "cannot list: no stack");
    }

    #[test]
    fn a_closed_output_is_no_failure() {
        let error = anyhow!(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot write");
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow!("x")));
    }

    #[test]
    fn a_failure_is_rendered_for_people_and_for_programs() {
        assert_eq!(
            render("no stack", "deploy it\nor not", 5, false),
            "error: no stack\n  deploy it\n  or not"
        );
        assert_eq!(render("no stack", "", 5, true), r#"{"error":{"code":5,"hint":"","message":"no stack"}}"#);
    }

    #[test]
    fn every_code_is_in_the_help() {
        for code in [
            Outcome::Done.code(),
            Outcome::Partial.code(),
            Outcome::NotFound.code(),
            Outcome::Differs.code(),
            Class::Failed.code(),
            Class::Usage.code(),
            Class::NotFound.code(),
            Class::Unreached.code(),
        ] {
            assert!(HELP.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
