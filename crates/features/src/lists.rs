//! The lists that are written by hand: brands, keywords, providers of names, classes of top-level domains.
//!
//! They are knowledge, not fitted data, so they are text in `data/`, compiled in and read once when an
//! extractor is made (under two milliseconds). A line is `class: words`; `#` starts a comment.

use std::collections::{BTreeMap, HashMap, HashSet};

use fst::Map;

use crate::brands::Brands;

const KEYWORDS: &str = include_str!("../data/keywords.txt");
const SUFFIXES: &str = include_str!("../data/suffixes.txt");
const TLDS: &str = include_str!("../data/tlds.txt");
const NETWORK_WORDS: &str = include_str!("../data/network_words.txt");
const CONFUSABLES: &str = include_str!("../data/confusables.txt");

/// Classes of keywords, in the order of their bits.
pub(crate) const KEYWORD_CLASSES: [&str; 16] = [
    "credential",
    "account",
    "security",
    "support",
    "download",
    "web",
    "infra",
    "finance",
    "crypto",
    "gambling",
    "adult",
    "pharma",
    "delivery",
    "shop",
    "government",
    "work",
];
/// Classes of providers of names, in the order of their bits.
pub(crate) const SUFFIX_CLASSES: [&str; 5] = ["dynamic_dns", "free_hosting", "cloud", "blog", "shortener"];

const SHORTENER: u8 = 1 << 4;

/// All lists.
pub(crate) struct Lists {
    /// Word -> bit set of its classes.
    pub(crate) keywords: Map<Vec<u8>>,
    pub(crate) brands: Brands,
    pub(crate) confusables: Confusables,
    providers: HashMap<&'static str, u8>,
    tlds: HashMap<&'static str, TldClass>,
    suffix_tokens: HashSet<&'static str>,
    network_words: HashSet<&'static str>,
}

/// Classes of a top-level domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TldClass {
    pub(crate) legacy: bool,
    pub(crate) cheap: bool,
    pub(crate) restricted: bool,
}

/// The lines of a list, as class and words.
fn classes(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'))
}

impl Lists {
    /// Reads the lists.
    pub(crate) fn new() -> Result<Self, fst::Error> {
        let mut keywords: BTreeMap<&str, u64> = BTreeMap::new();
        for (class, words) in classes(KEYWORDS) {
            let bit = KEYWORD_CLASSES.iter().position(|name| *name == class).map_or(0, |i| 1 << i);
            words.split_whitespace().for_each(|word| *keywords.entry(word).or_default() |= bit);
        }
        let mut providers: HashMap<&str, u8> = HashMap::new();
        for (class, domains) in classes(SUFFIXES) {
            let bit = SUFFIX_CLASSES.iter().position(|name| *name == class).map_or(0, |i| 1 << i);
            domains.split_whitespace().for_each(|domain| *providers.entry(domain).or_default() |= bit);
        }
        let mut tlds: HashMap<&str, TldClass> = HashMap::new();
        let mut suffix_tokens = HashSet::new();
        for (class, names) in classes(TLDS) {
            for name in names.split_whitespace() {
                match class {
                    "legacy" => tlds.entry(name).or_default().legacy = true,
                    "cheap" => tlds.entry(name).or_default().cheap = true,
                    "restricted" => tlds.entry(name).or_default().restricted = true,
                    _ => _ = suffix_tokens.insert(name),
                }
            }
        }
        let network_words = NETWORK_WORDS.lines().filter(|line| !line.starts_with('#'));
        Ok(Self {
            keywords: Map::from_iter(keywords)?,
            brands: Brands::new()?,
            confusables: Confusables::new(),
            providers,
            tlds,
            suffix_tokens,
            network_words: network_words.flat_map(str::split_whitespace).collect(),
        })
    }

    /// Bit set of the classes of the providers that `host` is a name of.
    pub(crate) fn providers(&self, host: &str) -> u8 {
        // A shortener's links stand below its own name, the names of the others below theirs.
        let mut found = self.providers.get(host).copied().unwrap_or(0) & SHORTENER;
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            found |= self.providers.get(parent).copied().unwrap_or(0);
            rest = parent;
        }
        found
    }

    pub(crate) fn tld(&self, tld: &str) -> TldClass {
        self.tlds.get(tld).copied().unwrap_or_default()
    }

    pub(crate) fn is_suffix_token(&self, token: &str) -> bool {
        self.suffix_tokens.contains(token)
    }

    pub(crate) fn is_network_word(&self, token: &str) -> bool {
        self.network_words.contains(token)
    }
}

/// ASCII readings of letters that are not ASCII.
pub(crate) struct Confusables {
    readings: HashMap<char, &'static str>,
}

impl Confusables {
    fn new() -> Self {
        let mut readings = HashMap::new();
        for (letters, characters) in classes(CONFUSABLES) {
            readings.extend(characters.chars().filter(|c| !c.is_whitespace()).map(|c| (c, letters)));
        }
        Self { readings }
    }

    /// The letters that `character` is read as, if it is in the list.
    pub(crate) fn fold(&self, character: char) -> Option<&'static str> {
        if character.is_ascii() { None } else { self.readings.get(&character).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_the_files_is_known_and_none_is_empty() {
        for (text, known) in [(KEYWORDS, &KEYWORD_CLASSES[..]), (SUFFIXES, &SUFFIX_CLASSES[..])] {
            let found: Vec<&str> = classes(text).map(|(class, _)| class).collect();
            assert_eq!(found, known);
        }
        for (class, words) in [KEYWORDS, SUFFIXES, TLDS, CONFUSABLES].into_iter().flat_map(classes) {
            assert!(words.split_whitespace().count() > 0, "{class}");
        }
    }

    #[test]
    fn a_provider_is_found_above_the_name_but_not_in_itself() {
        let lists = Lists::new().unwrap();
        let class = |host| lists.providers(host);
        assert_eq!(class("evil.duckdns.org"), 1);
        assert_eq!(class("a.b.evil.duckdns.org"), 1);
        assert_eq!(class("duckdns.org"), 0);
        assert_eq!((class("bit.ly"), SUFFIX_CLASSES[4]), (SHORTENER, "shortener"));
        assert_eq!(class("example.org"), 0);
    }

    #[test]
    fn look_alikes_are_read_as_letters() {
        let confusables = Confusables::new();
        assert_eq!(confusables.fold('а'), Some("a"));
        assert_eq!(confusables.fold('ß'), Some("ss"));
        assert_eq!(confusables.fold('a'), None);
        assert_eq!(confusables.fold('中'), None);
    }
}
