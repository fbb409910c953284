//! Tests of the step over its public parts, and what they share.

mod definition;
mod items;
mod reasons;
mod requeue;
mod score;
mod sizes;
mod step;
mod store;
mod support;
mod table;
mod wire;
