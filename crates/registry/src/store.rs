//! One type over a bucket and a folder: bounded reads, writes, lists.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion,
};

use crate::error::{Cause, Fault, RegistryError};
use crate::s3::{self, S3Access};

/// An object of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredObject {
    /// Path in the registry.
    pub path: String,
    /// Size.
    pub bytes: u64,
}

/// The stores by name, and not one `dyn ObjectStore`: a table of all its methods would keep uploads, lists
/// and every checksum's tables (0.6 MB zipped) in a function that only reads.
#[derive(Clone)]
enum Store {
    Bucket(PrefixStore<AmazonS3>),
    Folder(Arc<LocalFileSystem>),
    Other(Arc<dyn ObjectStore>),
}

/// A registry. Cloning is cheap, and clones share their connections.
#[derive(Clone)]
pub struct Registry {
    store: Store,
    location: String,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.location).finish()
    }
}

impl Registry {
    /// Opens `s3://bucket`, `s3://bucket/prefix` or a folder. A bucket is not asked anything yet.
    ///
    /// # Errors
    /// When the address is not one of these, the folder does not exist, or the environment does not make an
    /// S3 client.
    pub fn open(address: &str) -> Result<Self, RegistryError> {
        Self::open_with(address, &S3Access::default())
    }

    /// Like [`Registry::open`], with keys, region and endpoint that differ from the environment's.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn open_with(address: &str, access: &S3Access) -> Result<Self, RegistryError> {
        let wrong =
            |reason: &str| RegistryError::Address { address: address.to_owned(), reason: reason.into() };
        if let Some(rest) = address.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if !is_bucket(bucket) {
                return Err(wrong("a bucket's name is 3 to 63 of a-z 0-9 . -"));
            }
            let prefix = Some(prefix).filter(|p| !p.starts_with('/')).and_then(|p| Path::parse(p).ok());
            let prefix = prefix.ok_or_else(|| wrong("the prefix is not a path"))?;
            let store = PrefixStore::new(s3::open(address, bucket, access)?, prefix);
            return Ok(Self::new(Store::Bucket(store), address));
        }
        if address.is_empty() {
            return Err(wrong("it is empty"));
        }
        if address.contains("://") {
            return Err(wrong("unknown scheme"));
        }
        let store = LocalFileSystem::new_with_prefix(address).map_err(|source| RegistryError::Open {
            address: address.to_owned(),
            source: Cause(Box::new(source)),
        })?;
        Ok(Self::new(Store::Folder(Arc::new(store)), address))
    }

    /// A registry in any store; `location` names it in errors.
    pub fn with_store(store: Arc<dyn ObjectStore>, location: &str) -> Self {
        Self::new(Store::Other(store), location)
    }

    fn new(store: Store, location: &str) -> Self {
        Self { store, location: location.trim_end_matches('/').to_owned() }
    }

    /// Where the registry is, as it was opened.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Every object under `prefix` (a path in the registry; empty for all), sorted by path.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<StoredObject>, RegistryError> {
        let shown = if prefix.is_empty() { "objects" } else { prefix };
        let failed = |source| self.failed("list", shown, source);
        let prefix = Path::parse(prefix).map_err(|e| failed(e.into()))?;
        let found = match &self.store {
            Store::Bucket(store) => store.list(Some(&prefix)),
            Store::Folder(store) => store.list(Some(&prefix)),
            Store::Other(store) => store.list(Some(&prefix)),
        };
        let mut objects: Vec<StoredObject> = found
            .map_ok(|meta| StoredObject { path: meta.location.to_string(), bytes: meta.size })
            .try_collect()
            .await
            .map_err(failed)?;
        objects.sort();
        Ok(objects)
    }

    /// Reads an object of at most `limit` bytes; its size is known before its content is fetched.
    pub(crate) async fn read(&self, object: &str, limit: u64) -> Result<Bytes, RegistryError> {
        self.read_if(object, |bytes| {
            if bytes <= limit {
                return Ok(());
            }
            Err(RegistryError::TooLarge { object: object.to_owned(), bytes, limit })
        })
        .await
    }

    /// Reads an object whose size `accept` accepts.
    pub(crate) async fn read_if(
        &self,
        object: &str,
        accept: impl FnOnce(u64) -> Result<(), RegistryError>,
    ) -> Result<Bytes, RegistryError> {
        let failed = |source| self.failed("read", object, source);
        let path = Path::parse(object).map_err(|e| failed(e.into()))?;
        let found = match &self.store {
            Store::Bucket(store) => store.get(&path).await,
            Store::Folder(store) => store.get(&path).await,
            Store::Other(store) => store.get(&path).await,
        }
        .map_err(failed)?;
        accept(found.meta.size)?;
        found.bytes().await.map_err(failed)
    }

    /// Reads an object of at most `limit` bytes with its ETag; `None` when its ETag is `known`.
    pub(crate) async fn read_unless(
        &self,
        object: &str,
        limit: u64,
        known: Option<&str>,
    ) -> Result<Option<(Bytes, Option<String>)>, RegistryError> {
        let failed = |source| self.failed("read", object, source);
        let path = Path::parse(object).map_err(|e| failed(e.into()))?;
        let options = GetOptions::new().with_if_none_match(known);
        let found = match &self.store {
            Store::Bucket(store) => store.get_opts(&path, options).await,
            Store::Folder(store) => store.get_opts(&path, options).await,
            Store::Other(store) => store.get_opts(&path, options).await,
        };
        let found = match found {
            Ok(found) => found,
            Err(object_store::Error::NotModified { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let (bytes, etag) = (found.meta.size, found.meta.e_tag.clone());
        if bytes > limit {
            return Err(RegistryError::TooLarge { object: object.to_owned(), bytes, limit });
        }
        Ok(Some((found.bytes().await.map_err(failed)?, etag)))
    }

    /// The size of an object; `None` when it is not there.
    pub(crate) async fn size(&self, object: &str) -> Result<Option<u64>, RegistryError> {
        let failed = |source| self.failed("read", object, source);
        let path = Path::parse(object).map_err(|e| failed(e.into()))?;
        let found = match &self.store {
            Store::Bucket(store) => store.head(&path).await,
            Store::Folder(store) => store.head(&path).await,
            Store::Other(store) => store.head(&path).await,
        };
        match found {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) async fn write(&self, object: &str, bytes: Bytes) -> Result<(), RegistryError> {
        let failed = |source| self.failed("write", object, source);
        let path = Path::parse(object).map_err(|e| failed(e.into()))?;
        let payload = PutPayload::from_bytes(bytes);
        let written = match &self.store {
            Store::Bucket(store) => store.put(&path, payload).await,
            Store::Folder(store) => store.put(&path, payload).await,
            Store::Other(store) => store.put(&path, payload).await,
        };
        written.map(drop).map_err(failed)
    }

    /// Writes an object whose ETag is still `known`; `false`, and nothing is written, where it is another. A folder
    /// compares and then writes, so that two writers at the same moment can both succeed there.
    pub(crate) async fn write_over(
        &self,
        object: &str,
        bytes: Bytes,
        known: &str,
    ) -> Result<bool, RegistryError> {
        let failed = |source| self.failed("write", object, source);
        let path = Path::parse(object).map_err(|e| failed(e.into()))?;
        let payload = PutPayload::from_bytes(bytes);
        let over = UpdateVersion { e_tag: Some(known.to_owned()), version: None };
        let options = PutOptions::from(PutMode::Update(over));
        let written = match &self.store {
            Store::Bucket(store) => store.put_opts(&path, payload, options).await,
            Store::Other(store) => store.put_opts(&path, payload, options).await,
            Store::Folder(store) => {
                let found = store.head(&path).await.map_err(failed)?;
                if found.e_tag.as_deref() != Some(known) {
                    return Ok(false);
                }
                store.put(&path, payload).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            Err(object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    fn failed(&self, operation: &'static str, object: &str, source: object_store::Error) -> RegistryError {
        RegistryError::Store {
            operation,
            object: object.to_owned(),
            location: self.location.clone(),
            fault: Fault::of(&source),
            source: Cause(Box::new(source)),
        }
    }
}

fn is_bucket(text: &str) -> bool {
    (3..=63).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_with_the_reason() {
        let cases = [
            ("", "empty"),
            ("gs://bucket", "unknown scheme"),
            ("s3://", "bucket"),
            ("s3://Upper", "bucket"),
            ("s3://bucket//x", "prefix"),
            ("s3://bucket/../x", "prefix"),
        ];
        for (address, reason) in cases {
            let error = Registry::open(address).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(address), "{address}: {error}");
        }
        let error = Registry::open("/no/such/folder").unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
