//! Templates of requests: a URL and a JSON body in which variables stand for what is asked about.
//!
//! | variable | stands for |
//! |---|---|
//! | `{entity}` | the name or address |
//! | `{registrable_domain}` | the part of a name that somebody registered |
//! | `{tld}` | the last label of a name |
//! | `{entities}` | all entities of one request: joined by commas in a URL, an array in a body |
//!
//! What an entity says never becomes syntax. In a URL, variables are taken in the path and the query only, and every
//! byte of a value outside RFC 3986's *unreserved* is percent-encoded, so that a value stays one path segment or one
//! query value and the host is the one that was declared. In a body, which is parsed as JSON when it is declared,
//! a variable is a whole JSON string (or array) and serialised as such.
//!
//! The one text that no encoding keeps in its place is a path segment `.` or `..` (RFC 3986 section 5.2.4; the URL
//! standard takes `%2e` for a dot as well): such a URL is refused ([`Unrenderable::DotSegment`]).

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

#[cfg(test)]
mod tests;

/// Most bytes of a URL: what servers and proxies take without being told to.
pub(crate) const MAX_URL_BYTES: usize = 8_000;
/// Most bytes of a body as declared.
const MAX_BODY_TEMPLATE_BYTES: usize = 65_536;

/// Everything outside RFC 3986's unreserved characters; bytes outside ASCII are always encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a part of a template stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    Entity,
    RegistrableDomain,
    Tld,
    Entities,
}

impl Variable {
    const ALL: [Self; 4] = [Self::Entity, Self::RegistrableDomain, Self::Tld, Self::Entities];

    /// As it is written.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Entity => "{entity}",
            Self::RegistrableDomain => "{registrable_domain}",
            Self::Tld => "{tld}",
            Self::Entities => "{entities}",
        }
    }

    fn at_start(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| text.starts_with(variable.token()))
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| text == variable.token())
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// What the variables stand for in one request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Values<'a> {
    pub(crate) entity: Option<&'a str>,
    pub(crate) registrable_domain: Option<&'a str>,
    pub(crate) tld: Option<&'a str>,
    pub(crate) entities: &'a [&'a str],
}

impl<'a> Values<'a> {
    fn text(&self, variable: Variable) -> Result<&'a str, Unrenderable> {
        match variable {
            Variable::Entity => self.entity,
            Variable::RegistrableDomain => self.registrable_domain,
            Variable::Tld => self.tld,
            Variable::Entities => None,
        }
        .ok_or(Unrenderable::NoValue(variable))
    }
}

/// Why a request cannot be made of a template and values; without the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unrenderable {
    /// An address has no registrable domain.
    #[error("nothing to put for {0}")]
    NoValue(Variable),
    /// `/{entity}/` with `..`.
    #[error("a path segment would be . or ..")]
    DotSegment,
    /// The URL is longer than servers take.
    #[error("URL of more than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// The URL as parsed does not lead to the declared host.
    #[error("URL that leads elsewhere")]
    Elsewhere,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(Variable),
}

/// A URL with variables in its path and query.
#[derive(Debug, Clone)]
pub(crate) struct UrlTemplate {
    /// With `x` for every variable: what a rendered URL must agree with in scheme, host and port.
    origin: Url,
    pieces: Vec<Piece>,
}

impl UrlTemplate {
    /// Reads a template; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_URL_BYTES {
            return Err(format!("{} bytes, and at most {MAX_URL_BYTES} are allowed", text.len()));
        }
        let (_, rest) = text
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "https" | "http"))
            .ok_or("must begin with https:// (or http:// with tls = false)")?;
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        // `https:///x` would take its host from the path.
        if authority.is_empty() {
            return Err("names no host".to_owned());
        }
        if authority.contains(['{', '}']) {
            return Err("a variable may stand in the path and the query only: the host is fixed".to_owned());
        }
        if authority.contains('@') {
            return Err("no user or password may stand in it: send a header with a secret".to_owned());
        }
        let pieces = pieces(text)?;
        let neutral: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(literal) => literal.as_str(),
                Piece::Variable(_) => "x",
            })
            .collect();
        if has_dot_segment(&neutral) {
            return Err("a path segment . or .. leads elsewhere: write the path without it".to_owned());
        }
        let origin = Url::parse(&neutral).map_err(|error| error.to_string())?;
        Ok(Self { origin, pieces })
    }

    /// The URL with `x` for every variable.
    pub(crate) const fn origin(&self) -> &Url {
        &self.origin
    }

    /// Its variables, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = Variable> + '_ {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(variable) => Some(*variable),
            Piece::Literal(_) => None,
        })
    }

    /// Puts the values in.
    pub(crate) fn render(&self, values: &Values<'_>) -> Result<Url, Unrenderable> {
        let mut text = String::with_capacity(256);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Variable(Variable::Entities) => {
                    for (i, entity) in values.entities.iter().enumerate() {
                        text.push_str(if i == 0 { "" } else { "," });
                        text.extend(utf8_percent_encode(entity, ENCODED));
                    }
                }
                Piece::Variable(variable) => {
                    text.extend(utf8_percent_encode(values.text(*variable)?, ENCODED));
                }
            }
            if text.len() > MAX_URL_BYTES {
                return Err(Unrenderable::TooLong);
            }
        }
        if has_dot_segment(&text) {
            return Err(Unrenderable::DotSegment);
        }
        let url = Url::parse(&text).map_err(|_| Unrenderable::Elsewhere)?;
        let parts = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
        if parts(&url) == parts(&self.origin) { Ok(url) } else { Err(Unrenderable::Elsewhere) }
    }

    /// Bytes that a value takes in a URL.
    pub(crate) fn encoded_bytes(value: &str) -> usize {
        utf8_percent_encode(value, ENCODED).map(str::len).sum()
    }
}

/// Splits a text at its variables. What is not a variable must be of a URL's characters.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (literal, tail) = rest.split_at(at);
        pieces.push(Piece::Literal(checked(literal)?.to_owned()));
        let Some(variable) = Variable::at_start(tail) else {
            let end = tail.find('}').map_or(tail.len(), |end| end + 1);
            let name = tribunal_core::entity::shown(tail.get(..end).unwrap_or(tail));
            return Err(format!("{name} is no variable; there are {}", all_tokens()));
        };
        pieces.push(Piece::Variable(variable));
        rest = tail.get(variable.token().len()..).unwrap_or_default();
    }
    pieces.push(Piece::Literal(checked(rest)?.to_owned()));
    Ok(pieces)
}

fn all_tokens() -> String {
    Variable::ALL.map(Variable::token).join(", ")
}

/// A part of a URL as declared. Parsers disagree on what else to take (a backslash is a slash to some, a tab is
/// nothing), so nothing else is taken.
fn checked(literal: &str) -> Result<&str, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?[]@!$&'()*+,;=%".contains(c);
    if let Some(c) = literal.chars().find(|c| !allowed(*c)) {
        return Err(match c {
            '#' => "a fragment (#) is never sent".to_owned(),
            _ => format!("the character {c:?} must be percent-encoded"),
        });
    }
    let bytes = literal.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    if bytes.iter().enumerate().any(|(i, b)| *b == b'%' && !(is_hex(i + 1) && is_hex(i + 2))) {
        return Err("% must be followed by two hexadecimal digits (%25 for the sign itself)".to_owned());
    }
    Ok(literal)
}

fn has_dot_segment(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.split('?').next().unwrap_or(rest);
    path.split('/').skip(1).any(|segment| {
        let plain = if segment.contains('%') {
            Cow::Owned(segment.to_ascii_lowercase().replace("%2e", "."))
        } else {
            Cow::Borrowed(segment)
        };
        matches!(plain.as_ref(), "." | "..")
    })
}

/// A JSON body with variables for whole values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BodyTemplate {
    /// A string that is a variable's token stands for it.
    value: Value,
}

impl BodyTemplate {
    /// Reads a template: JSON in which `{entity}` and the others stand, without quotes or within, for a value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BODY_TEMPLATE_BYTES {
            return Err(format!("{} bytes, and at most {MAX_BODY_TEMPLATE_BYTES} are allowed", text.len()));
        }
        let value: Value = serde_json::from_str(&quoted(text))
            .map_err(|error| format!("not JSON ({error}); variables are {}", all_tokens()))?;
        refuse_partial(&value)?;
        Ok(Self { value })
    }

    /// Its variables.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        let mut found = Vec::new();
        visit(&self.value, &mut |variable| found.push(variable));
        found
    }

    /// Puts the values in.
    pub(crate) fn render(&self, values: &Values<'_>) -> Result<Value, Unrenderable> {
        filled(&self.value, values)
    }
}

/// The text with quotes around the variables that stand outside strings.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !in_string && let Some(variable) = Variable::at_start(rest) {
            out.extend(["\"", variable.token(), "\""]);
            rest = rest.get(variable.token().len()..).unwrap_or_default();
            continue;
        }
        in_string ^= c == '"' && !escaped;
        escaped = in_string && c == '\\' && !escaped;
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

/// A variable within a longer text, or in a name, would be syntax of whatever that text is.
fn refuse_partial(value: &Value) -> Result<(), String> {
    let holds = |text: &str| Variable::ALL.into_iter().find(|variable| text.contains(variable.token()));
    match value {
        Value::String(text) => match holds(text) {
            Some(variable) if text != variable.token() => {
                Err(format!("{variable} must be a whole value, not a part of a text"))
            }
            _ => Ok(()),
        },
        Value::Array(items) => items.iter().try_for_each(refuse_partial),
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| match holds(name) {
            Some(variable) => Err(format!("{variable} must be a value, not a name")),
            None => refuse_partial(field),
        }),
        _ => Ok(()),
    }
}

fn visit(value: &Value, see: &mut impl FnMut(Variable)) {
    match value {
        Value::String(text) => {
            if let Some(variable) = Variable::of(text) {
                see(variable);
            }
        }
        Value::Array(items) => {
            for item in items {
                visit(item, see);
            }
        }
        Value::Object(fields) => {
            for field in fields.values() {
                visit(field, see);
            }
        }
        _ => {}
    }
}

fn filled(value: &Value, values: &Values<'_>) -> Result<Value, Unrenderable> {
    Ok(match value {
        Value::String(text) => match Variable::of(text) {
            Some(Variable::Entities) => values.entities.iter().map(|entity| Value::from(*entity)).collect(),
            Some(variable) => Value::from(values.text(variable)?),
            None => value.clone(),
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| filled(item, values)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), filled(field, values)?)))
                .collect::<Result<_, _>>()?,
        ),
        other => other.clone(),
    })
}
