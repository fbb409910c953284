//! Lengths, character classes, runs and entropies of the registrable label.
//!
//! They are taken of the label in normal form, so of an internationalised label's `xn--` form.

use crate::definition::{DOMAIN, count, features, flag, share};
use crate::name::Name;

features! { Shape for DOMAIN;
    HostLength "host_length" "characters" 1.0 253.0 "length of the name without a leading www." "";
    HostLabels "host_labels" "count" 1.0 127.0 "labels of the name without a leading www." "";
    Length "label_length" "characters" 1.0 253.0 "length of the registrable label" "";
    Letters "label_letter_share" "ratio" 0.0 1.0 "letters among the characters of the label" "";
    Digits "label_digits" "count" 0.0 253.0 "digits in the label" "";
    DigitShare "label_digit_share" "ratio" 0.0 1.0 "digits among the characters of the label" "";
    Hyphens "label_hyphens" "count" 0.0 253.0 "hyphens in the label" "";
    VowelShare "label_vowel_share" "ratio" 0.0 1.0
        "vowels (aeiou) among the letters of the label; 0 without letters" "";
    HexShare "label_hex_share" "ratio" 0.0 1.0 "0-9 and a-f among the characters of the label" "";
    HexLook "label_hex_look" "flag" 0.0 1.0
        "the label has 8 or more characters, all hexadecimal, digits among them" "";
    RareShare "label_rare_letter_share" "ratio" 0.0 1.0
        "j, k, q, v, w, x, y, z among the letters of the label" "";
    Unique "label_unique" "count" 1.0 40.0 "different characters of the label" "";
    UniqueShare "label_unique_share" "ratio" 0.0 1.0 "different characters of the label by its length" "";
    Entropy "label_entropy_bits" "bits" 0.0 6.0 "Shannon entropy of the label's characters" "";
    EntropyShare "label_entropy_share" "ratio" 0.0 1.0
        "entropy by its greatest value for the length; 1 for one character" "";
    DigitRun "label_longest_digit_run" "characters" 0.0 253.0 "longest run of digits" "";
    ConsonantRun "label_longest_consonant_run" "characters" 0.0 253.0 "longest run of consonants" "";
    VowelRun "label_longest_vowel_run" "characters" 0.0 253.0 "longest run of vowels" "";
    LetterRun "label_longest_letter_run" "characters" 0.0 253.0 "longest run of letters" "";
    RepeatRun "label_longest_repeat" "characters" 1.0 253.0 "longest run of one character" "";
    DigitGroups "label_digit_groups" "count" 0.0 127.0 "runs of digits" "";
    StartsDigit "label_starts_with_digit" "flag" 0.0 1.0 "the label starts with a digit" "";
    EndsDigit "label_ends_with_digit" "flag" 0.0 1.0 "the label ends with a digit" "";
    Switches "label_letter_digit_switches" "count" 0.0 252.0 "places where a letter and a digit meet" "";
    Alternation "label_vowel_consonant_switch_share" "ratio" 0.0 1.0
        "neighbouring letters of which just one is a vowel" "";
    ConsonantPairs "label_consonant_pair_share" "ratio" 0.0 1.0
        "neighbouring letters that are both consonants" "";
    RepeatedPairs "label_repeated_pair_share" "ratio" 0.0 1.0
        "pairs of characters that occurred in the label before" "";
    LongestPart "label_longest_part" "characters" 0.0 253.0 "longest part between hyphens" "";
    ShortestPart "label_shortest_part" "characters" 0.0 253.0 "shortest part between hyphens" "";
    Year "label_year" "flag" 0.0 1.0 "a run of four digits from 1900 to 2039" "";
}

/// What one pass over a text counts.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) length: usize,
    pub(crate) letters: usize,
    pub(crate) digits: usize,
    pub(crate) hyphens: usize,
    pub(crate) vowels: usize,
    pub(crate) hex: usize,
    pub(crate) rare: usize,
    pub(crate) digit_run: usize,
    pub(crate) consonant_run: usize,
    pub(crate) vowel_run: usize,
    pub(crate) letter_run: usize,
    pub(crate) repeat_run: usize,
    pub(crate) digit_groups: usize,
    pub(crate) switches: usize,
    pub(crate) letter_pairs: usize,
    pub(crate) alternations: usize,
    pub(crate) consonant_pairs: usize,
    pub(crate) year: bool,
}

/// Class of a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Vowel,
    Consonant,
    Digit,
    Other,
}

fn class(byte: u8) -> Class {
    match byte {
        b'a' | b'e' | b'i' | b'o' | b'u' => Class::Vowel,
        b'a'..=b'z' => Class::Consonant,
        b'0'..=b'9' => Class::Digit,
        _ => Class::Other,
    }
}

impl Class {
    fn is_letter(self) -> bool {
        matches!(self, Self::Vowel | Self::Consonant)
    }
}

impl Tally {
    /// Counts `text` in one pass.
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut tally = Self { length: text.len(), ..Self::default() };
        let (mut class_run, mut letter_run, mut repeat_run, mut number) = (0, 0, 0, 0_u32);
        let (mut last, mut last_byte) = (Class::Other, 0);
        for byte in text.iter().copied() {
            let class = class(byte);
            tally.year |= last == Class::Digit && class != Class::Digit && is_year(number, class_run);
            class_run = if class == last { class_run + 1 } else { 1 };
            letter_run = if class.is_letter() { letter_run + 1 } else { 0 };
            repeat_run = if byte == last_byte { repeat_run + 1 } else { 1 };
            if class == Class::Digit {
                let digit = u32::from(byte - b'0');
                number = if class_run == 1 { digit } else { number.saturating_mul(10).saturating_add(digit) };
            }
            tally.single(class, byte, class_run);
            tally.pair(last, class);
            tally.letter_run = tally.letter_run.max(letter_run);
            tally.repeat_run = tally.repeat_run.max(repeat_run);
            (last, last_byte) = (class, byte);
        }
        tally.year |= last == Class::Digit && is_year(number, class_run);
        tally
    }

    fn single(&mut self, class: Class, byte: u8, run: usize) {
        self.letters += usize::from(class.is_letter());
        self.hex += usize::from(byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match class {
            Class::Vowel => {
                self.vowels += 1;
                self.vowel_run = self.vowel_run.max(run);
            }
            Class::Consonant => {
                self.rare += usize::from(matches!(byte, b'j' | b'k' | b'q' | b'v'..=b'z'));
                self.consonant_run = self.consonant_run.max(run);
            }
            Class::Digit => {
                self.digits += 1;
                self.digit_groups += usize::from(run == 1);
                self.digit_run = self.digit_run.max(run);
            }
            Class::Other => self.hyphens += usize::from(byte == b'-'),
        }
    }

    fn pair(&mut self, last: Class, class: Class) {
        if last.is_letter() && class.is_letter() {
            self.letter_pairs += 1;
            self.alternations += usize::from(last != class);
            self.consonant_pairs += usize::from(last == Class::Consonant && class == Class::Consonant);
        }
        self.switches += usize::from(
            (last == Class::Digit && class.is_letter()) || (last.is_letter() && class == Class::Digit),
        );
    }
}

fn is_year(number: u32, digits: usize) -> bool {
    digits == 4 && (1900..2040).contains(&number)
}

/// Entropy in bits of the characters of `text`, and how many different ones there are.
pub(crate) fn entropy(text: &[u8]) -> (f32, usize) {
    let mut counts = [0_u8; 128];
    for byte in text {
        let place = &mut counts[usize::from(byte & 127)];
        *place = place.saturating_add(1);
    }
    let total = text.len() as f32;
    let (mut bits, mut unique) = (0.0, 0);
    // Of what a name may hold, `-` is the least and `z` the greatest.
    for n in counts[usize::from(b'-')..].iter().filter(|n| **n > 0) {
        let p = f32::from(*n) / total;
        bits -= p * p.log2();
        unique += 1;
    }
    (bits.max(0.0), unique)
}

/// Share of the pairs of neighbours that stood earlier in the text.
fn repeated_pairs(text: &[u8]) -> f32 {
    let mut seen = [0_u64; 25];
    let mut repeated = 0;
    let place = |byte: u8| match byte {
        b'a'..=b'z' => usize::from(byte - b'a'),
        b'0'..=b'9' => usize::from(byte - b'0') + 26,
        _ => 36,
    };
    for pair in text.windows(2) {
        let bit = place(pair[0]) * 37 + place(pair[1]);
        repeated += (seen[bit / 64] >> (bit % 64) & 1) as usize;
        seen[bit / 64] |= 1 << (bit % 64);
    }
    share(repeated, text.len().saturating_sub(1))
}

/// Computes the group.
pub(crate) fn fill(name: &Name<'_>, out: &mut [f32]) {
    let text = name.label.as_bytes();
    let tally = Tally::new(text);
    let (bits, unique) = entropy(text);
    Shape::HostLength.set(out, count(name.host.len()));
    Shape::HostLabels.set(out, count(name.host.split('.').count()));
    Shape::Unique.set(out, count(unique));
    Shape::UniqueShare.set(out, share(unique, text.len()));
    Shape::Entropy.set(out, bits);
    let most = (text.len() as f32).log2();
    Shape::EntropyShare.set(out, if most > 0.0 { (bits / most).min(1.0) } else { 1.0 });
    Shape::RepeatedPairs.set(out, repeated_pairs(text));
    Shape::StartsDigit.set(out, flag(text.first().is_some_and(u8::is_ascii_digit)));
    Shape::EndsDigit.set(out, flag(text.last().is_some_and(u8::is_ascii_digit)));
    let parts = || text.split(|byte| *byte == b'-').map(<[u8]>::len);
    Shape::LongestPart.set(out, count(parts().max().unwrap_or(0)));
    Shape::ShortestPart.set(out, count(parts().min().unwrap_or(0)));
    fill_tally(&tally, out);
}

fn fill_tally(tally: &Tally, out: &mut [f32]) {
    Shape::Length.set(out, count(tally.length));
    Shape::Letters.set(out, share(tally.letters, tally.length));
    Shape::Digits.set(out, count(tally.digits));
    Shape::DigitShare.set(out, share(tally.digits, tally.length));
    Shape::Hyphens.set(out, count(tally.hyphens));
    Shape::VowelShare.set(out, share(tally.vowels, tally.letters));
    Shape::HexShare.set(out, share(tally.hex, tally.length));
    Shape::HexLook.set(out, flag(tally.length >= 8 && tally.hex == tally.length && tally.digits > 0));
    Shape::RareShare.set(out, share(tally.rare, tally.letters));
    Shape::DigitRun.set(out, count(tally.digit_run));
    Shape::ConsonantRun.set(out, count(tally.consonant_run));
    Shape::VowelRun.set(out, count(tally.vowel_run));
    Shape::LetterRun.set(out, count(tally.letter_run));
    Shape::RepeatRun.set(out, count(tally.repeat_run));
    Shape::DigitGroups.set(out, count(tally.digit_groups));
    Shape::Switches.set(out, count(tally.switches));
    Shape::Alternation.set(out, share(tally.alternations, tally.letter_pairs));
    Shape::ConsonantPairs.set(out, share(tally.consonant_pairs, tally.letter_pairs));
    Shape::Year.set(out, flag(tally.year));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_counts_every_class() {
        let tally = Tally::new(b"bbank-login2024x");
        assert_eq!(tally.digits, 4);
        assert_eq!(tally.hyphens, 1);
        assert_eq!(tally.vowels, 3);
        assert_eq!(tally.repeat_run, 2);
        assert_eq!(tally.consonant_run, 2);
        assert_eq!(tally.letter_run, 5);
        assert_eq!(tally.switches, 2);
        assert!(tally.year);
        assert!(!Tally::new(b"20245").year);
    }

    #[test]
    fn entropy_of_equal_shares_is_the_logarithm() {
        assert_eq!(entropy(b"abcd"), (2.0, 4));
        assert_eq!(entropy(b"aaaa"), (0.0, 1));
    }

    #[test]
    fn pairs_that_come_again_are_counted() {
        assert_eq!(repeated_pairs(b"ababab"), 0.6);
        assert_eq!(repeated_pairs(b"abc"), 0.0);
    }
}
