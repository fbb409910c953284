//! The step without its surroundings: an event, address ranges and the sources' answers in, a batch of features out.

use std::io;

use tribunal_core::message::{
    Evidence, ExtractInput, FeatureBatch, Item, MAX_FEATURES_BYTES, RefusedEntity, Rescore, Row,
    SourceFeatures, SourceStatus,
};
use tribunal_core::{AddressFacts, Entity, ErrorName, Feature, FeatureSchema};
use tribunal_features::{Extractor, Lexicon, LexiconError, WIDTH};
use tribunal_sources::config::Tlp;
use tribunal_sources::{Answers, Asked, Found};

use crate::input::{self, InputError};
use crate::ranges::{RANGES, Ranges};

/// Most bytes of a batch's JSON: a state machine carries 256 KiB, and the predictions are added to it.
pub const MAX_OUTPUT_BYTES: usize = MAX_FEATURES_BYTES;

/// Most bytes of the evidence about one entity; less where the batch would be too large.
const MAX_EVIDENCE_BYTES: usize = 2_048;

/// Most bytes of the sentences of declared features: the sources after it are told by name and value.
const MAX_PHRASES_BYTES: usize = 3_072;

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
    schema: FeatureSchema,
    digest: String,
    names: Vec<String>,
    runs: Vec<SourceFeatures>,
}

/// The entities of an event, and what the address ranges say of them: what the sources are asked about.
#[derive(Debug)]
pub struct Questions {
    batch: String,
    entities: Vec<Question>,
    refused: Vec<RefusedEntity>,
}

#[derive(Debug)]
struct Question {
    item: Item,
    entity: Entity,
    facts: Option<AddressFacts>,
    evidence: Vec<Evidence>,
    ranges: Option<SourceStatus>,
}

impl Questions {
    /// The entities that sources are asked about: those that scoring makes sense for, in their order.
    pub fn asked(&self) -> Vec<Asked<'_>> {
        let routable = self.entities.iter().filter(|question| question.entity.special().is_none());
        routable
            .map(|question| Asked {
                entity: &question.entity,
                facts: question.facts.as_ref(),
                // A marking that is not known is taken as the strictest.
                tlp: question.item.tlp.as_deref().map(|tlp| Tlp::parse(tlp).unwrap_or(Tlp::Red)),
                attempt: question.item.attempt,
            })
            .collect()
    }
}

impl Extraction {
    /// With the lexicon that is built in, and no sources.
    ///
    /// # Errors
    /// When the lexicon that is built in is damaged.
    pub fn new() -> Result<Self, LexiconError> {
        Self::with_features(&[], "", &[])
    }

    /// With the lexicon that is built in, and the features that sources declare; `digest` is of how these are made,
    /// `runs` are whose they are, counted from the first of them.
    ///
    /// # Errors
    /// When the lexicon that is built in is damaged.
    pub fn with_features(
        declared: &[Feature],
        digest: &str,
        runs: &[SourceFeatures],
    ) -> Result<Self, LexiconError> {
        let extractor = Extractor::new(Lexicon::embedded()?)?;
        let schema = extractor.schema().clone().extended(("sources", digest), declared);
        let runs = built_in_runs(&schema).chain(declared_runs(runs)).collect();
        Ok(Self { digest: schema.digest(), names: schema.names(), extractor, schema, runs })
    }

    /// Digest of the schema.
    pub fn schema(&self) -> &str {
        &self.digest
    }

    /// The features, built in and declared.
    pub const fn features(&self) -> &FeatureSchema {
        &self.schema
    }

    /// Features of every entity of an event, without asking any source.
    ///
    /// # Errors
    /// When the event is not of the contract, or its features take more than [`MAX_OUTPUT_BYTES`]; never for
    /// an entity.
    pub fn extract(&self, input: &ExtractInput, ranges: &Ranges) -> Result<FeatureBatch, ExtractionError> {
        self.answer(self.read(input, ranges)?, Answers::default())
    }

    /// Reads an event.
    ///
    /// # Errors
    /// When it is not of the contract.
    pub fn read(&self, input: &ExtractInput, ranges: &Ranges) -> Result<Questions, ExtractionError> {
        let parsed = input::parse(input)?;
        let entities =
            parsed.items.into_iter().map(|(item, entity)| question(item, entity, ranges)).collect();
        Ok(Questions { batch: parsed.batch, entities, refused: parsed.refused })
    }

    /// Features of every entity that was read. `answers` are about [`Questions::asked`]; where there are none, the
    /// declared features are missing.
    ///
    /// # Errors
    /// When the features take more than [`MAX_OUTPUT_BYTES`] even without evidence.
    pub fn answer(&self, questions: Questions, answers: Answers) -> Result<FeatureBatch, ExtractionError> {
        let mut batch = FeatureBatch {
            batch: questions.batch,
            schema: self.digest.clone(),
            features: self.names.clone(),
            rows: Vec::with_capacity(questions.entities.len()),
            refused: questions.refused,
            rescore: Vec::new(),
            source_ms: answers.reports.iter().map(|(name, report)| (name.clone(), report.ms)).collect(),
            source_features: self.runs.clone(),
        };
        let mut found = answers.found.into_iter();
        let mut vector = vec![f32::NAN; self.names.len()];
        for question in questions.entities {
            let found = if question.entity.special().is_none() { found.next() } else { None };
            if let Some(after) = found.as_ref().and_then(|found| found.rescore_after) {
                let after_s = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                batch.rescore.push(Rescore { entity: question.item.entity.clone(), after_s });
            }
            batch.rows.push(self.row(question, found, &mut vector)?);
        }
        fit(&mut batch)?;
        Ok(batch)
    }

    fn row(
        &self,
        question: Question,
        found: Option<Found>,
        vector: &mut [f32],
    ) -> Result<Row, ExtractionError> {
        let mut row = Row {
            item: question.item,
            special: question.entity.special(),
            values: Vec::new(),
            evidence: question.evidence,
            sources: question.ranges.map(|status| (RANGES.to_owned(), status)).into_iter().collect(),
            evidence_dropped: 0,
        };
        if row.special.is_some() {
            return Ok(row);
        }
        vector.fill(f32::NAN);
        let (built_in, declared) = vector.split_at_mut(WIDTH);
        self.extractor.extract(&question.entity, question.facts.as_ref(), built_in)?;
        if let Some(found) = found {
            // Fewer or more values would be of another declaration: what is there is used.
            for (place, value) in declared.iter_mut().zip(found.values) {
                *place = value;
            }
            row.evidence.extend(found.evidence);
            row.sources.extend(found.statuses);
        }
        row.values = vector.iter().map(|&value| value.is_finite().then_some(value)).collect();
        keep_evidence(&mut row, MAX_EVIDENCE_BYTES);
        Ok(row)
    }
}

/// The built-in features that are computed from the address ranges, as runs of positions.
fn built_in_runs(schema: &FeatureSchema) -> impl Iterator<Item = SourceFeatures> {
    let mut runs: Vec<SourceFeatures> = Vec::new();
    let names = schema.features.iter().take(WIDTH).enumerate();
    for (position, _) in names.filter(|(_, feature)| tribunal_features::from_address_facts(&feature.name)) {
        match runs.last_mut() {
            Some(run) if run.first + run.count == position => run.count += 1,
            _ => runs.push(SourceFeatures {
                source: RANGES.to_owned(),
                kind: "ranges".to_owned(),
                first: position,
                count: 1,
                phrases: Vec::new(),
            }),
        }
    }
    runs.into_iter()
}

/// The declared runs at their place in the vector, with as many of their sentences as a batch carries.
fn declared_runs(runs: &[SourceFeatures]) -> impl Iterator<Item = SourceFeatures> {
    let mut bytes = 0;
    runs.iter().map(move |run| {
        let mut run = SourceFeatures { first: WIDTH + run.first, ..run.clone() };
        bytes += run.phrases.iter().map(|phrase| phrase.len() + 3).sum::<usize>();
        if bytes > MAX_PHRASES_BYTES {
            run.phrases.clear();
        }
        run
    })
}

fn question(item: Item, entity: Entity, ranges: &Ranges) -> Question {
    let mut question = Question { item, entity, facts: None, evidence: Vec::new(), ranges: None };
    if let Some(address) = question.entity.address().filter(|_| question.entity.special().is_none()) {
        let (facts, evidence, status) = ranges.lookup(address);
        (question.facts, question.evidence, question.ranges) = (facts, evidence, Some(status));
    }
    question
}

/// Drops evidence until a batch is within its size: features carry the score, evidence only explains it.
fn fit(batch: &mut FeatureBatch) -> Result<(), ExtractionError> {
    let mut limit = MAX_EVIDENCE_BYTES;
    loop {
        let bytes = json_bytes(batch)?;
        if bytes <= MAX_OUTPUT_BYTES {
            return Ok(());
        }
        if limit == 0 {
            return Err(OutputTooLarge { rows: batch.rows.len(), bytes }.into());
        }
        limit = if limit > 128 { limit / 2 } else { 0 };
        for row in &mut batch.rows {
            keep_evidence(row, limit);
        }
    }
}

/// Keeps the first items of evidence that take at most `limit` bytes, and counts the others.
fn keep_evidence(row: &mut Row, limit: usize) {
    let mut bytes = 0;
    let kept = row.evidence.iter().take_while(|item| {
        bytes += evidence_bytes(item);
        bytes <= limit
    });
    let kept = kept.count();
    row.evidence_dropped += row.evidence.len() - kept;
    row.evidence.truncate(kept);
}

/// Bytes of an item as JSON, roughly: control characters are not in it.
fn evidence_bytes(item: &Evidence) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() + 16);
    let own = item.source.len() + item.fact.len() + item.value.len() + 36;
    own + optional(&item.first_seen) + optional(&item.last_seen) + optional(&item.link)
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
