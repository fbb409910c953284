//! Reading an event: whatever a person gave, as items that are in normal form and refusals that say why.

use std::collections::HashSet;

use serde::Deserialize as _;
use serde_json::Value;
use tribunal_core::Entity;
use tribunal_core::ErrorName;
use tribunal_core::entity::{shown, shown_up_to};
use tribunal_core::message::{
    ExecutionInput, ExtractInput, Item, MAX_BATCH_ENTITIES, MAX_ORIGINAL_BYTES, RefusedEntity,
};
use tribunal_core::time::{parse_rfc3339, rfc3339_millis};

/// Most bytes of a refused text that are reported.
const MAX_REFUSED_BYTES: usize = 256;

/// Most bytes of a batch's name; dispatch's have 34.
const MAX_BATCH_NAME_BYTES: usize = 128;

/// Why an event is not one.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Neither of the two forms.
    #[error(
        "input is {found}: give {{\"entities\": [\"...\"]}}, or {{\"batch\", \"items\"}} as dispatch does"
    )]
    Form {
        /// What it is.
        found: &'static str,
    },
    /// The dispatcher's form, but not of the contract.
    #[error("input has items, but is not a dispatcher's batch")]
    Batch(#[source] serde_json::Error),
    /// The name of the batch is longer than names are: it stands in every log line and score.
    #[error("batch has a name of {bytes} bytes, the limit is {MAX_BATCH_NAME_BYTES}")]
    BatchName {
        /// How long it is.
        bytes: usize,
    },
    /// Nothing to do.
    #[error("input has no entities: give 1 to {MAX_BATCH_ENTITIES}")]
    Empty,
    /// Too many entities.
    #[error("input has {count} entities, the limit is {MAX_BATCH_ENTITIES}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// The start of the execution is not a time.
    #[error("started_at is {value:?}, not an RFC 3339 time")]
    StartedAt {
        /// As given.
        value: String,
    },
}

impl InputError {
    /// The name that a state machine is to see.
    pub const fn error_name(&self) -> ErrorName {
        match self {
            Self::TooMany { .. } => ErrorName::BatchTooLarge,
            Self::Form { .. }
            | Self::Batch(_)
            | Self::BatchName { .. }
            | Self::Empty
            | Self::StartedAt { .. } => ErrorName::InvalidInput,
        }
    }
}

/// An event that was read.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) batch: String,
    pub(crate) items: Vec<(Item, Entity)>,
    pub(crate) refused: Vec<RefusedEntity>,
}

pub(crate) fn parse(input: &ExtractInput) -> Result<Parsed, InputError> {
    let Value::Object(fields) = &input.input else {
        return Err(InputError::Form { found: type_name(&input.input) });
    };
    if fields.contains_key("items") {
        let batch = ExecutionInput::deserialize(&input.input).map_err(InputError::Batch)?;
        check_count(batch.items.len())?;
        if batch.batch.len() > MAX_BATCH_NAME_BYTES {
            return Err(InputError::BatchName { bytes: batch.batch.len() });
        }
        return Ok(of_items(batch));
    }
    match fields.get("entities") {
        Some(Value::Array(entities)) => {
            check_count(entities.len())?;
            of_entities(entities, input)
        }
        Some(_) => Err(InputError::Form { found: "an object whose entities are no array" }),
        None => Err(InputError::Form { found: "an object without entities" }),
    }
}

fn check_count(count: usize) -> Result<(), InputError> {
    match count {
        0 => Err(InputError::Empty),
        1..=MAX_BATCH_ENTITIES => Ok(()),
        _ => Err(InputError::TooMany { count }),
    }
}

/// The dispatcher's form: items that say what they are, which is verified.
fn of_items(batch: ExecutionInput) -> Parsed {
    let mut parsed = Parsed { batch: batch.batch, ..Parsed::default() };
    for item in batch.items {
        match verify(&item) {
            Ok(entity) => parsed.items.push((item, entity)),
            Err((code, reason)) => parsed.refused.push(refused(&item.original, code, &reason)),
        }
    }
    parsed
}

fn verify(item: &Item) -> Result<Entity, (&'static str, String)> {
    if item.original.len() > MAX_ORIGINAL_BYTES {
        let bytes = item.original.len();
        return Err((
            "too_long",
            format!("original of {bytes} bytes is over the limit of {MAX_ORIGINAL_BYTES}"),
        ));
    }
    let entity = Entity::parse(&item.entity).map_err(|refusal| (refusal.code(), refusal.to_string()))?;
    if entity.name() != item.entity {
        let (given, normal) = (shown(&item.entity), shown(entity.name()));
        return Err(("not_normal_form", format!("`{given}` is not in normal form, which is `{normal}`")));
    }
    if entity.kind() != item.kind {
        let (said, is) = (item.kind.as_str(), entity.kind().as_str());
        return Err(("wrong_kind", format!("`{}` is of kind {is}, not {said}", shown(&item.entity))));
    }
    Ok(entity)
}

/// The short form: texts as pasted. Of texts that mean the same entity the first counts, since all would be
/// one score.
fn of_entities(entities: &[Value], input: &ExtractInput) -> Result<Parsed, InputError> {
    let requested_at = match parse_rfc3339(&input.started_at) {
        Ok(epoch_ms) => rfc3339_millis(epoch_ms),
        Err(_) => return Err(InputError::StartedAt { value: shown(&input.started_at) }),
    };
    let mut parsed = Parsed { batch: input.execution.clone(), ..Parsed::default() };
    let mut seen: HashSet<String> = HashSet::new();
    for value in entities {
        let Value::String(text) = value else {
            let reason = format!("{} is not an entity: give a text", type_name(value));
            parsed.refused.push(refused(&value.to_string(), "not_a_text", &reason));
            continue;
        };
        match Entity::parse(text) {
            Ok(entity) if !seen.insert(entity.name().to_owned()) => {}
            Ok(entity) => {
                let item = Item {
                    entity: entity.name().to_owned(),
                    kind: entity.kind(),
                    original: text.clone(),
                    requested_at: requested_at.clone(),
                    request_id: input.execution.clone(),
                    source: None,
                    tlp: None,
                    attempt: 0,
                };
                parsed.items.push((item, entity));
            }
            Err(refusal) => parsed.refused.push(refused(text, refusal.code(), &refusal.to_string())),
        }
    }
    Ok(parsed)
}

fn refused(original: &str, code: &str, reason: &str) -> RefusedEntity {
    let end = original.floor_char_boundary(MAX_REFUSED_BYTES);
    let original = original.get(..end).unwrap_or_default().to_owned();
    RefusedEntity { original, code: code.to_owned(), reason: shown_up_to(reason, MAX_REFUSED_BYTES * 2) }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
