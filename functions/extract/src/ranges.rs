//! The data set that says which network and country an address belongs to.

use std::net::IpAddr;

use tribunal_core::AddressFacts;
use tribunal_core::message::{Evidence, SourceStatus};
use tribunal_registry::{Registry, RegistryError};
use tribunal_sources::{DatasetError, IpRanges};

/// Name of the data set in the registry, and of the source in a score.
pub const RANGES: &str = "ip-ranges";

/// Most characters of an organisation's name in the evidence.
const MAX_NAME_CHARS: usize = 128;

/// The data set, or why it is not there.
#[derive(Debug, Default)]
pub enum Ranges {
    /// It is there.
    Ready(Box<IpRanges>),
    /// None is published.
    #[default]
    Absent,
    /// It is published, but cannot be read.
    Broken,
}

/// Why a data set that is published cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RangesError {
    /// The registry does not give it.
    #[error("cannot load data set {RANGES}")]
    Registry(#[from] RegistryError),
    /// The registry did not answer in time.
    #[error("cannot load data set {RANGES}: {location} did not answer within {limit_ms} ms")]
    TimedOut {
        /// The registry.
        location: String,
        /// The limit.
        limit_ms: u128,
    },
    /// The file is not a sound data set.
    #[error("{object} is not a sound data set")]
    Dataset {
        /// Path of the file.
        object: String,
        /// Why.
        source: DatasetError,
    },
}

impl From<IpRanges> for Ranges {
    fn from(ranges: IpRanges) -> Self {
        Self::Ready(Box::new(ranges))
    }
}

impl Ranges {
    /// The data set that is in force in a registry; [`Ranges::Absent`] where none is.
    ///
    /// # Errors
    /// When one is in force but cannot be read.
    pub async fn load(registry: &Registry) -> Result<Self, RangesError> {
        let Some(dataset) = registry.load_dataset(RANGES).await? else { return Ok(Self::Absent) };
        let pointer = dataset.pointer;
        match IpRanges::open(Vec::from(dataset.bytes)) {
            Ok(ranges) => Ok(ranges.into()),
            Err(source) => {
                let object = format!("datasets/{RANGES}/versions/{}/{}", pointer.version, pointer.file);
                Err(RangesError::Dataset { object, source })
            }
        }
    }

    /// What is known of an address, as features and as evidence read it, and what became of asking.
    pub(crate) fn lookup(&self, address: IpAddr) -> (Option<AddressFacts>, Vec<Evidence>, SourceStatus) {
        match self {
            Self::Ready(ranges) => {
                let facts = ranges.lookup(address);
                let evidence = evidence(&facts);
                let status = if evidence.is_empty() { SourceStatus::Empty } else { SourceStatus::Ok };
                (Some(facts), evidence, status)
            }
            Self::Absent => (None, Vec::new(), SourceStatus::Skipped),
            Self::Broken => (None, Vec::new(), SourceStatus::Error),
        }
    }

    /// In a log line.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Ready(_) => "ready",
            Self::Absent => "absent",
            Self::Broken => "broken",
        }
    }
}

/// The facts as an analyst reads them.
fn evidence(facts: &AddressFacts) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    let mut push = |fact: &str, value: String| {
        evidence.push(Evidence {
            source: RANGES.to_owned(),
            fact: fact.to_owned(),
            value,
            first_seen: None,
            last_seen: None,
            link: None,
        });
    };
    if let Some(asn) = facts.asn {
        let name: String = facts.as_name.iter().flat_map(|n| n.chars()).take(MAX_NAME_CHARS).collect();
        push("asn", format!("AS{asn} {name}").trim_end().to_owned());
    }
    if let Some(country) = &facts.country {
        push("country", country.clone());
    }
    if facts.hosting == Some(true) {
        push("hosting", "in a known hosting range".to_owned());
    }
    evidence
}
