use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use tribunal_sources::aws::{DynamoQuota, KEY};
use tribunal_sources::clock::Clock;
use tribunal_sources::config::QuotaConfig;
use tribunal_sources::quota::{Grant, Level, MemoryQuota, Quota};

use crate::local_aws::local;
use crate::support::{Hands, create_table, dynamodb};

const START_MS: u64 = 1_795_506_598_123;

const fn quota(requests: u64, per_s: u64, burst: u64) -> QuotaConfig {
    QuotaConfig { requests, per_s, burst: Some(burst), rescore: 2 }
}

fn environment(config: &SdkConfig, table: &str, hands: &Arc<Hands>) -> DynamoQuota {
    DynamoQuota::with_clock(config, table, Arc::clone(hands) as Arc<dyn Clock>)
}

async fn delete(config: &SdkConfig, table: &str, key: &str) {
    let delete = dynamodb(config).delete_item().table_name(table).key(KEY, AttributeValue::S(key.to_owned()));
    Box::pin(delete.send()).await.unwrap();
}

/// Takes until the bucket is empty; lost races are no end.
async fn take_all(environment: &DynamoQuota, config: &QuotaConfig, each: u64) -> u64 {
    let mut taken = 0;
    loop {
        let grant = environment.take("vendor", config, each).await.unwrap();
        taken += grant.granted;
        if grant.next_in.is_some_and(|next_in| next_in > Duration::from_secs(60)) {
            return taken;
        }
    }
}

/// What every store of buckets does, one process and one environment alone.
async fn contract(store: &dyn Quota, hands: &Hands) {
    let seconds = Duration::from_secs;
    let three = quota(3, 60, 5);
    let level = async |tokens, next_in: Option<Duration>| {
        let expected = Level { tokens, capacity: 5, next_in };
        assert_eq!(store.level("contract", &three).await.unwrap(), expected);
    };
    let take = async |wanted, granted, next_in: Option<Duration>| {
        let expected = Grant { granted, next_in };
        assert_eq!(store.take("contract", &three, wanted).await.unwrap(), expected);
    };
    level(5, None).await;
    take(0, 0, None).await;
    take(2, 2, None).await;
    level(3, Some(seconds(20))).await;
    take(9, 3, Some(seconds(20))).await;
    take(1, 0, Some(seconds(20))).await;
    hands.wait(seconds(19));
    take(1, 0, Some(seconds(1))).await;
    hands.wait(seconds(11));
    // A token and a half: the half is kept.
    take(2, 1, Some(seconds(10))).await;
    hands.wait(seconds(10));
    take(1, 1, None).await;
    hands.wait(seconds(86_400));
    level(5, None).await;
    take(u64::MAX, 5, Some(seconds(20))).await;
    // Another configuration of the same source: the tokens stay, and come faster.
    let faster = quota(3, 6, 5);
    hands.wait(seconds(2));
    assert_eq!(store.take("contract", &faster, 1).await.unwrap().granted, 1);
    assert_eq!(store.level("another", &three).await.unwrap().tokens, 5);
}

#[tokio::test]
async fn memory_and_table_keep_the_same_contract() {
    let hands = Hands::at(START_MS);
    contract(&MemoryQuota::new(Arc::clone(&hands) as Arc<dyn Clock>), &hands).await;
    let Some(config) = local() else { return };
    create_table(&config, "contract").await;
    let hands = Hands::at(START_MS);
    contract(&environment(&config, "contract", &hands), &hands).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environments_never_overspend_and_leave_nothing() {
    let Some(config) = local() else { return };
    create_table(&config, "overspend").await;
    // A token an hour: none comes while the test runs, whose time stands still anyway.
    let quota = quota(1, 3_600, 60);
    let hands = Hands::at(START_MS);
    let tasks: Vec<_> = [1, 2, 3, 1]
        .into_iter()
        .map(|each| {
            let environment = environment(&config, "overspend", &hands);
            tokio::spawn(async move { take_all(&environment, &quota, each).await })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.push(task.await.unwrap());
    }
    assert_eq!(taken.iter().sum::<u64>(), 60, "{taken:?}");
    hands.wait(Duration::from_secs(3 * 3_600));
    let (a, b) = (environment(&config, "overspend", &hands), environment(&config, "overspend", &hands));
    let (a, b) = tokio::join!(take_all(&a, &quota, 1), take_all(&b, &quota, 1));
    assert_eq!(a + b, 3, "what came in three hours");
}

#[tokio::test]
async fn tasks_of_one_environment_share_its_bucket() {
    let Some(config) = local() else { return };
    create_table(&config, "tasks").await;
    let quota = quota(1, 3_600, 10);
    let environment = environment(&config, "tasks", &Hands::at(START_MS));
    let takes = futures::future::join_all((0..20).map(|_| environment.take("vendor", &quota, 1))).await;
    let granted: u64 = takes.into_iter().map(|grant| grant.unwrap().granted).sum();
    assert_eq!(granted, 10);
}

#[tokio::test]
async fn an_empty_bucket_is_not_asked_again_before_its_next_token() {
    let Some(config) = local() else { return };
    create_table(&config, "empty").await;
    let quota = quota(1, 60, 2);
    let hands = Hands::at(START_MS);
    let environment = environment(&config, "empty", &hands);
    let minute = Duration::from_secs(60);
    let grant = environment.take("vendor", &quota, 5).await.unwrap();
    assert_eq!(grant, Grant { granted: 2, next_in: Some(minute) });
    // Without the item the bucket is full again: who asked would be granted.
    delete(&config, "empty", "quota#vendor").await;
    hands.wait(minute / 2);
    let grant = environment.take("vendor", &quota, 1).await.unwrap();
    assert_eq!(grant, Grant { granted: 0, next_in: Some(minute / 2) });
    hands.wait(minute / 2);
    let grant = environment.take("vendor", &quota, 5).await.unwrap();
    assert_eq!(grant.granted, 2, "asked again, and the item is not there");
}

#[tokio::test]
async fn environments_see_what_others_took() {
    let Some(config) = local() else { return };
    create_table(&config, "others").await;
    let quota = quota(10, 1, 4);
    let hands = Hands::at(START_MS);
    let (a, b) = (environment(&config, "others", &hands), environment(&config, "others", &hands));
    assert_eq!(a.level("vendor", &quota).await.unwrap(), Level { tokens: 4, capacity: 4, next_in: None });
    assert_eq!(a.take("vendor", &quota, 1).await.unwrap().granted, 1);
    assert_eq!(b.take("vendor", &quota, 1).await.unwrap().granted, 1, "read first");
    assert_eq!(a.take("vendor", &quota, 4).await.unwrap().granted, 2, "the race is lost, and run again");
    hands.wait(Duration::from_millis(150));
    let level = Level { tokens: 1, capacity: 4, next_in: Some(Duration::from_millis(50)) };
    assert_eq!(b.level("vendor", &quota).await.unwrap(), level);
    assert_eq!(b.level("other", &quota).await.unwrap().tokens, 4, "another source");
    let item = dynamodb(&config)
        .get_item()
        .table_name("others")
        .key(KEY, AttributeValue::S("quota#vendor".to_owned()));
    let item = Box::pin(item.send()).await.unwrap().item.unwrap();
    let expected = (START_MS + 400) / 1_000 + 86_400;
    assert_eq!(item["expires_at"], AttributeValue::N(expected.to_string()), "a day after it is full");
}

#[tokio::test]
async fn a_clock_that_is_behind_gets_no_more() {
    let Some(config) = local() else { return };
    create_table(&config, "skew").await;
    let quota = quota(1, 1, 1);
    let ahead = environment(&config, "skew", &Hands::at(START_MS + 5_000));
    let behind = environment(&config, "skew", &Hands::at(START_MS));
    assert_eq!(ahead.take("vendor", &quota, 1).await.unwrap().granted, 1);
    let grant = behind.take("vendor", &quota, 1).await.unwrap();
    assert_eq!(grant, Grant { granted: 0, next_in: Some(Duration::from_secs(6)) });
}

#[tokio::test]
async fn an_item_that_is_no_bucket_is_written_over() {
    let Some(config) = local() else { return };
    create_table(&config, "garbage").await;
    let put = dynamodb(&config)
        .put_item()
        .table_name("garbage")
        .item(KEY, AttributeValue::S("quota#vendor".to_owned()))
        .item("something", AttributeValue::Bool(true));
    Box::pin(put.send()).await.unwrap();
    let quota = quota(1, 60, 2);
    let environment = environment(&config, "garbage", &Hands::at(START_MS));
    assert_eq!(environment.take("vendor", &quota, 1).await.unwrap().granted, 1);
    assert_eq!(environment.level("vendor", &quota).await.unwrap().tokens, 1);
}

#[tokio::test]
async fn a_table_that_is_not_there_grants_nothing() {
    let Some(config) = local() else { return };
    let quota = quota(1, 60, 2);
    let environment = environment(&config, "no-such-table", &Hands::at(START_MS));
    let error = environment.take("vendor", &quota, 1).await.unwrap_err();
    assert_eq!(error.to_string(), "GetItem on table no-such-table failed");
    assert_eq!(environment.take("vendor", &quota, 0).await.unwrap(), Grant::default(), "nothing is asked");
    environment.level("vendor", &quota).await.unwrap_err();
    // Known, and gone in the meantime.
    create_table(&config, "gone").await;
    let environment = self::environment(&config, "gone", &Hands::at(START_MS));
    environment.take("vendor", &quota, 1).await.unwrap();
    Box::pin(dynamodb(&config).delete_table().table_name("gone").send()).await.unwrap();
    environment.take("vendor", &quota, 1).await.unwrap_err();
    create_table(&config, "gone").await;
    assert_eq!(environment.take("vendor", &quota, 5).await.unwrap().granted, 2, "read again after the error");
}
