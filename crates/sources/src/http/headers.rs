//! Headers of a request, of which some are secrets.
//!
//! Secrets are fetched by the first batch and kept. A service that refuses them (401, 403) has them fetched anew, once
//! per batch, since a rotated secret is the likeliest reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue as Value, USER_AGENT};
use tokio::sync::Mutex;

use crate::config::{HeaderValue, SecretRef};
use crate::open::OpenError;
use crate::secret::{SecretStore, resolve};
use crate::source::SourceError;

/// Most headers of a request.
const MAX_HEADERS: usize = 32;
const AGENT: &str = concat!("tribunal/", env!("CARGO_PKG_VERSION"));
/// Headers that the client writes itself: a second one would frame or route the request differently.
const OWN: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What every request of a source carries.
pub(super) struct Headers {
    fixed: HeaderMap,
    secret: Vec<SecretHeader>,
    store: Arc<dyn SecretStore>,
    kept: Mutex<Option<Kept>>,
}

struct SecretHeader {
    name: HeaderName,
    reference: SecretRef,
    prefix: String,
}

/// Headers with their secrets.
#[derive(Clone)]
pub(super) struct Kept {
    /// How many times they were fetched.
    generation: u64,
    pub(super) map: HeaderMap,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.iter().map(|header| header.name.as_str());
        f.debug_list().entries(self.fixed.keys().map(HeaderName::as_str)).entries(secret).finish()
    }
}

impl Headers {
    /// Checks what is declared.
    pub(super) fn new(
        declared: &BTreeMap<String, HeaderValue>,
        with_body: bool,
        store: Arc<dyn SecretStore>,
    ) -> Result<Self, OpenError> {
        if declared.len() > MAX_HEADERS {
            let reason = format!("{} headers, and at most {MAX_HEADERS} are allowed", declared.len());
            return Err(OpenError::new("http.headers", reason));
        }
        let mut fixed = HeaderMap::new();
        fixed.insert(USER_AGENT, Value::from_static(AGENT));
        fixed.insert(ACCEPT, Value::from_static("application/json"));
        if with_body {
            fixed.insert(CONTENT_TYPE, Value::from_static("application/json"));
        }
        let mut secret = Vec::new();
        for (name, value) in declared {
            let refused = |reason: &str| OpenError::new(format!("http.headers.{name}"), reason);
            let header: HeaderName = name.parse().map_err(|_| refused("not the name of a header"))?;
            if OWN.contains(&header.as_str()) || header.as_str().starts_with("proxy-") {
                return Err(refused("the client writes it itself"));
            }
            match value {
                HeaderValue::Text(text) => {
                    let value =
                        Value::from_str(text).map_err(|_| refused("has characters that no header has"))?;
                    fixed.insert(header, value);
                }
                HeaderValue::Secret { secret: name, field, prefix } => {
                    Value::from_str(prefix)
                        .map_err(|_| refused("its prefix has characters that no header has"))?;
                    let reference = SecretRef { secret: name.clone(), field: field.clone() };
                    secret.push(SecretHeader { name: header, reference, prefix: prefix.clone() });
                }
            }
        }
        Ok(Self { fixed, secret, store, kept: Mutex::new(None) })
    }

    /// The headers as they were fetched last, or now if there are none.
    pub(super) async fn current(&self) -> Result<Kept, SourceError> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some(headers) => Ok(headers.clone()),
            None => Ok(kept.insert(Kept { generation: 0, map: self.fetch().await? }).clone()),
        }
    }

    /// The headers after `refused` were refused: others if the secrets changed since, else `None`.
    pub(super) async fn renewed(&self, refused: &Kept) -> Result<Option<Kept>, SourceError> {
        if self.secret.is_empty() {
            return Ok(None);
        }
        let mut kept = self.kept.lock().await;
        let newer = match &*kept {
            Some(headers) if headers.generation > refused.generation => headers.clone(),
            _ => {
                for header in &self.secret {
                    self.store.forget(&header.reference.secret).await;
                }
                Kept { generation: refused.generation + 1, map: self.fetch().await? }
            }
        };
        *kept = Some(newer.clone());
        Ok((newer.map != refused.map).then_some(newer))
    }

    async fn fetch(&self) -> Result<HeaderMap, SourceError> {
        let mut map = self.fixed.clone();
        for header in &self.secret {
            let secret = resolve(self.store.as_ref(), &header.reference).await?;
            // The error of the conversion is dropped: it stands for a value that is shown nowhere.
            let mut value =
                Value::from_str(&format!("{}{}", header.prefix, secret.expose())).map_err(|_| {
                    SourceError::Secret {
                        name: header.reference.secret.clone(),
                        source: "it has characters that no header has".into(),
                    }
                })?;
            value.set_sensitive(true);
            map.insert(header.name.clone(), value);
        }
        Ok(map)
    }
}
