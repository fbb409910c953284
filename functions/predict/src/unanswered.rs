//! Which features of a row could have been anything, because their source was asked and gave no answer.

use tribunal_core::message::{FeatureBatch, Row};

use crate::predictor::PredictError;

/// Of every row of a batch, the positions of the features of sources that did not answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// `None` where all sources answered.
    rows: Vec<Option<Vec<bool>>>,
}

impl Unanswered {
    /// # Errors
    /// When a run of features is not within the batch's, or there are more runs than features.
    pub(crate) fn of(batch: &FeatureBatch) -> Result<Self, PredictError> {
        let features = batch.features.len();
        for (run, of) in batch.source_features.iter().enumerate() {
            let end = of.first.checked_add(of.count);
            if run >= features || end.is_none_or(|end| end > features) {
                let (first, count) = (of.first, of.count);
                return Err(PredictError::SourceFeatures { run, first, count, features });
            }
        }
        Ok(Self { rows: batch.rows.iter().map(|row| Self::mask(batch, row)).collect() })
    }

    fn mask(batch: &FeatureBatch, row: &Row) -> Option<Vec<bool>> {
        let silent = |source: &String| row.sources.get(source).is_some_and(|status| status.is_unanswered());
        if !row.sources.values().any(|status| status.is_unanswered()) {
            return None;
        }
        let mut mask = vec![false; batch.features.len()];
        for run in batch.source_features.iter().filter(|run| silent(&run.source)) {
            if let Some(positions) = mask.get_mut(run.first..run.first + run.count) {
                positions.fill(true);
            }
        }
        Some(mask)
    }

    /// Whether a source of the row did not answer.
    pub(crate) fn any(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(Option::is_some)
    }

    /// Whether the feature at `position` of the batch is unknown in the row.
    pub(crate) fn is(&self, row: usize, position: usize) -> bool {
        let mask = self.rows.get(row).and_then(Option::as_ref);
        mask.is_some_and(|mask| mask.get(position).copied().unwrap_or(false))
    }

    /// Whether any row lacks an answer.
    pub(crate) fn is_any(&self) -> bool {
        self.rows.iter().any(Option::is_some)
    }
}
