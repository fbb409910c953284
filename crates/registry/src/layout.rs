//! Where objects lie, and which names they may have.

use crate::error::RegistryError;

/// What a model, a data set or a version may be called.
pub(crate) const NAME_RULE: &str = "1 to 64 of a-z 0-9 _ -";
pub(crate) const VERSION_RULE: &str = "1 to 64 of a-z 0-9 . _ -, not starting with a dot";
pub(crate) const FILE_RULE: &str = "1 to 128 of a-z A-Z 0-9 . _ -, not starting with a dot";

pub(crate) const MODELS: &str = "models";
pub(crate) const ENSEMBLE: &str = "ensemble";
pub(crate) const DATASETS: &str = "datasets";
pub(crate) const SOURCES: &str = "sources";

pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

pub(crate) fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

pub(crate) fn is_file(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

pub(crate) fn model_pointer(name: &str) -> String {
    format!("{MODELS}/{name}/current.json")
}

pub(crate) fn model_file(name: &str, version: &str, file: &str) -> String {
    format!("{MODELS}/{name}/versions/{version}/{file}")
}

pub(crate) fn ensemble_pointer() -> String {
    format!("{ENSEMBLE}/current.json")
}

pub(crate) fn ensemble_definition(version: &str) -> String {
    format!("{ENSEMBLE}/versions/{version}.json")
}

pub(crate) fn sources_pointer() -> String {
    format!("{SOURCES}/current.json")
}

pub(crate) fn sources_declaration(version: &str) -> String {
    format!("{SOURCES}/versions/{version}.toml")
}

pub(crate) fn dataset_pointer(name: &str) -> String {
    format!("{DATASETS}/{name}/current.json")
}

pub(crate) fn dataset_file(name: &str, version: &str, file: &str) -> String {
    format!("{DATASETS}/{name}/versions/{version}/{file}")
}

/// What an object is, by its path. In the order in which objects are published: what is pointed to before
/// what points, and the ensemble, which names the models, last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Under `versions/`: never changes.
    Version,
    DatasetPointer,
    SourcesPointer,
    ModelPointer,
    EnsemblePointer,
}

/// The role of a path; `None` when it is not of the layout (a hidden file, a note that someone left).
pub(crate) fn role(path: &str) -> Option<Role> {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        [MODELS, name, "current.json"] if is_name(name) => Some(Role::ModelPointer),
        [DATASETS, name, "current.json"] if is_name(name) => Some(Role::DatasetPointer),
        [ENSEMBLE, "current.json"] => Some(Role::EnsemblePointer),
        [SOURCES, "current.json"] => Some(Role::SourcesPointer),
        [SOURCES, "versions", file] if file.strip_suffix(".toml").is_some_and(is_version) => {
            Some(Role::Version)
        }
        [MODELS | DATASETS, name, "versions", version, file]
            if is_name(name) && is_version(version) && is_file(file) =>
        {
            Some(Role::Version)
        }
        [ENSEMBLE, "versions", file] if file.strip_suffix(".json").is_some_and(is_version) => {
            Some(Role::Version)
        }
        _ => None,
    }
}

/// Refuses a model's or a data set's name that is none, before anything is asked of the store.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), RegistryError> {
    if is_name(name) { Ok(()) } else { Err(invalid("request", field, name, NAME_RULE)) }
}

/// A value that a field may not have.
pub(crate) fn invalid(
    object: &str,
    field: impl Into<String>,
    value: &(impl ToString + ?Sized),
    allowed: impl Into<Box<str>>,
) -> RegistryError {
    let value = value.to_string().chars().take(100).flat_map(char::escape_debug).collect();
    RegistryError::Invalid { object: object.to_owned(), field: field.into(), value, allowed: allowed.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_their_folder() {
        for bad in ["", "..", ".", "a/b", "a\\b", "A", "é", "a b", "a\0", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad:?}");
        }
        for bad in ["", "..", ".hidden", "a/b", "V1", "1\n"] {
            assert!(!is_version(bad), "{bad:?}");
        }
        for bad in ["", "..", ".hidden", "a/b", "../../etc", "a b"] {
            assert!(!is_file(bad), "{bad:?}");
        }
        assert!(is_name("ip-ranges") && is_version("2026.06-1") && is_file("domain.ubj"));
    }

    #[test]
    fn a_path_has_a_role_or_is_not_of_the_layout() {
        let roles = [
            ("models/xgboost/versions/1/domain.ubj", Some(Role::Version)),
            ("ensemble/versions/1.json", Some(Role::Version)),
            ("datasets/ip-ranges/versions/1/ranges.bin", Some(Role::Version)),
            ("datasets/ip-ranges/current.json", Some(Role::DatasetPointer)),
            ("models/xgboost/current.json", Some(Role::ModelPointer)),
            ("sources/current.json", Some(Role::SourcesPointer)),
            ("sources/versions/1.toml", Some(Role::Version)),
            ("ensemble/current.json", Some(Role::EnsemblePointer)),
            ("models/xgboost/versions/1/sub/domain.ubj", None),
            ("models/.DS_Store", None),
            ("README.md", None),
        ];
        for (path, expected) in roles {
            assert_eq!(role(path), expected, "{path}");
        }
        assert!(Role::Version < Role::ModelPointer && Role::ModelPointer < Role::EnsemblePointer);
    }
}
