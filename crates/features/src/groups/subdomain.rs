//! What stands before the registrable domain: how much, how random, and whether it looks like the name of a
//! line or a machine (`host-1-2-3-4.pool.example.net`).
//!
//! Every feature but the lengths is missing without a subdomain: "none" is not "none of it digits".

use crate::definition::{DOMAIN, count, features, flag, share};
use crate::groups::shape::{Tally, entropy};
use crate::lists::Lists;
use crate::name::Name;

features! { Sub for DOMAIN;
    Length "sub_length" "characters" 0.0 250.0 "length of the subdomain without a leading www." "";
    Labels "sub_labels" "count" 0.0 125.0 "labels of the subdomain" "";
    LongestLabel "sub_longest_label" "characters" 0.0 63.0 "longest label of the subdomain" "";
    DigitShare "sub_digit_share" "ratio" 0.0 1.0
        "digits among its characters, dots not counted" "no subdomain";
    Hyphens "sub_hyphens" "count" 0.0 250.0 "hyphens" "no subdomain";
    VowelShare "sub_vowel_share" "ratio" 0.0 1.0 "vowels among its letters; 0 without letters" "no subdomain";
    HexShare "sub_hex_share" "ratio" 0.0 1.0
        "0-9 and a-f among its characters, dots not counted" "no subdomain";
    Entropy "sub_entropy_bits" "bits" 0.0 6.0
        "Shannon entropy of the characters of its longest label" "no subdomain";
    DigitGroups "sub_digit_groups" "count" 0.0 125.0 "runs of digits" "no subdomain";
    DigitRun "sub_longest_digit_run" "characters" 0.0 63.0 "longest run of digits" "no subdomain";
    ConsonantRun "sub_longest_consonant_run" "characters" 0.0 63.0 "longest run of consonants" "no subdomain";
    Octets "sub_octets" "count" 0.0 125.0
        "most numbers from 0 to 255 in a row, one separator between them" "no subdomain";
    EmbeddedIp "sub_embedded_ipv4" "flag" 0.0 1.0
        "four or more such numbers in a row, or an IPv4 address as eight or twelve digits" "no subdomain";
    HostWords "sub_network_words" "count" 0.0 125.0
        "words of machines and lines (pool, dhcp, static, dsl, host, ...)" "no subdomain";
    SuffixToken "sub_suffix_token" "count" 0.0 125.0
        "labels and parts that are a well-known suffix (com, net, org, ...): a name within the name"
        "no subdomain";
}

/// Computes the group.
pub(crate) fn fill(name: &Name<'_>, lists: &Lists, out: &mut [f32]) {
    Sub::Length.set(out, count(name.sub.len()));
    let labels = if name.sub.is_empty() { 0 } else { name.sub.split('.').count() };
    let longest = name.sub.split('.').max_by_key(|label| label.len()).unwrap_or("");
    Sub::Labels.set(out, count(labels));
    Sub::LongestLabel.set(out, count(longest.len()));
    if name.sub.is_empty() {
        return;
    }
    let tally = Tally::new(name.sub.as_bytes());
    let characters = tally.length - (labels - 1);
    Sub::DigitShare.set(out, share(tally.digits, characters));
    Sub::Hyphens.set(out, count(tally.hyphens));
    Sub::VowelShare.set(out, share(tally.vowels, tally.letters));
    Sub::HexShare.set(out, share(tally.hex, characters));
    Sub::Entropy.set(out, entropy(longest.as_bytes()).0);
    Sub::DigitGroups.set(out, count(tally.digit_groups));
    Sub::DigitRun.set(out, count(tally.digit_run));
    Sub::ConsonantRun.set(out, count(tally.consonant_run));
    let octets = octets_in_a_row(name.sub.as_bytes());
    Sub::Octets.set(out, count(octets));
    Sub::EmbeddedIp.set(out, flag(octets >= 4 || name.sub.split(['.', '-']).any(packed_ipv4)));
    let tokens = || name.sub.split(['.', '-']).map(|token| token.trim_matches(|c: char| c.is_ascii_digit()));
    Sub::HostWords.set(out, count(tokens().filter(|t| lists.is_network_word(t)).count()));
    Sub::SuffixToken.set(out, count(name.sub.split(['.', '-']).filter(|t| lists.is_suffix_token(t)).count()));
}

/// Most numbers from 0 to 255 that follow each other with one `.` or `-` (or one letter) between them.
fn octets_in_a_row(text: &[u8]) -> usize {
    let (mut best, mut row, mut i, mut gap) = (0, 0, 0, usize::MAX);
    while i < text.len() {
        if !text[i].is_ascii_digit() {
            gap = gap.saturating_add(1);
            i += 1;
            continue;
        }
        let digits = text[i..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = text[i..i + digits].iter().take(4).fold(0_u32, |v, b| v * 10 + u32::from(b - b'0'));
        let octet = digits <= 3 && value <= 255;
        row = if !octet {
            0
        } else if gap == 1 {
            row + 1
        } else {
            1
        };
        best = best.max(row);
        gap = 0;
        i += digits;
    }
    best
}

/// Whether a token is an IPv4 address written in one piece: eight hexadecimal digits with a decimal one among
/// them and not only decimal ones, or twelve decimal digits that are four octets.
fn packed_ipv4(token: &str) -> bool {
    let bytes = token.as_bytes();
    let decimal = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    match bytes.len() {
        8 => (2..8).contains(&decimal) && bytes.iter().all(u8::is_ascii_hexdigit),
        12 => decimal == 12 && bytes.chunks(3).all(|octet| octet <= b"255".as_slice()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_need_a_single_separator() {
        for (text, expected) in [
            ("host-1-2-3-4", 4),
            ("1.2.3.4.pool", 4),
            ("1--2", 1),
            ("300-1-2", 2),
            ("", 0),
            ("c-24-5", 2),
            ("1x2x3x4", 4),
        ] {
            assert_eq!(octets_in_a_row(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn addresses_in_one_piece_are_seen() {
        assert!(packed_ipv4("c0a80001"));
        assert!(packed_ipv4("192168000001"));
        assert!(!packed_ipv4("deadbeef"));
        assert!(!packed_ipv4("20240101"));
        assert!(!packed_ipv4("999999999999"));
    }
}
