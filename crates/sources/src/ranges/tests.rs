use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn build(tables: &[(Table, &str)]) -> Result<Vec<u8>, DatasetError> {
    let inputs: Vec<Input<'_>> = tables
        .iter()
        .map(|(table, text)| Input { table: *table, file: "t.csv", content: text.as_bytes() })
        .collect();
    compile(&inputs)
}

fn open(tables: &[(Table, &str)]) -> IpRanges {
    IpRanges::open(build(tables).unwrap()).unwrap()
}

fn facts(ranges: &IpRanges, address: &str) -> (Option<u32>, Option<String>, Option<bool>) {
    let facts = ranges.lookup(address.parse().unwrap());
    (facts.asn, facts.country, facts.hosting)
}

#[test]
fn facts_are_found_by_address() {
    let ranges = open(&[
        (Table::Network, "1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"\n2001:db8::,2001:db8::ff,7,Seven\n"),
        (Table::Country, "1.0.0.0,1.0.0.127,AU\n"),
        (Table::Hosting, "type,provider,cidr\ncloud,x,1.0.0.64/26\ncloud,x,2001:db8::/127\n"),
    ]);
    let found = ranges.lookup("1.0.0.70".parse().unwrap());
    assert_eq!(found.asn, Some(13335));
    assert_eq!(found.as_name.as_deref(), Some("Cloudflare, Inc."));
    assert_eq!(found.country.as_deref(), Some("AU"));
    assert_eq!(found.range, Some((0x0100_0000, 0x0100_00ff)));
    assert_eq!(found.hosting, Some(true));
    assert_eq!(facts(&ranges, "1.0.0.200"), (Some(13335), None, Some(false)));
    assert_eq!(facts(&ranges, "1.0.1.0"), (None, None, Some(false)));
    assert_eq!(facts(&ranges, "255.255.255.255"), (None, None, Some(false)));
    assert_eq!(facts(&ranges, "2001:db8::1"), (Some(7), None, Some(true)));
    assert_eq!(facts(&ranges, "2001:db8::ff"), (Some(7), None, Some(false)));
    assert_eq!(facts(&ranges, "2001:db8::100"), (None, None, Some(false)));
}

#[test]
fn without_tables_nothing_is_known() {
    let ranges = open(&[]);
    assert!(ranges.lookup("8.8.8.8".parse().unwrap()).is_empty());
    assert!(ranges.lookup("::1".parse().unwrap()).is_empty());
}

#[test]
fn the_narrowest_range_counts() {
    let ranges = open(&[(
        Table::Country,
        "1.0.0.0,1.255.255.255,DE\n1.0.0.0,1.0.0.255,FR\n1.0.0.16,1.0.0.16,BE\n1.0.0.200,1.0.2.0,NL\n",
    )]);
    let country = |address| facts(&ranges, address).1.unwrap();
    assert_eq!(country("1.0.0.15"), "FR");
    assert_eq!(country("1.0.0.16"), "BE");
    assert_eq!(country("1.0.0.17"), "FR");
    assert_eq!(country("1.0.0.255"), "FR");
    assert_eq!(country("1.0.1.0"), "NL");
    assert_eq!(country("1.0.2.1"), "DE");
    assert_eq!(ranges.summary().about.overlapping["country"], 3);
}

#[test]
fn bad_lines_are_named() {
    for (table, text, expected) in [
        (Table::Network, "1.0.0.0,1.0.0.255,13335\n", "t.csv:1: 3 fields, 4 are expected"),
        (Table::Network, "1.0.0.0,1.0.0.255,AS1,x\n", "t.csv:1: \"AS1\" is not the number"),
        (Table::Network, "1.0.0.0,1.0.0.255,0,x\n", "t.csv:1: \"0\" is not the number"),
        (Table::Network, "1.0.0.0,1.0.0.256,1,x\n", "t.csv:1: \"1.0.0.256\" is not an IP address"),
        (Table::Network, "1.0.0.9,1.0.0.8,1,x\n", "t.csv:1: 1.0.0.9 is above 1.0.0.8"),
        (Table::Network, "1.0.0.9,::1,1,x\n", "t.csv:1: 1.0.0.9 and ::1 are not of one family"),
        (
            Table::Country,
            "2.0.0.0,2.0.0.1,DE\n1.0.0.0,1.0.0.1,DE\n",
            "t.csv:2: not sorted: 1.0.0.0 comes after 2.0.0.0",
        ),
        (Table::Country, "2.0.0.0,2.0.0.1,de\n", "t.csv:1: \"de\" is not a country code"),
        (Table::Hosting, "type,provider,cidr\na,b,1.0.0.1/24\n", "t.csv:2: 1.0.0.1/24: bits below"),
        (Table::Hosting, "type,provider,cidr\na,b,1.0.0.0/33\n", "t.csv:2: 1.0.0.0/33: a prefix of 33 bits"),
        (Table::Hosting, "type,provider,cidr\na,b,1.0.0.0\n", "t.csv:2: \"1.0.0.0\" is not a CIDR block"),
    ] {
        let error = build(&[(table, text)]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(matches!(
        compile(&[Input { table: Table::Country, file: "t.csv", content: b"\xff,\xfe,DE\n" }]),
        Err(DatasetError::Csv { .. })
    ));
}

#[test]
fn damaged_files_are_refused() {
    let file = build(&[(Table::Country, "1.0.0.0,1.0.0.127,AU\n2001:db8::,2001:db8::1,NL\n")]).unwrap();
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(IpRanges::open(changed).is_err(), "byte {at}");
        assert!(IpRanges::open(file[..at].to_vec()).is_err(), "cut at {at}");
    }
}

/// First, last and value of every row, of the narrowest that holds `bits`; of equally narrow ones the last.
fn scan(rows: &[(u128, u128, u32)], bits: u128) -> Option<u32> {
    let holding = rows.iter().filter(|(first, last, _)| (*first..=*last).contains(&bits));
    holding
        .fold(None, |best: Option<&(u128, u128, u32)>, row| match best {
            Some(b) if b.1 - b.0 < row.1 - row.0 => best,
            _ => Some(row),
        })
        .map(|row| row.2)
}

fn compare(rows: &mut [(u128, u128, u32)], probes: &[u128], text_of: fn(u128) -> IpAddr) {
    rows.sort_by_key(|row| row.0);
    let table: String = rows
        .iter()
        .map(|(first, last, asn)| format!("{},{},{asn},n\n", text_of(*first), text_of(*last)))
        .collect();
    let ranges = open(&[(Table::Network, &table)]);
    let edges = rows.iter().flat_map(|row| [row.0, row.1, row.0.saturating_sub(1), row.1.saturating_add(1)]);
    let widest = match text_of(u128::MAX) {
        IpAddr::V4(_) => u128::from(u32::MAX),
        IpAddr::V6(_) => u128::MAX,
    };
    for bits in probes.iter().copied().chain(edges).filter(|bits| *bits <= widest) {
        let found = ranges.lookup(text_of(bits));
        assert_eq!(found.asn, scan(rows, bits), "{} in\n{table}", text_of(bits));
        if let Some((first, last)) = found.range {
            assert!((first..=last).contains(&bits));
            for end in [first, last] {
                assert_eq!(
                    scan(rows, end),
                    found.asn,
                    "{} of the piece around {}",
                    text_of(end),
                    text_of(bits)
                );
            }
        }
    }
}

fn place(upper: u128, lower: u128, end: bool) -> u128 {
    upper << 64 | if end { u128::from(u64::MAX) - lower } else { lower }
}

/// Few upper halves and few lower ones, so that blocks are divided, continued and met at their ends.
fn near() -> impl Strategy<Value = u128> {
    (0_u128..6, 0_u128..5, any::<bool>()).prop_map(|(upper, lower, end)| place(upper, lower, end))
}

proptest! {
    #[test]
    fn v4_is_as_a_linear_scan(
        rows in prop::collection::vec((any::<u32>(), 0_u32..=0x0300_0000, 1_u32..9), 0..40),
        near in prop::collection::vec((0_u32..300, 0_u32..40, 1_u32..9), 0..20),
        probes in prop::collection::vec(any::<u32>(), 20),
    ) {
        let mut rows: Vec<(u128, u128, u32)> = rows
            .into_iter()
            .chain(near)
            .map(|(first, size, asn)| (first.into(), first.saturating_add(size).into(), asn))
            .collect();
        let probes: Vec<u128> = probes.into_iter().chain(0..350).map(u128::from).collect();
        compare(&mut rows, &probes, |bits| IpAddr::V4(Ipv4Addr::from_bits(bits as u32)));
    }

    #[test]
    fn v6_is_as_a_linear_scan_also_inside_a_64(
        rows in prop::collection::vec((near(), near(), 1_u32..9), 0..40),
        far in prop::collection::vec((any::<u128>(), any::<u64>(), 1_u32..9), 0..10),
    ) {
        let mut rows: Vec<(u128, u128, u32)> = rows
            .into_iter()
            .map(|(a, b, asn)| (a.min(b), a.max(b), asn))
            .chain(far.into_iter().map(|(first, size, asn)| (first, first.saturating_add(size.into()), asn)))
            .collect();
        let places = (0..7).flat_map(|upper| (0..6).map(move |lower| (upper, lower)));
        let probes: Vec<u128> = places.flat_map(|(u, l)| [place(u, l, false), place(u, l, true)]).collect();
        compare(&mut rows, &probes, |bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
    }
}
