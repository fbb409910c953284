//! The body of a message: a bare entity, a JSON string, an array of strings, or an object with `entities`.
//!
//! A body is at most 1 MiB and whatever a sender wrote. At most [`MAX_MESSAGE_ENTITIES`] texts are kept while it is
//! read; the rest is counted.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use tribunal_core::Entity;
use tribunal_core::entity::{shown, shown_up_to};
use tribunal_core::message::MAX_ATTEMPT;

/// Most entities in one message.
pub const MAX_MESSAGE_ENTITIES: usize = 100;
/// Most bytes of a message: the limit of SQS itself.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Most bytes of `source`.
pub const MAX_SOURCE_BYTES: usize = 256;
/// Most characters of a JSON error, which may quote the message.
const MAX_DETAIL_CHARS: usize = 300;
/// Markings of the Traffic Light Protocol 2.0, least strict first.
const TLP: [&str; 5] = ["clear", "green", "amber", "amber+strict", "red"];

/// A message that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// As the sender wrote them; at least one.
    pub(crate) entities: Vec<String>,
    /// Who asks.
    pub(crate) source: Option<String>,
    /// One of [`TLP`].
    pub(crate) tlp: Option<&'static str>,
    /// How many times these were queued again because a source's quota was used up.
    pub(crate) attempt: u32,
}

/// Why a message as a whole is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageRefusal {
    /// Nothing in it.
    #[error("empty message: give an entity, a JSON string, an array of strings or an object with `entities`")]
    Empty,
    /// Larger than SQS carries.
    #[error("message of {bytes} bytes is over the limit of {MAX_BODY_BYTES}")]
    TooLarge {
        /// Size of the body.
        bytes: usize,
    },
    /// It begins as JSON and is none, or is nested too deep.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON of another shape.
    #[error("neither a string, nor an array of strings, nor an object with `entities`: {0}")]
    NotAMessage(String),
    /// An empty list.
    #[error("no entities in the list")]
    NoEntities,
    /// Too many.
    #[error(
        "{count} entities are over the limit of {MAX_MESSAGE_ENTITIES} per message: send several messages"
    )]
    TooManyEntities {
        /// How many there are.
        count: usize,
    },
    /// A marking that is not known cannot be honoured.
    #[error("`{0}` is not a TLP marking: give clear, green, amber, amber+strict or red")]
    UnknownTlp(String),
    /// A source that is too long.
    #[error("source of {bytes} bytes is over the limit of {MAX_SOURCE_BYTES}")]
    SourceTooLong {
        /// Length of the source.
        bytes: usize,
    },
    /// Queued again too often: something asks in a circle.
    #[error("attempt {attempt} is over the limit of {MAX_ATTEMPT}")]
    AttemptTooLarge {
        /// Which attempt it is.
        attempt: u64,
    },
}

impl MessageRefusal {
    /// Every code, sorted. The codes of refused entities are `tribunal_core::Refusal::CODES`.
    pub const CODES: [&'static str; 9] = [
        "attempt_too_large",
        "empty",
        "message_too_large",
        "no_entities",
        "not_a_message",
        "not_json",
        "source_too_long",
        "too_many_entities",
        "unknown_tlp",
    ];

    /// Stable name of the reason.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "message_too_large",
            Self::NotJson(_) => "not_json",
            Self::NotAMessage(_) => "not_a_message",
            Self::NoEntities => "no_entities",
            Self::TooManyEntities { .. } => "too_many_entities",
            Self::UnknownTlp(_) => "unknown_tlp",
            Self::SourceTooLong { .. } => "source_too_long",
            Self::AttemptTooLarge { .. } => "attempt_too_large",
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    entities: Texts,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    tlp: Option<String>,
    #[serde(default)]
    attempt: u64,
}

/// A list of texts, of which only as many are kept as a message may have.
struct Texts {
    kept: Vec<String>,
    count: usize,
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MAX_MESSAGE_ENTITIES {
                    match seq.next_element()? {
                        Some(text) => kept.push(text),
                        None => return Ok(Texts { count: kept.len(), kept }),
                    }
                }
                let mut count = kept.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Texts { kept, count })
            }
        }
        deserializer.deserialize_seq(Bounded)
    }
}

/// Reads the body of a message.
pub(crate) fn parse(body: &str) -> Result<Body, MessageRefusal> {
    if body.len() > MAX_BODY_BYTES {
        return Err(MessageRefusal::TooLarge { bytes: body.len() });
    }
    let parsed = match body.trim_start().bytes().next() {
        None => return Err(MessageRefusal::Empty),
        Some(b'"') => from_json(body).map(single),
        Some(b'[') => from_json::<Texts>(body)
            .and_then(|entities| list(Request { entities, source: None, tlp: None, attempt: 0 })),
        Some(b'{') => from_json::<Request>(body).and_then(list),
        Some(_) => return Ok(single(body.to_owned())),
    };
    match parsed {
        // `[2001:db8::1]:443` begins like an array. With a quote in it, it is one that broke.
        Err(MessageRefusal::NotJson(_)) if !body.contains('"') && Entity::parse(body).is_ok() => {
            Ok(single(body.to_owned()))
        }
        parsed => parsed,
    }
}

fn from_json<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, MessageRefusal> {
    serde_json::from_str(body).map_err(|error| {
        // A wrong shape is found before the text is read to its end: first say whether it is JSON at all.
        let syntax =
            if error.is_data() { serde_json::from_str::<serde_json::Value>(body).err() } else { None };
        let is_json = error.is_data() && syntax.is_none();
        let detail = shown_up_to(&syntax.unwrap_or(error).to_string(), MAX_DETAIL_CHARS);
        if is_json { MessageRefusal::NotAMessage(detail) } else { MessageRefusal::NotJson(detail) }
    })
}

fn single(text: String) -> Body {
    Body { entities: vec![text], source: None, tlp: None, attempt: 0 }
}

fn list(request: Request) -> Result<Body, MessageRefusal> {
    let Request { entities: texts, source, tlp, attempt } = request;
    if texts.count > MAX_MESSAGE_ENTITIES {
        return Err(MessageRefusal::TooManyEntities { count: texts.count });
    }
    if texts.kept.is_empty() {
        return Err(MessageRefusal::NoEntities);
    }
    if let Some(bytes) = source.as_ref().map(String::len).filter(|bytes| *bytes > MAX_SOURCE_BYTES) {
        return Err(MessageRefusal::SourceTooLong { bytes });
    }
    let tlp = tlp.as_deref().map(marking).transpose()?;
    match u32::try_from(attempt) {
        Ok(attempt @ ..=MAX_ATTEMPT) => Ok(Body { entities: texts.kept, source, tlp, attempt }),
        _ => Err(MessageRefusal::AttemptTooLarge { attempt }),
    }
}

/// `TLP:AMBER`, `amber` and `white` (its name in TLP 1.0) in the one form that is passed on.
fn marking(text: &str) -> Result<&'static str, MessageRefusal> {
    let lower = text.trim().to_ascii_lowercase();
    let name = lower.strip_prefix("tlp:").unwrap_or(&lower).trim_start();
    let name = if name == "white" { "clear" } else { name };
    TLP.into_iter().find(|known| *known == name).ok_or_else(|| MessageRefusal::UnknownTlp(shown(text)))
}

/// The stricter of two markings; none is less strict than any.
pub(crate) fn stricter(a: Option<&'static str>, b: Option<&'static str>) -> Option<&'static str> {
    let rank = |marking: Option<&str>| marking.and_then(|m| TLP.iter().position(|known| *known == m));
    if rank(b) > rank(a) { b } else { a }
}
