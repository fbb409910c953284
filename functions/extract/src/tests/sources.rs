//! Declared sources in a batch: their features, evidence and statuses, and how a declaration comes into force.
//!
//! The sources are published data sets, and services that a quota or a marking keeps from being asked: what asks a
//! real server is tested with the adapters, and end to end.

use std::sync::Mutex;
use std::time::Duration;

use object_store::memory::InMemory;
use tribunal_core::message::SourceFeatures;
use tribunal_sources::config::QuotaConfig;
use tribunal_sources::dataset::{BuildOptions, Builder};
use tribunal_sources::declare::{MAX_FEATURES, MAX_SOURCES};
use tribunal_sources::quota::{Grant, Level, Quota};
use tribunal_sources::source::Cause;
use tribunal_sources::{MAX_EVIDENCE, Stores};

use super::*;
use crate::Asking;
use crate::ranges::RANGES;

/// A published list, with a feature and evidence.
const SIGHTINGS: &str = r#"
[sources.sightings]
link = "https://intel.example/{entity}"
dataset = { name = "sightings" }

[[sources.sightings.features]]
name = "sightings_feeds"
field = "feed"
transform = ["distinct"]

[[sources.sightings.evidence]]
fact = "seen on a feed"
value = "feed"
first_seen = "seen"
"#;

/// A service that has a quota. It is never reached: no test grants a token.
const SERVICE: &str = r#"
[sources.service]
tlp = "green"
quota = { requests = 1, per_s = 60, rescore = 2 }
http = { url = "https://intel.example/{entity}" }

[[sources.service.features]]
name = "service_flag"
transform = ["flag"]
"#;

struct Bench {
    store: Arc<InMemory>,
    registry: Registry,
    tokens: Arc<NoTokens>,
}

/// A quota that grants nothing, and counts what is wanted.
#[derive(Debug, Default)]
struct NoTokens(Mutex<u64>);

#[async_trait::async_trait]
impl Quota for NoTokens {
    async fn take(&self, _: &str, _: &QuotaConfig, wanted: u64) -> Result<Grant, Cause> {
        *self.0.lock().unwrap() += wanted;
        Ok(Grant { granted: 0, next_in: Some(Duration::from_millis(20_500)) })
    }

    async fn level(&self, _: &str, _: &QuotaConfig) -> Result<Level, Cause> {
        Err("not asked in these tests".into())
    }
}

impl Bench {
    fn new() -> Self {
        let store = Arc::new(InMemory::new());
        let registry = Registry::with_store(Arc::clone(&store) as Arc<dyn ObjectStore>, "memory");
        Self { store, registry, tokens: Arc::default() }
    }

    async fn declare(&self, text: &str) {
        self.registry.publish_sources(Bytes::copy_from_slice(text.as_bytes())).await.unwrap();
    }

    async fn publish(&self, version: &str, csv: &str) {
        let options = BuildOptions { key: Some("entity".to_owned()), ..BuildOptions::default() };
        let mut builder = Builder::new(options).unwrap();
        builder.add_csv("list.csv", csv.as_bytes()).unwrap();
        let bytes = builder.finish().unwrap().bytes;
        self.registry.publish_dataset("sightings", version, "list.tds", bytes.into()).await.unwrap();
    }

    fn context(&self) -> Context {
        let quota = Arc::clone(&self.tokens) as Arc<dyn Quota>;
        Context { stores: Stores { quota: Some(quota), cache: None }, ..Context::local() }
    }

    async fn start(&self) -> Extract {
        Extract::start(self.registry.clone(), self.context()).await.unwrap()
    }

    fn wanted(&self) -> u64 {
        *self.tokens.0.lock().unwrap()
    }
}

async fn batch_of(function: &Extract, input: Value) -> FeatureBatch {
    function.handle(event(input), &Invocation::default(), &mut EventLog::new("extract")).await.unwrap()
}

async fn scored(function: &Extract, entities: &[&str]) -> FeatureBatch {
    batch_of(function, json!({"entities": entities})).await
}

fn marked(entity: &str, tlp: Option<&str>, attempt: u32) -> Value {
    let mut item = item(entity, "domain");
    item["tlp"] = tlp.into();
    item["attempt"] = attempt.into();
    item
}

const LIST: &str = "entity,feed,seen\nevil.com,urlhaus,2026-01-02\nevil.com,openphish,2026-02-03\n";

#[tokio::test(start_paused = true)]
async fn a_published_declaration_adds_features_evidence_and_a_status() {
    let bench = Bench::new();
    bench.publish("1", LIST).await;
    bench.declare(SIGHTINGS).await;
    let batch = scored(&bench.start().await, &["evil.com", "www.other.org"]).await;
    let plain = entities(&["evil.com", "www.other.org"]);
    assert_eq!(batch.features.last().unwrap(), "sightings_feeds");
    assert_eq!(
        batch.features[..plain.features.len()],
        plain.features,
        "the built-in ones stay where they are"
    );
    assert_ne!(batch.schema, plain.schema);
    for (row, expected) in [(0, 2.0), (1, 0.0)] {
        assert_eq!(value(&batch, row, "sightings_feeds"), Some(expected));
        assert_eq!(batch.rows[row].values[..plain.features.len()], plain.rows[row].values);
    }
    let status = |row: usize| batch.rows[row].sources["sightings"];
    assert_eq!((status(0), status(1)), (SourceStatus::Ok, SourceStatus::Empty));
    assert_eq!(batch.source_ms.keys().collect::<Vec<_>>(), ["sightings"]);
    let seen: Vec<_> = batch.rows[0]
        .evidence
        .iter()
        .map(|e| (e.source.as_str(), e.fact.as_str(), e.value.as_str(), e.first_seen.as_deref()))
        .collect();
    let fact = |feed, seen| ("sightings", "seen on a feed", feed, Some(seen));
    let expected =
        [fact("urlhaus", "2026-01-02T00:00:00.000Z"), fact("openphish", "2026-02-03T00:00:00.000Z")];
    assert_eq!(seen, expected);
    assert_eq!(batch.rows[0].evidence[0].link.as_deref(), Some("https://intel.example/evil%2Ecom"));
    assert!(batch.rows[1].evidence.is_empty() && batch.rescore.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_says_whose_its_features_are() {
    let bench = Bench::new();
    let says = "transform = [\"distinct\"]\nsays = \"seen on {} feeds|on no feed\"";
    bench.declare(&SIGHTINGS.replace("transform = [\"distinct\"]", says)).await;
    bench.publish("1", "entity,feed,seen\nlisted.com,alpha,2026-11-01\n").await;
    let batch = scored(&bench.start().await, &["listed.com"]).await;
    let named = |run: &SourceFeatures| batch.features[run.first..run.first + run.count].to_vec();
    let (declared, ranges) = batch.source_features.split_last().unwrap();
    assert_eq!((declared.source.as_str(), declared.kind.as_str()), ("sightings", "dataset"));
    assert_eq!(
        (named(declared), declared.phrases[0].as_str()),
        (vec!["sightings_feeds".to_owned()], "seen on {} feeds|on no feed")
    );
    let facts: Vec<String> = ranges.iter().flat_map(named).collect();
    assert!(ranges.iter().all(|run| run.source == RANGES && run.kind == "ranges"));
    assert!(facts.contains(&"asn_rate".to_owned()) && facts.contains(&"country_support".to_owned()));
    assert!(!facts.iter().any(|name| name.starts_with("label_") || name == "ip_version"), "{facts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_digest_is_of_how_features_are_made() {
    let bench = Bench::new();
    let mut digests = Vec::new();
    let renamed = SIGHTINGS.replace("sightings_feeds", "sightings_lists");
    for text in ["", SIGHTINGS, &renamed, &SIGHTINGS.replace("\"distinct\"", "\"count\"")] {
        bench.declare(text).await;
        digests.push(scored(&bench.start().await, &["evil.com"]).await.schema);
    }
    let mut different = digests.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), digests.len(), "{digests:?}");
    bench.declare(&SIGHTINGS.replace("seen on a feed", "seen").replace("https://", "https://www.")).await;
    let reworded = scored(&bench.start().await, &["evil.com"]).await.schema;
    assert_eq!(reworded, digests[1], "evidence is no feature");
}

#[tokio::test(start_paused = true)]
async fn another_declaration_is_taken_up_beside_an_event() {
    let bench = Bench::new();
    bench.publish("1", LIST).await;
    let function = bench.start().await;
    let before = scored(&function, &["evil.com"]).await;
    assert!(before.rows[0].sources.is_empty());
    bench.declare(SIGHTINGS).await;
    assert_eq!(scored(&function, &["evil.com"]).await, before, "not looked for at once");
    tokio::time::advance(LOOK_AFTER).await;
    assert_eq!(scored(&function, &["evil.com"]).await, before, "looked for beside this event");
    let after = scored(&function, &["evil.com"]).await;
    assert_eq!(value(&after, 0, "sightings_feeds"), Some(2.0), "with its data set");
    bench.declare(&SIGHTINGS.replace("sightings_feeds", "sightings_lists")).await;
    tokio::time::advance(LOOK_AFTER).await;
    scored(&function, &["evil.com"]).await;
    let renamed = scored(&function, &["evil.com"]).await;
    assert_eq!(value(&renamed, 0, "sightings_lists"), Some(2.0));
    assert!(!renamed.features.contains(&"sightings_feeds".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_declaration_that_is_broken_is_refused_and_the_one_before_stays() {
    let bench = Bench::new();
    bench.publish("1", LIST).await;
    bench.declare(SIGHTINGS).await;
    let function = bench.start().await;
    let before = scored(&function, &["evil.com"]).await;
    let taken = SIGHTINGS.replace("sightings_feeds", "host_length");
    for broken in ["[sources.sightings", "[sources.sightings]\ntimeout_ms = 0", &taken] {
        bench.declare(broken).await;
        for _ in 0..2 {
            tokio::time::advance(LOOK_AFTER).await;
            assert_eq!(scored(&function, &["evil.com"]).await, before, "{broken}");
        }
    }
    // An object that is not the one that its pointer means.
    let pointer = bench.registry.publish_sources(Bytes::from_static(b"# nothing")).await.unwrap();
    let path = Path::from(format!("sources/versions/{}.toml", pointer.version));
    bench.store.put(&path, Bytes::from_static(b"# another").into()).await.unwrap();
    tokio::time::advance(LOOK_AFTER).await;
    assert_eq!(scored(&function, &["evil.com"]).await, before);
    bench.declare(&SIGHTINGS.replace("sightings_feeds", "sightings_lists")).await;
    tokio::time::advance(LOOK_AFTER).await;
    scored(&function, &["evil.com"]).await;
    assert_ne!(scored(&function, &["evil.com"]).await.schema, before.schema, "a corrected one is taken up");
}

#[tokio::test(start_paused = true)]
async fn a_broken_declaration_names_its_line_and_key_and_starts_without_sources() {
    let bench = Bench::new();
    bench.declare(&SIGHTINGS.replace("dataset = { name", "timeout_ms = 0\ndataset = { name")).await;
    let declared = bench.registry.load_sources().await.unwrap().unwrap();
    let error = Asking::declared(&declared, &bench.context()).unwrap_err();
    let text = tribunal_runtime::chain(&error);
    assert!(text.contains("sources/versions/") && text.contains("line 4"), "{text}");
    assert!(text.contains("sources.sightings.timeout_ms: 0"), "{text}");
    let batch = scored(&bench.start().await, &["evil.com"]).await;
    assert_eq!(batch, entities(&["evil.com"]));
}

#[tokio::test(start_paused = true)]
async fn a_declaration_that_is_deleted_is_in_force_no_more() {
    let bench = Bench::new();
    bench.publish("1", LIST).await;
    bench.declare(SIGHTINGS).await;
    let function = bench.start().await;
    assert_eq!(scored(&function, &["evil.com"]).await.rows[0].evidence.len(), 2);
    bench.store.delete(&Path::from("sources/current.json")).await.unwrap();
    tokio::time::advance(LOOK_AFTER).await;
    scored(&function, &["evil.com"]).await;
    assert_eq!(scored(&function, &["evil.com"]).await, entities(&["evil.com"]));
}

#[tokio::test(start_paused = true)]
async fn a_data_set_that_a_source_waits_for_is_picked_up() {
    let bench = Bench::new();
    bench.declare(SIGHTINGS).await;
    let function = bench.start().await;
    let before = scored(&function, &["evil.com"]).await;
    assert_eq!(before.rows[0].sources["sightings"], SourceStatus::Error);
    assert_eq!(value(&before, 0, "sightings_feeds"), None, "missing, not 0");
    bench.publish("1", LIST).await;
    for (version, csv, expected) in [("1", LIST, 2.0), ("2", "entity,feed\nevil.com,one\n", 1.0)] {
        bench.publish(version, csv).await;
        tokio::time::advance(LOOK_AFTER).await;
        scored(&function, &["evil.com"]).await;
        let batch = scored(&function, &["evil.com"]).await;
        assert_eq!(value(&batch, 0, "sightings_feeds"), Some(expected), "version {version}");
        assert_eq!(batch.schema, before.schema);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_marked_above_the_ceiling_costs_no_token_and_is_skipped() {
    let bench = Bench::new();
    bench.publish("1", LIST).await;
    bench.declare(&format!("{SIGHTINGS}{SERVICE}")).await;
    let items: Vec<Value> =
        [Some("amber"), Some("red"), Some("ultraviolet"), Some("green"), Some("clear"), None]
            .iter()
            .enumerate()
            .map(|(n, tlp)| marked(&format!("e{n}.evil.com"), *tlp, 0))
            .chain([marked("evil.com", Some("red"), 0)])
            .collect();
    let batch = batch_of(&bench.start().await, json!({"batch": "b", "items": items})).await;
    let statuses: Vec<SourceStatus> = batch.rows.iter().map(|row| row.sources["service"]).collect();
    let (kept, asked) = (SourceStatus::Skipped, SourceStatus::Quota);
    assert_eq!(statuses, [kept, kept, kept, asked, asked, asked, kept]);
    assert_eq!(bench.wanted(), 3);
    assert_eq!(
        batch.rows[6].sources["sightings"],
        SourceStatus::Ok,
        "a data set does not leave the function"
    );
    let again: Vec<&str> = batch.rescore.iter().map(|rescore| rescore.entity.as_str()).collect();
    assert_eq!(again, ["e3.evil.com", "e4.evil.com", "e5.evil.com"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_quota_leaves_out_is_scored_again_a_bounded_number_of_times() {
    let bench = Bench::new();
    bench.declare(SERVICE).await;
    let items: Vec<Value> = (0..4).map(|attempt| marked(&format!("e{attempt}.com"), None, attempt)).collect();
    let batch = batch_of(&bench.start().await, json!({"batch": "b", "items": items})).await;
    assert!(batch.rows.iter().all(|row| row.sources["service"] == SourceStatus::Quota));
    assert!((0..4).all(|row| value(&batch, row, "service_flag").is_none()));
    let again: Vec<(&str, u64)> =
        batch.rescore.iter().map(|rescore| (rescore.entity.as_str(), rescore.after_s)).collect();
    // Whole seconds, upwards; one token comes back after the other.
    assert_eq!(again, [("e0.com", 21), ("e1.com", 81)]);
    assert_eq!(batch.rows[3].item.attempt, 3);
}

#[tokio::test(start_paused = true)]
async fn where_scoring_makes_no_sense_no_source_is_asked() {
    let bench = Bench::new();
    bench.publish("1", "entity,feed\nlocalhost,x\n").await;
    bench.declare(&format!("{SIGHTINGS}{SERVICE}")).await;
    let names = ["localhost", "evil.com", "192.168.0.1", "name.test", "fe80::1", "other.com"];
    let batch = scored(&bench.start().await, &names).await;
    for row in &batch.rows {
        let asked = row.special.is_none();
        assert_eq!(row.sources.len(), if asked { 2 } else { 0 }, "{}", row.item.entity);
        assert_eq!(row.values.is_empty(), !asked);
    }
    assert_eq!(bench.wanted(), 2);
    let again: Vec<&str> = batch.rescore.iter().map(|rescore| rescore.entity.as_str()).collect();
    assert_eq!(again, ["evil.com", "other.com"], "answers stay with those that were asked about");
}

#[tokio::test(start_paused = true)]
async fn evidence_is_shed_before_a_batch_outgrows_what_a_state_machine_carries() {
    let bench = Bench::new();
    let names: Vec<String> = (0..MAX_BATCH_ENTITIES).map(|n| format!("evil-{n}.com")).collect();
    let mut csv = "entity,feed,seen\n".to_owned();
    for name in &names {
        for n in 0..MAX_EVIDENCE {
            csv.push_str(&format!("{name},{n}{},2026-01-02\n", "x".repeat(120)));
        }
    }
    bench.publish("1", &csv).await;
    bench.declare(SIGHTINGS).await;
    let function = bench.start().await;
    let batch_with = async |padding: usize| {
        let texts: Vec<String> =
            names.iter().map(|name| format!("https://{name}/{}", "p".repeat(padding))).collect();
        let batch = batch_of(&function, json!({"entities": texts})).await;
        let bytes = serde_json::to_vec(&batch).unwrap().len();
        assert!(bytes <= MAX_OUTPUT_BYTES, "{bytes} bytes");
        for row in 0..names.len() {
            assert_eq!(value(&batch, row, "sightings_feeds"), Some(MAX_EVIDENCE as f32), "features stay");
            let Row { evidence, evidence_dropped, .. } = &batch.rows[row];
            assert_eq!(evidence.len() + evidence_dropped, MAX_EVIDENCE, "none is lost without a word");
        }
        batch.rows.iter().map(|row| row.evidence.len()).sum::<usize>()
    };
    let kept = [batch_with(0).await, batch_with(700).await, batch_with(1_600).await];
    assert!(kept[0] > kept[1] && kept[1] > kept[2], "{kept:?}");
    assert_eq!(kept[2], 0, "what is left is features");
}

#[tokio::test(start_paused = true)]
async fn a_whole_batch_of_all_that_may_be_declared_fits_into_a_state_machine() {
    let bench = Bench::new();
    let names: Vec<String> =
        (0..MAX_BATCH_ENTITIES).map(|n| format!("secure-login-{n}.accounts.evil-site.com")).collect();
    let rows: String = names.iter().map(|name| format!("{name},0.123456789,{}\n", "x".repeat(128))).collect();
    bench.publish("1", &format!("entity,n,feed\n{rows}")).await;
    let mut text = "[sources.sightings]\ndataset = { name = \"sightings\" }\n".to_owned();
    for n in 0..MAX_FEATURES {
        text.push_str(&format!("[[sources.sightings.features]]\nname = \"f{n}{}\"\n", "_".repeat(60)));
        text.push_str("field = \"n\"\nmin = -1.0\n");
    }
    text.push_str("[[sources.sightings.evidence]]\nfact = \"seen\"\nvalue = \"feed\"\n");
    for n in 1..MAX_SOURCES {
        text.push_str(&format!(
            "[sources.source-{n}-of-a-name-of-its-own]\nquota = {{ requests = 1, per_s = 60 }}\n"
        ));
        text.push_str("http = { url = \"https://intel.example/{entity}\" }\n");
    }
    bench.declare(&text).await;
    let batch = scored(&bench.start().await, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let bytes = serde_json::to_vec(&batch).unwrap().len();
    assert_eq!((batch.rows[0].sources.len(), batch.rows.len()), (MAX_SOURCES, MAX_BATCH_ENTITIES));
    assert!(bytes <= MAX_OUTPUT_BYTES, "{bytes} bytes");
    assert!(batch.rows.iter().all(|row| row.values.iter().flatten().count() >= MAX_FEATURES));
}
