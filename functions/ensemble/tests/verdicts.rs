//! Changes of verdicts: what every table of standings has to do, on a local AWS and in memory, and that a change is told
//! once whatever comes twice, late, at the same time or not at all.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, in its helpers too, and says when it is left out"
)]

#[path = "../../../crates/sources/tests/local_aws/mod.rs"]
mod local_aws;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use futures::future::join_all;
use serde_json::{Value, json};
use tribunal_core::{Score, Verdict};
use tribunal_ensemble::StoreError;
use tribunal_ensemble::items::ScoreItem;
use tribunal_ensemble::verdict::{
    BusError, Confirmed, DynamoVerdicts, EventBridge, EventBus, Follower, LEASE_MS, Next, Pending, Standing,
    Tally, VerdictTable,
};

use local_aws::local;

/// A table in memory; every call gives way once, so that others may get in between.
#[derive(Default)]
struct Memory(RefCell<HashMap<String, Standing>>);

impl VerdictTable for Memory {
    async fn confirm(&self, next: &Next<'_>) -> Result<Confirmed, StoreError> {
        tokio::task::yield_now().await;
        let mut all = self.0.borrow_mut();
        let before = all.get(next.entity).cloned();
        let same = before.as_ref().is_some_and(|s| {
            s.verdict == next.verdict && s.scored_key.as_str() < next.scored_key && s.pending.is_none()
        });
        if same || (before.is_none() && next.starts_quietly) {
            all.insert(next.entity.to_owned(), standing(next.verdict, next.scored_key, None));
            return Ok(Confirmed::Same);
        }
        Ok(Confirmed::Not(before))
    }

    async fn record(
        &self,
        next: &Next<'_>,
        before: Option<&Standing>,
        pending: &Pending,
    ) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        let mut all = self.0.borrow_mut();
        let fits = all.get(next.entity) == before;
        if fits {
            let new = standing(next.verdict, next.scored_key, Some(pending.clone()));
            all.insert(next.entity.to_owned(), new);
        }
        Ok(fits)
    }

    async fn claim(&self, entity: &str, seen: &Pending, until_ms: u64) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        let mut all = self.0.borrow_mut();
        let pending = all.get_mut(entity).and_then(|s| s.pending.as_mut()).filter(|p| *p == seen);
        Ok(pending.map(|pending| pending.until_ms = until_ms).is_some())
    }

    async fn settle(&self, entity: &str, id: &str) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        if let Some(standing) = self.0.borrow_mut().get_mut(entity) {
            standing.pending = standing.pending.take().filter(|pending| pending.id != id);
        }
        Ok(())
    }
}

fn standing(verdict: &str, scored_key: &str, pending: Option<Pending>) -> Standing {
    Standing { verdict: verdict.to_owned(), scored_key: scored_key.to_owned(), pending }
}

/// What a bus does with an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    Refuses,
    NeverAnswers,
}

/// A bus that keeps what it is told.
struct Kept {
    told: RefCell<Vec<Value>>,
    mood: Cell<Mood>,
}

impl EventBus for Kept {
    async fn put(&self, detail: &str) -> Result<(), BusError> {
        tokio::task::yield_now().await;
        match self.mood.get() {
            Mood::Takes => {
                self.told.borrow_mut().push(serde_json::from_str(detail).unwrap());
                Ok(())
            }
            Mood::Refuses => Err(BusError::Refused { code: "InternalFailure".to_owned() }),
            Mood::NeverAnswers => std::future::pending().await,
        }
    }
}

/// A table, a bus and a clock.
struct World<T> {
    table: T,
    bus: Kept,
    now: Cell<u64>,
}

impl<T: VerdictTable> World<T> {
    fn new(table: T) -> Self {
        let bus = Kept { told: RefCell::default(), mood: Cell::new(Mood::Takes) };
        Self { table, bus, now: Cell::new(1_000_000) }
    }

    async fn follow(&self, scores: &[(&str, &str, Verdict)]) -> Tally {
        let items: Vec<ScoreItem> = scores.iter().map(|(e, key, verdict)| item(e, key, *verdict)).collect();
        Follower::new(&self.table, &self.bus, || self.now.get()).follow_all(&items).await
    }

    /// What was told of an entity: from, to, and the score's key.
    fn told(&self, entity: &str) -> Vec<(Option<String>, String, String)> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let told = self.bus.told.borrow();
        let of_entity = told.iter().filter(|detail| detail["entity"] == entity);
        of_entity
            .map(|d| (text(&d["from"]), text(&d["to"]).unwrap(), text(&d["scored_key"]).unwrap()))
            .collect()
    }
}

fn item(entity: &str, scored_key: &str, verdict: Verdict) -> ScoreItem {
    let score: Score = serde_json::from_value(json!({
        "entity": entity, "scored_key": scored_key, "kind": "domain", "original": entity, "tlp": "amber",
        "requested_at": "2026-11-24T07:49:58.123Z", "scored_at": "2026-11-24T07:49:59.000Z", "batch": "b",
        "risk": 87.5, "verdict": verdict, "quorum": {"met": true, "needed": 1, "answered": 1},
        "predictors": [], "schema": "sha256:s", "ensemble": {"version": "7", "digest": "sha256:d"},
        "reasons": [
            {"feature": "a", "points": 9.0, "source": "entity", "text": "name looks generated\u{1b}[2J"},
            {"feature": "b", "points": 8.0, "source": "feeds", "text": "seen on 3 feeds"},
            {"feature": "c", "points": 7.0, "source": "feeds", "text": "x".repeat(300)},
            {"feature": "d", "points": 6.0, "source": "feeds", "text": "left out"},
        ],
    }))
    .unwrap();
    ScoreItem { score, vector: Vec::new(), expires_at: 1_800_000_000 }
}

fn change(from: Option<&str>, to: &str, key: &str) -> (Option<String>, String, String) {
    (from.map(ToOwned::to_owned), to.to_owned(), key.to_owned())
}

const E: &str = "evil.com";
use Verdict::{Benign, Malicious, NotRoutable, Suspicious, Unknown};

/// What every table has to do.
async fn contract(table: &impl VerdictTable) {
    let next = |verdict, scored_key, starts_quietly| Next {
        entity: E,
        verdict,
        scored_key,
        expires_at: 1_800_000_000,
        starts_quietly,
    };
    let pending = |id: &str| Pending { id: id.to_owned(), detail: "{\"a\":1}".to_owned(), until_ms: 50 };
    let bad = next("malicious", "k2", false);
    assert_eq!(table.confirm(&bad).await.unwrap(), Confirmed::Not(None), "an alarm does not start quietly");
    assert_eq!(table.confirm(&next("benign", "k1", true)).await.unwrap(), Confirmed::Same);
    let first = standing("benign", "k1", None);
    for other in [bad, next("benign", "k1", true), next("benign", "k0", true)] {
        assert_eq!(table.confirm(&other).await.unwrap(), Confirmed::Not(Some(first.clone())), "{other:?}");
    }
    assert!(!table.record(&bad, None, &pending("p")).await.unwrap(), "there is one");
    let older = standing("benign", "k0", None);
    assert!(!table.record(&bad, Some(&older), &pending("p")).await.unwrap(), "it moved on");
    assert!(table.record(&bad, Some(&first), &pending("p")).await.unwrap());
    let now = standing("malicious", "k2", Some(pending("p")));
    let later = next("malicious", "k3", false);
    assert_eq!(table.confirm(&later).await.unwrap(), Confirmed::Not(Some(now)), "not before it is told");
    let moved = Pending { until_ms: 60, ..pending("p") };
    assert!(!table.claim(E, &moved, 70).await.unwrap(), "another claim");
    assert!(!table.claim(E, &pending("q"), 70).await.unwrap(), "another change");
    assert!(table.claim(E, &pending("p"), 60).await.unwrap());
    assert!(!table.claim(E, &pending("p"), 60).await.unwrap(), "claimed once");
    table.settle(E, "q").await.unwrap();
    assert!(
        matches!(table.confirm(&later).await.unwrap(), Confirmed::Not(Some(s)) if s.pending == Some(moved))
    );
    table.settle(E, "p").await.unwrap();
    table.settle(E, "p").await.unwrap();
    assert_eq!(table.confirm(&later).await.unwrap(), Confirmed::Same);
    assert!(!table.claim("unknown.com", &pending("p"), 60).await.unwrap());
    table.settle("unknown.com", "p").await.unwrap();
    assert_eq!(table.confirm(&Next { entity: "unknown.com", ..bad }).await.unwrap(), Confirmed::Not(None));
}

#[tokio::test]
async fn the_memory_table_keeps_the_contract() {
    contract(&Memory::default()).await;
}

async fn table(config: &aws_config::SdkConfig, name: &str) -> DynamoVerdicts {
    let key = KeySchemaElement::builder().attribute_name("entity").key_type(KeyType::Hash).build().unwrap();
    let attribute = AttributeDefinition::builder()
        .attribute_name("entity")
        .attribute_type(ScalarAttributeType::S)
        .build()
        .unwrap();
    let create = aws_sdk_dynamodb::Client::new(config)
        .create_table()
        .table_name(name)
        .key_schema(key)
        .attribute_definitions(attribute)
        .billing_mode(BillingMode::PayPerRequest);
    Box::pin(create.send()).await.unwrap();
    DynamoVerdicts::new(config, name)
}

#[tokio::test]
async fn the_dynamodb_table_keeps_the_contract() {
    let Some(config) = local() else { return };
    contract(&table(&config, "contract").await).await;
}

#[tokio::test]
async fn deliveries_at_the_same_time_tell_a_change_once_on_dynamodb() {
    let Some(config) = local() else { return };
    at_the_same_time(World::new(table(&config, "same-time").await)).await;
}

#[tokio::test]
async fn deliveries_at_the_same_time_tell_a_change_once() {
    at_the_same_time(World::new(Memory::default())).await;
}

async fn at_the_same_time(world: World<impl VerdictTable>) {
    world.follow(&[(E, "k1", Benign)]).await;
    let tallies = join_all((0..8).map(|_| world.follow(&[(E, "k2", Malicious)]))).await;
    assert_eq!(world.told(E), [change(Some("benign"), "malicious", "k2")]);
    assert_eq!(tallies.iter().map(|tally| tally.told).sum::<usize>(), 1);
    assert!(tallies.iter().all(|tally| tally.failure.is_none() && tally.untold == 0), "{tallies:?}");
    // Different requests at the same time: whichever is last, the standing is the newest request's.
    let (a, b, c) = ([(E, "k5", Benign)], [(E, "k3", Suspicious)], [(E, "k4", Malicious)]);
    join_all([world.follow(&a), world.follow(&b), world.follow(&c)]).await;
    world.now.set(world.now.get() + LEASE_MS + 1);
    join_all([world.follow(&a), world.follow(&b), world.follow(&c)]).await;
    let told = world.told(E);
    assert_eq!(told.last().unwrap().1, "benign", "{told:?}");
    for pair in told.windows(2) {
        assert_eq!(
            pair[1].0.as_deref(),
            Some(pair[0].1.as_str()),
            "each begins where the last ended: {told:?}"
        );
        assert!(pair[0].2 < pair[1].2, "{told:?}");
    }
}

#[tokio::test]
async fn a_change_is_told_and_what_stays_the_same_is_not() {
    let world = World::new(Memory::default());
    for (key, verdict) in [
        ("k1", Benign),
        ("k2", Benign),
        ("k3", Malicious),
        ("k4", Malicious),
        ("k5", Unknown),
        ("k6", Suspicious),
        ("k7", NotRoutable),
        ("k8", Benign),
    ] {
        let tally = world.follow(&[(E, key, verdict)]).await;
        assert!(tally.failure.is_none() && tally.held == 0 && tally.untold == 0, "{key}: {tally:?}");
    }
    let expected = [
        change(Some("benign"), "malicious", "k3"),
        change(Some("malicious"), "suspicious", "k6"),
        change(Some("suspicious"), "benign", "k8"),
    ];
    assert_eq!(world.told(E), expected);
}

#[tokio::test]
async fn a_first_score_is_a_change_if_it_is_an_alarm() {
    let world = World::new(Memory::default());
    let first = [
        ("a.com", "k", Benign),
        ("b.com", "k", Suspicious),
        ("c.com", "k", Malicious),
        ("d.com", "k", Unknown),
    ];
    assert_eq!(world.follow(&first).await.told, 2);
    assert_eq!(world.told("b.com"), [change(None, "suspicious", "k")]);
    assert_eq!(world.told("c.com"), [change(None, "malicious", "k")]);
    let detail = world.bus.told.borrow().iter().find(|detail| detail["entity"] == "b.com").cloned().unwrap();
    let expected = json!({
        "id": detail["id"], "entity": "b.com", "kind": "domain", "from": null, "to": "suspicious",
        "risk": 87.5, "scored_key": "k", "scored_at": "2026-11-24T07:49:59.000Z", "tlp": "amber",
        "reasons": ["name looks generated [2J", "seen on 3 feeds", format!("{}…", "x".repeat(253))],
        "ensemble": {"version": "7", "digest": "sha256:d"},
    });
    assert_eq!(detail, expected);
    assert!(detail["id"].as_str().unwrap().starts_with("sha256:"));
}

#[tokio::test]
async fn the_same_message_twice_and_an_older_one_late_tell_nothing() {
    let world = World::new(Memory::default());
    world.follow(&[(E, "k1", Benign)]).await;
    world.follow(&[(E, "k3", Malicious)]).await;
    let before = world.table.0.borrow().clone();
    // Also when a model changed in between, and the same request has another verdict.
    for late in [(E, "k3", Malicious), (E, "k3", Benign), (E, "k2", Benign), (E, "k2", Suspicious)] {
        let tally = world.follow(&[late]).await;
        assert_eq!((tally.told, tally.held, tally.untold), (0, 0, 0), "{late:?}");
    }
    assert_eq!(*world.table.0.borrow(), before);
    assert_eq!(world.told(E).len(), 1);
}

#[tokio::test]
async fn scores_of_one_entity_in_one_batch_are_followed_in_their_order() {
    let world = World::new(Memory::default());
    world.follow(&[(E, "k3", Benign), (E, "k1", Benign), (E, "k2", Malicious)]).await;
    let expected = [change(Some("benign"), "malicious", "k2"), change(Some("malicious"), "benign", "k3")];
    assert_eq!(world.told(E), expected);
}

#[tokio::test]
async fn what_the_bus_does_not_take_is_told_by_the_next_delivery_or_score() {
    for (next, expected) in [
        ((E, "k2", Malicious), vec![change(Some("benign"), "malicious", "k2")]),
        ((E, "k3", Malicious), vec![change(Some("benign"), "malicious", "k2")]),
        ((E, "k1", Benign), vec![change(Some("benign"), "malicious", "k2")]),
        (
            (E, "k3", Benign),
            vec![change(Some("benign"), "malicious", "k2"), change(Some("malicious"), "benign", "k3")],
        ),
    ] {
        let world = World::new(Memory::default());
        world.follow(&[(E, "k1", Benign)]).await;
        world.bus.mood.set(Mood::Refuses);
        let tally = world.follow(&[(E, "k2", Malicious), ("other.com", "k2", Malicious)]).await;
        assert_eq!((tally.told, tally.untold, tally.held), (0, 2, 0));
        assert_eq!(tally.error.as_deref(), Some("the bus refused the event: InternalFailure"));
        assert!(tally.failure.is_none());
        assert_eq!(world.follow(&[(E, "k2", Malicious)]).await.untold, 1, "still down");
        world.bus.mood.set(Mood::Takes);
        for _ in 0..2 {
            world.follow(&[next]).await;
        }
        assert_eq!(world.told(E), expected, "{next:?}");
    }
}

#[tokio::test]
async fn who_dies_before_telling_leaves_it_to_the_next_once_the_claim_has_ended() {
    let world = World::new(Memory::default());
    world.follow(&[(E, "k1", Benign)]).await;
    world.bus.mood.set(Mood::NeverAnswers);
    let alarm = [(E, "k2", Malicious)];
    let followed = tokio::time::timeout(Duration::from_millis(20), world.follow(&alarm)).await;
    assert!(followed.is_err(), "the environment is gone in the middle");
    world.bus.mood.set(Mood::Takes);
    assert_eq!(world.follow(&alarm).await.held, 1, "it could still be at it: try again");
    assert_eq!(world.follow(&[(E, "k1", Benign)]).await.held, 0, "an older one has nothing to wait for");
    world.now.set(world.now.get() + LEASE_MS);
    assert_eq!(world.follow(&alarm).await.told, 1);
    assert_eq!(world.follow(&alarm).await.told, 0);
    assert_eq!(world.told(E), [change(Some("benign"), "malicious", "k2")]);
}

#[tokio::test]
async fn a_bus_takes_an_event_and_one_that_is_not_there_is_an_error() {
    let Some(config) = local() else { return };
    let events = aws_sdk_eventbridge::Client::new(&config);
    Box::pin(events.create_event_bus().name("verdicts").send()).await.unwrap();
    EventBridge::new(&config, "verdicts").put("{\"to\":\"malicious\"}").await.unwrap();
    let nowhere = config.to_builder().endpoint_url("http://127.0.0.1:1").build();
    let error = EventBridge::new(&nowhere, "verdicts").put("{}").await.unwrap_err();
    assert_eq!(error.to_string(), "PutEvents failed");
}
