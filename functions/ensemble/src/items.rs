//! A score as an item of the table, and back.
//!
//! The item is the score's own JSON shape (attribute names are its field names), without attributes that are
//! null, and with what only the table needs:
//!
//! | attribute | type | |
//! |---|---|---|
//! | `vector` | B | the feature vector, `f32` little-endian, NaN where missing |
//! | `verdict_day` | S | partition key of the index, only on items that are in it |
//! | `expires_at` | N | seconds since 1970 from which DynamoDB may delete the item |
//!
//! A null is left out, not written: an attribute that is a key of an index must have the index's type or not
//! be there, and `risk` is one.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use tribunal_core::Score;
use tribunal_core::message::ScoreKey;

use crate::index::{VERDICT_DAY, verdict_day};

/// Partition key of the table.
pub const ENTITY: &str = "entity";
/// Sort key of the table.
pub const SCORED_KEY: &str = "scored_key";
/// The feature vector.
pub const VECTOR: &str = "vector";
/// When the item may be deleted.
pub const EXPIRES_AT: &str = "expires_at";

/// An item of the table.
pub type Item = HashMap<String, AttributeValue>;

/// A score and what the table keeps beside it.
#[derive(Debug, Clone)]
pub struct ScoreItem {
    /// The score.
    pub score: Score,
    /// The feature vector that it was made of, in the order of the schema; `NaN` is missing. Empty for a
    /// special entity.
    pub vector: Vec<f32>,
    /// Seconds since 1970 from which the item may be deleted.
    pub expires_at: u64,
}

/// Why an item is not a score, or a score not an item.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// An attribute is missing or of another type.
    #[error("item is not a score")]
    NotAScore(#[source] serde_dynamo::Error),
    /// A score cannot be written as an item.
    #[error("score cannot be written as an item")]
    NotAnItem(#[source] serde_dynamo::Error),
    /// The vector is not one.
    #[error("attribute vector has {bytes} bytes; a multiple of 4 is expected")]
    Vector {
        /// Its length.
        bytes: usize,
    },
}

impl ScoreItem {
    /// The item to be written.
    ///
    /// # Errors
    /// Only if the score has a form that DynamoDB has no type for.
    pub fn to_item(&self) -> Result<Item, ItemError> {
        let mut item: Item =
            serde_dynamo::aws_sdk_dynamodb_1::to_item(&self.score).map_err(ItemError::NotAnItem)?;
        item.retain(|_, value| !value.is_null());
        let vector: Vec<u8> = self.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        item.insert(VECTOR.to_owned(), AttributeValue::B(Blob::new(vector)));
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(self.expires_at.to_string()));
        let Score { verdict, requested_at, entity, .. } = &self.score;
        if let Some(key) = verdict_day(*verdict, requested_at, entity) {
            item.insert(VERDICT_DAY.to_owned(), AttributeValue::S(key));
        }
        Ok(item)
    }
}

/// The score of an item that was read, from the table or from the index.
///
/// # Errors
/// When an attribute is missing or of another type: the item is of another release, or not of this table.
pub fn score_from_item(mut item: Item) -> Result<ScoreItem, ItemError> {
    let vector = match item.remove(VECTOR) {
        Some(AttributeValue::B(blob)) => floats(blob.as_ref())?,
        _ => Vec::new(),
    };
    let expires_at = match item.remove(EXPIRES_AT) {
        Some(AttributeValue::N(text)) => text.parse().unwrap_or(0),
        _ => 0,
    };
    let score = serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(ItemError::NotAScore)?;
    Ok(ScoreItem { score, vector, expires_at })
}

/// The key of a score, as `GetItem` and `BatchGetItem` take it.
pub fn key(key: &ScoreKey) -> Item {
    HashMap::from([
        (ENTITY.to_owned(), AttributeValue::S(key.entity.clone())),
        (SCORED_KEY.to_owned(), AttributeValue::S(key.scored_key.clone())),
    ])
}

/// The key of a score.
pub fn key_of(score: &Score) -> ScoreKey {
    ScoreKey { entity: score.entity.clone(), scored_key: score.scored_key.clone() }
}

fn floats(bytes: &[u8]) -> Result<Vec<f32>, ItemError> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    if rest.is_empty() {
        Ok(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
    } else {
        Err(ItemError::Vector { bytes: bytes.len() })
    }
}
