use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use serde_json::{Value, json};
use tribunal_core::{AddressFacts, Entity};

use super::*;

fn build(key: &str, kind: KeyKind, csv: &str) -> Vec<u8> {
    let options = BuildOptions { key: Some(key.to_owned()), kind, ..BuildOptions::default() };
    let mut builder = Builder::new(options).unwrap();
    builder.add_csv("t.csv", csv.as_bytes()).unwrap();
    builder.origin("t.csv", "sha256:00".to_owned(), 0);
    builder.finish().unwrap().bytes
}

fn dataset(key: &str, kind: KeyKind, csv: &str) -> Dataset {
    Dataset::open(build(key, kind, csv)).unwrap()
}

fn ask(dataset: &Dataset, entity: &str, by: MatchBy) -> Vec<Value> {
    dataset.ask(&Entity::parse(entity).unwrap(), None, by).unwrap()
}

#[test]
fn what_of_an_entity_is_looked_up_is_chosen() {
    let names = dataset("e", KeyKind::Entity, "e,n\nexample.co.uk,1\na.b.example.co.uk,2\n1.0.0.0/8,3\n");
    assert_eq!(ask(&names, "a.b.example.co.uk", MatchBy::Entity), [json!({"n": 2})]);
    assert!(ask(&names, "x.example.co.uk", MatchBy::Entity).is_empty());
    assert_eq!(ask(&names, "a.b.example.co.uk", MatchBy::RegistrableDomain), [json!({"n": 1})]);
    assert_eq!(ask(&names, "x.a.b.example.co.uk", MatchBy::Parents), [json!({"n": 2})]);
    assert_eq!(ask(&names, "x.y.example.co.uk", MatchBy::Parents), [json!({"n": 1})]);
    assert!(ask(&names, "x.other.co.uk", MatchBy::Parents).is_empty());
    assert_eq!(ask(&names, "1.2.3.4", MatchBy::Parents), [json!({"n": 3})]);
    assert!(ask(&names, "1.2.3.4", MatchBy::RegistrableDomain).is_empty());
    let tlds = dataset("tld", KeyKind::Tld, "tld,rate\ncom,0.5\n.рф,0.25\n");
    assert_eq!(ask(&tlds, "a.b.com", MatchBy::Tld), [json!({"rate": 0.5})]);
    assert_eq!(ask(&tlds, "пример.рф", MatchBy::Tld), [json!({"rate": 0.25})]);
    assert!(ask(&tlds, "1.2.3.4", MatchBy::Tld).is_empty());
}

#[test]
fn a_parent_above_the_registrable_domain_is_never_asked_for() {
    // A hostile list could hold a suffix: it must not match all names below it.
    let names = dataset("e", KeyKind::Entity, "e\ngithub.io\nexample.com\n");
    assert!(ask(&names, "somebody.github.io", MatchBy::Parents).is_empty());
    assert_eq!(ask(&names, "x.example.com", MatchBy::Parents).len(), 1);
}

#[test]
fn facts_of_an_address_are_looked_up() {
    let facts = AddressFacts { asn: Some(64500), country: Some("DE".to_owned()), ..AddressFacts::default() };
    let address = Entity::parse("1.2.3.4").unwrap();
    let asns = dataset("asn", KeyKind::Asn, "asn,name\nAS64500,Bad\n");
    assert_eq!(asns.ask(&address, Some(&facts), MatchBy::Asn).unwrap(), [json!({"name": "Bad"})]);
    assert!(asns.ask(&address, None, MatchBy::Asn).unwrap().is_empty());
    let countries = dataset("cc", KeyKind::Country, "cc,n\nde,1\n");
    assert_eq!(countries.ask(&address, Some(&facts), MatchBy::Country).unwrap(), [json!({"n": 1})]);
}

#[test]
fn address_ranges_are_a_data_set_too() {
    let table = crate::Input {
        table: crate::Table::Network,
        file: "asn.csv",
        content: b"1.0.0.0,1.0.0.255,13335,Cloudflare\n",
    };
    let ranges = Dataset::open(crate::compile(&[table]).unwrap()).unwrap();
    assert_eq!(ranges.format(), "ip-ranges");
    assert!(ranges.ranges().is_some());
    assert_eq!(ask(&ranges, "1.0.0.7", MatchBy::Entity), [json!({"asn": 13335, "as_name": "Cloudflare"})]);
    assert!(ask(&ranges, "2.0.0.7", MatchBy::Entity).is_empty());
    assert!(ask(&ranges, "a.com", MatchBy::Entity).is_empty());
}

#[test]
fn bytes_that_are_no_data_set_are_refused() {
    for bytes in [&b""[..], b"TRIBTBL\0", b"TRIBIPR\0rest", b"\xab\xcd\xefMaxMind.com", b"domain\na.com\n"] {
        assert!(Dataset::open(bytes.to_vec()).is_err(), "{bytes:?}");
    }
}

/// A MaxMind DB of IPv4 with one record for 0.0.0.0/1, of every type of value.
fn maxmind_file() -> Vec<u8> {
    let text = |text: &str| [vec![0x40 | text.len() as u8], text.as_bytes().to_vec()].concat();
    let pair = |name: &str, value: &[u8]| [text(name), value.to_vec()].concat();
    let record = [
        vec![0xe7],
        pair("name", &text("Example")),
        pair("asn", &[0xc2, 0x34, 0x12]),
        pair("big", &[&[0x10, 0x03][..], &[0xff; 16]].concat()),
        pair("raw", &[0x82, 1, 2]),
        pair("half", &[&[0x68][..], &0.5_f64.to_be_bytes()].concat()),
        pair("yes", &[0x01, 0x07]),
        pair("list", &[&[0x01, 0x04][..], &text("x")].concat()),
    ]
    .concat();
    // One node: left leads to the data at 0, right to nothing.
    let mut file = vec![0, 0, 1 + 16, 0, 0, 1];
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&record);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let metadata = [
        vec![0xe9],
        pair("binary_format_major_version", &[0xa1, 2]),
        pair("binary_format_minor_version", &[0xa0]),
        pair("build_epoch", &[0x01, 0x02, 1]),
        pair("database_type", &text("Test")),
        pair("description", &[&[0xe1][..], &pair("en", &text("A test"))].concat()),
        pair("ip_version", &[0xa1, 4]),
        pair("languages", &[0x00, 0x04]),
        pair("node_count", &[0xc1, 1]),
        pair("record_size", &[0xa1, 24]),
    ];
    file.extend(metadata.concat());
    file
}

#[test]
fn a_maxmind_file_is_read_as_it_is() {
    let database = Dataset::open(maxmind_file()).unwrap();
    assert_eq!(database.format(), "maxmind");
    let expected = json!({
        "name": "Example", "asn": 0x3412, "big": "340282366920938463463374607431768211455", "raw": null,
        "half": 0.5, "yes": true, "list": ["x"],
    });
    assert_eq!(ask(&database, "1.2.3.4", MatchBy::Entity), std::slice::from_ref(&expected));
    assert!(ask(&database, "200.2.3.4", MatchBy::Entity).is_empty());
    assert!(ask(&database, "2001:db8::1", MatchBy::Entity).is_empty());
    assert!(ask(&database, "a.com", MatchBy::Entity).is_empty());
    let Dataset::MaxMind(database) = database else { panic!("not a MaxMind DB") };
    assert_eq!(database.first_rows(5), [expected]);
    assert_eq!((database.about().database_type.as_str(), database.about().build_epoch), ("Test", 1));
}

/// A table that has all kinds of keys, columns and sections.
fn rich_file() -> Vec<u8> {
    let mut csv = String::from("e,text,n,f,day,seen,flag\n");
    for i in 0..40_u32 {
        let row =
            format!("feed {},{i},{}.5,2026-11-{:02},2026-11-24T07:49:{:02}Z,true", i % 3, i, i % 28 + 1, i);
        csv.push_str(&format!("host{}.example,{row}\n10.{i}.0.0/{},{row}\n", i % 30, 16 + i % 10));
        csv.push_str(&format!("2001:db8:{i:x}::/{},{row}\n2001:db8::{i:x},{row}\n", 48 + i));
    }
    build("e", KeyKind::Entity, &csv)
}

/// Puts the digest of the content into the frame, as somebody would who means harm.
fn mend(file: &mut [u8]) {
    if file.len() < 56 {
        return;
    }
    let length = file.len() as u64;
    file[16..24].copy_from_slice(&length.to_le_bytes());
    let content = [&file[..24], &file[56..]].concat();
    let digest = tribunal_core::digest::sha256(&content);
    let hex = digest.trim_start_matches("sha256:").as_bytes();
    for (i, pair) in hex.chunks(2).enumerate() {
        file[24 + i] = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
}

/// Asks a data set everything; nothing is expected but an answer.
fn exercise(dataset: &Dataset) {
    let entities =
        ["host3.example", "a.host3.example", "10.3.0.1", "255.255.255.255", "2001:db8::3", "ffff::"];
    let facts = AddressFacts { asn: Some(3), country: Some("DE".to_owned()), ..AddressFacts::default() };
    let all = [
        MatchBy::Entity,
        MatchBy::RegistrableDomain,
        MatchBy::Parents,
        MatchBy::Tld,
        MatchBy::Asn,
        MatchBy::Country,
    ];
    for text in entities {
        for by in all {
            drop(dataset.ask(&Entity::parse(text).unwrap(), Some(&facts), by));
        }
        for (v4, v6) in [(8, 16), (24, 48), (31, 64)] {
            drop(dataset.near(&Entity::parse(text).unwrap(), Near { v4: Some(v4), v6: Some(v6) }, |_| true));
        }
    }
    if let Dataset::Table(table) = dataset {
        table.first_rows(100).to_json();
        table.first_names(100);
    }
}

#[test]
fn the_file_for_the_hostile_tests_is_sound_and_stays_so_when_mended() {
    let mut file = rich_file();
    let before = file.clone();
    mend(&mut file);
    assert_eq!(file, before);
    let dataset = Dataset::open(file).unwrap();
    assert_eq!(ask(&dataset, "2001:db8::3", MatchBy::Entity).len(), 1);
    assert_eq!(ask(&dataset, "host3.example", MatchBy::Entity).len(), 2);
    exercise(&dataset);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_file_that_lies_under_a_sound_checksum_is_refused_or_searched_within_it(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = rich_file();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        mend(&mut file);
        if let Ok(dataset) = Dataset::open(file) {
            exercise(&dataset);
        }
    }

    #[test]
    fn the_head_of_every_section_may_lie(word in any::<u32>(), at in any::<prop::sample::Index>()) {
        let sound = rich_file();
        let sections = table::FORMAT.read(&sound).unwrap();
        let (_, section) = &sections[at.index(sections.len())];
        for offset in (section.start..section.end.min(section.start + 24)).step_by(4) {
            for lie in [word, 0, u32::MAX, word % 64] {
                let mut file = sound.clone();
                let end = (offset + 4).min(file.len());
                file[offset..end].copy_from_slice(&lie.to_le_bytes()[..end - offset]);
                mend(&mut file);
                if let Ok(dataset) = Dataset::open(file) {
                    exercise(&dataset);
                }
            }
        }
    }

    #[test]
    fn a_maxmind_file_that_lies_is_refused_or_answers(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = maxmind_file();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(dataset) = Dataset::open(file) {
            exercise(&dataset);
            if let Dataset::MaxMind(database) = dataset {
                database.first_rows(100);
            }
        }
    }

    #[test]
    fn names_are_found_and_only_they(
        names in prop::collection::btree_set("[a-c]{1,3}(\\.[a-c]{1,3}){0,2}\\.example", 1..200),
        others in prop::collection::vec("[a-c]{1,3}(\\.[a-c]{1,3}){0,2}\\.example", 0..50),
    ) {
        let csv: String = names.iter().enumerate().map(|(i, name)| format!("{name},{i}\n")).collect();
        let dataset = dataset("e", KeyKind::Entity, &format!("e,n\n{csv}"));
        for (i, name) in names.iter().enumerate() {
            prop_assert_eq!(ask(&dataset, name, MatchBy::Entity), vec![json!({"n": i})]);
        }
        for other in others {
            prop_assert_eq!(ask(&dataset, &other, MatchBy::Entity).is_empty(), !names.contains(&other));
        }
    }

    #[test]
    fn the_narrowest_range_is_found(
        v4 in prop::collection::vec((0_u8..8, 0_u8..=32), 1..20),
        v6 in prop::collection::vec((0_u8..8, 0_u8..=128), 1..20),
        extra in any::<[u8; 16]>(),
    ) {
        // Few different addresses, so that ranges nest; equal ones are one key with several rows.
        let mut ranges: BTreeMap<(IpAddr, u8), Vec<usize>> = BTreeMap::new();
        let mut csv = String::from("e,n\n");
        let both = v4.iter().map(|(seed, length)| block(*seed, *length, false));
        for (n, (base, length)) in both.chain(v6.iter().map(|(seed, length)| block(*seed, *length, true))).enumerate() {
            csv.push_str(&format!("{base}/{length},{n}\n"));
            ranges.entry((base, length)).or_default().push(n);
        }
        let dataset = dataset("e", KeyKind::Entity, &csv);
        let mut asked: Vec<IpAddr> = vec![Ipv6Addr::from(extra).into()];
        asked.push(Ipv4Addr::from([extra[0], extra[1], extra[2], extra[3]]).into());
        asked.extend((0..8).flat_map(|seed| [block(seed, 32, false).0, block(seed, 128, true).0]));
        for address in asked {
            let holding = ranges.iter().filter(|((base, length), _)| holds(*base, *length, address));
            let expected = holding.max_by_key(|((_, length), _)| *length).map(|(_, rows)| rows.clone());
            let rows = dataset.lookup(Key::Address(address)).unwrap();
            let found: Vec<usize> = rows.iter().map(|row| row["n"].as_u64().unwrap() as usize).collect();
            prop_assert_eq!(found, expected.unwrap_or_default(), "{}", address);
        }
    }
}

fn mask(length: u8, width: u8) -> u128 {
    if length == 0 { 0 } else { (u128::MAX << (width - length)) & (u128::MAX >> (128 - width)) }
}

fn block(seed: u8, length: u8, v6: bool) -> (IpAddr, u8) {
    let spread = u128::from(seed & 1) | u128::from(seed & 2) << 20 | u128::from(seed & 4) << 62 | 0x0a << 24;
    if v6 {
        return (Ipv6Addr::from_bits((spread | 0x20 << 120) & mask(length, 128)).into(), length);
    }
    (Ipv4Addr::from_bits((spread & mask(length, 32)) as u32).into(), length)
}

fn holds(base: IpAddr, length: u8, address: IpAddr) -> bool {
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            u128::from(address.to_bits()) & mask(length, 32) == u128::from(base.to_bits())
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => address.to_bits() & mask(length, 128) == base.to_bits(),
        _ => false,
    }
}
