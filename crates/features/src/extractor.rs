//! From an entity to a vector.

use std::net::IpAddr;

use fst::Map;
use tribunal_core::{AddressFacts, Entity, FeatureSchema};

use crate::definition::Definition;
use crate::groups::{address, brands, host, keywords, language, shape, subdomain, words};
use crate::lexicon::{HOSTING, Lexicon, LexiconError, NgramModel, RateTable, WORDS};
use crate::lists::Lists;
use crate::name::Name;

/// The groups, in the order of the vector.
const GROUPS: [&[Definition]; 8] = [
    shape::FEATURES,
    subdomain::FEATURES,
    language::FEATURES,
    words::FEATURES,
    brands::FEATURES,
    keywords::FEATURES,
    host::FEATURES,
    address::FEATURES,
];

/// Raised when a feature changes its meaning without changing its name.
const SCHEMA_VERSION: u32 = 1;

/// Number of features: the length of a vector.
pub const WIDTH: usize = {
    let (mut width, mut group) = (0, 0);
    while group < GROUPS.len() {
        width += GROUPS[group].len();
        group += 1;
    }
    width
};

/// The language models.
pub(crate) struct Models<'a> {
    pub(crate) benign: Option<NgramModel<'a>>,
    pub(crate) generated: Option<NgramModel<'a>>,
    pub(crate) phishing: Option<NgramModel<'a>>,
}

/// What the lexicon knows of networks and countries.
pub(crate) struct AddressTables<'a> {
    pub(crate) asn: Option<RateTable<'a>>,
    pub(crate) country: Option<RateTable<'a>>,
    pub(crate) hosting: Option<RateTable<'a>>,
}

/// Why features cannot be extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The slice for the vector has another length than the schema.
    #[error("a vector of {found} values, the schema has {}", WIDTH)]
    Width {
        /// Of the slice.
        found: usize,
    },
}

/// Extracts vectors; made once, used for every entity, from any thread.
pub struct Extractor<'a> {
    lists: Lists,
    models: Models<'a>,
    words: Option<Map<&'a [u8]>>,
    tlds: Option<RateTable<'a>>,
    addresses: AddressTables<'a>,
    schema: FeatureSchema,
    digest: String,
}

/// The schema of vectors that are extracted with `lexicon`.
pub fn schema(lexicon: &Lexicon) -> FeatureSchema {
    FeatureSchema {
        version: SCHEMA_VERSION,
        data: vec![("lexicon".to_owned(), lexicon.digest().to_owned())],
        features: GROUPS.iter().flat_map(|group| group.iter().map(Definition::feature)).collect(),
    }
}

impl std::fmt::Debug for Extractor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extractor").field("schema", &self.digest).finish()
    }
}

impl<'a> Extractor<'a> {
    /// An extractor that reads `lexicon` where it lies.
    pub fn new(lexicon: &'a Lexicon) -> Result<Self, LexiconError> {
        let lists =
            Lists::new().map_err(|source| LexiconError::Map { section: "lists".to_owned(), source })?;
        let schema = schema(lexicon);
        Ok(Self {
            lists,
            models: Models {
                benign: lexicon.model("benign")?,
                generated: lexicon.model("generated")?,
                phishing: lexicon.model("phishing")?,
            },
            words: lexicon.map(WORDS)?,
            tlds: lexicon.rates("tld")?,
            addresses: AddressTables {
                asn: lexicon.rates("asn")?,
                country: lexicon.rates("country")?,
                hosting: lexicon.map(HOSTING)?.map(RateTable::new),
            },
            digest: schema.digest(),
            schema,
        })
    }

    /// The schema of the vectors.
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// Digest of the schema.
    pub fn schema_digest(&self) -> &str {
        &self.digest
    }

    /// Writes the features of `entity` to `out`, of [`WIDTH`] values; `NaN` is missing. `facts` are what is
    /// known of an address, and not read for a name.
    pub fn extract(
        &self,
        entity: &Entity,
        facts: Option<&AddressFacts>,
        out: &mut [f32],
    ) -> Result<(), ExtractError> {
        if out.len() != WIDTH {
            return Err(ExtractError::Width { found: out.len() });
        }
        out.fill(f32::NAN);
        let (of_name, of_address) = out.split_at_mut(WIDTH - address::FEATURES.len());
        match entity.address() {
            Some(ip) => self.address(ip, facts, of_address),
            None => self.name(entity, of_name),
        }
        Ok(())
    }

    fn address(&self, ip: IpAddr, facts: Option<&AddressFacts>, out: &mut [f32]) {
        address::fill(ip, facts, &self.addresses, out);
    }

    fn name(&self, entity: &Entity, out: &mut [f32]) {
        let name = Name::new(entity, &self.lists.confusables);
        let (part, out) = out.split_at_mut(shape::FEATURES.len());
        shape::fill(&name, part);
        let (part, out) = out.split_at_mut(subdomain::FEATURES.len());
        subdomain::fill(&name, &self.lists, part);
        let (part, out) = out.split_at_mut(language::FEATURES.len());
        language::fill(&name, &self.models, part);
        let (part, out) = out.split_at_mut(words::FEATURES.len());
        words::fill(&name, self.words.as_ref(), part);
        let (part, out) = out.split_at_mut(brands::FEATURES.len());
        brands::fill(&name, &self.lists.brands, part);
        let (part, out) = out.split_at_mut(keywords::FEATURES.len());
        keywords::fill(&name, &self.lists.keywords, part);
        host::fill(&name, &self.lists, self.tlds.as_ref(), out);
    }
}
