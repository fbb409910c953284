use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::json;
use tribunal_core::Entity;
use tribunal_registry::Registry;

use super::super::{BuildOptions, Builder, DatasetSource};
use super::*;
use crate::config::MatchBy;
use crate::source::{Replies, Source as _, Subject};

const LIMIT: Duration = Duration::from_secs(1);

fn table(n: u32) -> Bytes {
    let options = BuildOptions { key: Some("e".to_owned()), ..BuildOptions::default() };
    let mut builder = Builder::new(options).unwrap();
    builder.add_csv("t.csv", format!("e,n\na.com,{n}\n").as_bytes()).unwrap();
    builder.finish().unwrap().bytes.into()
}

async fn publish(registry: &Registry, version: &str, bytes: Bytes) {
    registry.publish_dataset("feed", version, "feed.tds", bytes).await.unwrap();
}

/// What the source says of `a.com`: its number, or the code of the failure.
async fn answer(holder: &Arc<DatasetHolder>) -> Result<u64, String> {
    let source = DatasetSource::new(Arc::clone(holder), MatchBy::Entity);
    let entity = Entity::parse("a.com").unwrap();
    let replies = Replies::new(1);
    let subjects = [Subject { entity: &entity, facts: None }];
    source.ask(&subjects, &replies).await.map_err(|error| {
        assert_eq!(error.code(), "dataset");
        std::error::Error::source(&error).unwrap().to_string()
    })?;
    let reply = replies.into_inner().remove(0).unwrap().unwrap();
    Ok(reply.rows[0]["n"].as_u64().unwrap())
}

fn holder(registry: &Registry) -> Arc<DatasetHolder> {
    Arc::new(DatasetHolder::published(registry.clone(), "feed"))
}

#[tokio::test(start_paused = true)]
async fn a_new_version_is_picked_up_and_an_unchanged_one_left_alone() {
    let registry = Registry::with_store(Arc::new(InMemory::new()), "memory");
    publish(&registry, "1", table(1)).await;
    let holder = holder(&registry);
    assert_eq!(answer(&holder).await, Err("it is not loaded yet".to_owned()));
    let refreshed = holder.refresh(LIMIT).await;
    assert!(matches!(&refreshed, Refreshed::Changed(loaded) if loaded.version == "1"), "{refreshed:?}");
    assert_eq!((answer(&holder).await, holder.state()), (Ok(1), State::Ready));
    publish(&registry, "2", table(2)).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::NotDue), "not before the time");
    tokio::time::advance(REVALIDATE_AFTER).await;
    let before = holder.current().unwrap();
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Changed(_)));
    assert_eq!(answer(&holder).await, Ok(2));
    assert_eq!(before.version, "1", "an event that began before keeps what it had");
    for _ in 0..2 {
        tokio::time::advance(REVALIDATE_AFTER).await;
        assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Unchanged));
    }
    // The pointer is written again, with the same content.
    publish(&registry, "2", table(2)).await;
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Unchanged));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_sound_is_reported_once_and_the_one_before_stays() {
    let store = Arc::new(InMemory::new());
    let registry = Registry::with_store(Arc::clone(&store) as Arc<dyn ObjectStore>, "memory");
    publish(&registry, "1", table(1)).await;
    let holder = holder(&registry);
    holder.refresh(LIMIT).await;
    // A whole file that is no data set; then one that is not what its pointer says.
    publish(&registry, "2", Bytes::from_static(b"not a data set")).await;
    tokio::time::advance(REVALIDATE_AFTER).await;
    let refreshed = holder.refresh(LIMIT).await;
    assert!(
        matches!(&refreshed, Refreshed::Failed(LoadError::Unsound { object, .. })
        if object == "datasets/feed/versions/2/feed.tds"),
        "{refreshed:?}"
    );
    assert_eq!((answer(&holder).await, holder.state()), (Ok(1), State::Ready));
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Unchanged), "refused once");
    publish(&registry, "3", table(3)).await;
    let mut damaged = table(3).to_vec();
    damaged[100] ^= 1;
    let path = ObjectPath::from("datasets/feed/versions/3/feed.tds");
    store.put(&path, damaged.into()).await.unwrap();
    tokio::time::advance(REVALIDATE_AFTER).await;
    let refreshed = holder.refresh(LIMIT).await;
    assert!(
        matches!(&refreshed, Refreshed::Failed(LoadError::Registry { source, .. })
        if source.to_string().contains("digest")),
        "{refreshed:?}"
    );
    assert_eq!(answer(&holder).await, Ok(1));
    publish(&registry, "4", table(4)).await;
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Changed(_)));
    assert_eq!(answer(&holder).await, Ok(4));
}

#[tokio::test(start_paused = true)]
async fn a_version_of_another_format_than_its_readers_take_is_refused() {
    let registry = Registry::with_store(Arc::new(InMemory::new()), "memory");
    publish(&registry, "1", table(1)).await;
    let holder = Arc::new(DatasetHolder::published(registry.clone(), "feed").expecting(Dataset::TABLE));
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Changed(_)));
    publish(&registry, "2", crate::compile(&[]).unwrap().into()).await;
    tokio::time::advance(REVALIDATE_AFTER).await;
    let Refreshed::Failed(LoadError::Unsound { source, .. }) = holder.refresh(LIMIT).await else {
        panic!("it was taken")
    };
    assert_eq!(source.to_string(), "it is ip-ranges, and table is read under its name");
    assert_eq!(answer(&holder).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_published_late_is_found_and_one_that_is_withdrawn_stays() {
    let store = Arc::new(InMemory::new());
    let registry = Registry::with_store(Arc::clone(&store) as Arc<dyn ObjectStore>, "memory");
    let holder = holder(&registry);
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Absent));
    assert_eq!(answer(&holder).await, Err("none is published".to_owned()));
    publish(&registry, "1", table(1)).await;
    tokio::time::advance(REVALIDATE_AFTER).await;
    holder.refresh(LIMIT).await;
    assert_eq!(answer(&holder).await, Ok(1));
    store.delete(&ObjectPath::from("datasets/feed/current.json")).await.unwrap();
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Absent));
    assert_eq!((answer(&holder).await, holder.state()), (Ok(1), State::Ready));
}

#[tokio::test(start_paused = true)]
async fn loading_that_takes_longer_than_an_event_goes_on_beside_the_next() {
    let memory = InMemory::new();
    let fast = Registry::with_store(Arc::new(memory.fork()), "memory");
    publish(&fast, "1", table(1)).await;
    // Each of the two reads takes 1.25 s.
    let slow =
        ThrottleConfig { wait_get_per_call: Duration::from_millis(1_250), ..ThrottleConfig::default() };
    let store = ThrottledStore::new(memory, slow);
    let slow = Registry::with_store(Arc::new(store), "slow");
    publish(&slow, "1", table(1)).await;
    let holder = holder(&slow);
    let started = tokio::time::Instant::now();
    for _ in 0..2 {
        assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Loading));
    }
    assert_eq!(started.elapsed(), 2 * LIMIT, "no event waits longer than it said");
    assert_eq!(answer(&holder).await, Err("it is not loaded yet".to_owned()));
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Changed(_)));
    assert_eq!(answer(&holder).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_leaves_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path().to_str().unwrap()).unwrap();
    std::fs::create_dir_all(folder.path().join("datasets/feed")).unwrap();
    std::fs::write(folder.path().join("datasets/feed/current.json"), "").unwrap();
    let holder = holder(&registry);
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Failed(_)));
    assert_eq!(holder.state(), State::Broken);
    publish(&registry, "1", table(1)).await;
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Changed(_)));
    std::fs::write(folder.path().join("datasets/feed/current.json"), "{").unwrap();
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Failed(_)));
    assert_eq!(answer(&holder).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed.tds");
    let holder = Arc::new(DatasetHolder::file(&path));
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Failed(LoadError::File { .. })));
    std::fs::write(&path, table(1)).unwrap();
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Changed(_)));
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Unchanged));
    std::fs::write(&path, table(1_000_000)).unwrap();
    tokio::time::advance(REVALIDATE_AFTER).await;
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::Changed(_)));
    assert_eq!(answer(&holder).await, Ok(1_000_000));
}

#[tokio::test]
async fn every_subject_gets_a_reply() {
    let holder = Arc::new(DatasetHolder::given("feed", Dataset::open(table(7)).unwrap()));
    assert!(matches!(holder.refresh(LIMIT).await, Refreshed::NotDue));
    let source = DatasetSource::new(holder, MatchBy::Entity);
    let entities: Vec<Entity> =
        ["b.com", "a.com", "1.2.3.4"].iter().map(|text| Entity::parse(text).unwrap()).collect();
    let subjects: Vec<Subject<'_>> = entities.iter().map(|entity| Subject { entity, facts: None }).collect();
    let replies = Replies::new(3);
    source.ask(&subjects, &replies).await.unwrap();
    let rows: Vec<_> = replies.into_inner().into_iter().map(|reply| reply.unwrap().unwrap().rows).collect();
    assert_eq!(rows, [vec![], vec![json!({"n": 7})], vec![]]);
}
