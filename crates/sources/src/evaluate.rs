//! From an answer to numbers and evidence: what a declaration says of a source's rows.
//!
//! A feature selects values from the rows, takes them through its transforms one after the other, and is the first
//! number that is left, within its range; without one it is missing (`NaN`). Arithmetic is in `f64`, the feature an
//! `f32`. Times are RFC 3339, a date (midnight, UTC), or a number: seconds since 1970 below 10^11, else milliseconds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tribunal_core::message::Evidence;
use tribunal_core::time::{parse_rfc3339, rfc3339_millis};

use crate::config::{EvidenceConfig, FeatureConfig, Transform};

/// Most values of one feature that are looked at.
const MAX_VALUES: usize = 10_000;
/// Most items of evidence that one source gives about one entity.
pub const MAX_EVIDENCE: usize = 8;
/// Most characters of a value in the evidence.
pub(crate) const MAX_VALUE_CHARS: usize = 128;
/// Most bytes of a link.
pub(crate) const MAX_LINK_BYTES: usize = 512;
const DAY_MS: f64 = 86_400_000.0;

/// The feature, of the rows of an answer.
pub(crate) fn feature(config: &FeatureConfig, rows: &[Value], now_ms: u64) -> f32 {
    if rows.is_empty()
        && let Some(value) = config.empty
    {
        return value;
    }
    let mut values = selected(config, rows);
    for transform in &config.transform {
        values = apply(transform, values, now_ms);
    }
    let number = values.iter().find_map(|value| number_of(value)).filter(|number| number.is_finite());
    // The bounds are exact in both widths, so what is within stays within.
    number.map_or(f32::NAN, |number| number.clamp(config.min.into(), config.max.into()) as f32)
}

fn selected<'a>(config: &FeatureConfig, rows: &'a [Value]) -> Vec<Cow<'a, Value>> {
    let mut values = Vec::new();
    for row in rows.iter().filter(|row| passes(&config.matching, row)) {
        let value = match &config.field {
            Some(field) => select(row, field),
            None => Some(row),
        };
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => values.extend(items.iter().map(Cow::Borrowed)),
            Some(value) => values.push(Cow::Borrowed(value)),
        }
        if values.len() >= MAX_VALUES {
            values.truncate(MAX_VALUES);
            break;
        }
    }
    values
}

/// A field of a row, or what a JSON pointer leads to.
pub(crate) fn select<'a>(row: &'a Value, field: &str) -> Option<&'a Value> {
    if field.starts_with('/') { row.pointer(field) } else { row.get(field) }
}

fn passes(only: &BTreeMap<String, Vec<Value>>, row: &Value) -> bool {
    only.iter().all(|(field, allowed)| match select(row, field) {
        Some(Value::Array(items)) => items.iter().any(|item| allowed.iter().any(|a| same(a, item))),
        Some(value) => allowed.iter().any(|a| same(a, value)),
        None => false,
    })
}

/// Equal as JSON, and numbers by their value (1 is 1.0).
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn apply<'a>(transform: &Transform, values: Vec<Cow<'a, Value>>, now_ms: u64) -> Vec<Cow<'a, Value>> {
    let numbers = |f: &dyn Fn(f64) -> f64| {
        values.iter().filter_map(|value| number_of(value)).filter_map(|x| json(f(x))).collect()
    };
    match transform {
        Transform::Count => one(values.len() as f64),
        Transform::Distinct => one(distinct(&values) as f64),
        Transform::Flag => one(f64::from(u8::from(values.iter().any(|value| truthy(value))))),
        Transform::Max => extreme(values, |a, b| a > b),
        Transform::Min => extreme(values, |a, b| a < b),
        Transform::Sum => one(values.iter().filter_map(|value| number_of(value)).sum()),
        Transform::Mean => {
            let numbers: Vec<f64> = values.iter().filter_map(|value| number_of(value)).collect();
            let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
            json(mean).into_iter().collect()
        }
        Transform::First => values.into_iter().take(1).collect(),
        // Not finite, and so dropped, where it is not defined.
        Transform::Log1p => numbers(&|x| if x < 0.0 { f64::NAN } else { x.ln_1p() }),
        Transform::Log10 => numbers(&f64::log10),
        Transform::Scale(factor) => numbers(&|x| x * factor),
        Transform::AgeDays => {
            let age = |time: u64| (now_ms as f64 - time as f64).max(0.0) / DAY_MS;
            values.iter().filter_map(|value| time_of(value)).filter_map(|time| json(age(time))).collect()
        }
        Transform::Length => values
            .iter()
            .filter_map(|value| value.as_str())
            .filter_map(|text| json(text.chars().count() as f64))
            .collect(),
        Transform::Equals(allowed) => {
            values.into_iter().filter(|value| allowed.iter().any(|a| same(a, value))).collect()
        }
        Transform::Contains(parts) => {
            let parts: Vec<String> = parts.iter().map(|part| part.to_lowercase()).collect();
            let has = |value: &Value| {
                value
                    .as_str()
                    .map(str::to_lowercase)
                    .is_some_and(|text| parts.iter().any(|p| text.contains(p)))
            };
            values.into_iter().filter(|value| has(value)).collect()
        }
        Transform::Lookup(map) => values
            .iter()
            .filter_map(|value| map.get(value.as_str()?))
            .filter_map(|number| json(*number))
            .take(1)
            .collect(),
    }
}

fn one<'a>(number: f64) -> Vec<Cow<'a, Value>> {
    json(number).into_iter().collect()
}

/// A number as JSON; none if it is not finite.
fn json<'a>(number: f64) -> Option<Cow<'a, Value>> {
    serde_json::Number::from_f64(number).map(|number| Cow::Owned(Value::Number(number)))
}

fn distinct(values: &[Cow<'_, Value>]) -> usize {
    let mut texts: Vec<String> = values.iter().map(|value| value.to_string()).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.len()
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// The number, or time, that is before all others; a value that is neither is dropped.
fn extreme(values: Vec<Cow<'_, Value>>, before: impl Fn(f64, f64) -> bool) -> Vec<Cow<'_, Value>> {
    let key = |value: &Value| number_of(value).or_else(|| time_of(value).map(|time| time as f64));
    let mut best: Option<(f64, Cow<'_, Value>)> = None;
    for value in values {
        let Some(key) = key(&value) else { continue };
        if best.as_ref().is_none_or(|(found, _)| before(key, *found)) {
            best = Some((key, value));
        }
    }
    best.into_iter().map(|(_, value)| value).collect()
}

/// Numbers, flags as 0 and 1, and texts that are numbers (SQL decimals).
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// A time in milliseconds since 1970.
pub(crate) fn time_of(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            if text.len() == 10 {
                return parse_rfc3339(&format!("{text}T00:00:00Z")).ok();
            }
            // `2026-11-24 08:15:00`, as databases print it, is UTC.
            let spaced = text.len() >= 19 && text.is_char_boundary(10) && text.as_bytes()[10] == b' ';
            let text = if spaced {
                Cow::Owned(format!("{}T{}", &text[..10], &text[11..]))
            } else {
                Cow::Borrowed(text)
            };
            parse_rfc3339(&text).or_else(|_| parse_rfc3339(&format!("{text}Z"))).ok()
        }
        Value::Number(number) => {
            let number = number.as_f64().filter(|number| *number >= 0.0)?;
            let ms = if number < 1e11 { number * 1_000.0 } else { number };
            (ms < 1e15).then_some(ms as u64)
        }
        _ => None,
    }
}

/// The evidence of the rows of an answer, at most [`MAX_EVIDENCE`] items. Equal facts with equal values are one item
/// with the earliest first and the latest last time.
pub(crate) fn evidence(
    source: &str,
    configs: &[EvidenceConfig],
    link: Option<&str>,
    entity: &str,
    rows: &[Value],
) -> Vec<Evidence> {
    let mut items: Vec<Evidence> = Vec::new();
    for config in configs {
        for row in rows.iter().filter(|row| passes(&config.matching, row)) {
            let value = match &config.value {
                Some(field) => match select(row, field).and_then(text_of) {
                    Some(text) => text,
                    None => continue,
                },
                None => String::new(),
            };
            let time = |field: &Option<String>| time_text(select(row, field.as_ref()?)?);
            let item = Evidence {
                source: source.to_owned(),
                fact: config.fact.clone(),
                value,
                first_seen: time(&config.first_seen),
                last_seen: time(&config.last_seen),
                link: None,
            };
            add(&mut items, item);
        }
    }
    if let (Some(first), Some(link)) = (items.first_mut(), link.and_then(|link| link_of(link, entity))) {
        first.link = Some(link);
    }
    items
}

fn add(items: &mut Vec<Evidence>, item: Evidence) {
    let known = items.iter().position(|known| known.fact == item.fact && known.value == item.value);
    if let Some(at) = known {
        // Times sort as text.
        let known = &mut items[at];
        known.first_seen = [known.first_seen.take(), item.first_seen].into_iter().flatten().min();
        known.last_seen = [known.last_seen.take(), item.last_seen].into_iter().flatten().max();
    } else if items.len() < MAX_EVIDENCE {
        items.push(item);
    }
}

/// A value as an analyst reads it: no control characters, cut to [`MAX_VALUE_CHARS`].
fn text_of(value: &Value) -> Option<String> {
    let text: Cow<'_, str> = match value {
        Value::Null => return None,
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(items) => {
            let texts: Vec<String> = items.iter().take(16).filter_map(text_of).collect();
            Cow::Owned(texts.join(", "))
        }
        other => Cow::Owned(other.to_string()),
    };
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(MAX_VALUE_CHARS + 1).collect();
    if shown.chars().count() > MAX_VALUE_CHARS {
        shown.pop();
        shown.pop();
        shown.push('…');
    }
    (!shown.is_empty()).then_some(shown)
}

fn time_text(value: &Value) -> Option<String> {
    time_of(value).map(rfc3339_millis)
}

/// A link to a page about an entity.
fn link_of(template: &str, entity: &str) -> Option<String> {
    let link = template.replace("{entity}", &utf8_percent_encode(entity, NON_ALPHANUMERIC).to_string());
    (link.len() <= MAX_LINK_BYTES).then_some(link)
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
