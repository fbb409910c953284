//! What the network reads of a host: symbols, and the suffix.
//!
//! A leading `www.` goes. The suffix is the last label, with the one before it where that is a customary second
//! level under a country's (`co.uk`). The text is what stands before the suffix, between a start and an end
//! symbol, cut to its last [`MAX_SYMBOLS`] symbols. The public suffix list is not asked: it would weigh more than
//! the network, and change under it.

/// Most symbols that are read of a name.
pub const MAX_SYMBOLS: usize = 48;
/// Different symbols: start, end, `.`, `-`, `_`, a-z, 0-9, any other byte.
pub(crate) const ALPHABET: usize = 42;

const START: u8 = 0;
const END: u8 = 1;
const OTHER: u8 = 41;
const MAX_LABEL: usize = 63;
/// Customary second levels under the top-level domains of countries.
const SECOND_LEVELS: [&[u8]; 17] = [
    b"ac", b"biz", b"co", b"com", b"edu", b"gob", b"gov", b"go", b"info", b"mil", b"ne", b"net", b"nom",
    b"or", b"org", b"gouv", b"web",
];

/// A host, ready for the network.
#[derive(Debug, Clone)]
pub(crate) struct Text<'a> {
    /// The symbols; the first `len` count.
    symbols: [u8; MAX_SYMBOLS],
    len: usize,
    /// What is left of the host before the suffix.
    body: &'a [u8],
    /// Its suffix, without a leading dot.
    pub(crate) suffix: &'a [u8],
}

impl<'a> Text<'a> {
    pub(crate) fn new(host: &'a str) -> Self {
        let host = host.strip_prefix("www.").unwrap_or(host).as_bytes();
        let suffix_len = suffix_len(host);
        let (before, suffix) = host.split_at(host.len() - suffix_len);
        let body = before.strip_suffix(b".").unwrap_or(before);
        let mut text = Self { symbols: [0; MAX_SYMBOLS], len: 0, body, suffix };
        // The end symbol and the last 47 bytes, then the start symbol where the body left room for it.
        let kept = body.len().min(MAX_SYMBOLS - 1);
        let marked = [START].into_iter().take(usize::from(body.len() + 2 <= MAX_SYMBOLS));
        let last = body.iter().skip(body.len() - kept).map(|&byte| symbol(byte));
        for (slot, symbol) in text.symbols.iter_mut().zip(marked.chain(last).chain([END])) {
            *slot = symbol;
            text.len += 1;
        }
        text
    }

    /// The symbols.
    pub(crate) fn symbols(&self) -> &[u8] {
        self.symbols.get(..self.len).unwrap_or_default()
    }

    /// The characters of the host at symbols `from..to`; markers have none, and what is no character of a host
    /// name is shown as `?`.
    pub(crate) fn shown(&self, from: usize, to: usize) -> String {
        let offset = (self.body.len() + 2).saturating_sub(self.len);
        // Symbol i stands for byte i + offset - 1 of the body.
        let start = (from + offset).saturating_sub(1).min(self.body.len());
        let end = (to + offset).saturating_sub(1).min(self.body.len());
        printable(self.body.get(start..end).unwrap_or_default())
    }

    /// The suffix after a dot, likewise, and cut to the length of a label.
    pub(crate) fn shown_suffix(&self) -> String {
        format!(".{}", printable(self.suffix.get(..MAX_LABEL).unwrap_or(self.suffix)))
    }
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| if symbol(b) == OTHER { '?' } else { char::from(b) }).collect()
}

fn suffix_len(host: &[u8]) -> usize {
    let mut labels = host.rsplitn(3, |&b| b == b'.');
    let last = labels.next().unwrap_or_default();
    match (labels.next(), labels.next()) {
        (Some(second), Some(_)) if last.len() == 2 && SECOND_LEVELS.contains(&second) => {
            last.len() + 1 + second.len()
        }
        _ => last.len(),
    }
}

fn symbol(byte: u8) -> u8 {
    match byte {
        b'.' => 2,
        b'-' => 3,
        b'_' => 4,
        b'a'..=b'z' => byte - b'a' + 5,
        b'0'..=b'9' => byte - b'0' + 31,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str) -> (String, String) {
        let text = Text::new(host);
        let symbols = text.symbols().iter().map(|&s| match s {
            START => '^',
            END => '$',
            2 => '.',
            3 => '-',
            4 => '_',
            OTHER => '?',
            s @ 5..31 => char::from(s - 5 + b'a'),
            s => char::from(s - 31 + b'0'),
        });
        (symbols.collect(), String::from_utf8_lossy(text.suffix).into_owned())
    }

    #[test]
    fn hosts_become_text_and_suffix() {
        let long = format!("{}.example.com", "0123456789".repeat(6));
        for (host, text, suffix) in [
            ("example.com", "^example$", "com"),
            ("www.example.co.uk", "^example$", "co.uk"),
            ("shop-1.example.com.br", "^shop-1.example$", "com.br"),
            ("co.uk", "^co$", "uk"),
            ("com", "^$", "com"),
            ("www.com", "^$", "com"),
            ("", "^$", ""),
            ("a^$_é.net", "^a??_??$", "net"),
            (&long, "123456789012345678901234567890123456789.example$", "com"),
        ] {
            assert_eq!(read(host), (text.to_owned(), suffix.to_owned()), "{host}");
        }
    }

    #[test]
    fn the_start_symbol_goes_first_when_room_is_short() {
        let body = |n: usize| format!("{}.com", "a".repeat(n));
        assert_eq!(read(&body(46)).0, format!("^{}$", "a".repeat(46)));
        assert_eq!(read(&body(47)).0, format!("{}$", "a".repeat(47)));
        assert_eq!(read(&body(48)).0, format!("{}$", "a".repeat(47)));
    }

    #[test]
    fn symbols_are_shown_as_the_characters_they_stand_for() {
        let text = Text::new("abc.example.com");
        assert_eq!(text.shown(0, 4), "abc");
        assert_eq!(text.shown(5, text.symbols().len()), "example");
        assert_eq!(text.shown(0, 1), "");
        let long = format!("{}xyz.com", "a".repeat(60));
        let text = Text::new(&long);
        assert_eq!(text.shown(text.symbols().len() - 4, text.symbols().len()), "xyz");
        assert_eq!(text.shown(0, 48).len(), 47);
        let text = Text::new("a\u{1b}[2Jb.\u{7}om");
        assert_eq!((text.shown(0, 8).as_str(), text.shown_suffix().as_str()), ("a??2?b", ".?om"));
    }
}
