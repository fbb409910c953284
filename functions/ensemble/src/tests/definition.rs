use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use serde_json::json;
use tokio::time::Instant;
use tribunal_core::ErrorName;
use tribunal_core::digest::sha256;
use tribunal_registry::Registry;
use tribunal_runtime::chain;

use super::support::{block_on, definition, definition_json};
use crate::definition::{Definitions, LOOK_AFTER};

const LIMIT: Duration = Duration::from_secs(4);

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
fn the_definition_that_is_shipped_can_be_used() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    block_on(async {
        let loaded = definitions(&shipped, Duration::MAX).await.current(LIMIT).await.unwrap();
        let members = &loaded.definition.members;
        assert!(!members.is_empty());
        for member in members {
            assert!(shipped.join("models").join(&member.model).is_dir(), "{} is not shipped", member.model);
        }
    });
}

#[test]
fn a_definition_is_loaded_with_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let text = definition_json().to_string();
    publish(folder.path(), "7", &text);
    block_on(async {
        let loaded = definitions(folder.path(), Duration::MAX).await.current(LIMIT).await.unwrap();
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
            let error = definitions(folder.path(), Duration::MAX).await.current(LIMIT).await.unwrap_err();
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
        let error = definitions(folder.path(), Duration::MAX).await.current(LIMIT).await.unwrap_err();
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
            let error = definitions.current(LIMIT).await.unwrap_err();
            assert_eq!(error.error_name(), ErrorName::EnsembleUnavailable);
            assert!(chain(&error).contains("ensemble/current.json"), "{}", chain(&error));
        }
        publish(folder.path(), "7", &definition_json().to_string());
        assert!(patient.current(LIMIT).await.is_err(), "not before its time");
        assert!(eager.current(LIMIT).await.is_ok());
        std::fs::remove_file(folder.path().join("ensemble/current.json")).unwrap();
        assert!(eager.current(LIMIT).await.is_ok(), "what is in force stays so");
    });
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_is_transient() {
    let wait_get_per_call = Duration::from_secs(60);
    let config = ThrottleConfig { wait_get_per_call, ..ThrottleConfig::default() };
    let slow = Registry::with_store(Arc::new(ThrottledStore::new(InMemory::new(), config)), "slow");
    let began = Instant::now();
    let definitions = Definitions::start(slow, Duration::from_secs(5)).await;
    assert!(began.elapsed() < Duration::from_secs(10), "Lambda ends an initialisation after 10 s");
    tokio::time::advance(Duration::from_secs(5)).await;
    let error = definitions.current(LIMIT).await.unwrap_err();
    assert_eq!(error.error_name(), ErrorName::StoreUnavailable);
    assert!(error.to_string().ends_with("slow did not answer within 4000 ms"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn another_version_is_followed_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), "7", &definition_json().to_string());
    let definitions = definitions(folder.path(), Duration::from_secs(5)).await;
    let held = definitions.current(LIMIT).await.unwrap();
    let mut other = definition_json();
    other["version"] = "8".into();
    let steps = [
        ("9", "{}".to_owned(), "7"),
        ("8", other.to_string(), "8"),
        ("9", other.to_string(), "8"),
        ("7", definition_json().to_string(), "7"),
    ];
    for (version, text, expected) in steps {
        let before = definitions.current(LIMIT).await.unwrap();
        publish(folder.path(), version, &text);
        tokio::time::advance(LOOK_AFTER).await;
        let during = definitions.current(LIMIT).await.unwrap();
        assert_eq!(during.definition.version, before.definition.version, "no event waits");
        definitions.settled().await;
        let after = definitions.current(LIMIT).await.unwrap();
        assert_eq!(after.definition.version, expected, "{version}");
    }
    assert_eq!(held.definition.version, "7");
}
