//! A domain name taken apart: `www.` stripped, subdomain, registrable label, public suffix, and an ASCII
//! reading of it.
//!
//! `www.shop.paypa1.co.uk` has the host `shop.paypa1.co.uk`, the subdomain `shop`, the label `paypa1` and the
//! suffix `co.uk`. An internationalised label is read as the ASCII letters that it looks like (`pаypal` with
//! a Cyrillic а as `paypal`, `müller` as `muller`); where a character looks like none, the label has no
//! reading.

use tribunal_core::Entity;

use crate::lists::Confusables;

/// Most bytes of a label's reading: 63 characters, each folded to at most two letters.
const MAX_TEXT: usize = 126;

/// The parts of a name, all lower-case.
pub(crate) struct Name<'a> {
    /// Normal form without a leading `www.`.
    pub(crate) host: &'a str,
    /// What stands before the registrable domain, `www.` stripped; may be empty.
    pub(crate) sub: &'a str,
    /// Registrable domain: label and suffix.
    pub(crate) registrable: &'a str,
    /// The label of the registrable domain that was registered.
    pub(crate) label: &'a str,
    /// Public suffix.
    pub(crate) suffix: &'a str,
    /// Whether the suffix stands in the private section of the public suffix list.
    pub(crate) private: bool,
    /// The host in Unicode, if any of its labels is internationalised.
    pub(crate) unicode: Option<String>,
    reading: Option<Reading>,
}

struct Reading {
    text: [u8; MAX_TEXT],
    length: usize,
    complete: bool,
}

impl<'a> Name<'a> {
    /// The parts of a domain's name.
    pub(crate) fn new(entity: &'a Entity, confusables: &Confusables) -> Self {
        let whole = entity.name();
        let registrable = entity.registrable_domain().unwrap_or(whole);
        let suffix = entity.public_suffix().unwrap_or_else(|| whole.rsplit('.').next().unwrap_or(whole));
        let www = whole.len() >= registrable.len() + 4 && whole.starts_with("www.");
        let host = if www { &whole[4..] } else { whole };
        let sub = host.strip_suffix(registrable).map_or("", |s| s.strip_suffix('.').unwrap_or(s));
        let label =
            registrable.strip_suffix(suffix).map_or(registrable, |l| l.strip_suffix('.').unwrap_or(l));
        let label = if label.is_empty() { registrable } else { label };
        let unicode = (whole.starts_with("xn--") || whole.contains(".xn--")).then(|| entity.unicode());
        let reading = unicode.as_ref().filter(|_| label.starts_with("xn--")).and_then(|text| {
            let from_end = registrable.split('.').count();
            text.rsplit('.').nth(from_end - 1).map(|label| Reading::new(label, confusables))
        });
        let private = entity.suffix_is_private();
        Self { host, sub, registrable, label, suffix, private, unicode, reading }
    }

    /// The label in ASCII letters as a reader sees it; `None` if it cannot be read so.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        match &self.reading {
            None => Some(self.label.as_bytes()),
            Some(reading) if reading.complete => Some(&reading.text[..reading.length]),
            Some(_) => None,
        }
    }

    /// Top-level domain in normal form.
    pub(crate) fn tld(&self) -> &'a str {
        self.suffix.rsplit('.').next().unwrap_or(self.suffix)
    }
}

impl Reading {
    fn new(label: &str, confusables: &Confusables) -> Self {
        let mut reading = Self { text: [0; MAX_TEXT], length: 0, complete: true };
        for letter in label.chars() {
            match confusables.fold(letter) {
                Some(text) => text.bytes().for_each(|byte| reading.push(byte)),
                None if letter.is_ascii() => reading.push(letter as u8),
                None => reading.complete = false,
            }
        }
        reading.complete &= reading.length > 0;
        reading
    }

    fn push(&mut self, byte: u8) {
        match self.text.get_mut(self.length) {
            Some(place) => {
                *place = byte;
                self.length += 1;
            }
            None => self.complete = false,
        }
    }
}
