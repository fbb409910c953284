//! How well the registrable label and the subdomain divide into words.
//!
//! Each part between hyphens is divided so that its cost is least (Viterbi): a word costs -ln of its
//! frequency, a digit and a letter that is in no word cost a constant. Letters of words of three or more
//! characters count as covered: among the words of many languages there is almost every pair of letters.

use fst::Map;

use crate::definition::{DOMAIN, count, features, share};
use crate::lexicon::NATS_PER_WORD_STEP;
use crate::name::Name;
use crate::trie::prefixes;

const NO_LIST: &str = "no word list, or the label has no ASCII reading";
const NO_WORD: &str = "no word list, or no such word";
const NO_LIST_OR_SUB: &str = "no word list, or no subdomain";

features! { Words for DOMAIN;
    Coverage "word_coverage" "ratio" 0.0 1.0
        "characters of the label that lie in words of three or more" NO_LIST;
    Coverage4 "word_coverage_4" "ratio" 0.0 1.0
        "characters of the label that lie in words of four or more" NO_LIST;
    Count "word_count" "count" 0.0 63.0 "words of three or more characters" NO_LIST;
    MeanLength "word_mean_length" "characters" 0.0 24.0 "mean length of those words; 0 without any" NO_LIST;
    Longest "word_longest" "characters" 0.0 24.0 "length of the longest word" NO_LIST;
    LongestShare "word_longest_share" "ratio" 0.0 1.0 "longest word by the length of the label" NO_LIST;
    Short "word_short" "count" 0.0 126.0 "words of one or two characters" NO_LIST;
    Unknown "word_unknown" "count" 0.0 126.0 "letters in no word" NO_LIST;
    Pieces "word_pieces" "count" 0.0 126.0
        "pieces that the label was divided into, digits not counted" NO_LIST;
    Cost "word_cost" "nats per character" 0.0 21.0 "cost of the division by the length of the label" NO_LIST;
    Rarest "word_rarest" "log10" 0.0 9.0
        "frequency per billion of the rarest word of three or more characters" NO_WORD;
    MeanFrequency "word_mean_frequency" "log10" 0.0 9.0
        "mean frequency per billion of words of three or more characters" NO_WORD;
    SubCoverage "sub_word_coverage" "ratio" 0.0 1.0
        "characters of the subdomain's labels that lie in words of three or more" NO_LIST_OR_SUB;
    SubCount "sub_word_count" "count" 0.0 84.0
        "words of three or more characters in the subdomain" NO_LIST_OR_SUB;
    SubCost "sub_word_cost" "nats per character" 0.0 21.0
        "cost of the division of the subdomain by its characters" NO_LIST_OR_SUB;
}

/// Longest part that is divided; the rest of a longer one is not read. Labels have 63 characters, readings
/// 126.
const MAX_PART: usize = 126;
/// What a letter costs that is in no word: a little more than a letter of the rarest words of three.
const UNKNOWN_NATS: f32 = 8.0;
/// What a digit costs: one of ten, and the change to digits.
const DIGIT_NATS: f32 = 3.0;

/// What dividing a text gave.
#[derive(Debug, Default, Clone, PartialEq)]
struct Division {
    characters: usize,
    covered: usize,
    covered_4: usize,
    words: usize,
    short: usize,
    longest: usize,
    unknown: usize,
    pieces: usize,
    cost: f32,
    rarest: Option<f32>,
    frequency_sum: f32,
}

/// The cheapest way to reach a place: cost, and the length and step of its last piece (no step: not a word).
#[derive(Clone, Copy)]
struct Reach {
    cost: f32,
    length: u8,
    steps: Option<u8>,
}

impl Division {
    fn add_part(&mut self, part: &[u8], words: &Map<&[u8]>) {
        let part = &part[..part.len().min(MAX_PART)];
        let mut places = [Reach { cost: f32::INFINITY, length: 1, steps: None }; MAX_PART + 1];
        let reached = &mut places[..=part.len()];
        reached[0].cost = 0.0;
        for start in 0..part.len() {
            let before = reached[start].cost;
            let single = if part[start].is_ascii_digit() { DIGIT_NATS } else { UNKNOWN_NATS };
            let next = &mut reached[start + 1];
            if before + single < next.cost {
                *next = Reach { cost: before + single, length: 1, steps: None };
            }
            prefixes(words, &part[start..], |length, steps| {
                let cost = before + steps as f32 * NATS_PER_WORD_STEP;
                let next = &mut reached[start + length];
                if cost < next.cost {
                    *next = Reach { cost, length: length as u8, steps: Some(steps as u8) };
                }
            });
        }
        self.characters += part.len();
        self.cost += reached[part.len()].cost;
        let mut end = part.len();
        while end > 0 {
            let reach = reached[end];
            end -= usize::from(reach.length);
            self.add_piece(&reach, part[end].is_ascii_digit());
        }
    }

    fn add_piece(&mut self, reach: &Reach, digit: bool) {
        let length = usize::from(reach.length);
        let Some(steps) = reach.steps else {
            self.unknown += usize::from(!digit);
            self.pieces += usize::from(!digit);
            return;
        };
        self.pieces += 1;
        self.longest = self.longest.max(length);
        if length < 3 {
            self.short += 1;
            return;
        }
        let frequency = 9.0 - f32::from(steps) / 10.0;
        self.words += 1;
        self.covered += length;
        self.covered_4 += if length >= 4 { length } else { 0 };
        self.frequency_sum += frequency;
        self.rarest = Some(self.rarest.map_or(frequency, |rarest| rarest.min(frequency)));
    }
}

/// Computes the group.
pub(crate) fn fill(name: &Name<'_>, words: Option<&Map<&[u8]>>, out: &mut [f32]) {
    let Some(words) = words else { return };
    if let Some(text) = name.text() {
        label(text, words, out);
    }
    if !name.sub.is_empty() {
        let mut division = Division::default();
        for part in name.sub.as_bytes().split(|byte| matches!(byte, b'-' | b'.')) {
            division.add_part(part, words);
        }
        Words::SubCoverage.set(out, share(division.covered, division.characters));
        Words::SubCount.set(out, count(division.words));
        Words::SubCost.set(out, division.cost / division.characters.max(1) as f32);
    }
}

fn label(text: &[u8], words: &Map<&[u8]>, out: &mut [f32]) {
    let mut division = Division::default();
    for part in text.split(|byte| *byte == b'-') {
        division.add_part(part, words);
    }
    Words::Coverage.set(out, share(division.covered, division.characters));
    Words::Coverage4.set(out, share(division.covered_4, division.characters));
    Words::Count.set(out, count(division.words));
    Words::MeanLength.set(out, share(division.covered, division.words));
    Words::Longest.set(out, count(division.longest));
    Words::LongestShare.set(out, share(division.longest, division.characters));
    Words::Short.set(out, count(division.short));
    Words::Unknown.set(out, count(division.unknown));
    Words::Pieces.set(out, count(division.pieces));
    Words::Cost.set(out, division.cost / division.characters.max(1) as f32);
    if let Some(rarest) = division.rarest {
        Words::Rarest.set(out, rarest);
        Words::MeanFrequency.set(out, division.frequency_sum / division.words as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide(text: &str) -> Division {
        let mut list = [("secure", 40_u64), ("login", 45), ("log", 42), ("in", 25), ("bank", 40), ("an", 30)];
        list.sort_unstable();
        let bytes = Map::from_iter(list).unwrap().into_fst().into_inner();
        let map = Map::new(bytes.as_slice()).unwrap();
        let mut division = Division::default();
        text.split('-').for_each(|part| division.add_part(part.as_bytes(), &map));
        division
    }

    #[test]
    fn the_cheapest_division_is_found() {
        let division = divide("securelogin-bank24");
        assert_eq!((division.words, division.covered, division.longest), (3, 15, 6));
        assert_eq!((division.unknown, division.short, division.pieces), (0, 0, 3));
        let expected = (40.0 + 45.0 + 40.0) * NATS_PER_WORD_STEP + 2.0 * DIGIT_NATS;
        assert!((division.cost - expected).abs() < 1e-3, "{}", division.cost);
        assert_eq!(division.rarest, Some(4.5));
    }

    #[test]
    fn letters_in_no_word_are_counted() {
        let division = divide("xqbankz");
        assert_eq!((division.unknown, division.words, division.covered_4), (3, 1, 4));
        assert_eq!(divide("").characters, 0);
    }
}
