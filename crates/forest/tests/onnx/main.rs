//! ONNX models written field by field: what they answer, what is refused, and with which words.

#![cfg(feature = "onnx")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod answers;
mod models;
mod refusals;
