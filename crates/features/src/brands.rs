//! Brands, and how near a text comes to one.
//!
//! Three indexes over the same names: a finite-state map to find a brand inside a text, the brands' own
//! domains, and the names with one character left out (Garbe's symmetric deletes), so that a text within one
//! edit of a brand is found by a handful of look-ups instead of a comparison with every brand.

use std::collections::{BTreeMap, HashMap, HashSet};

use fst::Map;

use crate::trie::prefixes;

const BRANDS: &str = include_str!("../data/brands.txt");
/// Least length of a brand that counts inside a longer text, and for which a near miss is looked for.
const MIN_INSIDE: usize = 5;
/// Longest text that is compared with brands: longer ones are no misspelling of any.
const MAX_TOKEN: usize = 24;

/// A power of two, twenty times the number of keys.
const SEEN_BITS: usize = 1 << 16;

/// The brands.
pub(crate) struct Brands {
    names: Vec<&'static str>,
    by_name: Map<Vec<u8>>,
    own: HashMap<&'static str, Vec<u16>>,
    any_country: HashSet<u16>,
    deletes: HashMap<u64, Vec<u16>>,
    /// One bit per key of `deletes`, by its lowest bits: almost every text is near no brand, and is done here.
    seen: Box<[u64; SEEN_BITS / 64]>,
}

/// What was found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inside {
    /// Index of the brand.
    pub(crate) brand: u16,
    /// Its length.
    pub(crate) length: usize,
}

impl Brands {
    /// Reads the list.
    pub(crate) fn new() -> Result<Self, fst::Error> {
        let (mut names, mut by_name) = (Vec::new(), BTreeMap::new());
        let mut own: HashMap<&str, Vec<u16>> = HashMap::new();
        let mut any_country = HashSet::new();
        let mut deletes: HashMap<u64, Vec<u16>> = HashMap::new();
        for line in BRANDS.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else { continue };
            let index = names.len() as u16;
            names.push(name);
            by_name.insert(name, u64::from(index));
            for domain in words {
                if domain == "*.cc" {
                    any_country.insert(index);
                } else {
                    own.entry(domain).or_default().push(index);
                }
            }
            if name.len() >= MIN_INSIDE {
                each_delete(name.as_bytes(), |hash| deletes.entry(hash).or_default().push(index));
            }
        }
        let mut seen = Box::new([0; SEEN_BITS / 64]);
        for hash in deletes.keys() {
            let (word, bit) = seen_place(*hash);
            seen[word] |= bit;
        }
        Ok(Self { names, by_name: Map::from_iter(by_name)?, own, any_country, deletes, seen })
    }

    /// Whether `registrable` (of `label` and `suffix`) is a domain of the brand itself.
    pub(crate) fn owns(&self, brand: u16, registrable: &str, label: &str, suffix: &str) -> bool {
        let listed = self.own.get(registrable).is_some_and(|brands| brands.contains(&brand));
        let country = suffix.rsplit('.').next().is_some_and(|tld| tld.len() == 2);
        let names_it = self.names.get(usize::from(brand)).is_some_and(|name| *name == label);
        listed || (country && names_it && self.any_country.contains(&brand))
    }

    /// Whether `registrable` is a domain of any brand.
    pub(crate) fn is_own(&self, registrable: &str) -> bool {
        self.own.contains_key(registrable)
    }

    /// The brand named exactly `token`.
    pub(crate) fn exact(&self, token: &[u8]) -> Option<u16> {
        self.by_name.get(token).map(|index| index as u16)
    }

    /// The longest brand of five or more letters inside `text`.
    pub(crate) fn inside(&self, text: &[u8]) -> Option<Inside> {
        let mut best: Option<Inside> = None;
        for start in 0..text.len() {
            prefixes(&self.by_name, &text[start..], |length, index| {
                if length >= MIN_INSIDE && best.is_none_or(|b| length > b.length) {
                    best = Some(Inside { brand: index as u16, length });
                }
            });
        }
        best
    }

    /// A brand that `token` becomes with one character added, left out, replaced, or swapped with its
    /// neighbour.
    pub(crate) fn near(&self, token: &[u8]) -> Option<u16> {
        if token.len() + 1 < MIN_INSIDE || token.len() > MAX_TOKEN {
            return None;
        }
        let mut found = None;
        each_delete(token, |hash| {
            let (word, bit) = seen_place(hash);
            if found.is_none() && self.seen[word] & bit != 0 {
                let brands = self.deletes.get(&hash).map_or(&[][..], Vec::as_slice);
                found =
                    brands.iter().copied().find(|b| one_edit(token, self.names[usize::from(*b)].as_bytes()));
            }
        });
        found
    }
}

fn seen_place(hash: u64) -> (usize, u64) {
    let place = (hash ^ hash >> 32) as usize % SEEN_BITS;
    (place / 64, 1 << (place % 64))
}

/// Calls `each` with a hash of `text` and of `text` without each of its characters.
fn each_delete(text: &[u8], mut each: impl FnMut(u64)) {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let start = 0xcbf2_9ce4_8422_2325;
    each(text.iter().fold(start, step));
    for left_out in 0..text.len() {
        // Equal neighbours leave the same text.
        if left_out > 0 && text[left_out] == text[left_out - 1] {
            continue;
        }
        let rest = text[..left_out].iter().chain(&text[left_out + 1..]);
        each(rest.fold(start, step));
    }
}

/// Whether two texts are one insertion, deletion, replacement or swap of neighbours apart, and not equal.
fn one_edit(a: &[u8], b: &[u8]) -> bool {
    let prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[prefix..], &b[prefix..]);
    let suffix = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    match (&a[..a.len() - suffix], &b[..b.len() - suffix]) {
        ([], []) => false,
        (a, b) if a.len() <= 1 && b.len() <= 1 => true,
        ([p, q], [r, s]) => p == s && q == r,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_edit_is_one_edit() {
        for (a, b, expected) in [
            ("paypal", "paypal", false),
            ("paypa", "paypal", true),
            ("paypall", "paypal", true),
            ("paypai", "paypal", true),
            ("payapl", "paypal", true),
            ("apypla", "paypal", false),
            ("", "a", true),
            ("", "ab", false),
            ("aab", "ab", true),
        ] {
            assert_eq!(one_edit(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(one_edit(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }

    #[test]
    fn near_finds_what_comparing_with_every_brand_finds() {
        let brands = Brands::new().unwrap();
        let tokens =
            ["paypai", "googl", "gogle", "amazom", "microsfot", "facebok", "netlfix", "example", "xyzzy"];
        for token in tokens {
            let naive = brands
                .names
                .iter()
                .any(|name| name.len() >= MIN_INSIDE && one_edit(token.as_bytes(), name.as_bytes()));
            assert_eq!(brands.near(token.as_bytes()).is_some(), naive, "{token}");
        }
    }

    #[test]
    fn a_brand_owns_its_domains_and_where_said_its_name_in_every_country() {
        let brands = Brands::new().unwrap();
        let google = brands.exact(b"google").unwrap();
        let chase = brands.exact(b"chase").unwrap();
        assert!(brands.owns(google, "google.co.uk", "google", "co.uk"));
        assert!(brands.owns(google, "gstatic.com", "gstatic", "com"));
        assert!(!brands.owns(google, "google.xyz", "google", "xyz"));
        assert!(!brands.owns(chase, "chase.de", "chase", "de"));
    }

    #[test]
    fn the_longest_brand_inside_is_found() {
        let brands = Brands::new().unwrap();
        let found = brands.inside(b"myappleidlogin").unwrap();
        assert_eq!((found.brand, found.length), (brands.exact(b"appleid").unwrap(), 7));
        assert_eq!(brands.inside(b"upside"), None);
    }
}
