use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tribunal_core::ErrorName;
use tribunal_core::digest::sha256;
use tribunal_registry::Registry;
use tribunal_runtime::chain;

use super::support::{block_on, definition, definition_json};
use crate::definition::Definitions;

/// Publishes a definition under `version`, whatever it says.
pub(super) fn publish(folder: &Path, version: &str, text: &str) {
    let versions = folder.join("ensemble/versions");
    std::fs::create_dir_all(&versions).unwrap();
    std::fs::write(versions.join(format!("{version}.json")), text).unwrap();
    let pointer = json!({"version": version, "digest": sha256(text.as_bytes())});
    std::fs::write(folder.join("ensemble/current.json"), pointer.to_string()).unwrap();
}

pub(super) async fn definitions(folder: &Path, retry_after: Duration) -> Definitions {
    Definitions::start(Registry::open(folder.to_str().unwrap()).unwrap(), retry_after).await
}

#[test]
fn a_definition_is_loaded_with_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let text = definition_json().to_string();
    publish(folder.path(), "7", &text);
    block_on(async {
        let loaded = definitions(folder.path(), Duration::MAX).await.current().await.unwrap();
        assert_eq!(loaded.definition, definition());
        assert_eq!(loaded.digest, sha256(text.as_bytes()));
    });
}

#[test]
fn what_is_wrong_names_the_object() {
    let text = definition_json().to_string();
    let cases = [
        (
            "7",
            "{}",
            "cannot use ensemble/versions/7.json: ensemble definition is not of the form: missing field",
        ),
        ("8", text.as_str(), "ensemble/versions/8.json is version 7, but ensemble/current.json says 8"),
        (
            "7",
            &text.replace("\"quorum\":{\"domain\":2", "\"quorum\":{\"domain\":9"),
            "cannot use ensemble/versions/7.json: ensemble definition: quorum.domain is 9; 1 to 3 is allowed",
        ),
    ];
    for (version, text, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), version, text);
        block_on(async {
            let error = definitions(folder.path(), Duration::MAX).await.current().await.unwrap_err();
            assert_eq!(error.error_name(), ErrorName::EnsembleUnavailable);
            assert!(chain(&error).starts_with(expected), "{}", chain(&error));
        });
    }
}

#[test]
fn a_corrupt_object_names_itself() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), "7", &definition_json().to_string());
    std::fs::write(folder.path().join("ensemble/versions/7.json"), "{ }").unwrap();
    block_on(async {
        let error = definitions(folder.path(), Duration::MAX).await.current().await.unwrap_err();
        assert_eq!(error.error_name(), ErrorName::EnsembleUnavailable);
        let text = chain(&error);
        assert!(
            text.starts_with("cannot load the ensemble definition: ensemble/versions/7.json has digest "),
            "{text}"
        );
    });
}

#[test]
fn a_corrected_object_is_picked_up_but_not_asked_for_at_every_event() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let patient = definitions(folder.path(), Duration::from_secs(3_600)).await;
        let eager = definitions(folder.path(), Duration::ZERO).await;
        for definitions in [&patient, &eager] {
            let error = definitions.current().await.unwrap_err();
            assert_eq!(error.error_name(), ErrorName::EnsembleUnavailable);
            assert!(chain(&error).contains("ensemble/current.json"), "{}", chain(&error));
        }
        publish(folder.path(), "7", &definition_json().to_string());
        assert!(patient.current().await.is_err(), "not before its time");
        assert!(eager.current().await.is_ok());
        std::fs::remove_file(folder.path().join("ensemble/current.json")).unwrap();
        assert!(eager.current().await.is_ok(), "what is in force stays so");
    });
}
