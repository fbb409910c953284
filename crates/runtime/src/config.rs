//! Configuration from environment variables: everything that is missing is named at once.

use std::collections::BTreeMap;

/// Variables that a function needs and the environment lacks (or holds empty).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variables not set: {}", .0.join(", "))]
pub struct MissingVariables(pub Vec<String>);

/// The variables of a function.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

impl Environment {
    /// Reads `required` and `optional` variables from the process.
    ///
    /// # Errors
    /// Names every required variable that is not set, or empty.
    pub fn read(required: &[&str], optional: &[&str]) -> Result<Self, MissingVariables> {
        Self::read_from(required, optional, |name| std::env::var(name).ok())
    }

    fn read_from(
        required: &[&str],
        optional: &[&str],
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, MissingVariables> {
        let values: BTreeMap<String, String> = required
            .iter()
            .chain(optional)
            .filter_map(|name| Some(((*name).to_owned(), get(name).filter(|v| !v.is_empty())?)))
            .collect();
        let missing: Vec<String> =
            required.iter().filter(|name| !values.contains_key(**name)).map(|n| (*n).to_owned()).collect();
        if missing.is_empty() { Ok(Self { values }) } else { Err(MissingVariables(missing)) }
    }

    /// The value of a variable that was asked for; empty if it was optional and is not set.
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The value of an optional variable.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_variable_is_named() {
        let get = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let error = Environment::read_from(&["A", "B", "EMPTY"], &["C"], get).unwrap_err();
        assert_eq!(error.to_string(), "environment variables not set: B, EMPTY");
        let environment = Environment::read_from(&["A"], &["C"], get).unwrap();
        assert_eq!((environment.get("A"), environment.optional("C")), ("1", None));
    }
}
