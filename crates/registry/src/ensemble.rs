//! Publishing an ensemble definition by itself.

use bytes::Bytes;
use tribunal_core::digest::sha256;

use crate::MAX_ENSEMBLE_BYTES;
use crate::error::RegistryError;
use crate::layout;
use crate::manifest::Pointer;
use crate::store::Registry;

impl Registry {
    /// Publishes an ensemble definition, and puts it in force. The bytes are not looked into: whoever publishes has
    /// checked them, their `version` included.
    ///
    /// With the ETag of the pointer that the definition was made from ([`Registry::ensemble_state`]), the pointer is
    /// moved only if it is still that one: of two who edit the same version, one is told. The version that was written
    /// stays then, and nothing points to it.
    ///
    /// # Errors
    /// When the version is not one, the definition is too large, the version exists with other bytes
    /// ([`RegistryError::Immutable`]), the pointer is another by now ([`RegistryError::Moved`]), and when the store
    /// fails.
    pub async fn publish_ensemble(
        &self,
        version: &str,
        bytes: Bytes,
        over: Option<&str>,
    ) -> Result<Pointer, RegistryError> {
        let pointer_object = layout::ensemble_pointer();
        let pointer = Pointer { version: version.to_owned(), digest: sha256(&bytes) };
        pointer.check("request")?;
        let object = layout::ensemble_definition(version);
        let size = bytes.len() as u64;
        if size > MAX_ENSEMBLE_BYTES {
            return Err(RegistryError::TooLarge { object, bytes: size, limit: MAX_ENSEMBLE_BYTES });
        }
        match self.compare(&object, &bytes).await? {
            Some(true) => {}
            Some(false) => return Err(self.immutable(&object)),
            None => self.write(&object, bytes).await?,
        }
        let text = serde_json::to_vec(&pointer)
            .map_err(|source| RegistryError::Json { object: pointer_object.clone(), source })?;
        let moved = match over {
            Some(etag) => self.write_over(&pointer_object, Bytes::from(text), etag).await?,
            None => self.write(&pointer_object, Bytes::from(text)).await.map(|()| true)?,
        };
        if moved {
            return Ok(pointer);
        }
        Err(RegistryError::Moved { object: pointer_object, location: self.location().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::PointerState;

    async fn etag(registry: &Registry) -> Option<String> {
        match registry.ensemble_state(None).await.unwrap() {
            PointerState::InForce { etag, .. } => etag,
            PointerState::Unchanged => None,
        }
    }

    /// Both publish upon the version that they have read.
    async fn second_of_two_is_told(registry: &Registry) {
        registry.publish_ensemble("1", Bytes::from_static(b"{}"), None).await.unwrap();
        let read = etag(registry).await.unwrap();
        let first = registry.publish_ensemble("2", Bytes::from_static(b"{ }"), Some(&read)).await.unwrap();
        let late = registry.publish_ensemble("3", Bytes::from_static(b"{  }"), Some(&read)).await;
        assert!(matches!(late, Err(RegistryError::Moved { .. })), "{late:?}");
        let definition = registry.load_ensemble().await.unwrap();
        assert_eq!((definition.version, definition.digest), (first.version, first.digest));
        let changed = registry.publish_ensemble("2", Bytes::from_static(b"[]"), None).await;
        assert!(matches!(changed, Err(RegistryError::Immutable { .. })), "{changed:?}");
        let back = registry.publish_ensemble("1", Bytes::from_static(b"{}"), None).await.unwrap();
        assert_eq!(registry.load_ensemble().await.unwrap().digest, back.digest);
    }

    #[tokio::test]
    async fn of_two_who_publish_upon_the_same_version_the_second_is_told() {
        let folder = tempfile::tempdir().unwrap();
        second_of_two_is_told(&Registry::open(folder.path().to_str().unwrap()).unwrap()).await;
        second_of_two_is_told(&Registry::with_store(Arc::new(InMemory::new()), "memory")).await;
    }

    #[tokio::test]
    async fn what_is_no_version_or_too_large_is_refused_and_nothing_is_written() {
        let registry = Registry::with_store(Arc::new(InMemory::new()), "memory");
        for version in ["", "../1", "V1", ".1"] {
            let refused = registry.publish_ensemble(version, Bytes::from_static(b"{}"), None).await;
            assert!(matches!(refused, Err(RegistryError::Invalid { .. })), "{version:?}: {refused:?}");
        }
        let large = Bytes::from(vec![b' '; 4_194_305]);
        let refused = registry.publish_ensemble("1", large, None).await;
        assert!(matches!(refused, Err(RegistryError::TooLarge { .. })), "{refused:?}");
        assert!(registry.objects().await.unwrap().is_empty());
    }
}
