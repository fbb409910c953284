//! Why a text is not an entity.
//!
//! Every refusal has a stable [`Refusal::code`] for machines and a `Display` for people that names the offending
//! value, the limit it broke, and what to give instead. Values are cut to [`SHOWN_CHARS`] characters, and
//! characters that would act on a terminal are escaped: the text was written by whoever is being analysed.

use crate::message::MAX_ORIGINAL_BYTES;

/// Most bytes of a name (RFC 1035: 255 octets on the wire).
pub const MAX_NAME_BYTES: usize = 253;
/// Most bytes of a label (RFC 1035).
pub const MAX_LABEL_BYTES: usize = 63;
/// Most characters of an offending value that a refusal repeats.
const SHOWN_CHARS: usize = 80;

/// Why a text is not an entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nothing was given.
    #[error("empty text: give a domain name or an IP address")]
    Empty,
    /// The text is longer than what is kept with a score.
    #[error("text of {bytes} bytes is over the limit of {MAX_ORIGINAL_BYTES}: give the host alone")]
    TextTooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// The name is longer than DNS can carry.
    #[error("name of {bytes} bytes is over the limit of {MAX_NAME_BYTES}: {name}")]
    NameTooLong {
        /// The name, cut.
        name: String,
        /// Length of the name.
        bytes: usize,
    },
    /// A label is longer than DNS can carry.
    #[error("label of {length} characters is over the limit of {MAX_LABEL_BYTES}: {label}")]
    LabelTooLong {
        /// The label, cut.
        label: String,
        /// Length of the label.
        length: usize,
    },
    /// Two dots in a row, or a dot at the start.
    #[error("empty label: `{name}` has two dots in a row or starts with one")]
    LabelEmpty {
        /// The name, cut.
        name: String,
    },
    /// A name without a dot.
    #[error("`{name}` is a single label: give the full name, as in `{name}.example.com`")]
    SingleLabel {
        /// The label.
        name: String,
    },
    /// Names are registered below it, it is not one.
    #[error("`{name}` is a public suffix, under which names are registered: give a name below it")]
    PublicSuffix {
        /// The suffix.
        name: String,
    },
    /// A network or a range of addresses.
    #[error("`{text}` is a range of addresses: give its addresses one by one")]
    Cidr {
        /// The range, cut.
        text: String,
    },
    /// A pattern.
    #[error("`{name}` is a pattern: give one name or address{hint}")]
    Wildcard {
        /// The pattern, cut.
        name: String,
        /// An example, if the pattern suggests one; starts with a separator.
        hint: String,
    },
    /// A character that a host cannot have.
    #[error("character `{character}` (U+{code_point:04X}) is not allowed in `{name}`{hint}")]
    InvalidCharacter {
        /// The character, escaped where it does not print.
        character: String,
        /// Its code point.
        code_point: u32,
        /// The host, cut.
        name: String,
        /// What to do, if there is more to say; starts with a separator.
        hint: String,
    },
    /// NUL, a line break or another control character inside the text.
    #[error("control character U+{code_point:04X} at byte {position}: give the text without it")]
    ControlCharacter {
        /// Its code point.
        code_point: u32,
        /// Its position in the text, in bytes, after surrounding white space is removed.
        position: usize,
    },
    /// A label that begins or ends with a hyphen where registries allow none.
    #[error("label `{label}` begins or ends with a hyphen, which no registered name does")]
    LabelHyphen {
        /// The label.
        label: String,
    },
    /// Internationalised, but not by the rules.
    #[error(
        "`{name}` is not a valid internationalised name (UTS 46): a malformed xn-- label, a mixed writing \
         direction, or a joiner or mark out of place"
    )]
    InvalidIdn {
        /// The host, cut.
        name: String,
    },
    /// The last label cannot be a top-level domain.
    #[error("`{label}` is no top-level domain: those have two letters or more, and neither digits nor signs")]
    InvalidTld {
        /// The label.
        label: String,
    },
    /// Octal, hexadecimal, short or single-number IPv4: programs disagree on what it means.
    #[error("`{text}` is an IPv4 address that programs read differently: write it as four decimal numbers")]
    AmbiguousAddress {
        /// The address.
        text: String,
    },
    /// Neither IPv4 nor IPv6, but written like one.
    #[error("`{text}` is not an IP address: IPv4 has four numbers up to 255, IPv6 eight groups or `::`")]
    InvalidAddress {
        /// The text, cut.
        text: String,
    },
    /// Not a port.
    #[error("`{port}` is not a port: give a number up to 65535, or none")]
    InvalidPort {
        /// The text after the colon, cut.
        port: String,
    },
    /// More than one entity.
    #[error("white space, comma or semicolon inside `{text}`: give one entity per text")]
    Several {
        /// The text, cut.
        text: String,
    },
    /// A URL or an e-mail address without a host.
    #[error("`{text}` has no host: give a domain name or an IP address")]
    NoHost {
        /// The text, cut.
        text: String,
    },
}

impl Refusal {
    /// Every code, sorted.
    pub const CODES: [&'static str; 17] = [
        "ambiguous_address",
        "cidr",
        "empty",
        "invalid_address",
        "invalid_character",
        "invalid_idn",
        "invalid_port",
        "invalid_tld",
        "label_empty",
        "label_hyphen",
        "label_too_long",
        "no_host",
        "public_suffix",
        "several",
        "single_label",
        "too_long",
        "wildcard",
    ];

    /// Stable name of the reason.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TextTooLong { .. } | Self::NameTooLong { .. } => "too_long",
            Self::LabelTooLong { .. } => "label_too_long",
            Self::LabelEmpty { .. } => "label_empty",
            Self::SingleLabel { .. } => "single_label",
            Self::PublicSuffix { .. } => "public_suffix",
            Self::Cidr { .. } => "cidr",
            Self::Wildcard { .. } => "wildcard",
            Self::InvalidCharacter { .. } | Self::ControlCharacter { .. } => "invalid_character",
            Self::LabelHyphen { .. } => "label_hyphen",
            Self::InvalidIdn { .. } => "invalid_idn",
            Self::InvalidTld { .. } => "invalid_tld",
            Self::AmbiguousAddress { .. } => "ambiguous_address",
            Self::InvalidAddress { .. } => "invalid_address",
            Self::InvalidPort { .. } => "invalid_port",
            Self::Several { .. } => "several",
            Self::NoHost { .. } => "no_host",
        }
    }

    /// `character` of `host` is not allowed; `hint` says what to do, and starts with a separator.
    pub(super) fn character(character: char, host: &str, hint: impl Into<String>) -> Self {
        let mut text = String::new();
        push_shown(&mut text, character);
        Self::InvalidCharacter {
            character: text,
            code_point: u32::from(character),
            name: shown(host),
            hint: hint.into(),
        }
    }
}

/// `text` as it may stand in a message: at most [`SHOWN_CHARS`] characters, none of which acts on a terminal.
pub fn shown(text: &str) -> String {
    shown_up_to(text, SHOWN_CHARS)
}

/// As [`shown`], with another limit.
pub fn shown_up_to(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars) + 3);
    for (i, c) in text.chars().enumerate() {
        if i == max_chars {
            out.push('…');
            break;
        }
        push_shown(&mut out, c);
    }
    out
}

fn push_shown(out: &mut String, c: char) {
    // Bidirectional and invisible formatting can make a terminal show another text than it was given.
    let invisible = matches!(u32::from(c),
        0xAD | 0x61C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFE00..=0xFE0F | 0xFEFF
        | 0xFFF9..=0xFFFB | 0xE0000..=0xE0FFF);
    if c.is_control() || invisible {
        out.extend(c.escape_unicode());
    } else {
        out.push(c);
    }
}
