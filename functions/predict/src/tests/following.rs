//! Versions change while events come.

use super::*;
use crate::LOOK_AFTER;

/// A version whose every probability is `permille` / 1000.
#[derive(Clone, Copy)]
struct Version(u32);

impl Version {
    fn probability(self) -> f32 {
        (f64::from(self.0) / 1000.0) as f32
    }

    fn file(self) -> Vec<u8> {
        let value = f64::from(self.0) / 1000.0;
        let tree = json!({"children_left": [-1], "children_right": [-1], "feature": [-1], "threshold": [0],
                          "missing_go_to_left": [0], "value": [value], "cover": [4]});
        json!({"format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": 2,
               "feature_names": ["length", "digits"], "trees": [tree]})
        .to_string()
        .into_bytes()
    }

    fn manifest(self, file: &[u8]) -> Vec<u8> {
        let mut part = Model::new().part;
        part["sha256"] = sha256(file).into();
        part["bytes"] = file.len().into();
        json!({"name": "small", "version": self.0.to_string(), "parts": [part]}).to_string().into_bytes()
    }

    /// Writes the version whole, then the pointer; gives the manifest's digest. What `break_it` makes of the file is
    /// written in its place.
    async fn publish(self, store: &InMemory, break_it: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
        let file = self.file();
        let manifest = self.manifest(&file);
        let digest = sha256(&manifest);
        let pointer = json!({"version": self.0.to_string(), "digest": digest}).to_string();
        let folder = format!("models/small/versions/{}", self.0);
        for (path, bytes) in [
            (format!("{folder}/domain.json"), break_it(file)),
            (format!("{folder}/manifest.json"), manifest),
            ("models/small/current.json".to_owned(), pointer.into_bytes()),
        ] {
            store.put(&Path::from(path), Bytes::from(bytes).into()).await.unwrap();
        }
        digest
    }
}

async fn started(store: &Arc<InMemory>) -> Predict {
    let shared: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(store);
    Predict::start(Registry::with_store(shared, "memory"), "small").await
}

async fn answer(function: &Predict) -> PredictionBatch {
    let batch = batch(&["length", "digits"], vec![row("a.com", &[Some(9.0), Some(9.0)])]);
    function.handle(batch, &Invocation::default(), &mut EventLog::new("predict")).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_events_while_versions_change_fifty_times() {
    let store = Arc::new(InMemory::new());
    let mut digests = std::collections::HashMap::from([(1, Version(1).publish(&store, |file| file).await)]);
    let function = started(&store).await;
    let (mut seen, mut swaps) = (1, 0);
    for event in 0..10_000_u32 {
        if event % 200 == 100 {
            let next = Version(2 + event / 200);
            digests.insert(next.0, next.publish(&store, |file| file).await);
        }
        if event % 50 == 0 {
            tokio::time::advance(LOOK_AFTER).await;
        }
        let found = answer(&function).await;
        let version: u32 = found.version.parse().unwrap();
        assert_eq!(found.probabilities, [Some(Version(version).probability())], "event {event}");
        assert_eq!(found.digest, digests[&version], "event {event}");
        assert!(version >= seen, "event {event}: version {version} after {seen}");
        swaps += u32::from(version > seen);
        seen = version;
        if event % 200 == 199 {
            function.settled().await;
            assert_eq!(answer(&function).await.version, (2 + event / 200).to_string());
        }
    }
    assert_eq!((digests.len(), answer(&function).await.version.as_str()), (51, "51"));
    assert!(swaps >= 40, "{swaps} changes were seen within the loop");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_cannot_be_used_is_refused_and_the_one_before_stays() {
    let store = Arc::new(InMemory::new());
    Version(500).publish(&store, |file| file).await;
    let function = started(&store).await;
    let altered = |mut file: Vec<u8>| {
        *file.last_mut().unwrap() = b' ';
        file
    };
    let cut = |file: Vec<u8>| file[..file.len() / 2].to_vec();
    let breaks: [&dyn Fn(Vec<u8>) -> Vec<u8>; 2] = [&altered, &cut];
    for (i, break_it) in breaks.iter().enumerate() {
        Version(600 + i as u32).publish(&store, break_it).await;
        tokio::time::advance(LOOK_AFTER).await;
        assert_eq!(answer(&function).await.version, "500");
        function.settled().await;
        assert_eq!(answer(&function).await.version, "500", "{i}");
    }
    // A pointer that is none, and none at all.
    let pointer = Path::from("models/small/current.json");
    store.put(&pointer, Bytes::from_static(b"{}").into()).await.unwrap();
    tokio::time::advance(LOOK_AFTER).await;
    answer(&function).await;
    function.settled().await;
    store.delete(&pointer).await.unwrap();
    tokio::time::advance(LOOK_AFTER).await;
    answer(&function).await;
    function.settled().await;
    assert_eq!(answer(&function).await.version, "500");
    // Corrected, it is found without a deployment; and so is the way back.
    for version in [700, 500] {
        Version(version).publish(&store, |file| file).await;
        tokio::time::advance(LOOK_AFTER).await;
        answer(&function).await;
        function.settled().await;
        assert_eq!(answer(&function).await.version, version.to_string());
    }
}

/// A registry that hangs costs no event anything.
#[tokio::test(start_paused = true)]
async fn no_event_waits_for_a_look() {
    let store = Arc::new(InMemory::new());
    Version(500).publish(&store, |file| file).await;
    let shared: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&store);
    let wait_get_per_call = Duration::from_secs(2);
    let slow = ThrottledStore::new(shared, ThrottleConfig { wait_get_per_call, ..ThrottleConfig::default() });
    let function = Predict::start(Registry::with_store(Arc::new(slow), "slow"), "small").await;
    Version(600).publish(&store, |file| file).await;
    tokio::time::advance(LOOK_AFTER).await;
    let began = tokio::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(answer(&function).await.version, "500");
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    function.settled().await;
    assert_eq!(answer(&function).await.version, "600");
}
