//! The groups of features, each with its definitions and the code that computes it.

pub(crate) mod address;
pub(crate) mod brands;
pub(crate) mod host;
pub(crate) mod keywords;
pub(crate) mod language;
pub(crate) mod shape;
pub(crate) mod subdomain;
pub(crate) mod words;
