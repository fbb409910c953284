//! `sources.toml`: what is asked, how, and what is made of the answers. No code for a new source.
//!
//! The types are the file's form, one field per key; docs/sources.md and docs/sources.schema.json say the same to
//! a person and to an editor. [`Declaration::parse`] checks what types cannot say, and names the line and the key
//! of what is wrong.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tribunal_core::Kind;

mod adapters;

pub use adapters::{
    Connection, DatasetConfig, DnsConfig, HeaderValue, HttpConfig, MatchBy, Method, MongodbConfig,
    MysqlConfig, RecordKind, SecretRef, StatusMeaning,
};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Time for all sources of one batch.
    #[serde(default)]
    pub budget: Budget,
    /// The sources, by name (1 to 32 of a-z 0-9 _ -).
    #[serde(default)]
    pub sources: BTreeMap<String, SourceConfig>,
}

/// Time for all sources of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Milliseconds from 10 to 6,000; sources that have not answered by then are `timeout`.
    pub timeout_ms: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { timeout_ms: 2_500 }
    }
}

/// One source. Exactly one of the tables `dataset`, `mysql`, `mongodb`, `http`, `dns` says how it is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// What it knows, for a person.
    #[serde(default)]
    pub description: String,
    /// Kinds of entity that it is asked about; both if not given.
    #[serde(default = "both_kinds")]
    #[schemars(with = "Vec<String>")]
    pub kinds: Vec<Kind>,
    /// Whether it is asked at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Milliseconds from 1 to 6,000 that asking may take, within the budget of the batch.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
    /// Requests under way at once, from 1 to 64, per environment.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// The strictest marking of an entity that it is still asked about. Default: `clear` for `http` and `dns`,
    /// `amber+strict` for `mysql` and `mongodb`; a data set is always asked, nothing leaves the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlp: Option<Tlp>,
    /// What is kept of its answers.
    #[serde(default)]
    pub cache: CacheConfig,
    /// When it is left alone after failures.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// How often it may be asked, over all environments; unlimited if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaConfig>,
    /// A page about an entity, for an analyst; `{entity}` is replaced, percent-encoded. It is never fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What becomes a feature.
    #[serde(default)]
    pub features: Vec<FeatureConfig>,
    /// What becomes evidence.
    #[serde(default)]
    pub evidence: Vec<EvidenceConfig>,
    /// An entity that it knows, for `tribunal sources check`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// A published or local data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetConfig>,
    /// A MySQL or MariaDB server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mysql: Option<MysqlConfig>,
    /// A server of the MongoDB protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<MongodbConfig>,
    /// An HTTP service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpConfig>,
    /// The domain name system. Asking tells the owner of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsConfig>,
}

fn both_kinds() -> Vec<Kind> {
    vec![Kind::Domain, Kind::Ip]
}

const fn yes() -> bool {
    true
}

const fn default_timeout() -> u64 {
    800
}

const fn default_concurrency() -> usize {
    8
}

/// A marking of the traffic light protocol 2.0, least strict first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tlp {
    /// May go anywhere.
    Clear,
    /// To the community.
    Green,
    /// To the organisation and its clients.
    Amber,
    /// To the organisation alone.
    #[serde(rename = "amber+strict")]
    AmberStrict,
    /// To the recipient alone.
    Red,
}

/// What is kept of a source's answers, by entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Most answers held in memory, from 0 (none) to 1,000,000. A data set is never cached.
    pub entries: usize,
    /// Seconds that an answer with a fact is kept.
    pub positive_s: u64,
    /// Seconds that "knows nothing" is kept.
    pub negative_s: u64,
    /// Whether answers are shared by all environments, in DynamoDB: for sources that cost money or quota.
    pub shared: bool,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { entries: 10_000, positive_s: 3_600, negative_s: 600, shared: false }
    }
}

/// When a source is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Batches in a row that fail until the circuit opens, from 1 to 1,000.
    pub failures: u32,
    /// Seconds until one batch tries it again, from 1 to 3,600.
    pub open_s: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, open_s: 30 }
    }
}

/// How often a source may be asked: a bucket of tokens, one for each request, shared by all environments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaConfig {
    /// Requests that come back per `per_s` seconds, from 1.
    pub requests: u64,
    /// Seconds, from 1 to 2,678,400 (31 days).
    pub per_s: u64,
    /// Most tokens that the bucket holds; `requests` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// How many times an entity that the quota left out is queued again to be scored with it, from 0 to 10.
    #[serde(default = "default_rescore")]
    pub rescore: u32,
}

const fn default_rescore() -> u32 {
    2
}

/// A feature made of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureConfig {
    /// Unique over all features: 1 to 64 of a-z 0-9 _, starting with a letter.
    pub name: String,
    /// What is read of every row: a field, or a JSON pointer (`/data/attributes/votes`); the rows themselves if not
    /// given. Arrays are read element by element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Reads, instead of the entity's own rows, those of the other entries in its network: of a data set of addresses
    /// that is asked by `entity`. An address of a family without a prefix has no such feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<Near>,
    /// Which rows count: those whose fields (or JSON pointers) have one of the values listed, as in
    /// `where = { eventAction = ["registration"] }`; all if not given. Every field must match.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub matching: BTreeMap<String, Vec<serde_json::Value>>,
    /// What is done with the values, in order.
    #[serde(default)]
    pub transform: Vec<Transform>,
    /// The value when the source answers that it knows nothing; by default what the transforms make of no values
    /// (`count` and `flag`: 0; else missing).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<f32>,
    /// Least value: what is less becomes it.
    #[serde(default)]
    pub min: f32,
    /// Greatest value: what is greater becomes it.
    #[serde(default = "default_max")]
    pub max: f32,
    /// Unit, for a person.
    #[serde(default)]
    pub unit: String,
    /// What the number says, in one sentence.
    #[serde(default)]
    pub meaning: String,
    /// Sentence for an analyst where it moved a score: `{}` is the value, `{%}` the value as a percentage, `{e}` and
    /// `{^}` the count behind `ln(1 + n)` and `log10(1 + n)`, `(s)` an s unless it is 1; a second text after `|` stands
    /// for 0. By default the meaning and the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Kinds of entity that it is made for; those of the source if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub kinds: Option<Vec<Kind>>,
}

/// The network around an address: the lengths of its prefixes, of one family or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Near {
    /// Of IPv4, from 8 to 31.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v4: Option<u8>,
    /// Of IPv6, from 16 to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<u8>,
}

const fn default_max() -> f32 {
    1_000_000.0
}

/// One step from the values of a field to a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// How many values there are.
    Count,
    /// How many different values there are.
    Distinct,
    /// 1 if any value is neither null, false, zero nor empty; else 0.
    Flag,
    /// The greatest number, or the latest time.
    Max,
    /// The least number, or the earliest time.
    Min,
    /// The sum of the numbers.
    Sum,
    /// The mean of the numbers.
    Mean,
    /// The first value.
    First,
    /// ln(1 + x) of every number; negative ones are dropped.
    Log1p,
    /// log10 of every number; those not above zero are dropped.
    Log10,
    /// Days from every time to the time of scoring; not below 0.
    AgeDays,
    /// Characters of every text.
    Length,
    /// Keeps the values that equal one of these.
    Equals(Vec<serde_json::Value>),
    /// Keeps the texts that contain one of these, in any case.
    Contains(Vec<String>),
    /// Multiplies every number.
    Scale(f64),
    /// The number of the first text in this map, by text.
    Lookup(BTreeMap<String, f64>),
}

/// Evidence made of an answer: one item for every row that has the value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceConfig {
    /// What it says: `seen on a feed`.
    pub fact: String,
    /// Which rows count: those whose fields (or JSON pointers) have one of the values listed, as in
    /// `where = { eventAction = ["registration"] }`; all if not given. Every field must match.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub matching: BTreeMap<String, Vec<serde_json::Value>>,
    /// The value observed: a field or a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// When it was first seen: a field or a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// When it was last seen: likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
}
