//! How a source is asked: the tables `dataset`, `mysql`, `mongodb`, `http`, `dns` of a source.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::yes;

/// A secret by its name in Secrets Manager, or in the environment ([`crate::secret::variable_of`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Name of the secret.
    pub secret: String,
    /// Field of a JSON secret; the whole secret if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// The address of a server: a secret, or a URL without a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Connection {
    /// A URL that is a secret.
    Secret(SecretRef),
    /// A URL without a password.
    Url {
        /// `mysql://user@host/database`, `mongodb://host/`.
        url: String,
    },
}

/// A data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Name of a published data set (`tribunal dataset publish`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// File of a data set (`tribunal dataset build`, or a MaxMind DB), relative to `sources.toml`; not for a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What of an entity is looked up.
    #[serde(default, rename = "match")]
    pub by: MatchBy,
}

/// What of an entity a data set is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchBy {
    /// The name or address itself; an address also in ranges around it, the narrowest.
    #[default]
    Entity,
    /// The registrable domain.
    RegistrableDomain,
    /// The name, then each of its parents down to the registrable domain; the first that is there.
    Parents,
    /// The public suffix's last label.
    Tld,
    /// The number of the autonomous system that announces the address.
    Asn,
    /// The country that the address is registered in.
    Country,
}

/// A MySQL or MariaDB server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlConfig {
    /// `mysql://user:password@host:port/database`.
    pub connection: Connection,
    /// A SELECT with one of `:entities`, `:registrable_domains`, `:addresses`, each within `IN (...)`.
    pub query: String,
    /// Column of the answer that holds what was asked for.
    pub key: String,
    /// Whether the connection is encrypted, and the server's certificate checked.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Certificates (PEM) that are trusted beside the public ones: an internal authority, a cloud's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Most rows of one answer, from 1 to 100,000.
    #[serde(default = "default_max_rows")]
    pub max_rows: usize,
}

const fn default_max_rows() -> usize {
    10_000
}

/// A server of the MongoDB protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MongodbConfig {
    /// `mongodb://user:password@host:port/`.
    pub connection: Connection,
    /// Name of the database.
    pub database: String,
    /// Name of the collection.
    pub collection: String,
    /// Filter; a text `:entities`, `:registrable_domains` or `:addresses` in it stands for the list, as in
    /// `{ domain = { "$in" = ":entities" } }`. No other operators that run code.
    pub filter: serde_json::Map<String, serde_json::Value>,
    /// Fields that are fetched; all if not given.
    #[serde(default)]
    pub projection: Vec<String>,
    /// Field of a document that holds what was asked for.
    pub key: String,
    /// Whether the connection is encrypted, and the server's certificate checked.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Certificates (PEM) that are trusted instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Most documents of one answer, from 1 to 100,000.
    #[serde(default = "default_max_rows")]
    pub max_rows: usize,
}

/// Method of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Method {
    /// Nothing but the URL.
    #[default]
    GET,
    /// With a body.
    POST,
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderValue {
    /// As it stands.
    Text(String),
    /// A secret, after a prefix (`Bearer `).
    Secret {
        /// Name of the secret.
        secret: String,
        /// Field of a JSON secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
        /// What stands before it.
        #[serde(default)]
        prefix: String,
    },
}

/// What a status of an HTTP answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusMeaning {
    /// The body is an answer.
    Answer,
    /// It knows nothing.
    Empty,
    /// It asks to slow down.
    Throttled,
    /// The credentials are refused.
    Refused,
    /// It failed.
    Error,
}

/// An HTTP service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// GET if not given.
    #[serde(default)]
    pub method: Method,
    /// `https://host/path/{entity}?x={registrable_domain}`: variables (`{entity}`, `{registrable_domain}`, `{tld}`) in path
    /// and query only, percent-encoded. With `{entities}` (joined by commas) one request asks about many. An entity
    /// that has no such value (an address has no registrable domain) is not asked about, and known to nobody.
    pub url: String,
    /// Body of a POST, JSON: `{entity}` stands for a JSON text, `{entities}` for an array of them; each for a whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Last labels (`com`) of the names that it is asked about; all names and addresses if not given. What else there is
    /// is not asked about, and known to nobody: for a registry that serves its own top-level domains.
    #[serde(default)]
    pub tlds: Vec<String>,
    /// Headers, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderValue>,
    /// Most entities of one request that has `{entities}`, from 1 to 1,000.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// JSON pointer (`/data/rows`) to the answer in the body; the whole body if not given. An array is many rows (1,000 at
    /// most are kept), an object is one; nothing, `null`, `[]` and `{}` are none. With `{entities}`: an array of rows, or
    /// an object by entity.
    #[serde(default)]
    pub rows: String,
    /// With `{entities}`: field or JSON pointer of a row that holds the entity; for an object by entity not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What statuses (`404`) and classes of them (`5xx`) mean, before the usual: 2xx `answer`, 204 and 404 `empty`, 401
    /// and 403 `refused`, 429 and a 503 with Retry-After `throttled`, else `error`. Redirects are never followed.
    #[serde(default)]
    pub status: BTreeMap<String, StatusMeaning>,
    /// Most bytes of an answer, from 1 to 16,777,216; parsed it may take 16 times as many.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: usize,
    /// Whether the service may have a private, loopback, link-local or otherwise special address. Every address that
    /// its name resolves to is checked, at every connection.
    #[serde(default)]
    pub allow_private: bool,
    /// Whether the connection is encrypted, and the server's certificate checked. `http://` needs `false`.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Certificates (PEM) that are trusted beside the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

const fn default_batch() -> usize {
    100
}

const fn default_max_bytes() -> usize {
    1 << 20
}

/// A record type of the domain name system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    AAAA,
    /// Name servers.
    NS,
    /// Mail servers.
    MX,
    /// Texts.
    TXT,
}

/// The domain name system. The servers of a name see that it is asked about: nothing is asked unless this is declared.
///
/// The answer about a name is one row with `nxdomain`, `a_count`, `aaaa_count`, `cname_count`, `ns_count`, `mx_count`,
/// `txt_count`, `ttl_min`, `ttl_max`, `ns_ttl`, `mx_ttl`, `txt_ttl`, `addresses`, `asns`, `as_names`, `countries`,
/// `cnames`, `name_servers`, `mx`. Addresses are not asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsConfig {
    /// `address:port` of resolvers (port 53 if not given), at most 8; the system's if none is given. The second is asked
    /// when the first cannot be reached.
    #[serde(default)]
    pub resolvers: Vec<String>,
    /// Whether questions go over TCP only; else over UDP, and over TCP what is too large for it.
    #[serde(default)]
    pub tcp: bool,
    /// What is asked for: A, AAAA, NS (of the registrable domain), MX, TXT.
    #[serde(default = "all_records")]
    pub records: Vec<RecordKind>,
}

fn all_records() -> Vec<RecordKind> {
    vec![RecordKind::A, RecordKind::AAAA, RecordKind::NS, RecordKind::MX, RecordKind::TXT]
}
