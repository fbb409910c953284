"""The whole way of an entity, on the deployed stack."""

import json
import subprocess
import sys

import pytest

from conftest import ROOT, Stack, wait_for


def samples() -> list[str]:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/sample_entities.py"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def number(item: dict, name: str) -> float | None:
    value = item.get(name, {})
    return float(value["N"]) if "N" in value else None


def test_every_sample_that_is_enqueued_is_scored(stack: Stack):
    entities = samples()
    assert len(entities) >= 200
    stack.run("enqueue", "--source", "e2e", text="\n".join(entities))
    items = {entity: stack.wait_scored(entity) for entity in entities}
    verdicts = {entity: item["verdict"]["S"] for entity, item in items.items()}
    for entity in ("localhost", "127.0.0.1", "intranet.test", "fe80::1"):
        assert verdicts[entity] == "not_routable", entity
        assert number(items[entity], "risk") is None
    routable = {e: i for e, i in items.items() if i["verdict"]["S"] != "not_routable"}
    assert all(0.0 <= number(i, "risk") <= 100.0 for i in routable.values())
    for entity, item in routable.items():
        predictors = [p["M"] for p in item["predictors"]["L"]]
        assert len(predictors) == len(stack.outputs["Models"].split(",")), (entity, predictors)
        # A member without a weight has nothing to say of the kind: the one that reads names, of addresses.
        voters = [p for p in predictors if number(p, "weight") > 0]
        assert len(voters) >= 2 and all("N" in p["probability"] for p in voters), (entity, predictors)
    known = [number(items[e], "risk") for e in ("google.com", "wikipedia.org", "bbc.co.uk", "debian.org")]
    made = [number(i, "risk") for e, i in routable.items() if "login" in e or "verify" in e]
    assert made and max(known) < sum(made) / len(made), "known names score below the mean of the look-alikes"


def test_an_entity_scored_locally_and_through_the_stack_has_the_same_risk(stack: Stack):
    entities = ["paypa1-login.com", "wikipedia.org", "qwxzkvjhgtr.biz", "8.8.8.8", "2606:4700:4700::1111"]
    deployed = {s["entity"]: s for s in stack.json("score", *entities)["scores"]}
    local = stack.json("score", "--local", "--dataset", "datasets/ip-ranges.bin", *entities)
    local = {s["entity"]: s for s in local["scores"]}
    assert set(deployed) == set(local) == set(entities)
    for entity in entities:
        for field in ("risk", "verdict", "agreement", "predictors", "reasons", "schema", "ensemble"):
            assert deployed[entity][field] == local[entity][field], (entity, field)


def dispatch_event(stack: Stack, message_id: str, body: str) -> dict:
    queue = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs["QueueUrl"], AttributeNames=["QueueArn"])
    return {
        "Records": [
            {
                "messageId": message_id,
                "receiptHandle": "x",
                "body": body,
                "attributes": {"SentTimestamp": "1700000000000", "ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": queue["Attributes"]["QueueArn"],
                "awsRegion": "us-east-1",
            }
        ]
    }


def invoke(stack: Stack, part: str, event: dict) -> dict:
    answer = stack.client("lambda").invoke(FunctionName=stack.function(part), Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def test_the_same_message_delivered_twice_gives_one_item(stack: Stack):
    event = dispatch_event(stack, "11111111-2222-3333-4444-555555555555", "delivered-twice.example.net")
    event["Records"][0]["body"] = json.dumps(["delivered-twice.net", "Delivered-Twice[.]net"])
    for _ in range(2):
        assert invoke(stack, "dispatch", event) == {"batchItemFailures": []}
    items = stack.items("delivered-twice.net")
    assert len(items) == 1
    assert items[0]["scored_key"]["S"] == "2023-11-14T22:13:20.000Z#11111111-2222-3333-4444-555555555555"


def test_an_event_that_is_none_has_a_stable_error_name(stack: Stack):
    for part in ("dispatch", "extract", "ensemble"):
        answer = invoke(stack, part, {"neither": "nor"})
        assert answer.get("errorType") == "InvalidInput", (part, answer)


def test_logs_are_one_json_line_per_event_without_entities(stack: Stack):
    stack.json("score", "logged-entity-name.com")
    logs = stack.client("logs")

    def lines(part: str) -> list[dict]:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{stack.function(part)}")["events"]
        messages = [e["message"].strip() for e in events]
        assert not any("logged-entity-name" in m for m in messages), part
        return [json.loads(m) for m in messages if m.startswith("{")]

    for part, metric in (("extract", "DurationMs"), ("xgboost", "DurationMs"), ("ensemble", "EntitiesScored")):
        found = wait_for(f"log lines of {part}", lambda p=part: [x for x in lines(p) if "request_id" in x])
        assert all("_aws" in line and line["outcome"] in ("ok", "failed") for line in found)
        assert any(metric in line for line in found), part


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("score", "evil.com/24", "10.0.0.0/8"), "10.0.0.0/8"),
        (("enqueue", "a" * 300 + ".com"), "63"),
    ],
)
def test_refusals_on_the_command_line_name_the_value_and_the_limit(stack: Stack, arguments, text):
    done = subprocess.run(
        [ROOT / "target/release/tribunal", *arguments],
        env=stack.environment, capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode not in (0, 101, 134), done
    assert text in done.stdout + done.stderr
