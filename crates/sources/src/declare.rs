//! Reading and checking `sources.toml`: everything that is wrong is told at once, each with its line and key.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tribunal_core::message::SourceFeatures;
use tribunal_core::{Entity, Feature, Kind, phrase};

use crate::config::{
    Connection, DatasetConfig, Declaration, FeatureConfig, HeaderValue, MatchBy, Near, SourceConfig, Tlp,
};

/// Most bytes of a declaration.
pub const MAX_DECLARATION_BYTES: usize = 256 * 1024;
/// Most sources: each adds its status to every entity of a batch, which a state machine carries.
pub const MAX_SOURCES: usize = 16;
/// Most features of all sources, likewise.
pub const MAX_FEATURES: usize = 48;
/// The longest that a source, or a batch, may be given, in milliseconds.
pub const MAX_TIMEOUT_MS: u64 = 6_000;

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From one; of the key, or of the table that lacks it.
    pub line: usize,
    /// With its tables: `sources.feeds.timeout_ms`.
    pub key: String,
    /// What is wrong, with the value and what is allowed.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.key, self.reason)
    }
}

/// Why a declaration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclarationError(
    /// At least one.
    pub Vec<Problem>,
);

impl fmt::Display for DeclarationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DeclarationError {}

impl Declaration {
    /// Reads a file's text and checks it. `taken` says which names of features are not free.
    ///
    /// # Errors
    /// Everything that is wrong; of what cannot be read at all, the first.
    pub fn parse(text: &str, taken: impl Fn(&str) -> bool) -> Result<Self, DeclarationError> {
        let fail = |line: usize, key: &str, reason: String| {
            DeclarationError(vec![Problem { line, key: key.to_owned(), reason }])
        };
        if text.len() > MAX_DECLARATION_BYTES {
            let reason = format!("{} bytes, the limit is {MAX_DECLARATION_BYTES}", text.len());
            return Err(fail(1, "file", reason));
        }
        let place = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        let document = DeTable::parse(text)
            .map_err(|error| fail(line_of(text, place(&error)), "syntax", error.message().to_owned()))?;
        let declaration: Self = toml::from_str(text).map_err(|error| {
            let at = place(&error);
            let key = deepest_key(document.get_ref(), at).unwrap_or_else(|| "file".to_owned());
            fail(line_of(text, at), &key, error.message().to_owned())
        })?;
        let mut check = Check { text, document: document.get_ref(), problems: Vec::new() };
        check.declaration(&declaration, &taken);
        check.problems.sort_by_key(|problem| problem.line);
        if check.problems.is_empty() { Ok(declaration) } else { Err(DeclarationError(check.problems)) }
    }

    /// The features of the sources that are asked, in the order of the vector: by name of the source, then as declared.
    pub fn features(&self) -> Vec<Feature> {
        let mut features = Vec::new();
        for (name, source) in self.asked() {
            for feature in &source.features {
                features.push(Feature {
                    name: feature.name.clone().into(),
                    kinds: feature.kinds_of(source).to_vec().into(),
                    unit: feature.unit.clone().into(),
                    min: feature.min,
                    max: feature.max,
                    meaning: feature.meaning.clone().into(),
                    missing: format!("source {name} did not answer, or does not know").into(),
                    phrase: feature.phrase().into(),
                });
            }
        }
        features
    }

    /// Whose the features are, counted from the first declared one.
    pub fn runs(&self) -> Vec<SourceFeatures> {
        let mut first = 0;
        let run = |(name, source): (&String, &SourceConfig)| {
            let count = source.features.len();
            first += count;
            SourceFeatures {
                source: name.clone(),
                kind: source.adapter().to_owned(),
                first: first - count,
                count,
                phrases: source.features.iter().map(FeatureConfig::phrase).collect(),
            }
        };
        self.asked().map(run).filter(|run| run.count > 0).collect()
    }

    /// The sources that are enabled, by name.
    pub fn asked(&self) -> impl Iterator<Item = (&String, &SourceConfig)> {
        self.sources.iter().filter(|(_, source)| source.enabled)
    }

    /// Digest of how the features are made of the answers: part of the feature schema.
    pub fn digest(&self) -> String {
        let unsaid = |feature: &FeatureConfig| FeatureConfig { says: None, ..feature.clone() };
        let made: Vec<(_, Vec<_>)> =
            self.asked().map(|(name, source)| (name, source.features.iter().map(unsaid).collect())).collect();
        // Maps in a declaration are sorted, so equal declarations are equal texts.
        tribunal_core::digest::sha256(serde_json::to_string(&made).unwrap_or_default().as_bytes())
    }
}

impl FeatureConfig {
    /// The kinds of entity that it is made for.
    pub fn kinds_of<'a>(&'a self, source: &'a SourceConfig) -> &'a [Kind] {
        self.kinds.as_deref().unwrap_or(&source.kinds)
    }

    /// The template of its sentence; empty where there is nothing to make one of.
    fn phrase(&self) -> String {
        let by_meaning = || {
            let template = format!("{}: {{}}", self.meaning.trim());
            let usable = !self.meaning.trim().is_empty() && phrase::check(&template).is_ok();
            if usable { template } else { String::new() }
        };
        self.says.clone().unwrap_or_else(by_meaning)
    }
}

impl SourceConfig {
    /// `dataset`, `mysql`, `mongodb`, `http` or `dns`: how it is asked.
    pub fn adapter(&self) -> &'static str {
        self.adapters().first().copied().unwrap_or("none")
    }

    fn adapters(&self) -> Vec<&'static str> {
        [
            ("dataset", self.dataset.is_some()),
            ("mysql", self.mysql.is_some()),
            ("mongodb", self.mongodb.is_some()),
            ("http", self.http.is_some()),
            ("dns", self.dns.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }

    /// Names of the secrets that it reads, sorted.
    pub fn secrets(&self) -> Vec<&str> {
        let mut names = BTreeSet::new();
        names.extend(self.mysql.as_ref().and_then(|mysql| mysql.connection.secret()));
        names.extend(self.mongodb.as_ref().and_then(|mongodb| mongodb.connection.secret()));
        for header in self.http.iter().flat_map(|http| http.headers.values()) {
            if let HeaderValue::Secret { secret, .. } = header {
                names.insert(secret);
            }
        }
        names.into_iter().collect()
    }

    /// The strictest marking of an entity that it is still asked about.
    pub fn ceiling(&self) -> Tlp {
        let default = match self.adapter() {
            "dataset" => return Tlp::Red,
            "mysql" | "mongodb" => Tlp::AmberStrict,
            _ => Tlp::Clear,
        };
        self.tlp.unwrap_or(default)
    }
}

impl Connection {
    /// Name of the secret that it is, if it is one.
    fn secret(&self) -> Option<&str> {
        match self {
            Self::Secret(secret) => Some(&secret.secret),
            Self::Url { .. } => None,
        }
    }
}

impl Tlp {
    /// A marking as messages carry it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "clear" => Self::Clear,
            "green" => Self::Green,
            "amber" => Self::Amber,
            "amber+strict" => Self::AmberStrict,
            "red" => Self::Red,
            _ => return None,
        })
    }

    /// As messages carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::AmberStrict => "amber+strict",
            Self::Red => "red",
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}

/// The key of the value that holds an offset, with its tables.
fn deepest_key(table: &DeTable<'_>, offset: usize) -> Option<String> {
    for (key, value) in table {
        let start = key.span().start;
        if !(value.span().contains(&offset) || (start..value.span().end.max(start)).contains(&offset)) {
            // A table's own span is its header alone: look into it all the same.
            if let Some(found) = within(value, offset) {
                return Some(format!("{}.{found}", key.get_ref()));
            }
            continue;
        }
        let own = key.get_ref().to_string();
        return Some(within(value, offset).map_or_else(|| own.clone(), |found| format!("{own}.{found}")));
    }
    None
}

fn within(value: &Spanned<DeValue<'_>>, offset: usize) -> Option<String> {
    match value.get_ref() {
        DeValue::Table(table) => deepest_key(table, offset),
        DeValue::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| within(item, offset).map(|found| format!("{at}.{found}"))),
        _ => None,
    }
}

struct Check<'a> {
    text: &'a str,
    document: &'a DeTable<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, path: &[&str], reason: impl Into<String>) {
        let line = line_of(self.text, locate(self.document, path));
        self.problems.push(Problem { line, key: path.join("."), reason: reason.into() });
    }

    fn within(&mut self, path: &[&str], value: u64, allowed: RangeInclusive<u64>) {
        if !allowed.contains(&value) {
            self.problem(path, format!("{value}: allowed is {} to {}", allowed.start(), allowed.end()));
        }
    }

    fn declaration(&mut self, declaration: &Declaration, taken: &impl Fn(&str) -> bool) {
        self.within(&["budget", "timeout_ms"], declaration.budget.timeout_ms, 10..=MAX_TIMEOUT_MS);
        if declaration.sources.len() > MAX_SOURCES {
            self.problem(
                &["sources"],
                format!("{} sources, the limit is {MAX_SOURCES}", declaration.sources.len()),
            );
        }
        let mut names = BTreeSet::new();
        for (name, source) in &declaration.sources {
            self.source(name, source);
            for (at, feature) in source.features.iter().enumerate() {
                let at = at.to_string();
                let path = ["sources", name, "features", &at];
                self.feature(&path, source, feature);
                if taken(&feature.name) {
                    self.problem(
                        &[&path[..], &["name"]].concat(),
                        format!("{} is a built-in feature", feature.name),
                    );
                } else if !names.insert(feature.name.as_str()) {
                    self.problem(
                        &[&path[..], &["name"]].concat(),
                        format!("{} is declared twice", feature.name),
                    );
                }
            }
        }
        if names.len() > MAX_FEATURES {
            self.problem(&["sources"], format!("{} features, the limit is {MAX_FEATURES}", names.len()));
        }
    }

    fn source(&mut self, name: &str, source: &SourceConfig) {
        let path = ["sources", name];
        let key = |key: &'static str| ["sources", name, key];
        if !is_name(name, 32, |b| b == b'-') {
            self.problem(&path, format!("name {name:?}: allowed is 1 to 32 of a-z 0-9 _ -"));
        }
        match source.adapters()[..] {
            [_] => {}
            [] => self
                .problem(&path, "none of the tables dataset, mysql, mongodb, http, dns says how it is asked"),
            ref several => {
                self.problem(&path, format!("{} are given, exactly one is allowed", several.join(" and ")));
            }
        }
        if source.kinds.is_empty() {
            self.problem(&key("kinds"), "empty: give domain, ip or both");
        }
        self.within(&key("timeout_ms"), source.timeout_ms, 1..=MAX_TIMEOUT_MS);
        self.within(&key("concurrency"), source.concurrency as u64, 1..=64);
        self.within(&["sources", name, "cache", "entries"], source.cache.entries as u64, 0..=1_000_000);
        self.within(&["sources", name, "cache", "positive_s"], source.cache.positive_s, 0..=31_536_000);
        self.within(&["sources", name, "cache", "negative_s"], source.cache.negative_s, 0..=31_536_000);
        self.within(&["sources", name, "breaker", "failures"], u64::from(source.breaker.failures), 1..=1_000);
        self.within(&["sources", name, "breaker", "open_s"], source.breaker.open_s, 1..=3_600);
        if let Some(quota) = &source.quota {
            let quota_key = |key: &'static str| ["sources", name, "quota", key];
            self.within(&quota_key("requests"), quota.requests, 1..=1_000_000_000);
            self.within(&quota_key("per_s"), quota.per_s, 1..=2_678_400);
            self.within(&quota_key("rescore"), u64::from(quota.rescore), 0..=10);
            self.within(&quota_key("burst"), quota.burst.unwrap_or(quota.requests), 1..=1_000_000_000);
        }
        if let Some(check) = &source.check
            && let Err(refusal) = Entity::parse(check)
        {
            self.problem(&key("check"), format!("is no entity: {refusal}"));
        }
        if source.link.as_ref().is_some_and(|link| !link.starts_with("https://") || link.len() > 256) {
            self.problem(&key("link"), "must begin with https:// and have at most 256 bytes");
        }
        self.evidence(name, source);
        self.adapter(name, source);
    }

    fn evidence(&mut self, name: &str, source: &SourceConfig) {
        for (at, evidence) in source.evidence.iter().enumerate() {
            let at = at.to_string();
            if !(1..=64).contains(&evidence.fact.chars().count()) {
                self.problem(&["sources", name, "evidence", &at, "fact"], "must have 1 to 64 characters");
            }
        }
    }

    fn feature(&mut self, path: &[&str; 4], source: &SourceConfig, feature: &FeatureConfig) {
        let key = |key: &'static str| [path[0], path[1], path[2], path[3], key];
        let named = is_name(&feature.name, 64, |_| false) && feature.name.as_bytes()[0].is_ascii_lowercase();
        if !named {
            self.problem(
                &key("name"),
                format!("{:?}: allowed is 1 to 64 of a-z 0-9 _, starting with a letter", feature.name),
            );
        }
        if !(feature.min.is_finite() && feature.max.is_finite() && feature.min < feature.max) {
            self.problem(
                &key("max"),
                format!("range {} to {} is empty or not finite", feature.min, feature.max),
            );
        } else if feature.empty.is_some_and(|empty| !(feature.min..=feature.max).contains(&empty)) {
            self.problem(&key("empty"), format!("is not within {} to {}", feature.min, feature.max));
        }
        if feature.kinds_of(source).iter().any(|kind| !source.kinds.contains(kind)) {
            self.problem(&key("kinds"), "has a kind that the source is not asked about");
        }
        if let Some(near) = feature.near {
            self.near(path, source, feature, near);
        }
        if feature.meaning.chars().count() > 256 || feature.unit.chars().count() > 32 {
            self.problem(&key("meaning"), "meaning has more than 256 characters, or unit more than 32");
        }
        if let Some(Err(error)) = feature.says.as_deref().map(phrase::check) {
            self.problem(&key("says"), error.to_string());
        }
    }

    fn near(&mut self, path: &[&str; 4], source: &SourceConfig, feature: &FeatureConfig, near: Near) {
        let key = [path[0], path[1], path[2], path[3], "near"];
        let by_entity = |dataset: &DatasetConfig| matches!(dataset.by, MatchBy::Entity | MatchBy::Parents);
        if !source.dataset.as_ref().is_some_and(by_entity) {
            self.problem(&key, "is for a dataset with match = \"entity\" or \"parents\"");
        }
        if feature.kinds_of(source) != [Kind::Ip] {
            self.problem(&key, "is for addresses: give kinds = [\"ip\"]");
        }
        if near.v4.is_none() && near.v6.is_none() {
            self.problem(&key, "give v4, v6 or both");
        }
        for (family, prefix, allowed) in [("v4", near.v4, 8..=31), ("v6", near.v6, 16..=64)] {
            if let Some(prefix) = prefix {
                self.within(&[&key[..], &[family]].concat(), prefix.into(), allowed);
            }
        }
    }

    /// What only the adapter's table can have wrong and its opening does not look at.
    fn adapter(&mut self, name: &str, source: &SourceConfig) {
        if let Some(dataset) = &source.dataset
            && dataset.name.is_some() == dataset.path.is_some()
        {
            self.problem(&["sources", name, "dataset"], "give either name or path");
        }
        let max_rows = source.mysql.as_ref().map(|m| ("mysql", m.max_rows));
        for (adapter, rows) in
            max_rows.into_iter().chain(source.mongodb.as_ref().map(|m| ("mongodb", m.max_rows)))
        {
            self.within(&["sources", name, adapter, "max_rows"], rows as u64, 1..=100_000);
        }
        if let Some(http) = &source.http {
            self.within(&["sources", name, "http", "batch"], http.batch as u64, 1..=1_000);
            self.within(&["sources", name, "http", "max_bytes"], http.max_bytes as u64, 1..=16 << 20);
        }
    }
}

fn is_name(text: &str, longest: usize, also: impl Fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_') || also(b))
}

/// Where a key stands; of one that is not given, its table.
fn locate(document: &DeTable<'_>, path: &[&str]) -> usize {
    let mut at = 0;
    let mut table = Some(document);
    let mut items = None;
    for part in path {
        let found: Option<(usize, &Spanned<DeValue<'_>>)> = match (table, items) {
            (Some(table), _) => table
                .iter()
                .find(|(key, _)| key.get_ref() == part)
                .map(|(key, value)| (key.span().start, value)),
            (None, Some(items)) => {
                let items: &toml::de::DeArray<'_> = items;
                part.parse().ok().and_then(|n: usize| items.get(n)).map(|item| (item.span().start, item))
            }
            (None, None) => None,
        };
        let Some((start, value)) = found else { return at };
        at = start;
        (table, items) = (value.get_ref().as_table(), value.get_ref().as_array());
    }
    at
}

#[cfg(test)]
#[path = "declare_tests.rs"]
mod tests;
