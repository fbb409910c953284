"""Intelligence sources on the deployed stack: declared, published and asked without a deployment; failing without harm."""

import json
import threading
import time

import pytest

from conftest import ROOT, SOURCES, Stack, wait_for
from intel import TOKEN, Intel

SIGHTINGS = """
[sources.sightings]
dataset = { name = "e2e-sightings" }
link = "https://intel.example/{entity}"
[[sources.sightings.features]]
name = "sightings_feeds"
field = "feed"
transform = ["distinct"]
[[sources.sightings.evidence]]
fact = "seen on a feed"
value = "feed"
first_seen = "first_seen"
"""


def service(name: str, intel: Intel, **settings: str) -> str:
    """A declaration of the service of the tests, asked below its own path."""
    lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
    return f"""
[sources.{name}]
{lines}
[sources.{name}.http]
url = "http://127.0.0.1:{intel.port}/{name}/{{entity}}"
rows = "/hits"
tls = false
allow_private = true
[[sources.{name}.features]]
name = "{name}_hits"
transform = ["count"]
[[sources.{name}.evidence]]
fact = "verdict"
value = "verdict"
"""


@pytest.fixture
def intel():
    intel = Intel()
    yield intel
    intel.down()


@pytest.fixture(scope="module")
def secret(stack: Stack):
    value = json.dumps({"token": TOKEN})
    stack.client("secretsmanager").create_secret(Name="tribunal-e2e/intel", SecretString=value)


@pytest.fixture
def publish(stack: Stack, tmp_path):
    """Publishes a declaration; with `at_once`, the next event is one of a new environment, which reads it first."""

    def publish(text: str, at_once: bool = True):
        path = tmp_path / "sources.toml"
        path.write_text(text)
        stack.run("sources", "publish", str(path))
        if at_once:
            stack.restart("extract")

    yield publish
    stack.client("s3").delete_object(Bucket=stack.outputs["BucketName"], Key="sources/current.json")
    stack.restart("extract")


@pytest.fixture
def publish_list(stack: Stack, tmp_path):
    """Builds a list of sightings and publishes it."""

    def publish_list(*rows: str):
        (tmp_path / "list.csv").write_text("\n".join(["entity,feed,first_seen", *rows]) + "\n")
        stack.run("dataset", "build", str(tmp_path / "list.csv"), "--key", "entity", "-o", str(tmp_path / "list.tds"))
        stack.run("dataset", "publish", str(tmp_path / "list.tds"), "--name", "e2e-sightings")

    return publish_list


def score(stack: Stack, *entities: str) -> dict[str, dict]:
    return {score["entity"]: score for score in stack.json("score", *entities)["scores"]}


def status(stack: Stack, source: str, entity: str) -> str:
    return score(stack, entity)[entity]["sources"][source]


def status_of(item: dict, source: str) -> str | None:
    return item["sources"]["M"].get(source, {}).get("S")


def attempt(item: dict) -> int:
    return int(item.get("attempt", {"N": "0"})["N"])


def facts(score: dict, source: str) -> list[tuple]:
    return [(e["fact"], e["value"], e.get("first_seen")) for e in score["evidence"] if e["source"] == source]


def logs(stack: Stack) -> list[dict]:
    """What extract logged beside its events: data sets that were loaded, what could not be."""
    events = stack.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{stack.function('extract')}")["events"]
    lines = [json.loads(e["message"]) for e in events if e["message"].startswith("{")]
    return [{k: v for k, v in line.items() if k != "_aws"} for line in lines if "event" in line]


def queue_is_empty(stack: Stack) -> bool:
    """Whether no message waits, is delayed, or is in work."""
    names = ["", "NotVisible", "Delayed"]
    answer = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["QueueUrl"], AttributeNames=[f"ApproximateNumberOfMessages{name}" for name in names]
    )
    return all(int(number) == 0 for number in answer["Attributes"].values())


def test_a_published_data_set_is_in_the_scores(stack: Stack, publish, publish_list):
    plain = score(stack, "dropper-panel.com")["dropper-panel.com"]
    publish_list("dropper-panel.com,urlhaus,2026-01-02", "dropper-panel.com,openphish,2026-02-03")
    publish(SIGHTINGS)
    scores = score(stack, "dropper-panel.com", "plain-example.net")
    known, other = scores["dropper-panel.com"], scores["plain-example.net"]
    assert (known["sources"]["sightings"], other["sources"]["sightings"]) == ("ok", "empty"), logs(stack)
    seen = ("2026-01-02T00:00:00.000Z", "2026-02-03T00:00:00.000Z")
    expected = [("seen on a feed", feed, at) for feed, at in zip(("urlhaus", "openphish"), seen, strict=True)]
    assert facts(known, "sightings") == expected
    assert known["source_ms"]["sightings"] < 1000 and not other["evidence"]
    assert known["schema"] == other["schema"] != plain["schema"]
    assert known["risk"] == plain["risk"], "models that do not read the feature do not change"
    queued = stack.json("enqueue", "--wait", "dropper-panel[.]com")["scores"]
    assert [facts(s, "sightings") for s in queued] == [expected]


def test_the_function_may_read_the_secrets_of_the_declaration_and_no_others(stack: Stack):
    (template,) = (ROOT / "cdk/cdk.out").glob("Tribunal.template.json")
    policies = [r for r in json.loads(template.read_text())["Resources"].values() if r["Type"] == "AWS::IAM::Policy"]
    statements = [s for p in policies for s in p["Properties"]["PolicyDocument"]["Statement"]]
    granted = [s for s in statements if "secretsmanager:GetSecretValue" in s["Action"]]
    assert len(granted) == 1, granted
    assert granted[0]["Action"] == "secretsmanager:GetSecretValue"
    assert json.dumps(granted[0]["Resource"]).count("arn:") == 1
    assert "secret:tribunal-e2e/intel-??????" in json.dumps(granted[0]["Resource"])


def test_over_its_quota_an_entity_is_scored_at_once_and_again_when_tokens_return(
    stack: Stack, publish, intel, secret
):
    publish(SOURCES.read_text().replace(":8080/", f":{intel.port}/"))
    assert stack.json("sources", "status")["quota"] == {"tokens": 2, "capacity": 2, "next_ms": None}
    entities = [f"known-{n}-quota.com" for n in range(5)]
    first = score(stack, *entities)
    assert [first[e]["sources"]["paid"] for e in entities] == ["ok", "ok", "quota", "quota", "quota"]
    assert [facts(first[e], "paid") for e in entities[1:3]] == [[("verdict", "malicious", None)], []]
    assert all(first[e]["risk"] is not None for e in entities)
    assert sorted(intel.asked("/paid/")) == entities[:2]
    left = stack.json("sources", "status")["quota"]
    assert left["tokens"] < 2 and 0 < left["next_ms"] <= 3000
    for entity in entities[2:]:
        wait_for(f"the source's answer about {entity}", lambda e=entity: status_of(stack.items(e)[-1], "paid") == "ok")
        attempts = [attempt(item) for item in stack.items(entity)]
        assert attempts == sorted(set(attempts)) and 2 <= len(attempts) <= 4, attempts
        newest = stack.json("get", entity)
        assert facts(newest, "paid") == [("verdict", "malicious", None)]
    assert sorted(intel.asked("/paid/")) == entities and not intel.refused, "each was asked about once"
    # What one environment learnt, another reads: neither a request nor a token.
    stack.restart("extract")
    again = score(stack, *entities)
    assert {again[e]["sources"]["paid"] for e in entities} == {"ok"}
    assert all(facts(again[e], "paid") == [("verdict", "malicious", None)] for e in entities)
    assert len(intel.asked("/paid/")) == 5


def test_an_entity_is_scored_again_a_bounded_number_of_times(stack: Stack, publish, intel):
    publish(service("capped", intel, quota="{ requests = 1, per_s = 2, rescore = 1 }"))
    stop = threading.Event()

    def drain():
        # Another environment takes every token before it is whole.
        dynamodb = stack.client("dynamodb")
        while not stop.wait(0.1):
            now = time.time_ns() // 1_000_000
            numbers = {"units": 0, "per_token": 2000, "at_ms": now, "expires_at": now // 1000 + 3600}
            item = {name: {"N": str(number)} for name, number in numbers.items()}
            dynamodb.put_item(TableName=stack.outputs["SourceTableName"], Item=item | {"key": {"S": "quota#capped"}})

    drained = threading.Thread(target=drain)
    drained.start()
    try:
        wait_for("an empty bucket", lambda: stack.json("sources", "status")["quota"]["tokens"] == 0)
        score(stack, "known-capped.com")
        wait_for("a second score", lambda: len(stack.items("known-capped.com")) >= 2)
        wait_for("an empty queue", lambda: queue_is_empty(stack))
        items = stack.items("known-capped.com")
    finally:
        stop.set()
        drained.join()
    assert [(status_of(item, "capped"), attempt(item)) for item in items] == [("quota", 0), ("quota", 1)]
    assert not intel.paths


def test_a_source_that_hangs_or_is_down_costs_its_time_and_is_then_left_alone(stack: Stack, publish, intel):
    settings = {"timeout_ms": "400", "breaker": "{ failures = 2, open_s = 2 }", "cache": "{ entries = 0 }"}
    publish(service("flaky", intel, **settings))
    entity = "known-flaky.com"
    assert status(stack, "flaky", entity) == "ok"
    for fault, name in ((intel.hang, "timeout"), (intel.down, "error")):
        fault()
        for _ in range(2):
            failed = score(stack, entity, "other-flaky.com")[entity]
            assert failed["sources"]["flaky"] == name and failed["risk"] is not None
            assert not facts(failed, "flaky") and failed["source_ms"]["flaky"] <= 400 + 100
        asked = len(intel.paths)
        left_alone = score(stack, entity)[entity]
        assert left_alone["sources"]["flaky"] == "open_circuit" and left_alone["source_ms"]["flaky"] < 100
        assert len(intel.paths) == asked, "it was not asked"
        intel.go_on()
        if fault == intel.down:
            intel.up()
        wait_for("the source to be asked again", lambda: status(stack, "flaky", entity) == "ok", seconds=20)


HOSTILE = {
    "hxxps://Known-A[.]COM/../../admin?x=%0d%0aInjected:%201": "known-a.com",
    "http://user:p%40ss@known-b.com:8080/a' OR 1=1 --#/%2e%2e/": "known-b.com",
    "KNOWN-C.com.": "known-c.com",
    "https://known-d.com/{entity}?$where=sleep(9)": "known-d.com",
    "knöwn-known.com": "xn--knwn-known-fcb.com",
    "[2606:4700:4700:0:0:0:0:1111]:443": "2606%3A4700%3A4700%3A%3A1111",
}


def test_only_the_normal_form_of_what_may_be_told_reaches_a_service(stack: Stack, publish, intel):
    publish(service("open", intel))
    scores = stack.json("score", *HOSTILE)["scores"]
    assert {s["sources"]["open"] for s in scores} == {"ok", "empty"} and len(scores) == len(HOSTILE)
    for text, asked in HOSTILE.items():
        (of_text,) = [s for s in scores if s["original"] == text]
        assert of_text["entity"].replace(":", "%3A") == asked
    assert sorted(intel.asked("/open/")) == sorted(HOSTILE.values())
    assert {name.lower() for headers in intel.headers for name in headers} == {"host", "user-agent", "accept"}
    (red,) = stack.json("enqueue", "--wait", "--tlp", "red", "known-red.com")["scores"]
    (clear,) = stack.json("enqueue", "--wait", "--tlp", "clear", "known-clear.com")["scores"]
    assert (red["sources"]["open"], clear["sources"]["open"]) == ("skipped", "ok")
    assert red["risk"] is not None and not facts(red, "open")
    assert sorted(intel.asked("/open/")) == sorted([*HOSTILE.values(), "known-clear.com"])
    assert not any("known-red" in path for path in intel.paths)


def test_what_is_published_reaches_functions_that_run(stack: Stack, publish, publish_list):
    publish_list("taken-up.com,first,2026-01-02")
    publish(SIGHTINGS)
    before = score(stack, "taken-up.com")["taken-up.com"]
    assert [value for _, value, _ in facts(before, "sightings")] == ["first"]
    publish_list("taken-up.com,second,2026-01-03")
    publish(SIGHTINGS.replace("seen on a feed", "listed"), at_once=False)

    def taken_up():
        return facts(score(stack, "taken-up.com")["taken-up.com"], "sightings")

    expected = [("listed", "second", "2026-01-03T00:00:00.000Z")]
    wait_for("both to be taken up", lambda: taken_up() == expected, seconds=90, every=1)
