//! Models, the ensemble definition and data sets, in an S3 bucket or in a folder of the same layout.
//!
//! ```text
//! models/<name>/current.json                     {"version", "digest" of manifest.json}
//! models/<name>/versions/<version>/manifest.json [`Manifest`], and the files that it names
//! ensemble/current.json                          {"version", "digest" of the definition}
//! ensemble/versions/<version>.json               the definition (`tribunal_core::ensemble`)
//! datasets/<name>/current.json                   [`DatasetPointer`]
//! datasets/<name>/versions/<version>/<file>
//! sources/current.json                          {"version", "digest" of the declaration}
//! sources/versions/<version>.toml               the declaration (`tribunal_sources::config`)
//! ```
//! Objects under `versions/` never change; a pointer (`current.json`) says which of them is in force, and by
//! digest. So a reader sees one whole version or none: every byte is held against the digest that the pointer
//! leads to, and against a size limit before it is fetched.
//!
//! Digests are `sha256:` and 64 hex digits, sizes are bytes. Errors ([`RegistryError`]) name the object, the
//! value and the limit; [`RegistryError::error_name`] says what a state machine is to see.
//!
//! It does not interpret models (`tribunal-forest` does), does not cache, and does not watch for changes; a caller
//! that watches asks [`Registry::dataset_state`] with the ETag that it knows.

mod ensemble;
mod error;
mod layout;
mod load;
mod manifest;
mod publish;
mod s3;
mod sources;
mod store;

pub use error::{Fault, RegistryError};
pub use load::{Dataset, DatasetState, Definition, LoadedModel, PointerState};
pub use manifest::{DatasetPointer, Manifest, Part, Pointer};
pub use publish::{Action, Progress, Published};
pub use s3::S3Access;
pub use sources::Declared;
pub use store::{Registry, StoredObject};

/// Most bytes of a model's file: a function holds it in memory, beside its parsed form.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Most bytes of a data set: it is searched where it lies, and is in memory twice while a new version comes in.
pub const MAX_DATASET_BYTES: u64 = 256 * 1024 * 1024;
/// Most bytes of a manifest.
pub const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;
/// Most bytes of an ensemble definition: its lists are part of it.
pub const MAX_ENSEMBLE_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of a pointer.
pub const MAX_POINTER_BYTES: u64 = 16 * 1024;
