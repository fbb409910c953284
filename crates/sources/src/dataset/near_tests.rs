use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tribunal_core::Entity;

use super::*;
use crate::config::{Declaration, Near};
use crate::source::{MAX_ROWS, Source};
use crate::sources::{Asked, Sources, Stores};

fn table(csv: &str) -> Dataset {
    let options = BuildOptions { key: Some("e".to_owned()), ..BuildOptions::default() };
    let mut builder = Builder::new(options).unwrap();
    builder.add_csv("t.csv", csv.as_bytes()).unwrap();
    Dataset::open(builder.finish().unwrap().bytes).unwrap()
}

const NEAR: Near = Near { v4: Some(24), v6: Some(48) };

/// The values of column `n` around an entity.
fn around(dataset: &Dataset, entity: &str, near: Near) -> Option<Vec<u64>> {
    let rows = dataset.near(&Entity::parse(entity).unwrap(), near, |_| true)?;
    Some(rows.iter().map(|row| row["n"].as_u64().unwrap()).collect())
}

#[test]
fn neighbours_are_the_other_keys_of_the_network() {
    let listed = table(
        "e,n\n198.51.100.1,1\n198.51.100.1,2\n198.51.100.255,3\n198.51.101.0,4\n198.51.100.64/26,5\n\
         198.51.0.0/16,6\nexample.com,7\n2001:db8:1::1,8\n2001:db8:1:ffff::1,9\n2001:db8:2::1,10\n",
    );
    let of = |entity| around(&listed, entity, NEAR);
    // Itself, twice listed, is left out; the /16 reaches in, and the block is beside it.
    assert_eq!(of("198.51.100.1"), Some(vec![6, 5, 3]));
    assert_eq!(of("198.51.100.2"), Some(vec![1, 2, 5, 3]), "the /16 is what the address itself has");
    assert_eq!(of("198.51.100.70"), Some(vec![6, 1, 2, 3]));
    assert_eq!(of("203.0.113.7"), Some(vec![]));
    assert_eq!(of("2001:db8:1:5::5"), Some(vec![8, 9]));
    assert_eq!(of("2001:db8:1::1"), Some(vec![9]));
    assert_eq!(of("2001:db8:2::1"), Some(vec![]));
    assert_eq!(of("example.com"), None);
    let v4_alone = Near { v4: Some(16), v6: None };
    assert_eq!(around(&listed, "2001:db8:1::1", v4_alone), None);
    assert_eq!(around(&listed, "198.51.101.0", v4_alone), Some(vec![6, 1, 2, 5, 3]));
}

#[test]
fn the_ends_of_both_address_spaces_have_neighbours() {
    let listed = table("e,n\n0.0.0.0,1\n255.255.255.255,2\n::1,3\nffff:ffff:ffff:ffff::1,4\n");
    let wide = Near { v4: Some(8), v6: Some(16) };
    for (entity, expected) in [("0.0.0.9", 1), ("255.255.255.0", 2), ("::9", 3), ("ffff::", 4)] {
        assert_eq!(around(&listed, entity, wide), Some(vec![expected]), "{entity}");
    }
    let last = Entity::parse("ffff:ffff:ffff:ffff::1").unwrap();
    assert_eq!(listed.ask(&last, None, MatchBy::Entity).unwrap(), [json!({"n": 4})]);
}

#[test]
fn a_network_that_is_full_of_entries_is_counted_to_the_limit() {
    let csv: String =
        (0..70_000).map(|i| format!("10.{}.{}.{},{i}\n", i >> 16, i >> 8 & 255, i & 255)).collect();
    let listed = table(&format!("e,n\n{csv}"));
    let near = Near { v4: Some(8), v6: None };
    assert_eq!(around(&listed, "10.0.0.0", near).unwrap().len(), MAX_ROWS);
    // One key with many rows, and texts that are more than an answer may hold.
    let rows: String = (0..1_500).map(|i| format!("10.0.0.1,{}{i}\n", "x".repeat(4_000))).collect();
    let rows = table(&format!("e,n\n{rows}")).near(&Entity::parse("10.0.0.2").unwrap(), NEAR, |_| true);
    assert!((900..=MAX_ROWS).contains(&rows.unwrap().len()));
}

fn asked(features: &str, csv: &str, entities: &[&str]) -> Vec<Vec<f32>> {
    let text = format!("[sources.s]\nkinds = [\"ip\"]\ndataset = {{ name = \"s\" }}\n{features}");
    let declaration = Declaration::parse(&text, |_| false).unwrap();
    let config = &declaration.sources["s"];
    let holder = Arc::new(DatasetHolder::given("s", table(csv)));
    let source = DatasetSource::new(holder, MatchBy::Entity).with_neighbours(&config.features);
    let open = BTreeMap::from([("s".to_owned(), Arc::new(source) as Arc<dyn Source>)]);
    let sources = Sources::new(&declaration, open, Stores::default());
    let entities: Vec<Entity> = entities.iter().map(|text| Entity::parse(text).unwrap()).collect();
    let batch: Vec<Asked<'_>> =
        entities.iter().map(|entity| Asked { entity, facts: None, tlp: None, attempt: 0 }).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answers = runtime.block_on(sources.ask(&batch, 0, Duration::from_secs(5)));
    answers.found.into_iter().map(|found| found.values).collect()
}

#[test]
fn features_of_neighbours_are_made_like_all_others() {
    let features = "
[[sources.s.features]]
name = \"own\"
transform = [\"count\"]
[[sources.s.features]]
name = \"near_24\"
near = { v4 = 24 }
transform = [\"count\", \"log1p\"]
[[sources.s.features]]
name = \"near_16_feeds\"
near = { v4 = 16, v6 = 48 }
field = \"feed\"
transform = [\"distinct\"]
[[sources.s.features]]
name = \"near_24_c2\"
near = { v4 = 24 }
where = { kind = [\"c2\"] }
transform = [\"count\"]
[[sources.s.features]]
name = \"near_24_any\"
near = { v4 = 24 }
transform = [\"flag\"]
";
    let csv = "e,feed,kind\n10.0.0.1,a,c2\n10.0.0.2,a,scan\n10.0.1.1,b,scan\n2001:db8::1,c,c2\n";
    let found = asked(features, csv, &["10.0.0.1", "10.0.0.9", "2001:db8::2", "11.0.0.1"]);
    let ln = |n: f64| n.ln_1p() as f32;
    assert_eq!(found[0], [1.0, ln(1.0), 2.0, 0.0, 1.0]);
    assert_eq!(found[1], [0.0, ln(2.0), 2.0, 1.0, 1.0]);
    // No IPv6 network is said: these are missing, not zero.
    assert_eq!((found[2][0], found[2][2]), (0.0, 1.0));
    assert!(found[2][1].is_nan() && found[2][3].is_nan() && found[2][4].is_nan());
    assert_eq!(found[3], [0.0; 5]);
}

fn prefix(address: IpAddr, length: u8) -> u128 {
    match address {
        IpAddr::V4(a) => (u128::from(a.to_bits()) << 96).checked_shr(128 - u32::from(length)).unwrap_or(0),
        IpAddr::V6(a) => a.to_bits().checked_shr(128 - u32::from(length)).unwrap_or(0),
    }
}

proptest! {
    #[test]
    fn neighbours_are_those_of_a_plain_search(
        v4 in prop::collection::btree_set((0_u32..3, 0_u32..4, 0_u32..6), 0..30),
        v6 in prop::collection::btree_set((0_u64..3, 0_u64..4, 0_u64..3), 0..30),
        lengths in (8_u8..32, 16_u8..65),
    ) {
        let near = Near { v4: Some(lengths.0), v6: Some(lengths.1) };
        let v4 = v4.iter().map(|(a, b, c)| IpAddr::from(Ipv4Addr::from_bits(a << 30 | b << 9 | c)));
        let spread = |(a, b, c): &(u64, u64, u64)| u128::from(a << 62 | b << 17 | c >> 1) << 64 | u128::from(*c);
        let v6 = v6.iter().map(|parts| IpAddr::from(Ipv6Addr::from_bits(spread(parts) | 0x20 << 120)));
        let listed: Vec<IpAddr> = v4.chain(v6).collect();
        let csv: String = listed.iter().enumerate().map(|(i, a)| format!("{a},{i}\n")).collect();
        let dataset = table(&format!("e,n\nexample.com,999\n{csv}"));
        let others = ["0.0.0.7", "128.0.2.3", "2000::7", "e000::1"];
        for address in listed.iter().copied().chain(others.map(|text| text.parse().unwrap())) {
            let length = if address.is_ipv4() { lengths.0 } else { lengths.1 };
            let expected: BTreeSet<u64> = (0_u64..).zip(&listed).filter(|(_, other)| {
                **other != address && other.is_ipv4() == address.is_ipv4()
                    && prefix(**other, length) == prefix(address, length)
            }).map(|(i, _)| i).collect();
            let found: Vec<Value> =
                dataset.near(&Entity::parse(&address.to_string()).unwrap(), near, |_| true).unwrap();
            prop_assert_eq!(found.len(), expected.len());
            let found: BTreeSet<u64> = found.iter().map(|row| row["n"].as_u64().unwrap()).collect();
            prop_assert_eq!(found, expected, "{}", address);
        }
    }
}

#[test]
fn only_the_columns_that_are_read_are_made() {
    let listed = table("e,a,b\n10.0.0.1,1,2\n");
    let rows = listed.near(&Entity::parse("10.0.0.2").unwrap(), NEAR, |column| column == "b");
    assert_eq!(rows, Some(vec![json!({"b": 2})]));
}
