//! From a declaration to sources that can be asked.
//!
//! Opening makes no connection and reads no secret. A source that its adapter refuses is told, and answers with an
//! error from then on: the others, and the score, do not suffer from it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tribunal_registry::Registry;

use crate::config::{DatasetConfig, Declaration, SourceConfig};
use crate::dataset::{DatasetHolder, DatasetSource, Refreshed};
use crate::open::{FactsOf, OpenError, open_dns, open_server};
use crate::quota::MemoryQuota;
use crate::secret::{EnvironmentSecrets, SecretStore};
use crate::source::{Replies, Source, SourceError, Subject};
use crate::sources::{Sources, Stores};

/// What sources are opened with.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where secrets are kept.
    pub secrets: Arc<dyn SecretStore>,
    /// Quota and shared answers.
    pub stores: Stores,
    /// Where published data sets lie.
    pub registry: Option<Registry>,
    /// Where the paths of data sets begin; without it paths are refused, as in a deployment.
    pub folder: Option<PathBuf>,
    /// The data set of address ranges.
    pub ranges: Option<Arc<DatasetHolder>>,
}

impl Context {
    /// Of this process alone: secrets from the environment, quota in memory.
    pub fn local() -> Self {
        Self {
            secrets: Arc::new(EnvironmentSecrets),
            stores: Stores { quota: Some(Arc::new(MemoryQuota::default())), cache: None },
            registry: None,
            folder: None,
            ranges: None,
        }
    }

    fn facts_of(&self) -> FactsOf {
        let ranges = self.ranges.clone();
        Arc::new(move |address| {
            let loaded = ranges.as_ref()?.current()?;
            loaded.dataset.ranges().map(|ranges| ranges.lookup(address))
        })
    }
}

/// A source that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unopened {
    /// Its name.
    pub source: String,
    /// Why.
    pub error: OpenError,
}

impl Sources {
    /// The sources of a declaration, and those that cannot be opened.
    pub fn open(declaration: &Declaration, context: &Context) -> (Self, Vec<Unopened>) {
        let mut opener = Opener { context, facts_of: context.facts_of(), holders: HashMap::new() };
        let mut open: BTreeMap<String, Arc<dyn Source>> = BTreeMap::new();
        let mut unopened = Vec::new();
        for (name, config) in declaration.asked() {
            let source = opener.open(config).unwrap_or_else(|error| {
                unopened.push(Unopened { source: name.clone(), error: error.clone() });
                Arc::new(Refused(error))
            });
            open.insert(name.clone(), source);
        }
        let holders = opener.holders.into_values().collect();
        (Self::new(declaration, open, context.stores.clone()).with_holders(holders), unopened)
    }

    /// Loads the data sets, or looks whether there are new versions, each for at most `limit`; at most once a minute
    /// for each. What came of it, by name of the data set, where something did.
    pub async fn refresh(&self, limit: Duration) -> Vec<(String, Refreshed)> {
        let looked = self
            .holders()
            .iter()
            .map(|holder| async { (holder.name().to_owned(), holder.refresh(limit).await) });
        let mut looked = join_all(looked).await;
        looked.retain(|(_, refreshed)| !matches!(refreshed, Refreshed::NotDue | Refreshed::Unchanged));
        looked
    }
}

struct Opener<'a> {
    context: &'a Context,
    facts_of: FactsOf,
    /// Sources of one data set share it.
    holders: HashMap<String, Arc<DatasetHolder>>,
}

impl Opener<'_> {
    fn open(&mut self, config: &SourceConfig) -> Result<Arc<dyn Source>, OpenError> {
        match &config.dataset {
            Some(dataset) => {
                let source = DatasetSource::new(self.holder(dataset)?, dataset.by);
                Ok(Arc::new(source.with_neighbours(&config.features)))
            }
            None if config.dns.is_some() => open_dns(config, Arc::clone(&self.facts_of)).map(Arc::from),
            None => open_server(config, &self.context.secrets).map(Arc::from),
        }
    }

    fn holder(&mut self, config: &DatasetConfig) -> Result<Arc<DatasetHolder>, OpenError> {
        let (key, holder) = match (&config.name, &config.path) {
            (Some(name), _) => {
                let registry = self.context.registry.clone().ok_or_else(|| {
                    OpenError::new("dataset.name", format!("{name}: there is no registry; give --registry"))
                })?;
                (format!("name {name}"), DatasetHolder::published(registry, name))
            }
            (None, Some(path)) => {
                let folder = self.context.folder.as_ref().ok_or_else(|| {
                    let reason = format!("{path}: a deployment reads published data sets; give dataset.name");
                    OpenError::new("dataset.path", reason)
                })?;
                (format!("path {path}"), DatasetHolder::file(&folder.join(path)))
            }
            (None, None) => return Err(OpenError::new("dataset", "give either name or path")),
        };
        Ok(Arc::clone(self.holders.entry(key).or_insert_with(|| Arc::new(holder))))
    }
}

/// Stands for a source that cannot be opened.
#[derive(Debug)]
struct Refused(OpenError);

#[async_trait::async_trait]
impl Source for Refused {
    fn subjects_per_request(&self) -> usize {
        usize::MAX
    }

    async fn ask(&self, _: &[Subject<'_>], _: &Replies) -> Result<(), SourceError> {
        let source = Some(Box::new(self.0.clone()) as crate::source::Cause);
        Err(SourceError::Failed { code: "declaration".to_owned(), source })
    }
}
