//! Walks a finite-state map as a trie: every key that starts at one place of a text.

use fst::Map;
use fst::raw::Output;

/// Calls `each` with the length and the value of every key of `map` that `text` starts with, shortest first.
pub(crate) fn prefixes<D: AsRef<[u8]>>(map: &Map<D>, text: &[u8], mut each: impl FnMut(usize, u64)) {
    let fst = map.as_fst();
    let mut node = fst.root();
    let mut sum = Output::zero();
    for (i, byte) in text.iter().enumerate() {
        let Some(index) = node.find_input(*byte) else { return };
        let transition = node.transition(index);
        sum = sum.cat(transition.out);
        node = fst.node(transition.addr);
        if node.is_final() {
            each(i + 1, sum.cat(node.final_output()).value());
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_prefix_is_found_with_its_value() {
        let map = fst::Map::from_iter([("a", 7_u64), ("abc", 2), ("abd", 9), ("b", 1)]).unwrap();
        let mut found = Vec::new();
        super::prefixes(&map, b"abcd", |length, value| found.push((length, value)));
        assert_eq!(found, [(1, 7), (3, 2)]);
    }
}
