//! Character language models of labels: order four, smoothed, quantised, read in place.
//!
//! A model says how likely a character is after the three before it. Probabilities are interpolated after
//! Witten and Bell (1991): `P(c|h) = (n(hc) + t(h) P(c|h')) / (n(h) + t(h))`, where `h'` is `h` without its
//! first character, `n` counts, and `t(h)` is how many different characters follow `h`. The shortest history
//! backs off to the uniform distribution, so no probability is zero.
//!
//! ```text
//! u32           slots, a power of two
//! u32           order-four grams kept
//! 39³ bytes     -ln P(c|ab), at (a·39 + b)·39 + c; P(c|^) stands at (^, ^, c)
//! 39³ bytes     -ln of the weight that P(c|bc) gets after the history abc, where the gram abcd is not kept
//! slots × u32   open-addressed: gram (four symbols of six bits) << 8 | -ln P(d|abc); free = 0xffff_ffff
//! ```
//! A quantised value is `-ln P` in steps of 1/18 nat: it ends at 14.2 nats, with an error of at most 0.028.

use std::collections::BTreeMap;

use tribunal_core::container::read_u32;

use super::LexiconError;

/// Number of symbols: a-z, 0-9, `-`, start, end.
const SYMBOLS: usize = 39;
const START: u8 = 37;
const END: u8 = 38;
const DENSE: usize = SYMBOLS * SYMBOLS * SYMBOLS;
const STEPS_PER_NAT: f64 = 18.0;
const FREE: u32 = u32::MAX;
const HEADER: usize = 8;
/// Characters that can follow: all but the start.
const NEXT: usize = SYMBOLS - 1;

/// A model inside a lexicon.
#[derive(Clone, Copy)]
pub(crate) struct NgramModel<'a> {
    dense: &'a [u8],
    backoff: &'a [u8],
    slots: &'a [u8],
    shift: u32,
    mask: usize,
}

fn symbol(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => byte - b'a',
        b'0'..=b'9' => byte - b'0' + 26,
        b'^' => START,
        b'$' => END,
        _ => 36,
    }
}

fn key(gram: [u8; 4]) -> u32 {
    gram.iter().fold(0, |key, s| key << 6 | u32::from(*s))
}

fn dense_index(a: u8, b: u8, c: u8) -> usize {
    (usize::from(a) * SYMBOLS + usize::from(b)) * SYMBOLS + usize::from(c)
}

fn slot_of(key: u32, shift: u32) -> usize {
    (key.wrapping_mul(0x9E37_79B1) >> shift) as usize
}

fn quantise(probability: f64) -> u8 {
    (-probability.ln() * STEPS_PER_NAT).round().clamp(0.0, 255.0) as u8
}

impl<'a> NgramModel<'a> {
    /// A model over its section.
    pub(crate) fn open(section: &'a [u8]) -> Result<Self, LexiconError> {
        let damaged = || LexiconError::Model { bytes: section.len() };
        if section.len() < HEADER + 2 * DENSE {
            return Err(damaged());
        }
        let slots = read_u32(section, 0) as usize;
        if !slots.is_power_of_two() || slots < 2 || section.len() != HEADER + 2 * DENSE + 4 * slots {
            return Err(damaged());
        }
        let (dense, rest) = section[HEADER..].split_at(DENSE);
        let (backoff, table) = rest.split_at(DENSE);
        Ok(Self { dense, backoff, slots: table, shift: 32 - slots.trailing_zeros(), mask: slots - 1 })
    }

    /// Number of order-four grams kept.
    pub(crate) fn grams(section: &[u8]) -> u32 {
        if section.len() < HEADER { 0 } else { read_u32(section, 4) }
    }

    /// Natural logarithm of the probability of every character of `label`, and of its end, into `out`;
    /// returns how many were written: one more than the label has bytes, or as many as fit.
    pub(crate) fn score(&self, label: &[u8], out: &mut [f32]) -> usize {
        let mut history = [START; 3];
        let mut written = 0;
        for (next, place) in label.iter().map(|b| symbol(*b)).chain([END]).zip(out.iter_mut()) {
            *place = -(f32::from(self.code(history, next)) / STEPS_PER_NAT as f32);
            history = [history[1], history[2], next];
            written += 1;
        }
        written
    }

    fn code(&self, h: [u8; 3], next: u8) -> u16 {
        let wanted = key([h[0], h[1], h[2], next]);
        let mut slot = slot_of(wanted, self.shift);
        for _ in 0..=self.mask {
            let word = read_u32(self.slots, slot * 4);
            if word == FREE {
                break;
            }
            if word >> 8 == wanted {
                return (word & 255) as u16;
            }
            slot = (slot + 1) & self.mask;
        }
        u16::from(self.dense[dense_index(h[1], h[2], next)])
            + u16::from(self.backoff[dense_index(h[0], h[1], h[2])])
    }
}

/// Counts of grams of one to four symbols, and what is compiled of them.
#[derive(Default)]
pub(crate) struct NgramCounts {
    /// By gram, as symbols.
    counts: BTreeMap<Vec<u8>, f64>,
}

/// Most grams of order four that a model keeps: with the table of slots 0.19 or 0.32 MB a model.
pub(crate) const MAX_GRAMS: usize = 44_000;

impl NgramCounts {
    /// Adds a gram: one to four of `[a-z0-9-]`, `^` only first, `$` only last.
    pub(crate) fn add(&mut self, gram: &str, count: f64) -> Result<(), String> {
        let bytes = gram.as_bytes();
        if bytes.is_empty() || bytes.len() > 4 {
            return Err(format!("gram {gram:?} has {} characters, 1 to 4 are allowed", bytes.len()));
        }
        for (i, byte) in bytes.iter().enumerate() {
            let fits = match byte {
                b'^' => i == 0 || bytes[..i].iter().all(|b| *b == b'^'),
                b'$' => i + 1 == bytes.len(),
                byte => byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-',
            };
            if !fits {
                return Err(format!("gram {gram:?}: character {:?} is not allowed there", char::from(*byte)));
            }
        }
        if !(count.is_finite() && count >= 0.0) {
            return Err(format!("gram {gram:?}: count {count} is not a number of occurrences"));
        }
        // One start is history enough: the starts before it say nothing more.
        if !gram.starts_with("^^") && gram != "^" {
            *self.counts.entry(bytes.iter().map(|b| symbol(*b)).collect()).or_default() += count;
        }
        Ok(())
    }

    /// Compiles the model, keeping at most `limit` grams of order four, those that are most frequent.
    pub(crate) fn compile(&self, limit: usize) -> Vec<u8> {
        let smoothed = Smoothed::new(&self.counts);
        let mut dense = vec![255_u8; DENSE];
        for a in 0..END {
            for b in 0..END {
                let p =
                    if a == START && b == START { smoothed.bigrams(START) } else { smoothed.trigrams(a, b) };
                for (c, p) in p.iter().enumerate() {
                    dense[dense_index(a, b, next_symbol(c))] = quantise(*p);
                }
            }
        }
        let (kept, backoff) = self.order_four(&smoothed, limit);
        let slots = (kept.len() * 10 / 7 + 2).next_power_of_two();
        let mut section = Vec::with_capacity(HEADER + 2 * DENSE + 4 * slots);
        section.extend_from_slice(&(slots as u32).to_le_bytes());
        section.extend_from_slice(&(kept.len() as u32).to_le_bytes());
        section.extend_from_slice(&dense);
        section.extend_from_slice(&backoff);
        let mut table = vec![FREE; slots];
        for (gram, code) in &kept {
            let mut slot = slot_of(*gram, 32 - slots.trailing_zeros());
            while table[slot] != FREE {
                slot = (slot + 1) & (slots - 1);
            }
            table[slot] = gram << 8 | u32::from(*code);
        }
        section.extend(table.iter().flat_map(|word| word.to_le_bytes()));
        section
    }

    /// The grams kept, with their quantised probabilities, and the weight of every history.
    fn order_four(&self, smoothed: &Smoothed<'_>, limit: usize) -> (Vec<(u32, u8)>, Vec<u8>) {
        let mut frequent: Vec<(&Vec<u8>, f64)> =
            self.counts.iter().filter(|(g, n)| g.len() == 4 && **n > 0.0).map(|(g, n)| (g, *n)).collect();
        frequent.sort_by(|x, y| y.1.total_cmp(&x.1).then_with(|| x.0.cmp(y.0)));
        frequent.truncate(limit);
        let mut by_history: BTreeMap<[u8; 3], Vec<u8>> = BTreeMap::new();
        for (gram, _) in &frequent {
            by_history.entry([gram[0], gram[1], gram[2]]).or_default().push(gram[3]);
        }
        let mut kept = Vec::with_capacity(frequent.len());
        let mut backoff = vec![0_u8; DENSE];
        for (h, nexts) in &by_history {
            let lower = smoothed.trigrams(h[1], h[2]);
            let full = smoothed.extend(h, &lower);
            let (mut mass, mut lower_mass) = (0.0, 0.0);
            for next in nexts {
                let place = next_place(*next);
                mass += full[place];
                lower_mass += lower[place];
                kept.push((key([h[0], h[1], h[2], *next]), quantise(full[place])));
            }
            let weight = (1.0 - mass).max(1e-6) / (1.0 - lower_mass).max(1e-6);
            backoff[dense_index(h[0], h[1], h[2])] = quantise(weight.min(1.0));
        }
        kept.sort_unstable();
        (kept, backoff)
    }
}

/// The symbol at a place of a distribution: the start never follows.
fn next_symbol(place: usize) -> u8 {
    if place < usize::from(START) { place as u8 } else { END }
}

fn next_place(symbol: u8) -> usize {
    usize::from(symbol.min(START))
}

/// Smoothed distributions over the next symbol.
struct Smoothed<'a> {
    counts: &'a BTreeMap<Vec<u8>, f64>,
}

impl<'a> Smoothed<'a> {
    fn new(counts: &'a BTreeMap<Vec<u8>, f64>) -> Self {
        Self { counts }
    }

    fn unigrams(&self) -> [f64; NEXT] {
        self.extend(&[], &[1.0 / NEXT as f64; NEXT])
    }

    fn bigrams(&self, a: u8) -> [f64; NEXT] {
        self.extend(&[a], &self.unigrams())
    }

    fn trigrams(&self, a: u8, b: u8) -> [f64; NEXT] {
        self.extend(&[a, b], &self.bigrams(b))
    }

    fn extend(&self, history: &[u8], lower: &[f64; NEXT]) -> [f64; NEXT] {
        let mut counts = [0.0; NEXT];
        let mut gram = history.to_vec();
        gram.push(0);
        for (place, count) in counts.iter_mut().enumerate() {
            if let Some(last) = gram.last_mut() {
                *last = next_symbol(place);
            }
            *count = self.counts.get(&gram).copied().unwrap_or(0.0);
        }
        let total: f64 = counts.iter().sum();
        let types = counts.iter().filter(|n| **n > 0.0).count() as f64;
        if types == 0.0 {
            return *lower;
        }
        let mut out = *lower;
        for (p, count) in out.iter_mut().zip(counts) {
            *p = (count + types * *p) / (total + types);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &[&str]) -> Vec<u8> {
        let mut counts = NgramCounts::default();
        for word in text {
            let marked = format!("^{word}$");
            for order in 1..=4 {
                for gram in marked.as_bytes().windows(order) {
                    counts.add(std::str::from_utf8(gram).unwrap(), 1.0).unwrap();
                }
            }
        }
        counts.compile(MAX_GRAMS)
    }

    #[test]
    fn what_follows_a_history_sums_to_one() {
        let section = model(&["example", "exam", "examine", "sample", "apple", "x-ray", "k9", "maple"]);
        let model = NgramModel::open(&section).unwrap();
        for history in [[START; 3], [START, START, 4], [START, 4, 23], [4, 23, 0], [0, 12, 15], [9, 9, 9]] {
            let sum: f64 = (0..NEXT)
                .map(|c| (-f64::from(model.code(history, next_symbol(c))) / STEPS_PER_NAT).exp())
                .sum();
            assert!((0.95..1.05).contains(&sum), "{history:?}: {sum}");
        }
    }

    #[test]
    fn likely_names_score_above_unlikely_ones() {
        let section = model(&["example", "exam", "examine", "sample", "apple", "maple"]);
        let model = NgramModel::open(&section).unwrap();
        let mut out = [0.0; 64];
        let mean = |label: &str, out: &mut [f32]| {
            let n = model.score(label.as_bytes(), out);
            assert_eq!(n, label.len() + 1);
            out[..n].iter().sum::<f32>() / n as f32
        };
        assert!(mean("exampl", &mut out) > mean("zqxkvj", &mut out) + 1.0);
    }

    #[test]
    fn grams_with_a_mark_in_the_middle_are_refused() {
        let mut counts = NgramCounts::default();
        assert!(counts.add("a^b", 1.0).is_err());
        assert!(counts.add("a$b", 1.0).is_err());
        assert!(counts.add("abcde", 1.0).is_err());
        assert!(counts.add("ab", f64::NAN).is_err());
        assert!(counts.add("^ab$", 1.0).is_ok());
    }
}
