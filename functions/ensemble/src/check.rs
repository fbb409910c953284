//! What the step asks of an event before it scores it: enough that no key or item can be refused by the
//! table.

use tribunal_core::ErrorName;
use tribunal_core::message::{EnsembleInput, FeatureBatch, MAX_BATCH_ENTITIES, Row};
use tribunal_core::time::parse_rfc3339;

use crate::bounds::MAX_FEATURES;

/// Most bytes of an entity in normal form: a host name's limit.
const MAX_ENTITY_BYTES: usize = 253;
/// Most bytes of a request id; with the time before it a sort key stays under DynamoDB's 1,024.
const MAX_REQUEST_ID_BYTES: usize = 256;

/// Why an event is not scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// More entities than a batch may have.
    #[error("batch has {rows} entities; at most {MAX_BATCH_ENTITIES} are scored at once")]
    TooManyRows {
        /// How many it has.
        rows: usize,
    },
    /// Something has another length than the contract says.
    #[error("{field} has {length} {unit}; {allowed}")]
    Length {
        /// Path of the field.
        field: String,
        /// Its length.
        length: usize,
        /// What is counted.
        unit: &'static str,
        /// What is allowed.
        allowed: String,
    },
    /// A time is not one.
    #[error("{field} is not an RFC 3339 time")]
    Time {
        /// Path of the field.
        field: String,
    },
}

impl InputError {
    /// As a state machine sees it.
    pub const fn error_name(&self) -> ErrorName {
        match self {
            Self::TooManyRows { .. } => ErrorName::BatchTooLarge,
            Self::Length { .. } | Self::Time { .. } => ErrorName::InvalidInput,
        }
    }
}

/// Checks an event.
///
/// # Errors
/// Names the first field that is not of the contract, and the limit; never an entity.
pub fn check(input: &EnsembleInput) -> Result<(), InputError> {
    let FeatureBatch { rows, features, .. } = &input.features;
    if rows.len() > MAX_BATCH_ENTITIES {
        return Err(InputError::TooManyRows { rows: rows.len() });
    }
    if features.len() > MAX_FEATURES {
        let allowed = format!("at most {MAX_FEATURES} are allowed");
        return Err(length("features.features".to_owned(), features.len(), "names", allowed));
    }
    rows.iter().enumerate().try_for_each(|(i, row)| check_row(i, row, features.len()))
}

fn check_row(i: usize, row: &Row, features: usize) -> Result<(), InputError> {
    let field = |name: &str| format!("features.rows[{i}].{name}");
    for (name, text, most) in [
        ("entity", &row.item.entity, MAX_ENTITY_BYTES),
        ("request_id", &row.item.request_id, MAX_REQUEST_ID_BYTES),
    ] {
        if !(1..=most).contains(&text.len()) {
            return Err(length(field(name), text.len(), "bytes", format!("1 to {most} are allowed")));
        }
    }
    if parse_rfc3339(&row.item.requested_at).is_err() {
        return Err(InputError::Time { field: field("requested_at") });
    }
    let values = row.values.len();
    if values != features && !(row.special.is_some() && values == 0) {
        return Err(length(field("values"), values, "values", format!("{features} features are named")));
    }
    Ok(())
}

fn length(field: String, length: usize, unit: &'static str, allowed: String) -> InputError {
    InputError::Length { field, length, unit, allowed }
}
