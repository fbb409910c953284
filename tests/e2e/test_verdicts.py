"""A change of an entity's verdict is told once on the event bus, whatever is delivered twice or late."""

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import Stack, wait_for
from test_pipeline import dispatch_event, invoke

ENTITY = "verdict-that-changes.net"
QUEUE = "verdict-events"


@pytest.fixture
def told(stack: Stack):
    """Every event so far that the bus handed to a queue of its own, oldest first."""
    sqs, events, bus = stack.client("sqs"), stack.client("events"), stack.outputs["EventBusName"]
    url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["tribunal"], "detail-type": ["Verdict changed"], "detail": {"entity": [ENTITY]}}
    events.put_rule(Name=QUEUE, EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=QUEUE, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    taken: list[dict] = []

    def take() -> list[dict]:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            taken.append(json.loads(message["Body"]))
        return taken

    yield take
    events.remove_targets(Rule=QUEUE, EventBusName=bus, Ids=["queue"])
    events.delete_rule(Name=QUEUE, EventBusName=bus)
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def thresholds(stack: Stack):
    """Puts a definition in force whose thresholds for domains are all at one risk; the published one comes back."""
    s3, bucket = stack.client("s3"), stack.outputs["BucketName"]

    def read(key: str) -> bytes:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def write(key: str, body: bytes):
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    published = read("ensemble/current.json")
    definition = json.loads(read(f"ensemble/versions/{json.loads(published)['version']}.json"))

    def put(at: float):
        version = f"all-at-{at:.0f}"
        changed = definition | {"version": version, "profiles": {}, "lists": []}
        changed["thresholds"] = definition["thresholds"] | {"domain": {"suspicious": at, "malicious": at}}
        body = json.dumps(changed).encode()
        write(f"ensemble/versions/{version}.json", body)
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        write("ensemble/current.json", json.dumps({"version": version, "digest": digest}).encode())
        stack.restart("ensemble")

    yield put
    write("ensemble/current.json", published)
    stack.restart("ensemble")


def deliver(stack: Stack, message: str, sent_ms: int) -> None:
    event = dispatch_event(stack, message, ENTITY)
    event["Records"][0]["attributes"]["SentTimestamp"] = str(sent_ms)
    assert invoke(stack, "dispatch", event) == {"batchItemFailures": []}


def changes(events: list[dict]) -> list[tuple]:
    return [(e["detail"]["from"], e["detail"]["to"], e["detail"]["scored_key"].split("#")[1]) for e in events]


def test_a_change_of_a_verdict_is_told_exactly_once(stack: Stack, told, thresholds):
    now = int(time.time() * 1000)
    thresholds(100)
    deliver(stack, "first", now - 4_000)
    thresholds(0)
    # The same message at the same time, again later, and an older one that was late.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: deliver(stack, "second", now - 2_000), range(2)))
    deliver(stack, "second", now - 2_000)
    deliver(stack, "late", now - 3_000)
    deliver(stack, "third", now - 1_000)
    wait_for("the first change", lambda: len(told()) >= 1)
    thresholds(100)
    deliver(stack, "fourth", now)
    events = wait_for("the second change", lambda: len(told()) >= 2 and told())
    assert changes(events) == [("benign", "malicious", "second"), ("malicious", "benign", "fourth")]
    detail = events[0]["detail"]
    assert detail["kind"] == "domain" and 0 <= detail["risk"] <= 100 and detail["ensemble"]["version"] == "all-at-0"
    assert len(detail["id"]) == 71 and len({e["detail"]["id"] for e in events}) == 2
    table = stack.client("dynamodb").get_item(
        TableName=stack.outputs["VerdictTableName"], Key={"entity": {"S": ENTITY}}, ConsistentRead=True
    )["Item"]
    assert table["verdict"]["S"] == "benign" and "pending_id" not in table
    # Readers of scores see scores only: the oldest request that was late has its score, too.
    assert len(stack.items(ENTITY)) == 5
