//! What each built-in feature says to an analyst: one template per feature, in the order of the vector.
//!
//! The grammar is [`tribunal_core::phrase`]'s. The table is text alone: whoever links it links no lexicon.

use tribunal_core::phrase;

/// Name and template of every feature, group by group.
const PHRASES: &[(&str, &str)] = &[
    // Shape of the name.
    ("host_length", "the name has {} character(s)"),
    ("host_labels", "the name has {} label(s)"),
    ("label_length", "the registered label has {} character(s)"),
    ("label_letter_share", "{%} of the label is letters"),
    ("label_digits", "the label has {} digit(s)|the label has no digits"),
    ("label_digit_share", "{%} of the label is digits|the label has no digits"),
    ("label_hyphens", "the label has {} hyphen(s)|the label has no hyphens"),
    ("label_vowel_share", "{%} of the label's letters are vowels|the label has no vowels"),
    (
        "label_hex_share",
        "{%} of the label's characters are hexadecimal|no character of the label is hexadecimal",
    ),
    ("label_hex_look", "the label looks like a hexadecimal number|the label does not look hexadecimal"),
    (
        "label_rare_letter_share",
        "{%} of the label's letters are rare ones (j, q, x, z, ...)|the label has no rare letters",
    ),
    ("label_unique", "the label has {} different character(s)"),
    ("label_unique_share", "{%} of the label's characters differ"),
    ("label_entropy_bits", "the label's characters have an entropy of {} bits"),
    ("label_entropy_share", "the label is {%} as random as its length allows"),
    ("label_longest_digit_run", "{} digit(s) in a row|no digits in a row"),
    ("label_longest_consonant_run", "{} consonant(s) in a row|no consonants in a row"),
    ("label_longest_vowel_run", "{} vowel(s) in a row|no vowels in a row"),
    ("label_longest_letter_run", "{} letter(s) in a row|no letters in a row"),
    ("label_longest_repeat", "one character comes {} times in a row"),
    ("label_digit_groups", "{} group(s) of digits|no groups of digits"),
    ("label_starts_with_digit", "the label starts with a digit|the label does not start with a digit"),
    ("label_ends_with_digit", "the label ends with a digit|the label does not end with a digit"),
    ("label_letter_digit_switches", "letters and digits meet in {} places|letters and digits do not mix"),
    (
        "label_vowel_consonant_switch_share",
        "vowels and consonants alternate in {%} of places|vowels and consonants do not alternate",
    ),
    (
        "label_consonant_pair_share",
        "{%} of neighbouring letters are both consonants|no two consonants stand together",
    ),
    ("label_repeated_pair_share", "{%} of the pairs of characters repeat|no pair of characters repeats"),
    ("label_longest_part", "the longest part between hyphens has {} character(s)"),
    ("label_shortest_part", "the shortest part between hyphens has {} character(s)"),
    ("label_year", "the label holds a year|the label holds no year"),
    // Subdomain.
    ("sub_length", "the subdomain has {} character(s)|the name has no subdomain"),
    ("sub_labels", "the subdomain has {} label(s)|the name has no subdomain"),
    ("sub_longest_label", "the subdomain's longest label has {} character(s)|the name has no subdomain"),
    ("sub_digit_share", "{%} of the subdomain is digits|the subdomain has no digits"),
    ("sub_hyphens", "the subdomain has {} hyphen(s)|the subdomain has no hyphens"),
    ("sub_vowel_share", "{%} of the subdomain's letters are vowels|the subdomain has no vowels"),
    ("sub_hex_share", "{%} of the subdomain is hexadecimal|nothing of the subdomain is hexadecimal"),
    ("sub_entropy_bits", "the subdomain's longest label has an entropy of {} bits"),
    ("sub_digit_groups", "{} group(s) of digits in the subdomain|no groups of digits in the subdomain"),
    ("sub_longest_digit_run", "{} digit(s) in a row in the subdomain|no digits in a row in the subdomain"),
    ("sub_longest_consonant_run", "{} consonant(s) in a row in the subdomain|no consonants in the subdomain"),
    (
        "sub_octets",
        "{} number(s) like those of an address in the subdomain|no numbers of an address in the subdomain",
    ),
    ("sub_embedded_ipv4", "the subdomain holds an IPv4 address|the subdomain holds no IPv4 address"),
    (
        "sub_network_words",
        "{} word(s) of machines and lines in the subdomain|no words of machines in the subdomain",
    ),
    (
        "sub_suffix_token",
        "{} parts of the subdomain are endings such as com or net|no ending stands within the subdomain",
    ),
    // Language models.
    ("lm_benign_mean", "how usual the name reads: log-likelihood {} a character"),
    ("lm_benign_min", "its most unusual character has a log-likelihood of {}"),
    ("lm_benign_worst_window", "its most unusual five characters have a log-likelihood of {} each"),
    ("lm_benign_start", "how usual its start reads: log-likelihood {} a character"),
    ("lm_benign_spread", "usual and unusual characters mix (spread {})"),
    ("lm_benign_rare_share", "{%} of its characters are unexpected|none of its characters is unexpected"),
    ("lm_generated_mean", "how well it fits generated names: log-likelihood {} a character"),
    ("lm_generated_margin", "reads like a generated name rather than a usual one by {} a character"),
    ("lm_phishing_mean", "how well it fits phishing names: log-likelihood {} a character"),
    ("lm_phishing_margin", "reads like a phishing name rather than a usual one by {} a character"),
    ("lm_sub_benign_mean", "how usual the subdomain reads: log-likelihood {} a character"),
    (
        "lm_sub_benign_worst_label",
        "the subdomain's most unusual label has a log-likelihood of {} a character",
    ),
    ("lm_sub_generated_margin", "the subdomain reads generated rather than usual by {} a character"),
    ("lm_sub_phishing_margin", "the subdomain reads like phishing rather than usual by {} a character"),
    // Words.
    ("word_coverage", "{%} of the label is words|no part of the label is a word"),
    (
        "word_coverage_4",
        "{%} of the label is words of four letters or more|no part of the label is a longer word",
    ),
    ("word_count", "the label has {} word(s)|the label has no words"),
    ("word_mean_length", "its words have {} character(s) on average|the label has no words"),
    ("word_longest", "its longest word has {} character(s)|the label has no words"),
    ("word_longest_share", "the longest word is {%} of the label|the label has no words"),
    ("word_short", "{} scrap(s) of one or two characters|no scraps between its words"),
    ("word_unknown", "{} letters belong to no word|every letter belongs to a word"),
    ("word_pieces", "the label falls into {} piece(s)|the label does not fall into pieces"),
    ("word_cost", "reading it as words costs {} a character"),
    ("word_rarest", "its rarest word occurs {^} times in a billion"),
    ("word_mean_frequency", "its words occur {^} times in a billion on average"),
    ("sub_word_coverage", "{%} of the subdomain is words|no part of the subdomain is a word"),
    ("sub_word_count", "the subdomain has {} word(s)|the subdomain has no words"),
    ("sub_word_cost", "reading the subdomain as words costs {} a character"),
    // Brands.
    ("brand_own", "the domain belongs to a known brand|the domain is not a known brand's own"),
    ("brand_label", "the label is a brand's name under another ending|the label is no brand's name"),
    (
        "brand_part",
        "a part of the label is a brand that does not own it|no part of the label is a foreign brand",
    ),
    (
        "brand_inside",
        "a foreign brand of {} letter(s) stands inside the label|no foreign brand stands inside the label",
    ),
    ("brand_inside_share", "a foreign brand is {%} of the label|no foreign brand stands inside the label"),
    ("brand_near", "one letter away from a foreign brand|not close to a foreign brand"),
    ("brand_folded", "look-alike characters spell a foreign brand|no look-alikes spell a brand"),
    ("brand_folded_near", "look-alikes nearly spell a foreign brand|no look-alikes come near a brand"),
    ("brand_script", "in another script it reads like a foreign brand|no brand is spelt in another script"),
    (
        "brand_sub_token",
        "{} parts of the subdomain are foreign brands|no part of the subdomain is a foreign brand",
    ),
    (
        "brand_sub_inside",
        "a foreign brand of {} letter(s) stands in the subdomain|no foreign brand stands in the subdomain",
    ),
    (
        "brand_sub_folded",
        "look-alikes in the subdomain spell a foreign brand|no look-alikes in the subdomain spell a brand",
    ),
    (
        "brand_sub_domain",
        "the subdomain holds a brand's whole domain|no brand's domain stands in the subdomain",
    ),
    // Keywords.
    ("kw_credential", "{} word(s) of signing in|no words of signing in"),
    ("kw_account", "{} word(s) of accounts|no words of accounts"),
    ("kw_security", "{} word(s) of security and verification|no words of security"),
    ("kw_support", "{} word(s) of support|no words of support"),
    ("kw_download", "{} word(s) of downloads|no words of downloads"),
    ("kw_web", "{} word(s) of the web|no words of the web"),
    ("kw_infra", "{} word(s) of infrastructure|no words of infrastructure"),
    ("kw_finance", "{} word(s) of money|no words of money"),
    ("kw_crypto", "{} word(s) of crypto-currencies|no words of crypto-currencies"),
    ("kw_gambling", "{} word(s) of gambling|no words of gambling"),
    ("kw_adult", "{} word(s) of adult offers|no words of adult offers"),
    ("kw_pharma", "{} word(s) of drugs and diets|no words of drugs and diets"),
    ("kw_delivery", "{} word(s) of parcels|no words of parcels"),
    ("kw_shop", "{} word(s) of shops and gifts|no words of shops"),
    ("kw_government", "{} word(s) of authorities|no words of authorities"),
    ("kw_work", "{} word(s) of work and documents|no words of work"),
    ("kw_label", "{} places of the label hold a telling word|no telling words in the label"),
    ("kw_label_share", "{%} of the label is telling words|no telling words in the label"),
    ("kw_sub", "{} places of the subdomain hold a telling word|no telling words in the subdomain"),
    ("kw_classes", "telling words of {} kinds|no telling words"),
    // Host.
    ("tld_length", "the top-level domain has {} letter(s)"),
    ("tld_country", "under a country's top-level domain|not under a country's top-level domain"),
    ("tld_legacy", "under one of the old top-level domains|not under one of the old top-level domains"),
    ("tld_cheap", "under a top-level domain that is sold cheap|not under a cheap top-level domain"),
    ("tld_restricted", "under a top-level domain with a check|its top-level domain checks nobody"),
    ("tld_rate", "{%} of known names under its top-level domain are malicious"),
    (
        "tld_support",
        "{^} names under its top-level domain are known|no names under its top-level domain are known",
    ),
    ("suffix_labels", "its public suffix has {} label(s)"),
    ("suffix_private", "a customer's name under a company's suffix|registered at a registry"),
    ("provider_dynamic_dns", "a name of a dynamic DNS or tunnel provider|not at a dynamic DNS provider"),
    ("provider_free_hosting", "on free web space or a free name|not on free web space"),
    ("provider_cloud", "on a cloud or content network|not on a known cloud"),
    ("provider_blog", "on a host of blogs, shops or forms|not on a host of blogs or forms"),
    ("provider_shortener", "a link shortener|not a link shortener"),
    ("idn_labels", "{} internationalised label(s)|no internationalised labels"),
    ("idn_non_ascii_share", "{%} of its characters are not ASCII|all of its characters are ASCII"),
    ("idn_scripts", "{} script(s) in one label|no script"),
    ("idn_mixed_script", "a label mixes scripts that no language mixes|no label mixes scripts"),
    (
        "idn_confusable_share",
        "{%} of its characters are look-alikes of ASCII letters|no look-alikes of ASCII letters",
    ),
    // Address and its network.
    ("ip_version", "an IPv{} address"),
    ("ip_global", "a public address|not a public address"),
    ("ip_transition", "an IPv6 address that carries IPv4|not a transition address"),
    ("ip_first_octet", "its first octet is {}"),
    ("ip_last_octet", "its last octet is {}"),
    ("ip_last_octet_low", "a low last octet, as of routers and servers|not a low last octet"),
    ("ip_last_octet_edge", "at the edge of its /24|not at the edge of its /24"),
    ("ip_distinct_octets", "{} different octets"),
    ("ip_interface_bits", "{} bits are set in its interface identifier|its interface identifier is zero"),
    ("ip_eui64", "its identifier is made of a hardware address|its identifier is no hardware address"),
    ("ip_zero_groups", "{} group(s) of zeros|no groups of zeros"),
    ("asn_known", "in an announced network|in no announced network"),
    ("asn_log10", "its network's number is about {^}"),
    ("asn_rate", "{%} of known addresses of its network are malicious"),
    ("asn_support", "{^} addresses of its network are known|no addresses of its network are known"),
    ("asn_hosting_share", "{%} of its network is hosting ranges|nothing of its network is hosting ranges"),
    ("as_name_hosting", "its network's name is a hoster's|its network's name is not a hoster's"),
    (
        "as_name_access",
        "its network's name is an access provider's|its network's name is not an access provider's",
    ),
    ("as_name_public", "its network is a university's or authority's|its network is not a public body's"),
    ("ip_hosting_range", "in a known hosting range|in no known hosting range"),
    ("network_size_log2", "its announced range has 2^{} addresses"),
    ("network_place", "it lies {%} into its announced range|it is the first of its announced range"),
    ("country_known", "registered in a known country|its country is not known"),
    ("country_rate", "{%} of known addresses of its country are malicious"),
    ("country_support", "{^} addresses of its country are known|no addresses of its country are known"),
];

/// What a value that is missing says, by the start of the feature's name; the first that fits.
const MISSING: &[(&str, &str)] = &[
    ("sub_", "the name has no subdomain"),
    ("lm_sub_", "the name has no subdomain"),
    ("word_", "the label cannot be read as words"),
    ("lm_", "the label cannot be read in ASCII"),
    ("tld_", "nothing is known of its top-level domain"),
    ("country_", "its country is not known"),
    ("asn_", "its network is not known"),
    ("as_name_", "its network is not known"),
    ("network_", "its network is not known"),
    ("ip_hosting_range", "hosting ranges are not known"),
    ("ip_interface_bits", "not an IPv6 address"),
    ("ip_eui64", "not an IPv6 address"),
    ("ip_zero_groups", "not an IPv6 address"),
    ("ip_", "not an IPv4 address"),
];

/// The template of a built-in feature.
pub fn template(feature: &str) -> Option<&'static str> {
    PHRASES.iter().find(|(name, _)| *name == feature).map(|(_, template)| *template)
}

/// What `value` of `feature` says; `declared` is the template of a feature that a source declares, if it is one.
pub fn sentence(feature: &str, declared: Option<&str>, value: Option<f32>) -> String {
    let built_in = template(feature);
    let words = || feature.replace('_', " ");
    match (declared.filter(|text| !text.is_empty()).or(built_in), value) {
        (Some(template), Some(value)) => phrase::render(template, value),
        (None, Some(value)) => format!("{} is {}", words(), phrase::number(value)),
        (_, None) => MISSING
            .iter()
            .find(|(start, _)| built_in.is_some() && feature.starts_with(start))
            .map_or_else(|| format!("{} is not known", words()), |(_, text)| (*text).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lexicon, schema};

    #[test]
    fn every_feature_has_a_sentence_in_the_order_of_the_vector() {
        let schema = schema(Lexicon::embedded().unwrap());
        let names: Vec<&str> = schema.features.iter().map(|f| f.name.as_ref()).collect();
        assert_eq!(PHRASES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        for feature in &schema.features {
            phrase::check(&feature.phrase).unwrap_or_else(|e| panic!("{}: {e}", feature.name));
            for value in [feature.min, feature.max, 0.0] {
                let text = sentence(&feature.name, None, Some(value));
                assert!((5..=90).contains(&text.len()), "{}: {text:?}", feature.name);
            }
            if !feature.missing.is_empty() {
                let text = sentence(&feature.name, None, None);
                assert!(!text.contains(feature.name.as_ref()), "{text}");
            }
        }
    }

    #[test]
    fn sentences_are_for_an_analyst() {
        let cases = [
            (
                "lm_benign_mean",
                None,
                Some(-4.132),
                "how usual the name reads: log-likelihood -4.13 a character",
            ),
            ("tld_rate", None, Some(0.8339), "83 % of known names under its top-level domain are malicious"),
            ("tld_support", None, Some(3.0), "999 names under its top-level domain are known"),
            ("kw_credential", None, Some(0.0), "no words of signing in"),
            ("kw_credential", None, Some(1.0), "1 word of signing in"),
            ("brand_near", None, Some(1.0), "one letter away from a foreign brand"),
            ("sub_hyphens", None, None, "the name has no subdomain"),
            ("ip_eui64", None, None, "not an IPv6 address"),
            ("feeds_seen", Some("seen on {} feeds|on no feed"), Some(3.0), "seen on 3 feeds"),
            ("feeds_seen", Some(""), Some(3.5), "feeds seen is 3.5"),
            ("feeds_seen", None, None, "feeds seen is not known"),
        ];
        for (feature, declared, value, expected) in cases {
            assert_eq!(sentence(feature, declared, value), expected);
        }
    }
}
