//! The limits of a definition's fields. A definition within them cannot yield anything but a risk in [0, 100].

use std::fmt;

use super::definition::{
    DefinitionError, EnsembleDefinition, ListEntry, MAX_LIST_ENTRIES, MAX_MEMBERS, MAX_PROFILES, Member,
    Method, PerKind, Thresholds,
};
use super::lists::Pattern;
use crate::entity::Kind;
use crate::time::parse_rfc3339;

/// Longest name or version, in bytes.
const MAX_NAME_BYTES: usize = 64;
const VERSIONS: &str = "1 to 64 of A-Z a-z 0-9 . _ - are allowed";
const NAMES: &str = "1 to 64 of a-z 0-9 _ - are allowed";
/// Least and greatest weight other than zero: outside them products lose the precision that makes a mean.
const WEIGHTS: (f64, f64) = (1e-6, 1e6);
/// Greatest absolute intercept of logistic stacking, in log odds: what is beyond leaves nothing to the members.
const MAX_BIAS: f64 = 100.0;
/// Longest reason of an entry of the lists, in bytes.
pub(super) const MAX_REASON_BYTES: usize = 256;
/// Kinds of sources whose facts may grow old.
const SOURCE_KINDS: [&str; 6] = ["dataset", "dns", "http", "mongodb", "mysql", "ranges"];
/// Greatest number of hours: ten years.
const MAX_HOURS: f64 = 87_600.0;

type Checked = Result<(), DefinitionError>;

pub(super) fn wrong(
    field: impl Into<String>,
    value: &dyn fmt::Display,
    limit: impl Into<String>,
) -> DefinitionError {
    DefinitionError::Field { field: field.into(), value: value.to_string(), limit: limit.into() }
}

impl EnsembleDefinition {
    /// Checks every field; arithmetic on a checked definition cannot yield anything but a risk in [0, 100].
    ///
    /// # Errors
    /// Names the first field outside its limits, its value, and the limit.
    pub fn validate(&self) -> Result<(), DefinitionError> {
        if !is_version(&self.version) {
            return Err(wrong("version", &shown(&self.version), VERSIONS));
        }
        let members = self.members.len();
        if members == 0 || members > MAX_MEMBERS {
            let limit = format!("1 to {MAX_MEMBERS} are allowed");
            return Err(wrong("members", &format!("{members} members"), limit));
        }
        for (i, member) in self.members.iter().enumerate() {
            self.validate_member(i, member)?;
        }
        Kind::ALL.into_iter().try_for_each(|kind| self.validate_kind(kind))?;
        self.validate_profiles()?;
        self.validate_lists()?;
        self.validate_times()
    }

    fn validate_member(&self, i: usize, member: &Member) -> Checked {
        let field = format!("members[{i}].model");
        if !is_name(&member.model) {
            return Err(wrong(field, &shown(&member.model), NAMES));
        }
        if let Some(first) = self.members.iter().take(i).position(|other| other.model == member.model) {
            return Err(wrong(field, &member.model, format!("members[{first}] has that name already")));
        }
        for kind in Kind::ALL {
            let weight = *member.weight.get(kind);
            let (least, most) = WEIGHTS;
            if weight != 0.0 && !(least..=most).contains(&weight) {
                let field = format!("members[{i}].weight.{}", kind.as_str());
                return Err(wrong(field, &weight, format!("0, or {least} to {most}, is allowed")));
            }
        }
        if member.required && Kind::ALL.into_iter().all(|kind| *member.weight.get(kind) == 0.0) {
            let limit = "false is expected: it has a weight above 0 for no kind";
            return Err(wrong(format!("members[{i}].required"), &true, limit));
        }
        Ok(())
    }

    fn validate_kind(&self, kind: Kind) -> Checked {
        let k = kind.as_str();
        let voters = self.voters(kind).count();
        if voters == 0 {
            return Err(wrong(format!("members[*].weight.{k}"), &"0", "at least one has to be above 0"));
        }
        if let Method::Logistic { bias } = *self.method.get(kind)
            && !(-MAX_BIAS..=MAX_BIAS).contains(&bias)
        {
            let limit = format!("-{MAX_BIAS} to {MAX_BIAS} is allowed");
            return Err(wrong(format!("method.{k}.bias"), &bias, limit));
        }
        let quorum = *self.quorum.get(kind);
        if !(1..=voters).contains(&quorum) {
            let limit = format!("1 to {voters} is allowed: so many members have a weight above 0");
            return Err(wrong(format!("quorum.{k}"), &quorum, limit));
        }
        validate_thresholds("thresholds", kind, self.thresholds.get(kind))?;
        self.calibration.get(kind).as_ref().map_or(Ok(()), |calibration| {
            calibration.validate().map_err(|fault| DefinitionError::Field {
                field: format!("calibration.{k}.{}", fault.field),
                value: fault.value,
                limit: fault.limit,
            })
        })
    }

    fn validate_profiles(&self) -> Checked {
        let profiles = self.profiles.len();
        if profiles > MAX_PROFILES {
            let limit = format!("at most {MAX_PROFILES} are allowed");
            return Err(wrong("profiles", &format!("{profiles} profiles"), limit));
        }
        for (name, profile) in &self.profiles {
            if !is_name(name) {
                return Err(wrong("profiles.*", &shown(name), NAMES));
            }
            for kind in Kind::ALL {
                validate_thresholds(&format!("profiles.{name}"), kind, profile.get(kind))?;
            }
        }
        Ok(())
    }

    fn validate_lists(&self) -> Checked {
        let entries = self.lists.len();
        if entries > MAX_LIST_ENTRIES {
            let limit = format!("at most {MAX_LIST_ENTRIES} are allowed");
            return Err(wrong("lists", &format!("{entries} entries"), limit));
        }
        self.lists.iter().enumerate().try_for_each(|(i, entry)| validate_entry(i, entry))
    }

    fn validate_times(&self) -> Checked {
        for (kind, hours) in &self.half_life_hours {
            if !SOURCE_KINDS.contains(&kind.as_str()) {
                let limit = format!("one of {} is expected", SOURCE_KINDS.join(", "));
                return Err(wrong("half_life_hours.*", &shown(kind), limit));
            }
            validate_hours(format!("half_life_hours.{kind}"), *hours)?;
        }
        for kind in Kind::ALL {
            let k = kind.as_str();
            if let Some(hours) = self.valid_hours.as_ref().map(|hours| *hours.get(kind)) {
                validate_hours(format!("valid_hours.{k}"), hours)?;
            }
            if let Some(rate) = self.base_rate.as_ref().map(|rates: &PerKind<f64>| *rates.get(kind))
                && !(rate > 0.0 && rate < 1.0)
            {
                return Err(wrong(format!("base_rate.{k}"), &rate, "above 0 and below 1 is allowed"));
            }
        }
        Ok(())
    }
}

fn validate_thresholds(path: &str, kind: Kind, thresholds: &Thresholds) -> Checked {
    let Thresholds { suspicious, malicious } = *thresholds;
    let field = format!("{path}.{}.suspicious", kind.as_str());
    if !(0.0..=100.0).contains(&suspicious) {
        return Err(wrong(field, &suspicious, "0 to 100 is allowed"));
    }
    if !(suspicious..=100.0).contains(&malicious) {
        let limit = format!("{suspicious} ({field}) to 100 is allowed");
        return Err(wrong(format!("{path}.{}.malicious", kind.as_str()), &malicious, limit));
    }
    Ok(())
}

fn validate_entry(i: usize, entry: &ListEntry) -> Checked {
    if Pattern::parse(&entry.pattern).is_none() {
        let limit = "a domain or an address in normal form, *. and a domain, or a network in CIDR form without host \
                     bits is expected";
        return Err(wrong(format!("lists[{i}].match"), &shown(&entry.pattern), limit));
    }
    let reason = &entry.reason;
    if !(1..=MAX_REASON_BYTES).contains(&reason.len()) {
        let limit = format!("1 to {MAX_REASON_BYTES} are allowed");
        return Err(wrong(format!("lists[{i}].reason"), &format!("{} bytes", reason.len()), limit));
    }
    if reason.chars().any(char::is_control) {
        return Err(wrong(format!("lists[{i}].reason"), &shown(reason), "no control characters are allowed"));
    }
    match &entry.expires {
        Some(expires) if expires.len() > MAX_NAME_BYTES || parse_rfc3339(expires).is_err() => {
            let limit = "an RFC 3339 time is expected";
            Err(wrong(format!("lists[{i}].expires"), &shown(expires), limit))
        }
        _ => Ok(()),
    }
}

fn validate_hours(field: String, hours: f64) -> Checked {
    if hours > 0.0 && hours <= MAX_HOURS {
        return Ok(());
    }
    Err(wrong(field, &hours, format!("above 0, and at most {MAX_HOURS}, is allowed")))
}

fn is_version(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// A refused text, quoted, and cut: it may be as long as the definition.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(MAX_NAME_BYTES).collect::<String>())
}
