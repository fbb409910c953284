//! The declaration of sources: which version is in force, and publishing another.

use bytes::Bytes;
use tribunal_core::digest::sha256;

use crate::MAX_MANIFEST_BYTES;
use crate::error::RegistryError;
use crate::layout;
use crate::load::check_digest;
use crate::manifest::Pointer;
use crate::store::Registry;

/// A declaration of sources as it was published.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The text of a `sources.toml`; not looked into.
    pub bytes: Bytes,
    /// Its digest.
    pub digest: String,
    /// Its version, as the pointer says.
    pub version: String,
    /// Path of the object, for messages.
    pub object: String,
}

impl Registry {
    /// The declaration of sources that is in force; `None` when none is published.
    ///
    /// # Errors
    /// When an object is missing, too large, or not the one that is meant; and when the store fails.
    pub async fn load_sources(&self) -> Result<Option<Declared>, RegistryError> {
        match self.sources_pointer().await? {
            Some(pointer) => self.load_sources_version(pointer).await.map(Some),
            None => Ok(None),
        }
    }

    /// The declaration of sources that a pointer names.
    ///
    /// # Errors
    /// As [`Registry::load_sources`].
    pub async fn load_sources_version(&self, pointer: Pointer) -> Result<Declared, RegistryError> {
        let object = layout::sources_declaration(&pointer.version);
        let bytes = self.read(&object, MAX_MANIFEST_BYTES).await?;
        let digest = check_digest(&object, &bytes, &layout::sources_pointer(), &pointer.digest)?;
        Ok(Declared { bytes, digest, version: pointer.version, object })
    }

    /// Which declaration of sources is in force; `None` when none is published.
    ///
    /// # Errors
    /// When the pointer is not of its form, and when the store fails.
    pub async fn sources_pointer(&self) -> Result<Option<Pointer>, RegistryError> {
        let object = layout::sources_pointer();
        let pointer: Pointer = match self.read_pointer(&object).await {
            Ok(pointer) => pointer,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        pointer.check(&object)?;
        Ok(Some(pointer))
    }

    /// Publishes a declaration of sources, and puts it in force. Its version is of its bytes: the same text is the
    /// same version.
    ///
    /// # Errors
    /// When it is too large, and when the store fails.
    pub async fn publish_sources(&self, bytes: Bytes) -> Result<Pointer, RegistryError> {
        let digest = sha256(&bytes);
        let version = digest.trim_start_matches("sha256:").get(..12).unwrap_or_default().to_owned();
        let object = layout::sources_declaration(&version);
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(RegistryError::TooLarge {
                object,
                bytes: bytes.len() as u64,
                limit: MAX_MANIFEST_BYTES,
            });
        }
        match self.compare(&object, &bytes).await? {
            Some(true) => {}
            Some(false) => return Err(self.immutable(&object)),
            None => self.write(&object, bytes).await?,
        }
        let pointer = Pointer { version, digest };
        let text = serde_json::to_vec(&pointer)
            .map_err(|source| RegistryError::Json { object: layout::sources_pointer(), source })?;
        self.write(&layout::sources_pointer(), Bytes::from(text)).await?;
        Ok(pointer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn what_is_published_is_in_force_and_a_changed_text_is_refused() {
        let store = Arc::new(InMemory::new());
        let registry = Registry::with_store(store, "memory");
        assert!(registry.load_sources().await.unwrap().is_none());
        registry.publish_sources(Bytes::from_static(b"# one")).await.unwrap();
        let second = registry.publish_sources(Bytes::from_static(b"# two")).await.unwrap();
        assert_eq!(registry.publish_sources(Bytes::from_static(b"# two")).await.unwrap(), second);
        let declared = registry.load_sources().await.unwrap().unwrap();
        assert_eq!((declared.bytes.as_ref(), declared.digest), (b"# two".as_slice(), second.digest));
        registry.write(&declared.object, Bytes::from_static(b"# three")).await.unwrap();
        let error = registry.load_sources().await.unwrap_err();
        assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error}");
    }
}
