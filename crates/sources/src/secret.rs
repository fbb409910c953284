//! Secrets by name: from the environment, else from a store.

use std::fmt;

use crate::source::{Cause, SourceError};

/// Most bytes of a secret: what Secrets Manager holds.
pub const MAX_SECRET_BYTES: usize = 65_536;

/// A secret text. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where secrets are kept.
#[async_trait::async_trait]
pub trait SecretStore: Send + Sync + fmt::Debug {
    /// The secret `name`.
    ///
    /// # Errors
    /// When it is not there, or may not be read.
    async fn secret(&self, name: &str) -> Result<Secret, Cause>;

    /// Drops what is kept of the secret `name`, so that it is read again: after credentials were refused, they may
    /// have been changed. A store that keeps nothing has nothing to do.
    async fn forget(&self, _name: &str) {}
}

/// Environment variables: `TRIBUNAL_SECRET_` and the name in upper case, `_` for all that is no letter or digit
/// (`tribunal/feeds` is `TRIBUNAL_SECRET_TRIBUNAL_FEEDS`).
#[derive(Debug, Clone, Copy, Default)]
pub struct EnvironmentSecrets;

/// The variable that a secret is read from.
pub fn variable_of(name: &str) -> String {
    let upper = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    "TRIBUNAL_SECRET_".chars().chain(upper).collect()
}

#[async_trait::async_trait]
impl SecretStore for EnvironmentSecrets {
    async fn secret(&self, name: &str) -> Result<Secret, Cause> {
        let variable = variable_of(name);
        match std::env::var(&variable) {
            Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
            _ => Err(format!("environment variable {variable} is not set").into()),
        }
    }
}

/// The secret that a declaration names; of a JSON secret the field that it names.
///
/// # Errors
/// [`SourceError::Secret`], without the text.
pub async fn resolve(
    store: &dyn SecretStore,
    reference: &crate::config::SecretRef,
) -> Result<Secret, SourceError> {
    let failed = |source: Cause| SourceError::Secret { name: reference.secret.clone(), source };
    let secret = store.secret(&reference.secret).await.map_err(failed)?;
    if secret.expose().len() > MAX_SECRET_BYTES {
        return Err(failed(format!("more than {MAX_SECRET_BYTES} bytes").into()));
    }
    let Some(field) = &reference.field else { return Ok(secret) };
    // The parser's message quotes the text: it is not kept.
    let json: serde_json::Value = serde_json::from_str(secret.expose())
        .map_err(|_| failed("it is not JSON, but a field is asked for".into()))?;
    match json.get(field) {
        Some(serde_json::Value::String(text)) => Ok(Secret::new(text.clone())),
        _ => Err(failed(format!("it has no text in its field {field}").into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretRef;

    #[derive(Debug)]
    struct One(&'static str);

    #[async_trait::async_trait]
    impl SecretStore for One {
        async fn secret(&self, _: &str) -> Result<Secret, Cause> {
            Ok(Secret::new(self.0.to_owned()))
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "Secret(..)");
        assert_eq!(variable_of("tribunal/my-feeds.v2"), "TRIBUNAL_SECRET_TRIBUNAL_MY_FEEDS_V2");
    }

    #[tokio::test]
    async fn a_field_of_a_json_secret() {
        let field = |field: &str| SecretRef { secret: "s".to_owned(), field: Some(field.to_owned()) };
        let store = One("{\"password\":\"hunter2\",\"port\":3306}");
        assert_eq!(resolve(&store, &field("password")).await.unwrap().expose(), "hunter2");
        for (store, name) in [(One("{\"password\":\"hunter2\"}"), "user"), (One("hunter2"), "password")] {
            let error = resolve(&store, &field(name)).await.unwrap_err();
            assert_eq!(error.code(), "secret");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
