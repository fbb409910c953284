//! Copying a registry into another: a folder into a bucket.
//!
//! What is in force in the source is read whole first, so that nothing broken is published. Then every
//! version that the target lacks is written, then the pointers: those of data sets and models, and the
//! ensemble's last. A reader at any moment finds a whole version, old or new; a copy that was broken off is
//! continued by running it again.

use bytes::Bytes;
use tribunal_core::digest::sha256;

use crate::MAX_DATASET_BYTES;
use crate::error::RegistryError;
use crate::layout::{self, Role};
use crate::manifest::{DatasetPointer, check_dataset};
use crate::store::{Registry, StoredObject};

/// Most bytes of any object; what is in force was held against its own limit before it is copied.
const MAX_OBJECT_BYTES: u64 = MAX_DATASET_BYTES;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was written.
    Written,
    /// It was there already, byte for byte.
    Unchanged,
}

/// One object done.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The object.
    pub object: &'a StoredObject,
    /// What became of it.
    pub action: Action,
    /// How many are done, this one included.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Objects written.
    pub written: usize,
    /// Objects that were there already.
    pub unchanged: usize,
    /// Files of the source that are not of the layout, and were left out.
    pub ignored: usize,
}

impl Registry {
    /// Copies everything of `source` into this registry.
    ///
    /// # Errors
    /// When a model, the ensemble definition or a data set that is in force in `source` is not whole; when a
    /// version exists here with other bytes ([`RegistryError::Immutable`]; nothing was written then); and
    /// when a store fails.
    pub async fn publish_from(
        &self,
        source: &Self,
        on_progress: impl FnMut(Progress<'_>),
    ) -> Result<Published, RegistryError> {
        self.copy_from(source, false, on_progress).await
    }

    /// Like [`Registry::publish_from`], but versions that exist here with other bytes are replaced: for
    /// development, where one version is trained again and again. A reader may find a mixture while it runs,
    /// and refuses it by its digest.
    ///
    /// # Errors
    /// As [`Registry::publish_from`].
    pub async fn replace_from(
        &self,
        source: &Self,
        on_progress: impl FnMut(Progress<'_>),
    ) -> Result<Published, RegistryError> {
        self.copy_from(source, true, on_progress).await
    }

    /// Publishes one data set, and makes it the one in force.
    ///
    /// # Errors
    /// When a name is not one, the data set is empty or larger than [`MAX_DATASET_BYTES`], the version exists
    /// with other bytes, or the store fails.
    pub async fn publish_dataset(
        &self,
        name: &str,
        version: &str,
        file: &str,
        bytes: Bytes,
    ) -> Result<DatasetPointer, RegistryError> {
        check_dataset(name, version, file)?;
        let object = layout::dataset_file(name, version, file);
        let size = bytes.len() as u64;
        let pointer = DatasetPointer {
            version: version.into(),
            file: file.into(),
            sha256: sha256(&bytes),
            bytes: size,
        };
        pointer.check(&layout::dataset_pointer(name))?;
        match self.compare(&object, &bytes).await? {
            Some(true) => {}
            Some(false) => return Err(self.immutable(&object)),
            None => self.write(&object, bytes).await?,
        }
        let text = serde_json::to_vec(&pointer)
            .map_err(|source| RegistryError::Json { object: layout::dataset_pointer(name), source })?;
        self.write(&layout::dataset_pointer(name), Bytes::from(text)).await?;
        Ok(pointer)
    }

    /// Every object of the layout, sorted by path.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn objects(&self) -> Result<Vec<StoredObject>, RegistryError> {
        Ok(self.list("").await?.into_iter().filter(|o| layout::role(&o.path).is_some()).collect())
    }

    async fn copy_from(
        &self,
        source: &Self,
        replace: bool,
        mut on_progress: impl FnMut(Progress<'_>),
    ) -> Result<Published, RegistryError> {
        let found = source.list("").await?;
        let mut published = Published::default();
        let mut plan: Vec<(Role, StoredObject)> = Vec::new();
        for object in found {
            match layout::role(&object.path) {
                Some(role) => plan.push((role, object)),
                None => published.ignored += 1,
            }
        }
        plan.sort();
        source.check_whole(&plan).await?;
        if !replace {
            self.check_versions(source, &plan).await?;
        }
        let total = plan.len();
        for (i, (_, object)) in plan.iter().enumerate() {
            let bytes = source.read(&object.path, MAX_OBJECT_BYTES).await?;
            let action = if self.compare(&object.path, &bytes).await? == Some(true) {
                published.unchanged += 1;
                Action::Unchanged
            } else {
                self.write(&object.path, bytes).await?;
                published.written += 1;
                Action::Written
            };
            on_progress(Progress { object, action, done: i + 1, total });
        }
        Ok(published)
    }

    /// Reads everything that a pointer puts in force.
    async fn check_whole(&self, plan: &[(Role, StoredObject)]) -> Result<(), RegistryError> {
        for (role, object) in plan {
            let name = object.path.split('/').nth(1).unwrap_or_default();
            match role {
                Role::Version => {}
                Role::ModelPointer => drop(self.load_model(name).await?),
                Role::DatasetPointer => drop(self.load_dataset(name).await?),
                Role::SourcesPointer => drop(self.load_sources().await?),
                Role::EnsemblePointer => drop(self.load_ensemble().await?),
            }
        }
        Ok(())
    }

    /// Refuses to change a version that is here already.
    async fn check_versions(
        &self,
        source: &Self,
        plan: &[(Role, StoredObject)],
    ) -> Result<(), RegistryError> {
        for (_, object) in plan.iter().filter(|(role, _)| *role == Role::Version) {
            match self.size(&object.path).await? {
                None => {}
                Some(size) if size != object.bytes => return Err(self.immutable(&object.path)),
                Some(_) => {
                    let bytes = source.read(&object.path, MAX_OBJECT_BYTES).await?;
                    if self.compare(&object.path, &bytes).await? == Some(false) {
                        return Err(self.immutable(&object.path));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether an object is here and holds `bytes`; `None` when it is not here.
    pub(crate) async fn compare(&self, object: &str, bytes: &[u8]) -> Result<Option<bool>, RegistryError> {
        match self.size(object).await? {
            None => Ok(None),
            Some(size) if size != bytes.len() as u64 => Ok(Some(false)),
            Some(_) => Ok(Some(self.read(object, MAX_OBJECT_BYTES).await? == bytes)),
        }
    }

    pub(crate) fn immutable(&self, object: &str) -> RegistryError {
        RegistryError::Immutable { object: object.to_owned(), location: self.location().to_owned() }
    }
}
