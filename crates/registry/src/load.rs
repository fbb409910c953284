//! Reading what is in force: pointer, then what it points to, each held against its digest.

use bytes::Bytes;
use futures::future::try_join_all;
use serde::de::DeserializeOwned;
use tribunal_core::digest::sha256;

use crate::error::RegistryError;
use crate::layout;
use crate::manifest::{self, DatasetPointer, Manifest, Part, Pointer};
use crate::store::Registry;
use crate::{MAX_ENSEMBLE_BYTES, MAX_MANIFEST_BYTES, MAX_POINTER_BYTES};

/// A model as it was published: every file is the one that its manifest means.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// The manifest.
    pub manifest: Manifest,
    /// Digest of the manifest's bytes: names this model, trees and all.
    pub manifest_digest: String,
    /// The parts with their files.
    pub parts: Vec<(Part, Bytes)>,
}

/// An ensemble definition as it was published.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The JSON of a `tribunal_core::ensemble` definition; not looked into.
    pub bytes: Bytes,
    /// Its digest.
    pub digest: String,
    /// Its version, as the pointer says.
    pub version: String,
    /// Path of the object, for messages.
    pub object: String,
}

/// A data set as it was published.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Version, file, digest and size.
    pub pointer: DatasetPointer,
    /// The file.
    pub bytes: Bytes,
}

/// Which version of a model or of the ensemble definition is in force, by its pointer alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PointerState {
    /// The pointer's ETag is the one that the caller knows.
    Unchanged,
    /// A pointer that the caller does not know.
    InForce {
        /// Version and digest.
        pointer: Pointer,
        /// The pointer's ETag, if the store gives one.
        etag: Option<String>,
    },
}

/// Which version of a data set is in force, by its pointer alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatasetState {
    /// The pointer's ETag is the one that the caller knows.
    Unchanged,
    /// There is no pointer.
    Absent,
    /// A pointer that the caller does not know.
    InForce {
        /// Version, file, digest and size.
        pointer: DatasetPointer,
        /// The pointer's ETag, if the store gives one.
        etag: Option<String>,
    },
}

impl Registry {
    /// The model `name` that is in force.
    ///
    /// # Errors
    /// When the name is not one, an object is missing, too large, not of its form, or not the one that is
    /// meant; and when the store fails.
    pub async fn load_model(&self, name: &str) -> Result<LoadedModel, RegistryError> {
        layout::check_name("model", name)?;
        let object = layout::model_pointer(name);
        let pointer: Pointer = self.read_pointer(&object).await?;
        pointer.check(&object)?;
        self.load_model_version(name, &pointer).await
    }

    /// Which version of the model `name` is in force. Only the pointer is read, and not even that when its ETag is
    /// still `known`.
    ///
    /// # Errors
    /// When the name is not one, the pointer is missing, too large or not of its form, and when the store fails.
    pub async fn model_state(&self, name: &str, known: Option<&str>) -> Result<PointerState, RegistryError> {
        layout::check_name("model", name)?;
        self.pointer_state(&layout::model_pointer(name), known).await
    }

    /// The version of the model `name` that a pointer names, whether it is in force or was.
    ///
    /// # Errors
    /// As [`Registry::load_model`].
    pub async fn load_model_version(
        &self,
        name: &str,
        pointer: &Pointer,
    ) -> Result<LoadedModel, RegistryError> {
        layout::check_name("model", name)?;
        let pointer_object = layout::model_pointer(name);
        pointer.check(&pointer_object)?;
        let object = layout::model_file(name, &pointer.version, "manifest.json");
        let bytes = self.read(&object, MAX_MANIFEST_BYTES).await?;
        let manifest_digest = check_digest(&object, &bytes, &pointer_object, &pointer.digest)?;
        let manifest = Manifest::parse(&object, &bytes, name, &pointer.version)?;
        let files = manifest.parts.iter().map(|part| async {
            let file = layout::model_file(name, &manifest.version, &part.file);
            let bytes = self.read_exact(&file, &object, part.bytes, &part.sha256).await?;
            Ok((part.clone(), bytes))
        });
        let parts = try_join_all(files).await?;
        Ok(LoadedModel { manifest, manifest_digest, parts })
    }

    /// The ensemble definition that is in force.
    ///
    /// # Errors
    /// As [`Registry::load_model`].
    pub async fn load_ensemble(&self) -> Result<Definition, RegistryError> {
        let pointer_object = layout::ensemble_pointer();
        let pointer: Pointer = self.read_pointer(&pointer_object).await?;
        pointer.check(&pointer_object)?;
        self.load_ensemble_version(&pointer).await
    }

    /// Which version of the ensemble definition is in force. Only the pointer is read, and not even that when its ETag
    /// is still `known`.
    ///
    /// # Errors
    /// When the pointer is missing, too large or not of its form, and when the store fails.
    pub async fn ensemble_state(&self, known: Option<&str>) -> Result<PointerState, RegistryError> {
        self.pointer_state(&layout::ensemble_pointer(), known).await
    }

    /// The version of the ensemble definition that a pointer names, whether it is in force or was.
    ///
    /// # Errors
    /// As [`Registry::load_model`].
    pub async fn load_ensemble_version(&self, pointer: &Pointer) -> Result<Definition, RegistryError> {
        let pointer_object = layout::ensemble_pointer();
        pointer.check(&pointer_object)?;
        let object = layout::ensemble_definition(&pointer.version);
        let bytes = self.read(&object, MAX_ENSEMBLE_BYTES).await?;
        let digest = check_digest(&object, &bytes, &pointer_object, &pointer.digest)?;
        Ok(Definition { bytes, digest, version: pointer.version.clone(), object })
    }

    async fn pointer_state(&self, object: &str, known: Option<&str>) -> Result<PointerState, RegistryError> {
        let Some((bytes, etag)) = self.read_unless(object, MAX_POINTER_BYTES, known).await? else {
            return Ok(PointerState::Unchanged);
        };
        let pointer: Pointer = manifest::parse(object, &bytes)?;
        pointer.check(object)?;
        Ok(PointerState::InForce { pointer, etag })
    }

    /// The data set `name` that is in force; `None` when none is published.
    ///
    /// # Errors
    /// As [`Registry::load_model`], but for a pointer that is not there.
    pub async fn load_dataset(&self, name: &str) -> Result<Option<Dataset>, RegistryError> {
        match self.dataset_state(name, None).await? {
            DatasetState::InForce { pointer, .. } => {
                let bytes = self.load_dataset_version(name, &pointer).await?;
                Ok(Some(Dataset { pointer, bytes }))
            }
            DatasetState::Absent | DatasetState::Unchanged => Ok(None),
        }
    }

    /// Which version of the data set `name` is in force. Only the pointer is read, and not even that when its ETag
    /// is still `known`.
    ///
    /// # Errors
    /// When the name is not one, the pointer is too large or not of its form, and when the store fails.
    pub async fn dataset_state(
        &self,
        name: &str,
        known: Option<&str>,
    ) -> Result<DatasetState, RegistryError> {
        layout::check_name("data set", name)?;
        let object = layout::dataset_pointer(name);
        let (bytes, etag) = match self.read_unless(&object, MAX_POINTER_BYTES, known).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(DatasetState::Unchanged),
            Err(error) if error.is_missing() => return Ok(DatasetState::Absent),
            Err(error) => return Err(error),
        };
        let pointer: DatasetPointer = manifest::parse(&object, &bytes)?;
        pointer.check(&object)?;
        Ok(DatasetState::InForce { pointer, etag })
    }

    /// The file that a pointer of the data set `name` leads to.
    ///
    /// # Errors
    /// When a name is not one, the file is missing, or not of the size and digest that the pointer says; and when
    /// the store fails.
    pub async fn load_dataset_version(
        &self,
        name: &str,
        pointer: &DatasetPointer,
    ) -> Result<Bytes, RegistryError> {
        layout::check_name("data set", name)?;
        let pointer_object = layout::dataset_pointer(name);
        pointer.check(&pointer_object)?;
        let object = layout::dataset_file(name, &pointer.version, &pointer.file);
        self.read_exact(&object, &pointer_object, pointer.bytes, &pointer.sha256).await
    }

    /// Names of the models that have a pointer, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn models(&self) -> Result<Vec<String>, RegistryError> {
        self.pointed_to(layout::MODELS).await
    }

    /// Names of the data sets that have a pointer, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn datasets(&self) -> Result<Vec<String>, RegistryError> {
        self.pointed_to(layout::DATASETS).await
    }

    async fn pointed_to(&self, group: &str) -> Result<Vec<String>, RegistryError> {
        let objects = self.list(group).await?;
        let pointers = objects.iter().filter(|o| {
            matches!(layout::role(&o.path), Some(layout::Role::ModelPointer | layout::Role::DatasetPointer))
        });
        Ok(pointers.filter_map(|o| Some(o.path.split('/').nth(1)?.to_owned())).collect())
    }

    pub(crate) async fn read_pointer<T: DeserializeOwned>(&self, object: &str) -> Result<T, RegistryError> {
        manifest::parse(object, &self.read(object, MAX_POINTER_BYTES).await?)
    }

    /// Reads a file whose size and digest another object says.
    async fn read_exact(
        &self,
        object: &str,
        named_by: &str,
        expected: u64,
        digest: &str,
    ) -> Result<Bytes, RegistryError> {
        let bytes = self
            .read_if(object, |found| {
                if found == expected {
                    return Ok(());
                }
                let (object, named_by) = (object.to_owned(), named_by.to_owned());
                Err(RegistryError::WrongSize { object, found, named_by, expected })
            })
            .await?;
        check_digest(object, &bytes, named_by, digest)?;
        Ok(bytes)
    }
}

/// The digest of `bytes`, if it is the one that `named_by` says.
pub(crate) fn check_digest(
    object: &str,
    bytes: &[u8],
    named_by: &str,
    expected: &str,
) -> Result<String, RegistryError> {
    let found = sha256(bytes);
    if found == expected {
        return Ok(found);
    }
    Err(RegistryError::WrongDigest {
        object: object.to_owned(),
        found,
        named_by: named_by.to_owned(),
        expected: expected.to_owned(),
    })
}
