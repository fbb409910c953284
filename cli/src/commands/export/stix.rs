//! Scores as a STIX 2.1 bundle: an indicator for each entity, the producer's identity, and the markings used.
//!
//! | property | is |
//! |---|---|
//! | `id` | UUIDv5 of entity and score: a score never changes, so an indicator has one version |
//! | `pattern` | `[domain-name:value = '...']`, `[ipv4-addr:value = '...']` or `[ipv6-addr:value = '...']` |
//! | `created`, `modified`, `valid_from` | when it was scored |
//! | `valid_until` | until when the score is to be relied on |
//! | `confidence` | the risk, which is a calibrated probability; of a benign indicator 100 less the risk |
//! | `indicator_types` | `malicious-activity`, `anomalous-activity` (suspicious) or `benign` |
//! | `object_marking_refs` | the official TLP objects: those of STIX 2.1, and of TLP 2.0 for `amber+strict`, which 2.1 lacks |
//!
//! The bundle's id is of its content. Source: STIX 2.1, OASIS Standard, 10 June 2021, sections 2.9, 4.7, 7.2 and 8; TLP
//! 2.0 as in the OASIS extension of 2022.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};
use tribunal_core::time::{parse_rfc3339, rfc3339_millis};
use tribunal_core::{Kind, Score, Verdict};
use uuid::Uuid;

use tribunal_sources::config::Tlp;

use super::{About, summary, time_of, uuid_of};

/// The identity never changes, so its time is one moment for ever.
const IDENTITY_CREATED: &str = "2026-01-01T00:00:00.000Z";
/// Definition of the extension that TLP 2.0 is.
const TLP_2: &str = "extension-definition--60a3c5c5-0d15-413e-aab3-9e08dde9945d";

#[derive(Serialize)]
struct Indicator {
    r#type: &'static str,
    spec_version: &'static str,
    id: String,
    created_by_ref: String,
    created: String,
    modified: String,
    name: String,
    description: String,
    indicator_types: [&'static str; 1],
    pattern: String,
    pattern_type: &'static str,
    pattern_version: &'static str,
    valid_from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    confidence: u8,
    labels: [String; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    object_marking_refs: Vec<&'static str>,
}

/// Writes a bundle, object by object.
pub(super) struct Sink<W: Write> {
    out: W,
    about: About,
    identity: String,
    markings: BTreeSet<Tlp>,
    /// Of the content so far.
    id: Uuid,
}

impl<W: Write> Sink<W> {
    /// Begins the bundle.
    pub(super) fn open(mut out: W, about: About) -> anyhow::Result<Self> {
        let identity = format!("identity--{}", uuid_of(&["identity", &about.producer]));
        let object = json!({
            "type": "identity", "spec_version": "2.1", "id": identity, "created": IDENTITY_CREATED,
            "modified": IDENTITY_CREATED, "name": about.producer, "identity_class": "system"
        });
        out.write_all(b"{\"type\":\"bundle\",\"objects\":[\n")?;
        serde_json::to_writer(&mut out, &object)?;
        let id = uuid_of(&["bundle", &identity]);
        Ok(Self { out, about, identity, markings: BTreeSet::new(), id })
    }

    /// Writes a score; one without a risk is no indicator.
    pub(super) fn write(&mut self, score: &Score) -> anyhow::Result<()> {
        let Some(risk) = score.risk else { return Ok(()) };
        let tlp = self.about.marking(score);
        self.markings.extend(tlp);
        let scored_ms = time_of(score, "scored_at", &score.scored_at)?;
        let scored = rfc3339_millis(scored_ms);
        let until = score.valid_until.as_deref().and_then(|text| parse_rfc3339(text).ok());
        let certain = if score.verdict == Verdict::Benign { 100.0 - risk } else { risk };
        let indicator = Indicator {
            r#type: "indicator",
            spec_version: "2.1",
            id: format!("indicator--{}", uuid_of(&["indicator", &score.entity, &score.scored_key])),
            created_by_ref: self.identity.clone(),
            created: scored.clone(),
            modified: scored.clone(),
            name: score.entity.clone(),
            description: summary(score),
            indicator_types: [indicator_type(score.verdict)],
            pattern: pattern(score)?,
            pattern_type: "stix",
            pattern_version: "2.1",
            valid_from: scored,
            // STIX wants it later than `valid_from`.
            valid_until: until.filter(|until| *until > scored_ms).map(rfc3339_millis),
            // Clamped first, so that the cast cannot leave the range.
            confidence: certain.clamp(0.0, 100.0).round() as u8,
            labels: [format!("verdict-{}", score.verdict.as_str())],
            object_marking_refs: tlp.map(marking_id).into_iter().collect(),
        };
        self.id = uuid_of(&[&self.id.to_string(), &indicator.id]);
        self.object(&indicator)
    }

    fn object(&mut self, object: &impl Serialize) -> anyhow::Result<()> {
        self.out.write_all(b",\n")?;
        serde_json::to_writer(&mut self.out, object)?;
        Ok(())
    }

    /// Ends the bundle, and gives the output back.
    pub(super) fn close(mut self) -> anyhow::Result<W> {
        for tlp in std::mem::take(&mut self.markings) {
            self.object(&marking(tlp))?;
        }
        writeln!(self.out, "\n],\"id\":\"bundle--{}\"}}", self.id)?;
        Ok(self.out)
    }
}

const fn indicator_type(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Malicious => "malicious-activity",
        Verdict::Suspicious => "anomalous-activity",
        Verdict::Benign => "benign",
        Verdict::Unknown | Verdict::NotRoutable => "unknown",
    }
}

/// What to look for, as a STIX pattern.
pub(super) fn pattern(score: &Score) -> anyhow::Result<String> {
    let object = match score.kind {
        Kind::Domain => "domain-name",
        Kind::Ip => match score.entity.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => "ipv4-addr",
            Ok(IpAddr::V6(_)) => "ipv6-addr",
            Err(_) => anyhow::bail!("{:?} is stored as an address and is none", score.entity),
        },
    };
    let literal = score.entity.replace('\\', "\\\\").replace('\'', "\\'");
    Ok(format!("[{object}:value = '{literal}']"))
}

const fn marking_id(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9",
        Tlp::Green => "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
        Tlp::Amber => "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
        Tlp::AmberStrict => "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        Tlp::Red => "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
    }
}

/// The marking, as OASIS publishes it.
fn marking(tlp: Tlp) -> Value {
    let id = marking_id(tlp);
    if tlp == Tlp::AmberStrict {
        return json!({
            "type": "marking-definition", "spec_version": "2.1", "id": id,
            "created": "2022-10-01T00:00:00.000Z", "name": "TLP:AMBER+STRICT",
            "extensions": {TLP_2: {"extension_type": "property-extension", "tlp_2_0": "amber+strict"}}
        });
    }
    // STIX 2.1 is older than the name `clear`.
    let name = if tlp == Tlp::Clear { "white" } else { tlp.as_str() };
    json!({
        "type": "marking-definition", "spec_version": "2.1", "id": id, "created": "2017-01-20T00:00:00.000Z",
        "name": format!("TLP:{}", name.to_uppercase()), "definition_type": "tlp", "definition": {"tlp": name}
    })
}
