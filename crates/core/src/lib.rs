//! Entities, the feature schema, and the contracts between the steps of Tribunal.
//!
//! Data flows one way: entity -> features -> predictions -> score. Each step takes and gives the types of
//! [`message`]; their JSON is what SQS, Step Functions and DynamoDB carry.
//!
//! This crate does no I/O, reads no clock and no environment, and knows nothing of AWS: the caller hands
//! those in.

pub mod address;
pub mod container;
pub mod digest;
pub mod ensemble;
pub mod entity;
pub mod error_name;
pub mod message;
pub mod phrase;
pub mod schema;
pub mod score;
pub mod time;

pub use address::AddressFacts;
pub use entity::{Entity, Kind, Refusal, SpecialUse};
pub use error_name::ErrorName;
pub use schema::{Feature, FeatureSchema};
pub use score::{Score, Verdict};
