//! One suite for every store: what is published is read back, and nothing else is.
//!
//! The bucket is the deployed kind: `TRIBUNAL_TEST_REGISTRY=s3://bucket/prefix cargo test -p
//! tribunal-registry
//! --test contract -- --ignored`, with the AWS environment set. Every run uses a new prefix below it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use serde_json::{Value, json};
use tribunal_core::digest::sha256;
use tribunal_registry::{
    Action, DatasetState, MAX_FILE_BYTES, Pointer, PointerState, Registry, RegistryError,
};

const TREES: &[u8] = b"not really trees";
const IP_TREES: &[u8] = b"nor these";

/// A folder registry with one model, an ensemble definition and a data set.
fn write_source(root: &Path) {
    let put = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let manifest = manifest().to_string();
    put("models/xgboost/versions/1/domain.ubj", TREES);
    put("models/xgboost/versions/1/ip.ubj", IP_TREES);
    put("models/xgboost/versions/1/card.md", b"# Card");
    put("models/xgboost/versions/1/manifest.json", manifest.as_bytes());
    put("models/xgboost/current.json", pointer("1", manifest.as_bytes()).as_bytes());
    put("ensemble/versions/1.json", b"{\"version\": \"1\"}");
    put("ensemble/current.json", pointer("1", b"{\"version\": \"1\"}").as_bytes());
    put("datasets/ip-ranges/versions/7/ranges.bin", b"ranges");
    let dataset = json!({"version": "7", "file": "ranges.bin", "sha256": sha256(b"ranges"), "bytes": 6});
    put("datasets/ip-ranges/current.json", dataset.to_string().as_bytes());
    put("README.md", b"a note beside the registry");
}

fn manifest() -> Value {
    json!({
        "name": "xgboost", "version": "1", "created": "2026-06-01T00:00:00Z", "trainer": "xgboost 3.2.0",
        "schema": sha256(b"schema"), "card": "card.md", "metrics": {"domain": {"auc": 0.99}}, "unknown": [1],
        "parts": [
            {"kinds": ["domain"], "file": "domain.ubj", "format": "xgboost-ubj", "sha256": sha256(TREES),
             "bytes": TREES.len(), "features": ["length", "entropy"], "optional": ["entropy"], "trees": 3, "explain_from": 0.3,
             "calibration": {"method": "platt", "a": 1.0, "b": 0.0}},
            {"kinds": ["ip"], "file": "ip.ubj", "format": "xgboost-ubj", "sha256": sha256(IP_TREES),
             "bytes": IP_TREES.len(), "features": ["asn_rate"], "trees": 1, "explain_from": 0.5},
        ],
    })
}

fn pointer(version: &str, target: &[u8]) -> String {
    json!({"version": version, "digest": sha256(target)}).to_string()
}

fn source() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    write_source(folder.path());
    let registry = Registry::open(folder.path().to_str().unwrap()).unwrap();
    (folder, registry)
}

/// The suite. `target` is empty at first.
async fn contract(target: &Registry) {
    nothing_is_published(target).await;
    let (folder, source) = source();
    publishing_is_ordered_and_repeatable(target, &source).await;
    what_was_published_is_read_back(target).await;
    a_pointer_is_read_again_only_when_it_changed(target).await;
    a_version_never_changes(target, &folder, &source).await;
    a_data_set_is_replaced_by_a_new_version(target).await;
    a_pointer_that_is_known_is_not_read_again(target).await;
}

async fn nothing_is_published(target: &Registry) {
    let error = target.load_model("xgboost").await.unwrap_err();
    assert!(error.is_missing() && !error.is_transient(), "{error}");
    assert!(error.to_string().contains("models/xgboost/current.json"), "{error}");
    assert!(target.load_ensemble().await.unwrap_err().is_missing());
    assert!(target.load_dataset("ip-ranges").await.unwrap().is_none());
    assert_eq!(target.models().await.unwrap(), Vec::<String>::new());
}

async fn publishing_is_ordered_and_repeatable(target: &Registry, source: &Registry) {
    let mut order = Vec::new();
    let published = target
        .publish_from(source, |p| {
            assert_eq!((p.done, p.total, p.action), (order.len() + 1, 9, Action::Written));
            order.push(p.object.path.clone());
        })
        .await
        .unwrap();
    assert_eq!((published.written, published.unchanged, published.ignored), (9, 0, 1));
    assert_eq!(
        order[6..],
        ["datasets/ip-ranges/current.json", "models/xgboost/current.json", "ensemble/current.json"]
    );
    let again = target.publish_from(source, |p| assert_eq!(p.action, Action::Unchanged)).await.unwrap();
    assert_eq!((again.written, again.unchanged), (0, 9));
    let paths = |objects: Vec<tribunal_registry::StoredObject>| -> Vec<String> {
        objects.into_iter().map(|o| o.path).collect()
    };
    assert_eq!(paths(target.objects().await.unwrap()), paths(source.objects().await.unwrap()));
}

async fn what_was_published_is_read_back(target: &Registry) {
    let model = target.load_model("xgboost").await.unwrap();
    assert_eq!(model.manifest_digest, sha256(manifest().to_string().as_bytes()));
    assert_eq!(model.manifest.trainer, "xgboost 3.2.0");
    let files: Vec<&[u8]> = model.parts.iter().map(|(_, bytes)| bytes.as_ref()).collect();
    assert_eq!(files, [TREES, IP_TREES]);
    assert_eq!(model.parts[0].0.features, ["length", "entropy"]);
    let ensemble = target.load_ensemble().await.unwrap();
    assert_eq!((ensemble.version.as_str(), ensemble.bytes.as_ref()), ("1", b"{\"version\": \"1\"}".as_ref()));
    let dataset = target.load_dataset("ip-ranges").await.unwrap().unwrap();
    assert_eq!((dataset.pointer.version.as_str(), dataset.bytes.as_ref()), ("7", b"ranges".as_ref()));
    assert_eq!(target.models().await.unwrap(), ["xgboost"]);
    assert_eq!(target.datasets().await.unwrap(), ["ip-ranges"]);
}

async fn a_pointer_is_read_again_only_when_it_changed(target: &Registry) {
    let state = target.model_state("xgboost", None).await.unwrap();
    let PointerState::InForce { pointer, etag } = state else { panic!("{state:?}") };
    assert_eq!(target.model_state("xgboost", etag.as_deref()).await.unwrap(), PointerState::Unchanged);
    let model = target.load_model_version("xgboost", &pointer).await.unwrap();
    assert_eq!(
        (model.manifest.version, model.manifest_digest),
        (pointer.version.clone(), pointer.digest.clone())
    );
    let other = Pointer { digest: sha256(b"other"), ..pointer };
    let error = target.load_model_version("xgboost", &other).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error}");

    let state = target.ensemble_state(None).await.unwrap();
    let PointerState::InForce { pointer, etag } = state else { panic!("{state:?}") };
    assert_eq!(target.ensemble_state(etag.as_deref()).await.unwrap(), PointerState::Unchanged);
    assert_eq!(target.load_ensemble_version(&pointer).await.unwrap().digest, pointer.digest);
    assert!(target.model_state("absent", None).await.unwrap_err().is_missing());
}

async fn a_version_never_changes(target: &Registry, folder: &tempfile::TempDir, source: &Registry) {
    let card = folder.path().join("models/xgboost/versions/1/card.md");
    // Of the same size, so that only the content tells; and of another.
    for other in [b"# Cart".as_slice(), b"# Another card"] {
        std::fs::write(&card, other).unwrap();
        let error = target.publish_from(source, |_| panic!("nothing is written")).await.unwrap_err();
        assert!(matches!(error, RegistryError::Immutable { .. }), "{error}");
        assert!(error.to_string().contains("models/xgboost/versions/1/card.md"), "{error}");
    }
    let replaced = target.replace_from(source, |_| {}).await.unwrap();
    assert_eq!((replaced.written, replaced.unchanged), (1, 8));
}

async fn a_data_set_is_replaced_by_a_new_version(target: &Registry) {
    let bytes = Bytes::from_static(b"new ranges");
    for _ in 0..2 {
        let pointer = target.publish_dataset("ip-ranges", "8", "ranges.bin", bytes.clone()).await.unwrap();
        assert_eq!((pointer.version.as_str(), pointer.bytes), ("8", 10));
    }
    assert_eq!(target.load_dataset("ip-ranges").await.unwrap().unwrap().bytes, bytes);
    let other = target.publish_dataset("ip-ranges", "8", "ranges.bin", Bytes::from_static(b"x")).await;
    assert!(matches!(other.unwrap_err(), RegistryError::Immutable { .. }));
    for (name, version, file) in [("../x", "1", "f"), ("x", "..", "f"), ("x", "1", "a/b"), ("x", "1", "f")] {
        let error = target.publish_dataset(name, version, file, Bytes::new()).await.unwrap_err();
        assert!(matches!(error, RegistryError::Invalid { .. }), "{error}");
    }
}

async fn a_pointer_that_is_known_is_not_read_again(target: &Registry) {
    assert_eq!(target.dataset_state("watched", None).await.unwrap(), DatasetState::Absent);
    assert_eq!(target.dataset_state("watched", Some("\"x\"")).await.unwrap(), DatasetState::Absent);
    let mut known = None;
    for (version, content) in [("1", "one"), ("2", "the second")] {
        target.publish_dataset("watched", version, "data.tds", Bytes::from(content)).await.unwrap();
        let state = target.dataset_state("watched", known.as_deref()).await.unwrap();
        let DatasetState::InForce { pointer, etag } = state else { panic!("{state:?}") };
        assert_eq!(pointer.version, version);
        let file = target.load_dataset_version("watched", &pointer).await.unwrap();
        assert_eq!(file, content.as_bytes());
        known = Some(etag.unwrap());
        let again = target.dataset_state("watched", known.as_deref()).await.unwrap();
        assert_eq!(again, DatasetState::Unchanged);
    }
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(&Registry::open(folder.path().to_str().unwrap()).unwrap()).await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract(&Registry::with_store(Arc::new(InMemory::new()), "memory")).await;
}

#[tokio::test]
#[ignore = "needs a bucket: TRIBUNAL_TEST_REGISTRY=s3://bucket/prefix"]
async fn a_bucket_keeps_the_contract() {
    let base = std::env::var("TRIBUNAL_TEST_REGISTRY").expect("TRIBUNAL_TEST_REGISTRY=s3://bucket/prefix");
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let address = format!("{}/run-{}-{}", base.trim_end_matches('/'), since.as_nanos(), std::process::id());
    contract(&Registry::open(&address).unwrap()).await;
}

/// A change to a good source, the error that it leads to, and what the error names.
type Damage = (&'static str, &'static str, Vec<u8>, &'static [&'static str]);

const MANIFEST: &str = "models/xgboost/versions/1/manifest.json";
const TREES_FILE: &str = "models/xgboost/versions/1/domain.ubj";

fn damages() -> Vec<Damage> {
    vec![
        ("pointer not JSON", "models/xgboost/current.json", b"{".to_vec(), &["models/xgboost/current.json"]),
        ("pointer too large", "models/xgboost/current.json", vec![b' '; 20_000], &["20000", "16384"]),
        (
            "pointer to a folder above",
            "models/xgboost/current.json",
            pointer("../../x", b"").into_bytes(),
            &["version", "../../x", "a-z"],
        ),
        (
            "pointer with another digest",
            "models/xgboost/current.json",
            pointer("1", b"other").into_bytes(),
            &[MANIFEST, "digest", "models/xgboost/current.json"],
        ),
        (
            "pointer to no version",
            "models/xgboost/current.json",
            pointer("2", b"other").into_bytes(),
            &["models/xgboost/versions/2/manifest.json", "no such object"],
        ),
        ("file of another size", TREES_FILE, b"short".to_vec(), &[TREES_FILE, "5 bytes", "16", MANIFEST]),
        ("file of the same size", TREES_FILE, vec![0; 16], &[TREES_FILE, "digest", MANIFEST]),
    ]
}

#[tokio::test]
async fn damage_is_named() {
    for (what, path, bytes, named) in damages() {
        let (folder, registry) = source();
        std::fs::write(folder.path().join(path), bytes).unwrap();
        let error = registry.load_model("xgboost").await.unwrap_err();
        for part in named {
            assert!(error.to_string().contains(part), "{what}: {error} does not name {part}");
        }
        assert!(!error.is_transient(), "{what}: {error}");
        let target = Registry::with_store(Arc::new(InMemory::new()), "memory");
        let refused = target.publish_from(&registry, |_| panic!("{what}: nothing is written")).await;
        assert_eq!(refused.unwrap_err().to_string(), error.to_string(), "{what}");
    }
}

#[tokio::test]
async fn a_manifest_is_checked_field_by_field() {
    let cases: Vec<(&str, Value, &str)> = vec![
        ("/name", json!("other"), "name is other"),
        ("/version", json!("2"), "version is 2"),
        ("/card", json!("../card.md"), "card is ../card.md"),
        ("/parts", json!([]), "parts.length is 0"),
        ("/parts/0/kinds", json!([]), "parts[0].kinds.length is 0"),
        ("/parts/1/kinds", json!(["domain"]), "parts[1].kinds is domain"),
        ("/parts/0/file", json!("a/b"), "parts[0].file is a/b"),
        ("/parts/0/file", json!("..\u{1b}[31m"), "parts[0].file is ..\\u{1b}[31m"),
        ("/parts/0/sha256", json!("sha256:AB"), "parts[0].sha256 is sha256:AB"),
        ("/parts/0/bytes", json!(0), "parts[0].bytes is 0"),
        ("/parts/0/bytes", json!(MAX_FILE_BYTES + 1), "parts[0].bytes is 67108865"),
        ("/parts/0/features", json!(vec!["a"; 4097]), "parts[0].features.length is 4097"),
        ("/parts/0/features", json!(["a", "a"]), "parts[0].features[1] is a"),
        ("/parts/0/explain_from", json!(1.5), "parts[0].explain_from is 1.5"),
        (
            "/parts/0/calibration",
            json!({"method": "platt", "a": 0.0, "b": 0.0}),
            "parts[0].calibration.a is 0, allowed",
        ),
        ("/parts/0/optional", json!(["length", "other"]), "parts[0].optional[1]"),
        ("/parts/0/optional", json!(["length", "length"]), "parts[0].optional[1]"),
        ("/parts/0/kinds", json!(["url"]), "is not of its form"),
    ];
    for (at, value, expected) in cases {
        let mut changed = manifest();
        *changed.pointer_mut(at).unwrap() = value;
        let text = changed.to_string();
        let store = InMemory::new();
        let files = [
            ("models/xgboost/current.json", pointer("1", text.as_bytes())),
            ("models/xgboost/versions/1/manifest.json", text),
        ];
        for (path, text) in files {
            store.put(&ObjectPath::from(path), text.into_bytes().into()).await.unwrap();
        }
        let error = Registry::with_store(Arc::new(store), "memory").load_model("xgboost").await.unwrap_err();
        assert!(error.to_string().contains(expected), "{at}: {error}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_unasked() {
    let registry = Registry::with_store(Arc::new(InMemory::new()), "memory");
    for name in ["", "../xgboost", "a/b", "A"] {
        assert!(matches!(registry.load_model(name).await, Err(RegistryError::Invalid { .. })), "{name:?}");
        assert!(matches!(registry.load_dataset(name).await, Err(RegistryError::Invalid { .. })), "{name:?}");
    }
}
