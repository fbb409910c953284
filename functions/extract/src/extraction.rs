//! The step without its surroundings: an event and a data set in, a batch of features out.

use std::io;

use tribunal_core::message::{ExtractInput, FeatureBatch, Item, MAX_FEATURES_BYTES, Row};
use tribunal_core::{Entity, ErrorName};
use tribunal_features::{Extractor, Lexicon, LexiconError, WIDTH};

use crate::input::{self, InputError};
use crate::ranges::{RANGES, Ranges};

/// Most bytes of a batch's JSON: a state machine carries 256 KiB, and the predictions are added to it.
pub const MAX_OUTPUT_BYTES: usize = MAX_FEATURES_BYTES;

/// A batch that a state machine could not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "features of {rows} entities take {bytes} bytes, the limit is {MAX_OUTPUT_BYTES}: give fewer at once"
)]
pub struct OutputTooLarge {
    /// Rows of the batch.
    pub rows: usize,
    /// Bytes of its JSON.
    pub bytes: usize,
}

/// Why an event has no features.
#[derive(Debug, thiserror::Error)]
pub enum ExtractionError {
    /// The event is not one.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The features are too many bytes.
    #[error(transparent)]
    TooLarge(#[from] OutputTooLarge),
    /// The batch is not JSON: cannot be.
    #[error("cannot write the features as JSON")]
    Json(#[from] serde_json::Error),
    /// The vector is not of the schema's width: cannot be.
    #[error("cannot extract features")]
    Features(#[from] tribunal_features::ExtractError),
}

impl ExtractionError {
    /// The name that a state machine is to see.
    pub const fn error_name(&self) -> ErrorName {
        match self {
            Self::Input(error) => error.error_name(),
            Self::TooLarge(_) => ErrorName::BatchTooLarge,
            Self::Json(_) | Self::Features(_) => ErrorName::InvalidInput,
        }
    }
}

/// What turns entities into features; made once, and used for every batch.
#[derive(Debug)]
pub struct Extraction {
    extractor: Extractor<'static>,
    features: Vec<String>,
}

impl Extraction {
    /// With the lexicon that is built in.
    ///
    /// # Errors
    /// When the lexicon that is built in is damaged.
    pub fn new() -> Result<Self, LexiconError> {
        let extractor = Extractor::new(Lexicon::embedded()?)?;
        let features = extractor.schema().names();
        Ok(Self { extractor, features })
    }

    /// Digest of the schema.
    pub fn schema(&self) -> &str {
        self.extractor.schema_digest()
    }

    /// Features of every entity of an event.
    ///
    /// # Errors
    /// When the event is not of the contract, or its features take more than [`MAX_OUTPUT_BYTES`]; never for
    /// an entity.
    pub fn extract(&self, input: &ExtractInput, ranges: &Ranges) -> Result<FeatureBatch, ExtractionError> {
        let parsed = input::parse(input)?;
        let mut vector = vec![f32::NAN; WIDTH];
        let rows: Result<Vec<Row>, ExtractionError> = parsed
            .items
            .into_iter()
            .map(|(item, entity)| self.row(item, &entity, ranges, &mut vector))
            .collect();
        let batch = FeatureBatch {
            batch: parsed.batch,
            schema: self.schema().to_owned(),
            features: self.features.clone(),
            rows: rows?,
            refused: parsed.refused,
            rescore: Vec::new(),
            source_ms: std::collections::BTreeMap::new(),
        };
        let bytes = json_bytes(&batch)?;
        if bytes > MAX_OUTPUT_BYTES {
            return Err(OutputTooLarge { rows: batch.rows.len(), bytes }.into());
        }
        Ok(batch)
    }

    fn row(
        &self,
        item: Item,
        entity: &Entity,
        ranges: &Ranges,
        vector: &mut [f32],
    ) -> Result<Row, ExtractionError> {
        let mut row = Row {
            item,
            special: entity.special(),
            values: Vec::new(),
            evidence: Vec::new(),
            sources: std::collections::BTreeMap::new(),
            evidence_dropped: 0,
        };
        if row.special.is_some() {
            return Ok(row);
        }
        let mut facts = None;
        if let Some(address) = entity.address() {
            let (found, evidence, status) = ranges.lookup(address);
            row.sources.insert(RANGES.to_owned(), status);
            row.evidence = evidence;
            facts = found;
        }
        self.extractor.extract(entity, facts.as_ref(), vector)?;
        row.values = vector.iter().map(|&value| value.is_finite().then_some(value)).collect();
        Ok(row)
    }
}

/// Bytes of the JSON of a batch, without holding it.
fn json_bytes(batch: &FeatureBatch) -> Result<usize, serde_json::Error> {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, batch)?;
    Ok(counter.0)
}
