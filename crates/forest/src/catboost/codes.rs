//! From the hashes of a categorical feature's values back to codes.
//!
//! CatBoost takes a categorical value as text, and keeps of it only the low 32 bits of CityHash64, version 1. A row
//! here holds numbers; a code is a whole number from 0 to 65535, and stands for its decimal text, as whole numbers
//! do in CatBoost's own interfaces. A hash that no code has is that of other text, which a row cannot hold.
//! Source: `catboost/libs/cat_feature` and `util/digest/city.cpp` of CatBoost; Pike and Alakuijala, CityHash 1.0.

/// Codes are below this.
pub(super) const MAX_CODES: u32 = 1 << 16;

const K2: u64 = 0x9AE1_6A3B_2F90_404F;
const K3: u64 = 0xC949_D7C7_509E_6557;
const K_PAIR: u64 = 0x9DDF_EA08_EB38_2D69;

/// Every code by its hash.
pub(super) struct Codes {
    /// Sorted.
    by_hash: Vec<(u32, u32)>,
}

impl Codes {
    pub(super) fn new() -> Self {
        let mut by_hash: Vec<(u32, u32)> =
            (0..MAX_CODES).map(|code| (hash(code.to_string().as_bytes()), code)).collect();
        by_hash.sort_unstable();
        Self { by_hash }
    }

    /// The codes with a hash, in order; most often one.
    pub(super) fn with_hash(&self, hash: u32) -> impl Iterator<Item = i64> {
        let start = self.by_hash.partition_point(|entry| entry.0 < hash);
        self.by_hash[start..].iter().take_while(move |entry| entry.0 == hash).map(|entry| i64::from(entry.1))
    }
}

/// The low half of CityHash64 of 1 to 8 bytes.
fn hash(text: &[u8]) -> u32 {
    let len = text.len() as u64;
    let wide = match (text.first_chunk::<4>(), text.last_chunk::<4>(), text) {
        (Some(&first), Some(&last), _) => {
            let (first, last) = (u64::from(u32::from_le_bytes(first)), u64::from(u32::from_le_bytes(last)));
            pair(len.wrapping_add(first << 3), last)
        }
        (_, _, &[first, .., last]) => few(first, text[text.len() / 2], last, len),
        (_, _, &[only]) => few(only, only, only, len),
        (_, _, []) => K2,
    };
    wide as u32
}

/// Of fewer than four bytes: the first, the middle and the last.
fn few(first: u8, middle: u8, last: u8, len: u64) -> u64 {
    let y = u64::from(first) + (u64::from(middle) << 8);
    let z = len + (u64::from(last) << 2);
    shift_mix(y.wrapping_mul(K2) ^ z.wrapping_mul(K3)).wrapping_mul(K2)
}

/// Of two words.
fn pair(low: u64, high: u64) -> u64 {
    let a = shift_mix((low ^ high).wrapping_mul(K_PAIR));
    shift_mix((high ^ a).wrapping_mul(K_PAIR)).wrapping_mul(K_PAIR)
}

fn shift_mix(value: u64) -> u64 {
    value ^ value >> 47
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_by_their_hash() {
        let codes = Codes::new();
        // As CatBoost has them in models.
        for (value, code) in [(-1_438_285_038_i32, 0), (593_172_586, 3), (-19_993_034, 8)] {
            assert_eq!(codes.with_hash(value as u32).collect::<Vec<_>>(), [code], "{value}");
        }
        assert_eq!(codes.with_hash(0).count() + codes.with_hash(u32::MAX).count(), 0);
        assert!((0..MAX_CODES).all(|code| {
            codes.with_hash(hash(code.to_string().as_bytes())).any(|found| found == i64::from(code))
        }));
    }
}
