//! What others offer for the same list: a process of its own for each, lookups in random order, every answer
//! checked inside of the timed loop. The list is the data set's, in the form that this is built from.
//!
//! Each reads the CSV from memory into its structure; that time is its load, since it has no file to load. A row keeps
//! its three columns, as a data set does.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use ip_network::IpNetwork;
use ip_network_table::IpNetworkTable;
use serde_json::{Value, json};

use crate::clock::processor_time;
use crate::generator::mix;
use crate::machine::resident_bytes;
use crate::spread::{ms, rounded};

/// Lookups of one pass, in random order, and how often they are done.
const LOOKUPS: u64 = 1_000_000;
const PASSES: usize = 3;

/// All of them, in the order of the page.
pub(crate) const RIVALS: [&str; 4] = ["hash map", "fst map", "network table", "sorted ranges"];

/// What a list says of a key.
struct Row {
    #[expect(dead_code, reason = "held, as a data set holds it")]
    feed: String,
    #[expect(dead_code, reason = "held, as a data set holds it")]
    first_seen: String,
    n: u64,
}

/// One rival, measured in this process.
pub(crate) fn measure(name: &str, list: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(list).with_context(|| list.display().to_string())?;
    match name {
        "hash map" => hash_map(&text),
        "fst map" => fst_map(&text),
        "network table" => network_table(&text),
        "sorted ranges" => sorted_ranges(&text),
        _ => bail!("no rival {name:?}"),
    }
}

fn rows(text: &str) -> impl Iterator<Item = (&str, Row)> {
    text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split(',');
        let key = fields.next()?;
        let (feed, first_seen) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        Some((key, Row { feed, first_seen, n: fields.next()?.parse().ok()? }))
    })
}

fn names(text: &str) -> impl Iterator<Item = (&str, Row)> {
    rows(text).filter(|(key, _)| !key.contains('/'))
}

fn networks(text: &str) -> impl Iterator<Item = (IpNetwork, Row)> {
    rows(text).filter_map(|(key, row)| Some((key.parse::<IpNetwork>().ok()?, row)))
}

/// Builds a structure, and says what it took.
fn built<T>(build: impl FnOnce() -> Result<T>) -> Result<(T, Value)> {
    let before = resident_bytes()?;
    let started = Instant::now();
    let structure = build()?;
    let took = started.elapsed();
    let after = resident_bytes()?;
    Ok((structure, json!({"load_ms": rounded(ms(took)), "memory_bytes": after.saturating_sub(before)})))
}

/// Places below `len`, in random order.
fn random(len: usize, salt: u64) -> impl Iterator<Item = usize> {
    (0..LOOKUPS).map(move |i| (mix(i.wrapping_mul(3).wrapping_add(salt)) % len.max(1) as u64) as usize)
}

/// Lookups per second of processor time in the best pass, as the data set is measured. `look` says for each input
/// whether the answer is right.
fn rate<T>(inputs: &[T], look: impl Fn(&T) -> bool) -> Result<f64> {
    let mut best: f64 = 0.0;
    for _ in 0..PASSES {
        let started = processor_time();
        let right = inputs.iter().filter(|input| look(black_box(input))).count();
        let took = (processor_time() - started).as_secs_f64();
        ensure!(right == inputs.len(), "{} of {} answers are wrong", inputs.len() - right, inputs.len());
        best = best.max(inputs.len() as f64 / took);
    }
    Ok(best.round())
}

fn domains(text: &str, mut report: Value, get: impl Fn(&str) -> Option<u64>) -> Result<Value> {
    let listed: Vec<(&str, u64)> = names(text).map(|(key, row)| (key, row.n)).collect();
    let hits: Vec<(String, u64)> =
        random(listed.len(), 1).map(|place| (listed[place].0.to_owned(), listed[place].1)).collect();
    let hit = rate(&hits, |(name, n)| get(name) == Some(*n))?;
    // No name on the list has a zero; the first letters are those of many.
    let misses: Vec<String> = hits.iter().map(|(name, _)| format!("{}0{}", &name[..4], &name[5..])).collect();
    let miss = rate(&misses, |name| get(name).is_none())?;
    report["lookups_per_second"] = json!({"domain_hit": hit, "domain_miss": miss});
    Ok(report)
}

fn addresses(text: &str, mut report: Value, get: impl Fn(IpAddr) -> Option<u64>) -> Result<Value> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (network, row) in networks(text) {
        match network {
            IpNetwork::V4(network) => v4.push((u32::from(network.network_address()), row.n)),
            IpNetwork::V6(network) => v6.push((u128::from(network.network_address()), row.n)),
        }
    }
    let v4_at = |place: usize, offset: u64| {
        let low = mix(place as u64) as u32 & 1_023;
        (IpAddr::V4(Ipv4Addr::from_bits(v4[place].0 + offset as u32 + low)), v4[place].1)
    };
    let hits: Vec<(IpAddr, u64)> = random(v4.len(), 3).map(|place| v4_at(place, 0)).collect();
    let v4_hit = rate(&hits, |(address, n)| get(*address) == Some(*n))?;
    // Behind every block of 1,024 there is room for eight more.
    let misses: Vec<(IpAddr, u64)> = random(v4.len(), 4).map(|place| v4_at(place, 1_024)).collect();
    let v4_miss = rate(&misses, |(address, _)| get(*address).is_none())?;
    let v6_at = |place: usize| {
        let (first, n) = v6[place];
        (IpAddr::V6(Ipv6Addr::from_bits(first | u128::from(mix(place as u64)))), n)
    };
    let hits: Vec<(IpAddr, u64)> = random(v6.len(), 5).map(v6_at).collect();
    let v6_hit = rate(&hits, |(address, n)| get(*address) == Some(*n))?;
    report["lookups_per_second"] = json!({"ipv4_hit": v4_hit, "ipv4_miss": v4_miss, "ipv6_hit": v6_hit});
    Ok(report)
}

fn hash_map(text: &str) -> Result<Value> {
    let build = || Ok(names(text).map(|(key, row)| (key.to_owned(), row)).collect::<HashMap<String, Row>>());
    let (map, report) = built(build)?;
    domains(text, report, |name| map.get(name).map(|row| row.n))
}

/// From a name to a number alone: the columns would come on top.
fn fst_map(text: &str) -> Result<Value> {
    let build = || {
        let mut sorted: Vec<(&str, u64)> = names(text).map(|(key, row)| (key, row.n)).collect();
        sorted.sort_unstable();
        Ok(fst::Map::from_iter(sorted)?)
    };
    let (map, mut report) = built(build)?;
    // What is freed after sorting stays resident: its bytes say more.
    report["memory_bytes"] = map.as_fst().as_bytes().len().into();
    domains(text, report, |name| map.get(name))
}

fn network_table(text: &str) -> Result<Value> {
    let build = || {
        let mut table = IpNetworkTable::new();
        for (network, row) in networks(text) {
            table.insert(network, row);
        }
        Ok(table)
    };
    let (table, report) = built(build)?;
    addresses(text, report, |address| table.longest_match(address).map(|(_, row)| row.n))
}

/// Ranges that do not overlap, by their first addresses: what one writes without a crate.
fn sorted_ranges(text: &str) -> Result<Value> {
    let build = || {
        let mut v4: Vec<(u32, u32, Row)> = Vec::new();
        let mut v6: Vec<(u128, u128, Row)> = Vec::new();
        for (network, row) in networks(text) {
            match network {
                IpNetwork::V4(net) => {
                    v4.push((net.network_address().into(), net.broadcast_address().into(), row));
                }
                IpNetwork::V6(net) => {
                    v6.push((net.network_address().into(), net.last_address().into(), row));
                }
            }
        }
        v4.sort_unstable_by_key(|range| range.0);
        v6.sort_unstable_by_key(|range| range.0);
        Ok((v4, v6))
    };
    let ((v4, v6), report) = built(build)?;
    addresses(text, report, |address| match address {
        IpAddr::V4(address) => within(&v4, address.into()),
        IpAddr::V6(address) => within(&v6, address.into()),
    })
}

fn within<T: Ord + Copy>(ranges: &[(T, T, Row)], address: T) -> Option<u64> {
    let place = ranges.partition_point(|range| range.0 <= address).checked_sub(1)?;
    let (_, last, row) = ranges.get(place)?;
    (address <= *last).then_some(row.n)
}
