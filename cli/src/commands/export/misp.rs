//! Scores as a MISP event: an attribute `domain` or `ip-dst` for each entity.
//!
//! The event's UUID is of its title, which names producer, verdicts and day, and an attribute's is of event and entity:
//! an export of the same window again updates the same event. `to_ids` is set for malicious entities alone. Times are
//! seconds since 1970, as text, as MISP writes them. The threat level is that of the worst verdict.
//!
//! Source: MISP core format (draft-dulaunoy-misp-core-format), sections 2.2 and 2.4.

use std::io::Write;

use serde::Serialize;
use serde_json::json;
use tribunal_core::time::rfc3339_millis;
use tribunal_core::{Kind, Score, Verdict};
use uuid::Uuid;

use super::{About, summary, time_of, uuid_of};

#[derive(Serialize)]
struct Tag {
    name: String,
}

#[derive(Serialize)]
struct Attribute<'a> {
    uuid: String,
    r#type: &'static str,
    category: &'static str,
    value: &'a str,
    to_ids: bool,
    /// As the event's.
    distribution: &'static str,
    comment: String,
    timestamp: String,
    disable_correlation: bool,
    #[serde(rename = "Tag")]
    tags: Vec<Tag>,
}

/// Writes an event, attribute by attribute.
pub(super) struct Sink<W: Write> {
    out: W,
    about: About,
    event: Uuid,
    /// The last time of a score, in seconds.
    newest: u64,
    worst: Option<Verdict>,
    first: bool,
}

impl<W: Write> Sink<W> {
    /// Begins the event.
    pub(super) fn open(mut out: W, about: About) -> anyhow::Result<Self> {
        out.write_all(b"{\"Event\":{\"Attribute\":[")?;
        let event = uuid_of(&["misp-event", &about.title]);
        Ok(Self { out, about, event, newest: 0, worst: None, first: true })
    }

    /// Writes a score; one without a risk is no attribute.
    pub(super) fn write(&mut self, score: &Score) -> anyhow::Result<()> {
        if score.risk.is_none() {
            return Ok(());
        }
        let seconds = time_of(score, "scored_at", &score.scored_at)? / 1_000;
        self.newest = self.newest.max(seconds);
        self.worst = self.worst.max(Some(score.verdict));
        let mut tags = vec![Tag { name: format!("tribunal:verdict=\"{}\"", score.verdict.as_str()) }];
        tags.extend(self.about.marking(score).map(|tlp| Tag { name: format!("tlp:{}", tlp.as_str()) }));
        let attribute = Attribute {
            uuid: uuid_of(&[&self.event.to_string(), &score.entity]).to_string(),
            r#type: match score.kind {
                Kind::Domain => "domain",
                Kind::Ip => "ip-dst",
            },
            category: "Network activity",
            value: &score.entity,
            to_ids: score.verdict == Verdict::Malicious,
            distribution: "5",
            comment: summary(score),
            timestamp: seconds.to_string(),
            disable_correlation: false,
            tags,
        };
        self.out.write_all(if std::mem::take(&mut self.first) { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut self.out, &attribute)?;
        Ok(())
    }

    /// Ends the event, and gives the output back.
    pub(super) fn close(mut self) -> anyhow::Result<W> {
        let level = match self.worst {
            Some(Verdict::Malicious) => "1",
            Some(Verdict::Suspicious) => "2",
            Some(Verdict::Benign) => "3",
            _ => "4",
        };
        let date = rfc3339_millis(self.newest.saturating_mul(1_000));
        let tags: Vec<_> =
            self.about.tlp.iter().map(|tlp| json!({"name": format!("tlp:{}", tlp.as_str())})).collect();
        let rest = json!({
            "uuid": self.event.to_string(),
            "info": self.about.title,
            "date": date.get(..10).unwrap_or_default(),
            "timestamp": self.newest.to_string(),
            "threat_level_id": level,
            // Complete: nobody works on it further.
            "analysis": "2",
            // The importing organisation alone, until a person decides otherwise.
            "distribution": "0",
            "published": false,
            "Orgc": {"name": self.about.producer, "uuid": uuid_of(&["identity", &self.about.producer]).to_string()},
            "Tag": tags,
        });
        let rest = rest.to_string();
        writeln!(self.out, "\n],{}}}", rest.strip_prefix('{').unwrap_or_default())?;
        Ok(self.out)
    }
}
