//! Words that say what a name claims to be about, by class.
//!
//! A word of four or more letters counts wherever it stands in the label or the subdomain, a shorter one only
//! as a whole part between hyphens and dots. A class counts its different places, label and subdomain
//! together.

use fst::Map;

use crate::definition::{DOMAIN, count, features, share};
use crate::lists::KEYWORD_CLASSES;
use crate::name::Name;
use crate::trie::prefixes;

features! { Keyword for DOMAIN;
    Credential "kw_credential" "count" 0.0 125.0 "words of signing in (login, password, ...)" "";
    Account "kw_account" "count" 0.0 125.0
        "words of accounts and customers (account, client, invoice, ...)" "";
    Security "kw_security" "count" 0.0 125.0
        "words of security and verification (secure, verify, update, alert, ...)" "";
    Support "kw_support" "count" 0.0 125.0 "words of support (help, service, claim, ...)" "";
    Download "kw_download" "count" 0.0 125.0 "words of downloads (download, setup, crack, flash, ...)" "";
    Web "kw_web" "count" 0.0 125.0 "words of the web (online, site, mail, cloud, ...)" "";
    Infra "kw_infra" "count" 0.0 125.0 "words of infrastructure (cdn, static, api, ns1, ...)" "";
    Finance "kw_finance" "count" 0.0 125.0 "words of money (bank, pay, credit, trading, ...)" "";
    Crypto "kw_crypto" "count" 0.0 125.0 "words of crypto-currencies (bitcoin, wallet, airdrop, ...)" "";
    Gambling "kw_gambling" "count" 0.0 125.0 "words of gambling (casino, bet, slot, ...)" "";
    Adult "kw_adult" "count" 0.0 125.0 "words of adult offers (sex, dating, cam, ...)" "";
    Pharma "kw_pharma" "count" 0.0 125.0 "words of drugs and diets (pharmacy, pills, keto, ...)" "";
    Delivery "kw_delivery" "count" 0.0 125.0 "words of parcels (delivery, tracking, post, ...)" "";
    Shop "kw_shop" "count" 0.0 125.0 "words of shops and gifts (store, sale, bonus, free, ...)" "";
    Government "kw_government" "count" 0.0 125.0 "words of authorities (gov, tax office, police, ...)" "";
    Work "kw_work" "count" 0.0 125.0 "words of work and documents (jobs, docs, share, ...)" "";
    Label "kw_label" "count" 0.0 63.0 "places of the label where a word of any class stands" "";
    LabelShare "kw_label_share" "ratio" 0.0 1.0 "characters of the label that lie in such words" "";
    Sub "kw_sub" "count" 0.0 125.0 "places of the subdomain where a word of any class stands" "";
    Classes "kw_classes" "count" 0.0 16.0 "different classes in label and subdomain" "";
}

/// Least length of a word that counts inside a longer part.
const MIN_INSIDE: usize = 4;
const CLASSES: usize = KEYWORD_CLASSES.len();
/// The classes' features, in the order of the classes.
const BY_CLASS: [Keyword; CLASSES] = [
    Keyword::Credential,
    Keyword::Account,
    Keyword::Security,
    Keyword::Support,
    Keyword::Download,
    Keyword::Web,
    Keyword::Infra,
    Keyword::Finance,
    Keyword::Crypto,
    Keyword::Gambling,
    Keyword::Adult,
    Keyword::Pharma,
    Keyword::Delivery,
    Keyword::Shop,
    Keyword::Government,
    Keyword::Work,
];

#[derive(Default)]
struct Found {
    by_class: [usize; CLASSES],
    places: usize,
    characters: usize,
}

impl Found {
    /// Counts the words of one part between hyphens and dots, the longest at each place, without overlaps.
    fn add(&mut self, part: &[u8], keywords: &Map<Vec<u8>>) {
        let mut at = 0;
        while at < part.len() {
            let mut best = (0, 0);
            prefixes(keywords, &part[at..], |length, classes| {
                if length >= MIN_INSIDE || (at == 0 && length == part.len()) {
                    best = (length, classes);
                }
            });
            let (length, classes) = best;
            if length > 0 {
                self.places += 1;
                self.characters += length;
                for (class, counted) in self.by_class.iter_mut().enumerate() {
                    *counted += (classes >> class & 1) as usize;
                }
            }
            at += length.max(1);
        }
    }
}

/// Computes the group.
pub(crate) fn fill(name: &Name<'_>, keywords: &Map<Vec<u8>>, out: &mut [f32]) {
    let label = name.text().unwrap_or(b"");
    let (mut in_label, mut in_sub) = (Found::default(), Found::default());
    label.split(|byte| *byte == b'-').for_each(|part| in_label.add(part, keywords));
    name.sub.as_bytes().split(|b| matches!(b, b'-' | b'.')).for_each(|part| in_sub.add(part, keywords));
    let mut classes = 0;
    for (class, feature) in BY_CLASS.into_iter().enumerate() {
        let counted = in_label.by_class[class] + in_sub.by_class[class];
        classes += usize::from(counted > 0);
        feature.set(out, count(counted));
    }
    Keyword::Label.set(out, count(in_label.places));
    Keyword::LabelShare.set(out, share(in_label.characters, label.len()));
    Keyword::Sub.set(out, count(in_sub.places));
    Keyword::Classes.set(out, count(classes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_features_have_one_order() {
        for (class, feature) in KEYWORD_CLASSES.iter().zip(BY_CLASS) {
            assert_eq!(FEATURES[feature as usize].name, format!("kw_{class}"));
        }
    }

    #[test]
    fn short_words_count_only_as_a_whole_part() {
        let lists = crate::lists::Lists::new().unwrap();
        let found = |part: &str| {
            let mut found = Found::default();
            found.add(part.as_bytes(), &lists.keywords);
            found
        };
        assert_eq!(found("pay").places, 1);
        assert_eq!(found("repay").places, 0);
        let both = found("securelogin");
        assert_eq!((both.places, both.characters, both.by_class[0], both.by_class[2]), (2, 11, 1, 1));
    }
}
