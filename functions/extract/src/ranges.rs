//! The data set that says which network and country an address belongs to.

use std::net::IpAddr;
use std::sync::Arc;

use tribunal_core::AddressFacts;
use tribunal_core::message::{Evidence, SourceStatus};
use tribunal_sources::IpRanges;
use tribunal_sources::dataset::{Dataset, DatasetHolder, Loaded, State};

/// Name of the data set in the registry, and of the source in a score.
pub const RANGES: &str = "ip-ranges";

/// Most characters of an organisation's name in the evidence.
const MAX_NAME_CHARS: usize = 128;

/// The version of the data set that one batch reads, or why there is none.
#[derive(Debug, Clone, Default)]
pub enum Ranges {
    /// It is there.
    Ready(Arc<Loaded>),
    /// None is published.
    #[default]
    Absent,
    /// It is published, but cannot be read.
    Broken,
}

impl From<IpRanges> for Ranges {
    fn from(ranges: IpRanges) -> Self {
        Self::of(&DatasetHolder::given(RANGES, Dataset::Ranges(Box::new(ranges))))
    }
}

impl Ranges {
    /// Those that a holder has.
    pub fn of(holder: &DatasetHolder) -> Self {
        match (holder.current(), holder.state()) {
            // Another data set under this name is of no use.
            (Some(loaded), _) if loaded.dataset.ranges().is_some() => Self::Ready(loaded),
            (Some(_), _) | (None, State::Broken) => Self::Broken,
            (None, _) => Self::Absent,
        }
    }

    /// What is known of an address, as features and as evidence read it, and what became of asking.
    pub(crate) fn lookup(&self, address: IpAddr) -> (Option<AddressFacts>, Vec<Evidence>, SourceStatus) {
        match self {
            Self::Ready(loaded) => {
                let facts = loaded.dataset.ranges().map(|ranges| ranges.lookup(address)).unwrap_or_default();
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
