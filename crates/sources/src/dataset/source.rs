//! A data set as a source. Everything is in memory: asking never waits.

use std::sync::Arc;

use super::DatasetHolder;
use crate::config::MatchBy;
use crate::source::{Record, Replies, Source, SourceError, Subject};

/// Answers from the data set that a holder has, whichever version that is.
#[derive(Debug, Clone)]
pub struct DatasetSource {
    holder: Arc<DatasetHolder>,
    by: MatchBy,
}

impl DatasetSource {
    /// Looks up `by` of every entity.
    pub const fn new(holder: Arc<DatasetHolder>, by: MatchBy) -> Self {
        Self { holder, by }
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
                Ok(rows) => Ok(Record { rows }),
                Err(_) => Err(SourceError::Malformed { reason: "a record of the MaxMind DB".to_owned() }),
            };
            replies.put(position, reply);
        }
        Ok(())
    }
}
