//! Domain names in normal form, and where their public suffix and registrable domain begin.
//!
//! Normal form: lower-case A-labels (UTS 46, non-transitional), no trailing dot, at most 253 bytes.
//! STD 3 (letters, digits, inner hyphens) is held for the registrable domain and its suffix, where registries
//! hold it. Below, names with an underscore or an outer hyphen exist (`_dmarc.example.com`, pages of GitHub
//! users), browsers go there, and feeds of malicious names hold them: they are accepted.
//!
//! Public suffixes: the list of publicsuffix.org with its private section; an unknown top-level domain is a
//! suffix. A private suffix that stands alone (`github.io`) is a site like others: its registrable domain is
//! taken from the ICANN section. An ICANN suffix alone (`co.uk`) is refused.

use std::borrow::Cow;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::refusal::{MAX_LABEL_BYTES, MAX_NAME_BYTES, Refusal, shown};
use super::special::{self, SpecialUse};

/// A name in normal form, with the positions of its parts.
pub(super) struct Host {
    /// The name.
    pub(super) name: String,
    /// Where the registrable domain begins, if there is one.
    pub(super) registrable: Option<u8>,
    /// Where the public suffix begins, if there is one.
    pub(super) suffix: Option<u8>,
    /// The suffix is of the list's private section.
    pub(super) private: bool,
    /// Set aside for a special use.
    pub(super) special: Option<SpecialUse>,
}

/// Lower-case A-labels without the trailing dot; characters and lengths are not judged yet.
pub(super) fn to_ascii(host: &str) -> Result<String, Refusal> {
    let encoded = host.split('.').any(|l| l.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("xn--")));
    let mut name = if host.is_ascii() && !encoded {
        host.to_ascii_lowercase()
    } else {
        // Characters, hyphens and lengths are judged later, where the refusal can name what is wrong.
        let ascii = Uts46::new()
            .to_ascii(host.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
            .map_err(|_| refuse_idn(host))?;
        if !host.is_ascii() {
            refuse_symbols(host, &ascii)?;
        }
        ascii.into_owned()
    };
    if name.ends_with('.') {
        name.pop();
    }
    Ok(name)
}

/// As people read it: A-labels decoded.
pub(super) fn to_unicode(name: &str) -> Cow<'_, str> {
    if !name.contains("xn--") {
        return Cow::Borrowed(name);
    }
    Uts46::new().to_unicode(name.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow).0
}

/// Judges a name that [`to_ascii`] made, and finds its parts.
pub(super) fn judge(name: String) -> Result<Host, Refusal> {
    judge_characters(&name)?;
    judge_lengths(&name)?;
    let special = special::of_name(&name);
    let Some(tld_start) = name.rfind('.').map(|dot| dot + 1) else {
        return if special.is_some() {
            Ok(Host { name, registrable: None, suffix: None, private: false, special })
        } else {
            Err(Refusal::SingleLabel { name: shown(&name) })
        };
    };
    let tld = &name[tld_start..];
    if tld.len() < 2 || !(tld.starts_with("xn--") || tld.bytes().all(|b| b.is_ascii_lowercase())) {
        return Err(Refusal::InvalidTld { label: shown(tld) });
    }
    let parts = parts(&name);
    if special.is_none() {
        if parts.registrable.is_none() {
            return Err(Refusal::PublicSuffix { name });
        }
        judge_registered(&name, &parts)?;
    }
    // A name has at most 253 bytes: every position fits.
    let position = |at: usize| u8::try_from(at).ok();
    Ok(Host {
        registrable: parts.registrable.and_then(position),
        suffix: position(parts.suffix),
        private: parts.private,
        special,
        name,
    })
}

fn judge_characters(name: &str) -> Result<(), Refusal> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
    if name.bytes().all(allowed) {
        return Ok(());
    }
    if name.split('.').any(|label| label == "*") {
        let hint = name.strip_prefix("*.").map(|rest| format!(", as in `{}`", shown(rest)));
        return Err(Refusal::Wildcard { name: shown(name), hint: hint.unwrap_or_default() });
    }
    match name.chars().find(|c| !(c.is_ascii() && allowed(*c as u8))) {
        Some('%') => Err(Refusal::character('%', name, ": decode it first")),
        Some(c) => Err(Refusal::character(c, name, "")),
        None => Ok(()),
    }
}

fn judge_lengths(name: &str) -> Result<(), Refusal> {
    for label in name.split('.') {
        if label.is_empty() {
            return Err(Refusal::LabelEmpty { name: shown(name) });
        }
        if label.len() > MAX_LABEL_BYTES {
            return Err(Refusal::LabelTooLong { label: shown(label), length: label.len() });
        }
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Refusal::NameTooLong { name: shown(name), bytes: name.len() });
    }
    Ok(())
}

/// STD 3 for the registrable domain, by the ICANN section.
fn judge_registered(name: &str, parts: &Parts) -> Result<(), Refusal> {
    let outer = |label: &str| label.starts_with('-') || label.ends_with('-');
    if !name.contains('_') && !name.split('.').any(outer) {
        return Ok(());
    }
    let start = if parts.private { icann_registrable(name, parts.suffix) } else { parts.registrable };
    let registered = start.map_or(name, |at| &name[at..]);
    if registered.contains('_') {
        let hint = format!(": no registered name has an underscore, `{}` cannot exist", shown(registered));
        return Err(Refusal::character('_', name, hint));
    }
    match registered.split('.').find(|label| outer(label)) {
        Some(label) => Err(Refusal::LabelHyphen { label: shown(label) }),
        None => Ok(()),
    }
}

struct Parts {
    registrable: Option<usize>,
    suffix: usize,
    private: bool,
}

/// Positions by the public suffix list. `name` has at least one dot.
fn parts(name: &str) -> Parts {
    let found = psl::suffix(name.as_bytes());
    let suffix = name.len() - found.map_or(0, |s| s.as_bytes().len());
    let private = found.and_then(|s| s.typ()) == Some(psl::Type::Private);
    if suffix > 0 {
        return Parts { registrable: Some(label_before(name, suffix)), suffix, private };
    }
    match icann_registrable(name, 0) {
        Some(at) if private => {
            let suffix = name[at..].find('.').map_or(at, |dot| at + dot + 1);
            Parts { registrable: Some(at), suffix, private: false }
        }
        _ => Parts { registrable: None, suffix, private },
    }
}

/// Where the registrable domain by the ICANN section begins, for a name with the private suffix at `suffix`.
fn icann_registrable(name: &str, suffix: usize) -> Option<usize> {
    let mut at = suffix;
    // The list has no lookup by section: go up, label by label, until the prevailing rule is not a private one.
    loop {
        at += name[at..].find('.')? + 1;
        let found = psl::suffix(&name.as_bytes()[at..])?;
        if found.typ() != Some(psl::Type::Private) {
            return Some(label_before(name, name.len() - found.as_bytes().len()));
        }
    }
}

/// Start of the label that ends before the dot before `at`.
fn label_before(name: &str, at: usize) -> usize {
    let before = &name[..at.saturating_sub(1)];
    before.rfind('.').map_or(0, |dot| dot + 1)
}

/// Says what is wrong with a host that UTS 46 refuses.
fn refuse_idn(host: &str) -> Refusal {
    let dots = ['.', '\u{3002}', '\u{FF0E}', '\u{FF61}'];
    if let Some(label) = host.split(dots).find(|l| l.chars().count() > MAX_LABEL_BYTES) {
        return Refusal::LabelTooLong { label: shown(label), length: label.chars().count() };
    }
    match host.chars().find(|c| !c.is_ascii() && !dots.contains(c) && !is_letter_like(*c)) {
        Some(c) => Refusal::character(c, host, ": IDNA has only letters, digits and marks"),
        None => Refusal::InvalidIdn { name: shown(host) },
    }
}

/// UTS 46 lets emoji and other symbols pass that IDNA 2008 disallows. Pasted as such they are decoration far
/// more often than a name; the few registries that sell them are reached by the A-label, which the refusal tells.
fn refuse_symbols(host: &str, ascii: &str) -> Result<(), Refusal> {
    match to_unicode(ascii).chars().find(|c| !c.is_ascii() && !is_letter_like(*c)) {
        Some(c) => {
            let hint = format!(" by IDNA 2008: if that very name is meant, give it as `{}`", shown(ascii));
            Err(Refusal::character(c, host, hint))
        }
        None => Ok(()),
    }
}

/// Letter, mark or digit, or one of the exceptions of RFC 5892 (sections 2.6, A.1-A.7).
fn is_letter_like(c: char) -> bool {
    use GeneralCategory as G;
    let exception = matches!(
        u32::from(c),
        0xB7 | 0x375 | 0x5F3 | 0x5F4 | 0x6FD | 0x6FE | 0xF0B | 0x200C | 0x200D | 0x3007 | 0x30FB
    );
    exception
        || matches!(
            CodePointMapData::<GeneralCategory>::new().get(c),
            G::LowercaseLetter
                | G::UppercaseLetter
                | G::TitlecaseLetter
                | G::ModifierLetter
                | G::OtherLetter
                | G::NonspacingMark
                | G::SpacingMark
                | G::DecimalNumber
        )
}
