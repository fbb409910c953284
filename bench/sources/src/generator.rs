//! Names with a fixed seed, of the shapes that are met.

const WORDS: [&str; 16] = [
    "garden", "secure", "mail", "bank", "photo", "update", "travel", "cloud", "news", "paypal", "login",
    "market", "music", "google", "forum", "support",
];
const SUFFIXES: [&str; 8] = ["com", "net", "org", "co.uk", "de", "xyz", "info", "top"];

/// A bijection that scatters (the finaliser of SplitMix64).
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Name `i`, another for every `i`: words, brands, generated labels, pools of addresses, IDNs, names deep below a
/// suffix. Lengths are about those of the names that the models are trained with: 18 characters in the mean (there 17),
/// two or three labels in 19 of 20.
pub(crate) fn name(i: u64) -> String {
    let word = |shift: u32| WORDS[(mix(i) >> shift) as usize % WORDS.len()];
    let suffix = SUFFIXES[i as usize % SUFFIXES.len()];
    match mix(i) % 64 {
        0..12 => format!("{}.{suffix}", label(i)),
        12..22 => format!("{}-{}{i}.{suffix}", word(8), word(16)),
        22..32 => format!("{}{}{i}.{suffix}", word(8), word(16)),
        32..54 => format!("{}{i}.{suffix}", word(8)),
        54..60 => format!("{}.{}{i}.{suffix}", word(8), word(16)),
        60 => format!("www.{}.{}{i}.{suffix}", word(8), word(16)),
        61 => format!("secure-login.paypa1.com.{}-update{i}.{suffix}", word(8)),
        62 => format!("host-84-{}-{}-19.pool.{}-networks.{suffix}", i / 256, i % 256, word(8)),
        _ => format!("b\u{fc}cher-{}{i}.{suffix}", word(8)),
    }
}

/// 13 characters, as an algorithm makes them.
fn label(i: u64) -> String {
    let mut rest = mix(i.wrapping_add(0x5eed));
    let character = |_| {
        let digit = rest as usize & 31;
        rest >>= 5;
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[digit])
    };
    (0..13).map(character).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_different_and_as_long_as_those_that_are_met() {
        let names: HashSet<String> = (0..10_000).map(name).collect();
        assert_eq!(names.len(), 10_000);
        let mean = names.iter().map(String::len).sum::<usize>() as f64 / 1e4;
        assert!((17.0..19.5).contains(&mean), "{mean}");
        let few = names.iter().filter(|name| name.matches('.').count() <= 2).count();
        assert!(few > 9_000, "{few}");
    }
}
