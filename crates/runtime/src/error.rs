//! Errors as a state machine sees them.

use std::error::Error;
use std::fmt;

use lambda_runtime::Diagnostic;
use tribunal_core::ErrorName;

/// A failed event: a stable name that `Retry` and `Catch` match, and the error behind it.
#[derive(Debug)]
pub struct FunctionError {
    name: ErrorName,
    source: Box<dyn Error + Send + Sync>,
}

impl FunctionError {
    /// An error with the name that the state machine is to see.
    pub fn new(name: ErrorName, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { name, source: source.into() }
    }

    /// The name.
    pub fn name(&self) -> ErrorName {
        self.name
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

impl Error for FunctionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        Self { error_type: error.name.as_str().to_owned(), error_message: chain(error.source.as_ref()) }
    }
}

/// An error and all its sources in one line, outermost first: `a: b: c`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read models/a/current.json")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_diagnostic_has_the_stable_name_and_the_whole_chain() {
        let outer = Outer(std::io::Error::other("disk gone"));
        let diagnostic = Diagnostic::from(FunctionError::new(ErrorName::ModelUnavailable, outer));
        assert_eq!(diagnostic.error_type, "ModelUnavailable");
        assert_eq!(diagnostic.error_message, "cannot read models/a/current.json: disk gone");
    }
}
