//! From what an analyst pastes to the host in it.
//!
//! Removes what surrounds an entity (white space, quotes, brackets), undoes defanging, and cuts scheme, user
//! information, port, path, query and fragment. Where browsers and RFC 3986 disagree on which host a text means,
//! the browsers' reading (WHATWG URL) is taken, since that is where a victim's click would go: a backslash ends
//! the host, the last `@` before it separates user information.
//!
//! It does not judge the host: that is [`super::host`] and [`super::address`].

use std::borrow::Cow;

use super::refusal::{Refusal, shown};

/// The part of a pasted text that names a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pasted<'a> {
    /// Host as written, without brackets and port; not empty.
    pub(super) host: &'a str,
    /// Scheme or user information came before it: what follows is a path, not a prefix length.
    pub(super) in_url: bool,
    /// What follows host and port: empty, or from the first `/`, `\`, `?` or `#`.
    pub(super) tail: &'a str,
}

/// Schemes that name a host without `//`.
const MAIL_SCHEMES: [&str; 4] = ["mailto", "sip", "sips", "xmpp"];
/// Schemes for which browsers take one slash, or a backslash, for two.
const WEB_SCHEMES: [&str; 5] = ["http", "https", "hxxp", "hxxps", "ftp"];
/// Longest scheme, so that a long text is not taken for one.
const MAX_SCHEME_BYTES: usize = 32;

/// What stands inside brackets when a text is defanged, and what it stands for. Longer ones first.
const DEFANGED: [(&str, &str); 7] =
    [("://", "://"), ("dot", "."), ("at", "@"), (".", "."), (":", ":"), ("@", "@"), ("/", "/")];

/// Without what surrounds an entity in prose, tables and code.
pub(super) fn trim(text: &str) -> &str {
    let surrounds = |c: char| {
        c.is_whitespace()
            || matches!(c, '"' | '\'' | '`' | '<' | '>' | ',' | ';' | '|' | '\u{200B}' | '\u{FEFF}')
            || matches!(c, '“' | '”' | '„' | '‘' | '’' | '«' | '»')
    };
    let trimmed = text.trim_matches(surrounds);
    // `Name <user@host>`: the address is in the angle brackets.
    match trimmed.rfind('<') {
        Some(open) if text.trim_end().ends_with('>') => trimmed[open + 1..].trim_matches(surrounds),
        _ => trimmed,
    }
}

/// Replaces `[.]`, `(.)`, `{.}`, `[dot]`, `[at]`, `[:]`, `[://]` and the like, in any case and with spaces
/// around, by what they stand for. `[.` without its closing bracket is taken too; nothing else means that.
pub(super) fn refang(text: &str) -> Cow<'_, str> {
    let is_open = |c: char| matches!(c, '[' | '(' | '{');
    if !text.contains(is_open) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(is_open) {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        // The brackets are ASCII: one byte each.
        if let Some((meant, after)) = bracketed(&from[1..]) {
            out.truncate(out.trim_end_matches(' ').len());
            out.push_str(meant);
            rest = after.trim_start_matches(' ');
        } else {
            out.push_str(&from[..1]);
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What the text after an opening bracket stands for, and what follows the closing one.
fn bracketed(text: &str) -> Option<(&'static str, &str)> {
    let text = text.trim_start_matches(' ');
    for (written, meant) in DEFANGED {
        let Some(head) = text.get(..written.len()) else { continue };
        if !head.eq_ignore_ascii_case(written) {
            continue;
        }
        let after = &text[written.len()..];
        if let Some(after) = after.trim_start_matches(' ').strip_prefix([']', ')', '}']) {
            return Some((meant, after));
        }
        if written == "." {
            return Some((meant, after));
        }
    }
    None
}

/// Finds the host in a trimmed, refanged text.
pub(super) fn locate(text: &str) -> Result<Pasted<'_>, Refusal> {
    let (has_scheme, rest) = strip_scheme(text);
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';')) {
        return Err(Refusal::Several { text: shown(text) });
    }
    let (has_user, host_port) = match authority.rsplit_once('@') {
        Some((_, host_port)) => (true, host_port),
        None => (false, authority),
    };
    let host = split_port(host_port)?;
    if host.is_empty() {
        return Err(Refusal::NoHost { text: shown(text) });
    }
    Ok(Pasted { host, in_url: has_scheme || has_user, tail })
}

/// Whether a scheme was there, and what follows it.
fn strip_scheme(text: &str) -> (bool, &str) {
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let slashes = |s: &str| s.chars().take_while(|c| is_slash(*c)).count();
    if slashes(text) >= 2 {
        return (true, text.trim_start_matches(is_slash));
    }
    let Some((scheme, rest)) = text.split_once(':') else { return (false, text) };
    // An asterisk or underscore: `h**p://` and `h__p://` are ways of defanging.
    let is_scheme =
        scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'*' | b'_'));
    if scheme.is_empty() || scheme.len() > MAX_SCHEME_BYTES || !is_scheme {
        return (false, text);
    }
    let one_of = |list: &[&str]| list.iter().any(|s| scheme.eq_ignore_ascii_case(s));
    match slashes(rest) {
        0 if one_of(&MAIL_SCHEMES) => (true, rest),
        0 => (false, text),
        1 if !one_of(&WEB_SCHEMES) => (false, text),
        _ => (true, rest.trim_start_matches(is_slash)),
    }
}

/// Host without its brackets and its port.
fn split_port(host_port: &str) -> Result<&str, Refusal> {
    if let Some(inner) = host_port.strip_prefix('[') {
        let Some((host, after)) = inner.split_once(']') else {
            return Err(Refusal::character('[', host_port, ": its closing bracket is missing"));
        };
        match after.strip_prefix(':') {
            Some(port) => check_port(port)?,
            None if after.is_empty() => {}
            None => return Err(Refusal::character(']', host_port, ": only a port may follow it")),
        }
        return Ok(host);
    }
    match host_port.split_once(':') {
        // Two colons or more: an IPv6 address without brackets has no port.
        Some((_, rest)) if rest.contains(':') => Ok(host_port),
        Some((host, port)) => check_port(port).map(|()| host),
        None => Ok(host_port),
    }
}

fn check_port(port: &str) -> Result<(), Refusal> {
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    if port.is_empty() || (digits && port.parse::<u16>().is_ok()) {
        Ok(())
    } else {
        Err(Refusal::InvalidPort { port: shown(port) })
    }
}
