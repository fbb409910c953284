//! A data set as a source. Everything is in memory: asking never waits.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tribunal_core::Entity;

use super::{Dataset, DatasetHolder};
use crate::config::{FeatureConfig, MatchBy, Near, Transform};
use crate::source::{Record, Replies, Source, SourceError, Subject};

/// Answers from the data set that a holder has, whichever version that is.
#[derive(Debug, Clone)]
pub struct DatasetSource {
    holder: Arc<DatasetHolder>,
    by: MatchBy,
    near: Vec<Neighbours>,
}

/// What is read around an address: the network, and the columns of its rows; all of them if not given.
#[derive(Debug, Clone)]
struct Neighbours {
    near: Near,
    columns: Option<BTreeSet<String>>,
}

impl DatasetSource {
    /// Looks up `by` of every entity.
    pub const fn new(holder: Arc<DatasetHolder>, by: MatchBy) -> Self {
        Self { holder, by, near: Vec::new() }
    }

    /// Reads around addresses too what these features want.
    pub fn with_neighbours(mut self, features: &[FeatureConfig]) -> Self {
        for feature in features {
            let Some(near) = feature.near else { continue };
            let columns = columns_of(feature);
            match self.near.iter_mut().find(|known| known.near == near) {
                Some(known) => match (&mut known.columns, columns) {
                    (Some(known), Some(columns)) => known.extend(columns),
                    (known, _) => *known = None,
                },
                None => self.near.push(Neighbours { near, columns }),
            }
        }
        self
    }

    /// The rows around an entity, by network.
    fn neighbours(&self, dataset: &Dataset, entity: &Entity) -> Vec<(Near, Vec<Value>)> {
        let rows_of = |Neighbours { near, columns }: &Neighbours| {
            let keeps = |column: &str| columns.as_ref().is_none_or(|columns| columns.contains(column));
            dataset.near(entity, *near, keeps).map(|rows| (*near, rows))
        };
        self.near.iter().filter_map(rows_of).collect()
    }

    /// What holds the data set: to be refreshed beside an event.
    pub const fn holder(&self) -> &Arc<DatasetHolder> {
        &self.holder
    }
}

#[async_trait::async_trait]
impl Source for DatasetSource {
    fn subjects_per_request(&self) -> usize {
        usize::MAX
    }

    async fn ask(&self, subjects: &[Subject<'_>], replies: &Replies) -> Result<(), SourceError> {
        // One version for the whole batch.
        let loaded = self.holder.current().ok_or_else(|| SourceError::Dataset {
            name: self.holder.name().to_owned(),
            source: Box::new(self.holder.state()),
        })?;
        for (position, subject) in subjects.iter().enumerate() {
            let reply = match loaded.dataset.ask(subject.entity, subject.facts, self.by) {
                Ok(rows) => Ok(Record { rows, near: self.neighbours(&loaded.dataset, subject.entity) }),
                Err(_) => Err(SourceError::Malformed { reason: "a record of the MaxMind DB".to_owned() }),
            };
            replies.put(position, reply);
        }
        Ok(())
    }
}

/// The columns that a feature reads; `None` if these are all.
fn columns_of(feature: &FeatureConfig) -> Option<BTreeSet<String>> {
    let mut columns: BTreeSet<String> = feature.matching.keys().map(|field| column_of(field)).collect();
    match &feature.field {
        Some(field) => {
            columns.insert(column_of(field));
        }
        // How many rows there are does not depend on what stands in them.
        None if feature.transform.first() == Some(&Transform::Count) => {}
        None => return None,
    }
    Some(columns)
}

/// The column that a field, or a JSON pointer, begins in.
fn column_of(field: &str) -> String {
    match field.strip_prefix('/') {
        None => field.to_owned(),
        Some(rest) => rest.split('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~"),
    }
}
