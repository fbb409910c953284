//! What is kept of a value.

use std::borrow::Cow;

/// Bytes, or text that stands for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    /// As they are.
    Bytes(&'a [u8]),
    /// UTF-8, each character a byte.
    Utf8(&'a [u8]),
    /// ASCII and latin-1, with escapes `\uXXXX` and `\UXXXXXXXX` (protocol 0).
    Escaped(&'a [u8]),
    /// A Python literal with its quotes (protocol 0 of Python 2).
    Quoted(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The bytes; `None` when the text has a character above 255, or an escape that is none.
    pub(crate) fn bytes(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Utf8(text) => {
                let text = std::str::from_utf8(text).ok()?;
                text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<_>>().map(Cow::Owned)
            }
            Self::Escaped(text) => unescape(text, |kind, rest| match kind {
                b'u' => hex(rest, 4),
                b'U' => hex(rest, 8),
                // Any other backslash is one.
                _ => None,
            })
            .map(Cow::Owned),
            Self::Quoted(text) => {
                let (first, last) = (text.first()?, text.last()?);
                let quoted = text.len() >= 2 && first == last && matches!(first, b'"' | b'\'');
                let inner = quoted.then(|| &text[1..text.len() - 1])?;
                unescape(inner, |kind, rest| match kind {
                    b'x' => hex(rest, 2),
                    b'n' => Some((b'\n', 0)),
                    b'r' => Some((b'\r', 0)),
                    b't' => Some((b'\t', 0)),
                    b'\\' | b'\'' | b'"' => Some((kind, 0)),
                    _ => None,
                })
                .map(Cow::Owned)
            }
        }
    }

    /// The text as far as it is plain: for names and keys.
    pub(super) fn plain(self) -> &'a [u8] {
        match self {
            Self::Bytes(text) | Self::Utf8(text) | Self::Escaped(text) => text,
            Self::Quoted(text) => text.get(1..text.len().saturating_sub(1)).unwrap_or_default(),
        }
    }
}

/// Replaces escapes. `escape` takes what follows the backslash, and gives the byte and how much more it read.
fn unescape(text: &[u8], escape: impl Fn(u8, &[u8]) -> Option<(u8, usize)>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte == b'\\' {
            let kind = *text.get(at)?;
            let (byte, more) = escape(kind, &text[at + 1..])?;
            out.push(byte);
            at += 1 + more;
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

fn hex(rest: &[u8], digits: usize) -> Option<(u8, usize)> {
    let text = std::str::from_utf8(rest.get(..digits)?).ok()?;
    let value = u32::from_str_radix(text, 16).ok()?;
    u8::try_from(value).ok().map(|byte| (byte, digits))
}

/// A class or function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) module: &'a [u8],
    pub(super) name: &'a [u8],
}

impl Name<'_> {
    pub(super) fn is(self, module: &str, name: &str) -> bool {
        self.module == module.as_bytes() && self.name == name.as_bytes()
    }
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clipped = |text: &[u8]| String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned();
        write!(f, "{}.{}", clipped(self.module), clipped(self.name))
    }
}

/// A value, as far as it is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// Start of a group of values.
    Mark,
    /// What is never asked for.
    Other,
    Int(u64),
    /// Text or bytes.
    Text(Payload<'a>),
    Global(Name<'a>),
    Tuple(Tuple<'a>),
    /// A dictionary, list or set.
    Container(Container),
    /// An object.
    Instance(Name<'a>),
    /// A type of numbers, and the bytes of one; zero for Python objects.
    Type(u64),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Container {
    Dict,
    /// A dictionary with entries that matter: position in the machine's list of states.
    State(u32),
    Other,
}

/// The first value, and the product of the integers: an array's shape gives its number of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuple<'a> {
    pub(super) first: First<'a>,
    pub(super) product: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum First<'a> {
    Text(Payload<'a>),
    Global(Name<'a>),
    Other,
}

/// Entries of a dictionary that matter.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State<'a> {
    /// Of a booster.
    pub(super) handle: Option<Payload<'a>>,
    /// Of a joblib array: number of values, bytes of one, whether padding stands before them.
    pub(super) count: Option<u64>,
    pub(super) size: Option<u64>,
    pub(super) aligned: bool,
}
