//! Changes that libFuzzer's own, which know bytes, do not make: they keep the form of text and of counted arrays, so
//! that the change reaches what lies behind the form.

use crate::answers::hash;

/// What numbers become in text.
const WORDS: [&str; 22] = [
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "31",
    "32",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "18446744073709551616",
    "1e38",
    "3.5e38",
    "-1e400",
    "1e-46",
    "nan",
    "null",
];
/// What counts, offsets and values become in binary formats.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x7F80_0000,
    0x7FC0_0000,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// A changed copy of `data` of at most `most` bytes; `None` to leave the change to libFuzzer, three times in four.
pub(crate) fn mutate(data: &[u8], most: usize, seed: u32) -> Option<Vec<u8>> {
    let mut random = Random(u64::from(seed));
    if data.len() < 4 || random.below(4) != 0 {
        return None;
    }
    let mut changed = match random.below(5) {
        0 => replace_number(data, &mut random)?,
        1 => overwrite(data, &mut random),
        2 => move_piece(data, &mut random),
        3 => data[..random.below(data.len())].to_vec(),
        _ => replace_number(&replace_number(data, &mut random)?, &mut random)?,
    };
    changed.truncate(most);
    (!changed.is_empty()).then_some(changed)
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        (hash(self.0) >> 16) as usize % n
    }
}

/// A number in text, by another one or a neighbour's copy.
fn replace_number(data: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let from = random.below(data.len());
    let is_number = |b: &u8| b.is_ascii_digit() || b".eE+-".contains(b);
    let start = from + data[from..].iter().position(u8::is_ascii_digit)?;
    let length = data[start..].iter().take_while(|b| is_number(b)).count();
    let start = if start > 0 && data[start - 1] == b'-' { start - 1 } else { start };
    let end = start + length;
    let word = WORDS[random.below(WORDS.len())].as_bytes();
    Some([&data[..start], word, data.get(end..).unwrap_or_default()].concat())
}

/// One, two, four or eight bytes, of either byte order.
fn overwrite(data: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = data.to_vec();
    let width = (1 << random.below(4)).min(data.len());
    let number = NUMBERS[random.below(NUMBERS.len())];
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    let bytes = if random.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
    let at = random.below(data.len() - width + 1);
    changed[at..at + width].copy_from_slice(bytes);
    changed
}

/// A piece between two separators, copied, moved or taken away.
fn move_piece(data: &[u8], random: &mut Random) -> Vec<u8> {
    let separator = [b'\n', b',', b' ', b'{', b'['][random.below(5)];
    let ends: Vec<usize> = (0..data.len()).filter(|&i| data[i] == separator).collect();
    if ends.len() < 2 {
        let (a, b) = (random.below(data.len()), random.below(data.len()));
        let (a, b) = (a.min(b), a.max(b));
        return [&data[..a], &data[b..]].concat();
    }
    let first = random.below(ends.len() - 1);
    let last = (first + 1 + random.below(4)).min(ends.len() - 1);
    let (piece, rest) = (&data[ends[first]..ends[last]], &data[ends[last]..]);
    let to = ends[random.below(ends.len())];
    match random.below(3) {
        0 => [&data[..ends[first]], rest].concat(),
        1 => [&data[..to], piece, &data[to..]].concat(),
        _ => {
            let without = [&data[..ends[first]], rest].concat();
            let to = to.min(without.len());
            [&without[..to], piece, &without[to..]].concat()
        }
    }
}
