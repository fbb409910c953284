use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::time::Instant;
use tribunal_core::message::SourceStatus;

use super::*;
use crate::quota::{Grant, Level};
use crate::source::{Cause, Record, Replies, Subject};

/// A source that does what a test says: a real server cannot be made to fail on the second.
#[derive(Debug, Default)]
struct Scripted {
    /// Time until the first reply, and between replies.
    delay: Duration,
    /// Ends with this failure, after the replies.
    failure: Option<&'static str>,
    /// Replies that are put down before the failure; all without one.
    replies: usize,
    asked: AtomicUsize,
    requests: AtomicUsize,
    per_request: usize,
    /// Fails on every subject by itself, and not as a whole.
    fails_each: bool,
    /// Asks about `com` only, and about names of one registrable domain at once.
    only_com: bool,
}

#[async_trait::async_trait]
impl Source for Scripted {
    fn subjects_per_request(&self) -> usize {
        self.per_request.max(1)
    }

    fn requests(&self, subjects: &[Subject<'_>]) -> Vec<Option<usize>> {
        if !self.only_com {
            return (0..subjects.len()).map(|at| Some(at / self.subjects_per_request())).collect();
        }
        let domains: Vec<Option<&str>> =
            subjects.iter().map(|s| s.entity.registrable_domain().filter(|d| d.ends_with(".com"))).collect();
        let mut different: Vec<&str> = domains.iter().flatten().copied().collect();
        different.dedup();
        domains.iter().map(|domain| different.iter().position(|d| Some(*d) == *domain)).collect()
    }

    async fn ask(&self, subjects: &[Subject<'_>], replies: &Replies) -> Result<(), SourceError> {
        if self.requests(subjects).iter().all(Option::is_none) {
            (0..subjects.len()).for_each(|at| replies.put(at, Ok(Record::default())));
            return Ok(());
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.asked.fetch_add(subjects.len(), Ordering::Relaxed);
        if self.fails_each {
            (0..subjects.len()).for_each(|at| replies.put(at, Err(SourceError::Unreachable("down".into()))));
            return Ok(());
        }
        for (at, subject) in subjects.iter().enumerate() {
            if self.failure.is_some() && at == self.replies {
                break;
            }
            tokio::time::sleep(self.delay).await;
            let known = subject.entity.name().starts_with("known");
            let rows = if known { vec![json!({"n": 3})] } else { Vec::new() };
            replies.put(at, Ok(Record::of(rows)));
        }
        match self.failure {
            None => Ok(()),
            Some("throttled") => Err(SourceError::Throttled { retry_after: Some(Duration::from_secs(20)) }),
            Some(_) => Err(SourceError::Unreachable("down".into())),
        }
    }
}

/// Grants a number of tokens in all.
#[derive(Debug)]
struct Tokens(Mutex<u64>);

#[async_trait::async_trait]
impl Quota for Tokens {
    async fn take(&self, _: &str, _: &crate::config::QuotaConfig, wanted: u64) -> Result<Grant, Cause> {
        let mut left = self.0.lock().unwrap();
        let granted = wanted.min(*left);
        *left -= granted;
        let next_in = (granted < wanted).then_some(Duration::from_secs(40));
        Ok(Grant { granted, next_in })
    }

    async fn level(&self, _: &str, _: &crate::config::QuotaConfig) -> Result<Level, Cause> {
        Err("not asked in these tests".into())
    }
}

const ONE: &str = "
[sources.a]
timeout_ms = 100
breaker = { failures = 2, open_s = 30 }
http = { url = \"https://intel.example/{entity}\" }
[[sources.a.features]]
name = \"a_n\"
field = \"n\"
[[sources.a.features]]
name = \"a_known\"
transform = [\"flag\"]
[[sources.a.evidence]]
fact = \"seen\"
value = \"n\"
";

fn one(source: Scripted, extra: &str, stores: Stores) -> (Arc<Scripted>, Sources) {
    let text = ONE.replacen("timeout_ms", &format!("{extra}\ntimeout_ms"), 1);
    let declaration = Declaration::parse(&text, |_| false).unwrap();
    let source = Arc::new(source);
    let open: BTreeMap<String, Arc<dyn Source>> =
        [("a".to_owned(), Arc::clone(&source) as Arc<dyn Source>)].into();
    (source, Sources::new(&declaration, open, stores))
}

async fn ask(sources: &Sources, names: &[&str]) -> (Vec<SourceStatus>, Vec<Found>) {
    ask_as(sources, names, None, 0).await
}

async fn ask_as(
    sources: &Sources,
    names: &[&str],
    tlp: Option<Tlp>,
    attempt: u32,
) -> (Vec<SourceStatus>, Vec<Found>) {
    let entities: Vec<Entity> = names.iter().map(|name| Entity::parse(name).unwrap()).collect();
    let batch: Vec<Asked<'_>> =
        entities.iter().map(|entity| Asked { entity, facts: None, tlp, attempt }).collect();
    let answers = sources.ask(&batch, 1_795_000_000_000, Duration::from_secs(60)).await;
    let statuses = answers.found.iter().filter_map(|found| found.statuses.get("a").copied()).collect();
    (statuses, answers.found)
}

#[tokio::test(start_paused = true)]
async fn an_answer_becomes_values_evidence_and_a_status() {
    let (_, sources) = one(Scripted::default(), "", Stores::default());
    let (statuses, found) = ask(&sources, &["known.example.com", "other.example.com"]).await;
    assert_eq!(statuses, [SourceStatus::Ok, SourceStatus::Empty]);
    assert_eq!(found[0].values, [3.0, 1.0]);
    assert!(found[1].values[0].is_nan() && found[1].values[1] == 0.0);
    assert_eq!((found[0].evidence.len(), found[0].evidence[0].value.as_str()), (1, "3"));
    assert!(found[1].evidence.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_costs_its_own_time_once_and_what_it_said_counts() {
    let slow = Scripted { delay: Duration::from_millis(40), ..Scripted::default() };
    let (source, sources) = one(slow, "", Stores::default());
    let started = Instant::now();
    let (statuses, found) = ask(&sources, &["known1.com", "known2.com", "known3.com"]).await;
    assert_eq!(started.elapsed(), Duration::from_millis(100));
    assert_eq!(statuses, [SourceStatus::Ok, SourceStatus::Ok, SourceStatus::Timeout]);
    assert!(found[2].values.iter().all(|value| value.is_nan()));
    assert_eq!(source.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_batch_has_a_deadline_over_all_sources() {
    let hanging = || Arc::new(Scripted { delay: Duration::from_secs(3_600), ..Scripted::default() });
    let mut text = "budget = { timeout_ms = 150 }\n".to_owned();
    let mut open: BTreeMap<String, Arc<dyn Source>> = BTreeMap::new();
    for name in ["a", "b", "c"] {
        text.push_str(&format!(
            "[sources.{name}]\ntimeout_ms = 5000\nhttp = {{ url = \"https://x.example/\" }}\n"
        ));
        open.insert(name.to_owned(), hanging());
    }
    let declaration = Declaration::parse(&text, |_| false).unwrap();
    let sources = Sources::new(&declaration, open, Stores::default());
    let started = Instant::now();
    let (_, found) = ask(&sources, &["a.com"]).await;
    assert_eq!(started.elapsed(), Duration::from_millis(150));
    assert_eq!(found[0].statuses.len(), 3);
    assert!(found[0].statuses.values().all(|status| *status == SourceStatus::Timeout));
}

#[tokio::test(start_paused = true)]
async fn what_is_marked_above_the_ceiling_is_not_sent() {
    let (source, sources) = one(Scripted::default(), "tlp = \"green\"", Stores::default());
    for (tlp, expected) in [
        (Some(Tlp::Amber), SourceStatus::Skipped),
        (Some(Tlp::Red), SourceStatus::Skipped),
        (Some(Tlp::Green), SourceStatus::Ok),
        (None, SourceStatus::Ok),
    ] {
        assert_eq!(ask_as(&sources, &["known.com"], tlp, 0).await.0, [expected], "{tlp:?}");
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 1, "the second is from memory");
}

#[tokio::test(start_paused = true)]
async fn a_source_has_no_status_for_a_kind_that_it_is_not_asked_about() {
    let (source, sources) = one(Scripted::default(), "kinds = [\"ip\"]", Stores::default());
    let (statuses, found) = ask(&sources, &["known.com", "8.8.8.8"]).await;
    assert_eq!(statuses, [SourceStatus::Empty]);
    assert!(found[0].statuses.is_empty());
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_circuit_opens_and_one_batch_tries_again() {
    let down = Scripted { failure: Some("down"), ..Scripted::default() };
    let (source, sources) = one(down, "", Stores::default());
    for expected in [SourceStatus::Error, SourceStatus::Error, SourceStatus::OpenCircuit] {
        assert_eq!(ask(&sources, &["known.com"]).await.0, [expected]);
    }
    assert_eq!(source.requests.load(Ordering::Relaxed), 2);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(ask(&sources, &["known.com"]).await.0, [SourceStatus::Error]);
    assert_eq!(sources.circuits().collect::<Vec<_>>(), [("a", "open")]);
}

#[tokio::test(start_paused = true)]
async fn the_circuit_opens_also_when_a_source_fails_on_every_entity_by_itself() {
    let (source, sources) = one(Scripted { fails_each: true, ..Scripted::default() }, "", Stores::default());
    for expected in [SourceStatus::Error, SourceStatus::Error, SourceStatus::OpenCircuit] {
        assert_eq!(ask(&sources, &["known.com"]).await.0, [expected]);
    }
    assert_eq!(source.requests.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn entities_that_no_request_is_made_for_neither_cost_a_token_nor_speak_for_the_source() {
    let stores = || Stores { quota: Some(Arc::new(Tokens(Mutex::new(2)))), cache: None };
    let quota = "quota = { requests = 2, per_s = 60 }";
    let selective = || Scripted { only_com: true, ..Scripted::default() };
    let (source, sources) = one(selective(), quota, stores());
    let names = ["a.org", "x.known.com", "b.org", "y.known.com", "c.com", "c.org", "d.com"];
    let (statuses, found) = ask(&sources, &names).await;
    let (empty, left_out) = (SourceStatus::Empty, SourceStatus::Quota);
    assert_eq!(statuses, [empty, empty, empty, empty, empty, empty, left_out]);
    assert_eq!(found[6].rescore_after, Some(Duration::from_secs(40)));
    assert_eq!((source.requests.load(Ordering::Relaxed), source.asked.load(Ordering::Relaxed)), (1, 3));
    let (_, sources) = one(Scripted { fails_each: true, ..selective() }, "", Stores::default());
    for expected in [SourceStatus::Error, SourceStatus::Error, SourceStatus::OpenCircuit] {
        assert_eq!(ask(&sources, &["a.com"]).await.0, [expected]);
        assert_eq!(ask(&sources, &["a.org"]).await.0, [SourceStatus::Empty]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_an_answer_keeps_the_circuit_closed() {
    let half = Scripted { failure: Some("down"), replies: 1, ..Scripted::default() };
    let (_, sources) = one(half, "cache = { entries = 0 }", Stores::default());
    for _ in 0..5 {
        assert_eq!(ask(&sources, &["known.com", "x.com"]).await.0, [SourceStatus::Ok, SourceStatus::Error]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_asks_to_slow_down_is_left_alone_for_that_long() {
    let busy = Scripted { failure: Some("throttled"), replies: 1, ..Scripted::default() };
    let (source, sources) = one(busy, "", Stores::default());
    assert_eq!(ask(&sources, &["known.com", "x.com"]).await.0, [SourceStatus::Ok, SourceStatus::Quota]);
    tokio::time::advance(Duration::from_secs(19)).await;
    assert_eq!(ask(&sources, &["y.com", "z.com"]).await.0, [SourceStatus::Quota, SourceStatus::Quota]);
    assert_eq!(source.requests.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&sources, &["y.com", "z.com"]).await.0, [SourceStatus::Empty, SourceStatus::Quota]);
    assert_eq!(sources.circuits().collect::<Vec<_>>(), [("a", "closed")]);
}

#[tokio::test(start_paused = true)]
async fn a_quota_lets_as_many_through_as_it_grants_and_the_rest_is_scored_again() {
    let stores = Stores { quota: Some(Arc::new(Tokens(Mutex::new(2)))), cache: None };
    let batched = Scripted { per_request: 2, ..Scripted::default() };
    let (source, sources) = one(batched, "quota = { requests = 2, per_s = 60, rescore = 1 }", stores);
    let names = ["a1.com", "a2.com", "a3.com", "a4.com", "a5.com", "a6.com", "a7.com"];
    let (statuses, found) = ask(&sources, &names).await;
    assert_eq!(statuses[..4], [SourceStatus::Empty; 4]);
    assert_eq!(statuses[4..], [SourceStatus::Quota; 3]);
    assert_eq!(source.asked.load(Ordering::Relaxed), 4);
    assert_eq!((found[3].rescore_after, found[4].rescore_after), (None, Some(Duration::from_secs(40))));
    // The second request after the first: a token comes every 30 seconds.
    assert_eq!(found[6].rescore_after, Some(Duration::from_secs(70)));
    let (statuses, found) = ask_as(&sources, &["a5.com"], None, 1).await;
    assert_eq!(
        (statuses[0], found[0].rescore_after),
        (SourceStatus::Quota, None),
        "it was scored again once"
    );
    assert_eq!(ask(&sources, &["a1.com"]).await.0, [SourceStatus::Empty], "memory costs no token");
}

/// A shared cache that keeps everything.
#[derive(Debug, Default)]
struct Kept(Mutex<HashMap<String, Record>>);

#[async_trait::async_trait]
impl SharedCache for Kept {
    async fn get(&self, key: &str, entities: &[&str]) -> Result<HashMap<String, Record>, Cause> {
        let kept = self.0.lock().unwrap();
        let found = |name: &&&str| kept.contains_key(&format!("{key}/{name}"));
        let pairs = entities.iter().filter(found);
        Ok(pairs.map(|name| ((*name).to_owned(), kept[&format!("{key}/{name}")].clone())).collect())
    }

    async fn put(&self, key: &str, answers: &[(String, Record, Duration)]) -> Result<(), Cause> {
        let mut kept = self.0.lock().unwrap();
        kept.extend(answers.iter().map(|(name, record, _)| (format!("{key}/{name}"), record.clone())));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_environment_learnt_another_does_not_ask() {
    let cache: Arc<dyn SharedCache> = Arc::new(Kept::default());
    let stores = || Stores { quota: None, cache: Some(Arc::clone(&cache)) };
    let shared = "cache = { shared = true }";
    let (first, sources) = one(Scripted::default(), shared, stores());
    ask(&sources, &["known.com", "other.com"]).await;
    let (second, sources) = one(Scripted::default(), shared, stores());
    let (statuses, found) = ask(&sources, &["other.com", "known.com", "third.com"]).await;
    assert_eq!(statuses, [SourceStatus::Empty, SourceStatus::Ok, SourceStatus::Empty]);
    assert_eq!(found[1].values[0], 3.0);
    assert_eq!((first.asked.load(Ordering::Relaxed), second.asked.load(Ordering::Relaxed)), (2, 1));
    let (third, sources) = one(Scripted::default(), "", stores());
    ask(&sources, &["known.com"]).await;
    assert_eq!(third.asked.load(Ordering::Relaxed), 1, "only if it is declared");
}
