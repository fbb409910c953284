//! Compiles the tables that training writes to one lexicon.
//!
//! A table is text in UTF-8, one entry a line, fields separated by one tab, no header; empty lines are
//! skipped.
//!
//! | file | fields |
//! |---|---|
//! | `words.tsv` | word `[a-z0-9]{1,24}`, log10 of its frequency per billion words |
//! | `ngrams.{benign,generated,phishing}.tsv` | gram of 1 to 4 of `[a-z0-9-]`, `^` start, `$` end; count |
//! | `rates.{tld,asn,country}.tsv` | key (`*`: every other key), smoothed rate in [0, 1], support |
//! | `asn_hosting.tsv` | number of the autonomous system, share in [0, 1] |
//!
//! A file that is not given leaves its section out. A repeated key is an error: which one counts is not ours
//! to say.

use std::collections::BTreeMap;

use super::ngram::{MAX_GRAMS, NgramCounts};
use super::{FORMAT, HOSTING, LexiconError, MODELS, PRIOR, RATES, WORDS, pack_rate};

/// Most bytes of one table.
const MAX_TABLE_BYTES: usize = 256 << 20;
/// Longest word kept.
const MAX_WORD: usize = 24;

/// Compiles a lexicon. `table` gives the content of a file by its name, or `None` where there is no such
/// file.
pub fn compile<E>(mut table: impl FnMut(&str) -> Result<Option<String>, E>) -> Result<Vec<u8>, E>
where
    E: From<LexiconError>,
{
    let mut sections = Vec::new();
    if let Some(text) = table("words.tsv")? {
        sections.push((WORDS.to_owned(), words(&text)?));
    }
    for model in MODELS {
        let file = format!("ngrams.{model}.tsv");
        if let Some(text) = table(&file)? {
            // The two smaller corpora repay fewer grams, and the whole has to stay small.
            let limit = if model == "benign" { MAX_GRAMS } else { MAX_GRAMS / 2 };
            sections.push((format!("ngram.{model}"), ngrams(&file, &text)?.compile(limit)));
        }
    }
    for rates in RATES {
        let file = format!("rates.{rates}.tsv");
        if let Some(text) = table(&file)? {
            sections.push((format!("rates.{rates}"), rate_table(&file, &text, rates == "asn")?));
        }
    }
    if let Some(text) = table("asn_hosting.tsv")? {
        sections.push((HOSTING.to_owned(), hosting("asn_hosting.tsv", &text)?));
    }
    Ok(FORMAT.write(&sections).map_err(LexiconError::from)?)
}

/// Calls `each` with the fields of every line.
fn lines<const N: usize>(
    file: &str,
    text: &str,
    mut each: impl FnMut([&str; N]) -> Result<(), String>,
) -> Result<(), LexiconError> {
    let fail =
        |line: usize, reason: String| LexiconError::Line { file: file.to_owned(), line: line + 1, reason };
    if text.len() > MAX_TABLE_BYTES {
        return Err(fail(0, format!("{} bytes, at most {MAX_TABLE_BYTES} are allowed", text.len())));
    }
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            continue;
        }
        let mut fields = [""; N];
        let mut count = 0;
        for field in line.split('\t') {
            if let Some(place) = fields.get_mut(count) {
                *place = field;
            }
            count += 1;
        }
        if count != N {
            return Err(fail(number, format!("{count} fields, {N} are expected")));
        }
        each(fields).map_err(|reason| fail(number, reason))?;
    }
    Ok(())
}

fn words(text: &str) -> Result<Vec<u8>, LexiconError> {
    let mut map = BTreeMap::new();
    lines("words.tsv", text, |[word, zipf]| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if word.is_empty() || word.len() > MAX_WORD || !word.bytes().all(allowed) {
            return Err(format!("word {word:?} is not 1 to {MAX_WORD} of a-z and 0-9"));
        }
        let zipf = number(zipf, 0.0, 9.0)?;
        insert(&mut map, word.as_bytes().to_vec(), ((9.0 - zipf) * 10.0).round() as u64)
    })?;
    build(WORDS, &map)
}

fn ngrams(file: &str, text: &str) -> Result<NgramCounts, LexiconError> {
    let mut counts = NgramCounts::default();
    lines(file, text, |[gram, count]| counts.add(gram, number(count, 0.0, 1e15)?))?;
    Ok(counts)
}

fn rate_table(file: &str, text: &str, numbers: bool) -> Result<Vec<u8>, LexiconError> {
    let mut map = BTreeMap::new();
    lines(file, text, |[key, rate, support]| {
        if key.is_empty() || key.len() > 63 {
            return Err(format!("key of {} bytes, 1 to 63 are allowed", key.len()));
        }
        let bytes = if numbers && key.as_bytes() != PRIOR { asn_key(key)? } else { key.as_bytes().to_vec() };
        let support = number(support, 0.0, f64::from(u32::MAX))?;
        insert(&mut map, bytes, pack_rate(number(rate, 0.0, 1.0)?, support as u32))
    })?;
    build(file, &map)
}

fn hosting(file: &str, text: &str) -> Result<Vec<u8>, LexiconError> {
    let mut map = BTreeMap::new();
    lines(file, text, |[asn, share]| {
        insert(&mut map, asn_key(asn)?, pack_rate(number(share, 0.0, 1.0)?, 0))
    })?;
    build(HOSTING, &map)
}

fn asn_key(text: &str) -> Result<Vec<u8>, String> {
    let number: u32 =
        text.parse().map_err(|_| format!("{text:?} is not the number of an autonomous system"))?;
    Ok(number.to_be_bytes().to_vec())
}

fn number(text: &str, min: f64, max: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        _ => Err(format!("{text:?} is not a number in [{min}, {max}]")),
    }
}

fn insert(map: &mut BTreeMap<Vec<u8>, u64>, key: Vec<u8>, value: u64) -> Result<(), String> {
    let shown = String::from_utf8_lossy(&key).into_owned();
    match map.insert(key, value) {
        None => Ok(()),
        Some(_) => Err(format!("{shown:?} is given twice")),
    }
}

fn build(section: &str, map: &BTreeMap<Vec<u8>, u64>) -> Result<Vec<u8>, LexiconError> {
    let fail = |source| LexiconError::Map { section: section.to_owned(), source };
    let mut builder = fst::MapBuilder::memory();
    for (key, value) in map {
        builder.insert(key, *value).map_err(fail)?;
    }
    builder.into_inner().map_err(fail)
}
