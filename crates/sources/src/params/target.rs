//! Where a database is: a URL without a password, or a secret.
//!
//! A secret is a URL, or the JSON that Secrets Manager keeps for databases that it rotates the password of: an object
//! with `host`, and `port`, `username`, `password`, `dbname` where there are such. Neither is ever shown.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::config::{Connection, SecretRef};
use crate::secret::{Secret, SecretStore, resolve};
use crate::{OpenError, SourceError};

/// Longest URL.
const MAX_URL_BYTES: usize = 4_096;
/// Options of a URL that are secrets themselves.
const SECRET_OPTIONS: [&str; 3] = ["password", "authmechanismproperties", "tlscertificatekeyfilepassword"];
/// What stands in a host as it is.
const HOST: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b':').remove(b'[').remove(b']');

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    scheme: &'static str,
    from: Connection,
}

/// What Secrets Manager keeps for a database.
#[derive(Deserialize)]
struct Stored {
    host: String,
    port: Option<u16>,
    username: Option<String>,
    password: Option<String>,
    dbname: Option<String>,
}

impl Target {
    /// Checks a declared connection. `key` is where it is declared.
    pub(crate) fn new(connection: &Connection, scheme: &'static str, key: &str) -> Result<Self, OpenError> {
        if let Connection::Url { url } = connection {
            check_plain(url, scheme).map_err(|reason| OpenError::new(format!("{key}.url"), reason))?;
        }
        Ok(Self { scheme, from: connection.clone() })
    }

    /// Whether it may be different when it is asked for again.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self.from, Connection::Secret(_))
    }

    /// Has the store read the secret anew the next time: what it gave was refused.
    pub(crate) async fn forget(&self, secrets: &dyn SecretStore) {
        if let Connection::Secret(reference) = &self.from {
            secrets.forget(&reference.secret).await;
        }
    }

    /// The URL.
    ///
    /// # Errors
    /// [`SourceError::Secret`], without the text.
    pub(crate) async fn url(&self, secrets: &dyn SecretStore) -> Result<Secret, SourceError> {
        let reference = match &self.from {
            Connection::Url { url } => return Ok(Secret::new(url.clone())),
            Connection::Secret(reference) => reference,
        };
        let secret = resolve(secrets, reference).await?;
        let text = secret.expose().trim();
        if text.starts_with('{') {
            return self.url_of_stored(text, reference);
        }
        if text.len() > MAX_URL_BYTES || !has_scheme(text, self.scheme) {
            return Err(self.unusable(reference));
        }
        Ok(Secret::new(text.to_owned()))
    }

    /// That the secret cannot be used, without its text.
    pub(crate) fn unusable_secret(&self) -> SourceError {
        match &self.from {
            Connection::Secret(reference) => self.unusable(reference),
            Connection::Url { .. } => SourceError::Malformed { reason: "the URL cannot be used".to_owned() },
        }
    }

    fn unusable(&self, reference: &SecretRef) -> SourceError {
        SourceError::Secret {
            name: reference.secret.clone(),
            source: format!("it is neither a URL {}://... nor a database's JSON with `host`", self.scheme)
                .into(),
        }
    }

    fn url_of_stored(&self, text: &str, reference: &SecretRef) -> Result<Secret, SourceError> {
        // The parser's message quotes the text: it is not kept.
        let stored: Stored = serde_json::from_str(text).map_err(|_| self.unusable(reference))?;
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut url = format!("{}://", self.scheme);
        if let Some(username) = &stored.username {
            url.push_str(&encoded(username));
            if let Some(password) = &stored.password {
                url.push(':');
                url.push_str(&encoded(password));
            }
            url.push('@');
        }
        url.extend(utf8_percent_encode(&stored.host, HOST));
        if let Some(port) = stored.port {
            url.push_str(&format!(":{port}"));
        }
        url.push('/');
        url.push_str(&stored.dbname.as_deref().map(encoded).unwrap_or_default());
        Ok(Secret::new(url))
    }
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    url.strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://"))
}

/// Refuses a URL that cannot be one, or that holds a secret.
fn check_plain(url: &str, scheme: &str) -> Result<(), String> {
    if url.len() > MAX_URL_BYTES {
        return Err(format!("{} bytes, {MAX_URL_BYTES} at most", url.len()));
    }
    if !has_scheme(url, scheme) {
        return Err(format!("not a URL {scheme}://..."));
    }
    let rest = url.get(scheme.len() + 3..).unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    if user.is_some_and(|user| user.contains(':')) || rest.contains('@') && user.is_none() {
        return Err("holds a password: name a secret instead (connection = { secret = \"...\" })".to_owned());
    }
    let options = rest.split_once('?').map_or("", |(_, options)| options).to_ascii_lowercase();
    let mut names = options.split('&').filter_map(|option| option.split('=').next());
    match names.find(|name| SECRET_OPTIONS.contains(name)) {
        Some(name) => Err(format!("holds the option {name}: name a secret instead")),
        None => Ok(()),
    }
}

/// Checks declared certificates (PEM) of authorities; the error says what is wrong with them.
pub(crate) fn certificates(pem: &str) -> Result<&str, String> {
    let mut authorities = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("not PEM: {error}"))?;
        authorities
            .add(certificate)
            .map_err(|error| format!("not a certificate of an authority: {error}"))?;
    }
    if authorities.is_empty() {
        Err("no certificate (-----BEGIN CERTIFICATE-----)".to_owned())
    } else {
        Ok(pem)
    }
}
