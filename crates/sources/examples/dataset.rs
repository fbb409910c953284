//! A data set of a million domains and 400,000 ranges: time to load it, memory, lookups per second on one core.
//!
//! `cargo run --release --example dataset -p tribunal-sources -- [--json] [--fst]`; or in parts, for others to measure:
//! `-- --csv FILE` and `-- --build FILE` write the list and the data set, `-- --measure FILE` measures that.
//!
//! A generator with a fixed seed makes the list; the library builds the file. A process of its own then loads it, so
//! that the memory is that of the data set alone, and looks up names and addresses in random order. Every answer is
//! held against the generator's inside of the timed loop. Lookups are per second that the thread had a processor. `--fst` also builds a finite-state map of the same names,
//! the alternative to the hash table, and looks the same names up in it.

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use tribunal_core::Entity;
use tribunal_sources::config::MatchBy;
use tribunal_sources::dataset::{BuildOptions, Builder, Dataset, Key, Table};

type Fallible<T> = Result<T, Box<dyn Error>>;

const DOMAINS: u64 = 1_000_000;
const V4_RANGES: u64 = 350_000;
const V6_RANGES: u64 = 50_000;
/// Different lookups of one measurement, and how often they are done.
const LOOKUPS: usize = 1_000_000;
const REPEATS: usize = 5;
const SUFFIXES: [&str; 8] = ["com", "net", "org", "co.uk", "de", "xyz", "info", "top"];
/// Position of the column that holds the row's number.
const NUMBER: usize = 2;

/// A bijection that scatters (the finaliser of SplitMix64).
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Name `i`, with a registrable label of 13 characters.
fn domain(i: u64) -> String {
    let mut rest = mix(i.wrapping_add(0x5eed));
    let label = (0..13).map(|_| {
        let digit = rest as usize & 31;
        rest >>= 5;
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[digit])
    });
    format!("{}.{}", label.collect::<String>(), SUFFIXES[i as usize % SUFFIXES.len()])
}

/// Block `i` of IPv4: a /22, with eight blocks' room behind it.
const fn v4_block(i: u64) -> u32 {
    (i * 10_240 + 0x0100_0000) as u32
}

/// Block `i` of IPv6: a /48.
const fn v6_block(i: u64) -> u128 {
    (0x2a00 << 112) | ((i as u128) << 81)
}

fn csv() -> String {
    let mut csv = String::from("entity,feed,first_seen,n\n");
    let feeds = ["phishing", "malware", "botnet", "scanner", "spam"];
    let mut push = |entity: &str, i: u64| {
        let (feed, day) = (feeds[i as usize % feeds.len()], i % 28 + 1);
        csv.push_str(&format!("{entity},{feed},2026-{:02}-{day:02},{i}\n", i % 12 + 1));
    };
    (0..DOMAINS).for_each(|i| push(&domain(i), i));
    (0..V4_RANGES).for_each(|i| push(&format!("{}/22", Ipv4Addr::from_bits(v4_block(i))), i));
    (0..V6_RANGES).for_each(|i| push(&format!("{}/48", Ipv6Addr::from_bits(v6_block(i))), i));
    csv
}

fn build() -> Fallible<Vec<u8>> {
    let options = BuildOptions { key: Some("entity".to_owned()), ..BuildOptions::default() };
    let mut builder = Builder::new(options)?;
    builder.add_csv("generated.csv", csv().as_bytes())?;
    Ok(builder.finish()?.bytes)
}

/// Numbers below `below`, in random order.
fn random(below: u64, salt: u64) -> impl Iterator<Item = u64> {
    (0..LOOKUPS as u64).map(move |i| mix(i.wrapping_mul(3).wrapping_add(salt)) % below)
}

/// Nanoseconds that this thread has had a processor; elsewhere than on Linux, nanoseconds that have passed. Other work on
/// the machine then costs caches, and not time that was never given.
fn processor_ns(since: Instant) -> u128 {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on = schedule.and_then(|text| text.split_whitespace().next()?.parse().ok());
    on.unwrap_or_else(|| since.elapsed().as_nanos())
}

/// Lookups per second of processor time, in the best run of `look`, which says for each input whether the answer is
/// right.
fn rate<T>(inputs: &[T], look: impl Fn(&T) -> bool) -> Fallible<f64> {
    let since = Instant::now();
    let mut best = u128::MAX;
    for _ in 0..REPEATS {
        let started = processor_ns(since);
        let right = inputs.iter().filter(|input| look(black_box(input))).count();
        let took = processor_ns(since).saturating_sub(started);
        if right != inputs.len() {
            return Err(format!("{} of {} answers are wrong", inputs.len() - right, inputs.len()).into());
        }
        best = best.min(took);
    }
    Ok((inputs.len() as f64 * 1e9 / best as f64).round())
}

/// Resident memory of this process.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn is_number(table: &Table, key: Key<'_>, number: u64) -> bool {
    table.lookup(key).and_then(|rows| rows.value(0, NUMBER)) == Some(Value::from(number))
}

/// Loads the file in this process, and looks up.
fn measure(path: &Path) -> Fallible<Value> {
    let before = resident_bytes();
    let started = Instant::now();
    let bytes = std::fs::read(path)?;
    let read = started.elapsed();
    let size = bytes.len();
    let dataset = Dataset::open(bytes)?;
    let loaded = started.elapsed();
    let memory = resident_bytes().zip(before).map(|(after, before)| after.saturating_sub(before));
    let Dataset::Table(table) = &dataset else { return Err("not a table".into()) };
    let milliseconds = |time: std::time::Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
    Ok(json!({
        "bytes": size,
        "read_ms": milliseconds(read),
        "check_ms": milliseconds(loaded.saturating_sub(read)),
        "load_ms": milliseconds(loaded),
        "memory_bytes": memory,
        "lookups_per_second": lookups(&dataset, table)?,
    }))
}

fn lookups(dataset: &Dataset, table: &Table) -> Fallible<Value> {
    let names: Vec<(String, u64)> = random(DOMAINS, 1).map(|i| (domain(i), i)).collect();
    let domain_hit = rate(&names, |(name, i)| is_number(table, Key::Domain(name), *i))?;
    let misses: Vec<String> = random(1 << 40, 2).map(|i| domain(DOMAINS + i)).collect();
    let domain_miss = rate(&misses, |name| table.lookup(Key::Domain(name)).is_none())?;
    drop(misses);
    let below: Fallible<Vec<(Entity, u64)>> =
        names.iter().map(|(name, i)| Ok((Entity::parse(&format!("www.mail.{name}"))?, *i))).collect();
    let below = below?;
    let number = |entity: &Entity| table.lookup_parents(entity).and_then(|rows| rows.value(0, NUMBER));
    let parents = rate(&below, |(entity, i)| number(entity) == Some(Value::from(*i)))?;
    let as_rows = rate(&below, |(entity, i)| {
        let rows = dataset.ask(entity, None, MatchBy::Parents).unwrap_or_default();
        matches!(rows.as_slice(), [row] if row.get("n") == Some(&Value::from(*i)))
    })?;
    drop(below);
    let v4: Vec<(IpAddr, u64)> = random(V4_RANGES, 3)
        .map(|i| (Ipv4Addr::from_bits(v4_block(i) | (mix(i) as u32 & 1_023)).into(), i))
        .collect();
    let v4_hit = rate(&v4, |(address, i)| is_number(table, Key::Address(*address), *i))?;
    let v4: Vec<IpAddr> = random(V4_RANGES, 4)
        .map(|i| Ipv4Addr::from_bits(v4_block(i) + 1_024 + (mix(i) as u32 & 1_023)).into())
        .collect();
    let v4_miss = rate(&v4, |address| table.lookup(Key::Address(*address)).is_none())?;
    let v6: Vec<(IpAddr, u64)> = random(V6_RANGES, 5)
        .map(|i| (Ipv6Addr::from_bits(v6_block(i) | u128::from(mix(i))).into(), i))
        .collect();
    let v6_hit = rate(&v6, |(address, i)| is_number(table, Key::Address(*address), *i))?;
    Ok(json!({
        "domain_hit": domain_hit, "domain_miss": domain_miss, "third_parent_hit": parents,
        "third_parent_hit_as_json_rows": as_rows, "ipv4_hit": v4_hit, "ipv4_miss": v4_miss, "ipv6_hit": v6_hit,
    }))
}

/// The alternative: a finite-state map of the names.
fn measure_fst() -> Fallible<Value> {
    let mut sorted: Vec<(String, u64)> = (0..DOMAINS).map(|i| (domain(i), i)).collect();
    sorted.sort();
    let map = fst::Map::from_iter(sorted)?;
    let names: Vec<(String, u64)> = random(DOMAINS, 1).map(|i| (domain(i), i)).collect();
    let hit = rate(&names, |(name, i)| map.get(name) == Some(*i))?;
    let misses: Vec<String> = random(1 << 40, 2).map(|i| domain(DOMAINS + i)).collect();
    let miss = rate(&misses, |name| map.get(name).is_none())?;
    Ok(json!({
        "bytes": map.as_fst().as_bytes().len(),
        "lookups_per_second": {"domain_hit": hit, "domain_miss": miss},
    }))
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    if let [flag, path] = arguments.as_slice()
        && flag == "--measure"
    {
        return Ok(writeln!(out, "{}", measure(Path::new(path))?)?);
    }
    if let [flag, path] = arguments.as_slice()
        && matches!(flag.as_str(), "--build" | "--csv")
    {
        let bytes = if flag == "--csv" { csv().into_bytes() } else { build()? };
        return Ok(std::fs::write(path, bytes)?);
    }
    let folder = tempfile::tempdir()?;
    let path: PathBuf = folder.path().join("generated.tds");
    let started = Instant::now();
    std::fs::write(&path, build()?)?;
    let built = started.elapsed().as_secs_f64();
    let child = Command::new(std::env::current_exe()?).arg("--measure").arg(&path).output()?;
    if !child.status.success() {
        return Err(String::from_utf8_lossy(&child.stderr).into());
    }
    let mut report: Value = serde_json::from_slice(&child.stdout)?;
    report["what"] = "dataset".into();
    report["domains"] = DOMAINS.into();
    report["ranges"] = (V4_RANGES + V6_RANGES).into();
    report["build_s"] = ((built * 10.0).round() / 10.0).into();
    if arguments.iter().any(|argument| argument == "--fst") {
        report["fst"] = measure_fst()?;
    }
    if arguments.iter().any(|argument| argument == "--json") {
        return Ok(writeln!(out, "{report}")?);
    }
    Ok(writeln!(out, "{report:#}")?)
}
