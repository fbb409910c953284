"""What happens when models, definitions or functions fail."""

import json

import pytest

from conftest import Stack, wait_for


def key_of_model_file(stack: Stack, model: str) -> str:
    s3, bucket = stack.client("s3"), stack.outputs["BucketName"]
    pointer = json.loads(s3.get_object(Bucket=bucket, Key=f"models/{model}/current.json")["Body"].read())
    prefix = f"models/{model}/versions/{pointer['version']}"
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=f"{prefix}/manifest.json")["Body"].read())
    part = next(p for p in manifest["parts"] if "domain" in p["kinds"])
    return f"{prefix}/{part['file']}"


def members(stack: Stack) -> list[str]:
    return stack.outputs["Models"].split(",")


@pytest.fixture
def replaced(stack: Stack):
    """Replaces or deletes objects of the bucket for one test; `restart` makes their reader read them anew."""
    s3, bucket, kept = stack.client("s3"), stack.outputs["BucketName"], {}

    def reader(key: str) -> str:
        return key.split("/")[1] if key.startswith("models/") else "ensemble"

    def replace(key: str, body: bytes | None):
        kept.setdefault(key, s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        if body is None:
            s3.delete_object(Bucket=bucket, Key=key)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        stack.restart(reader(key))

    yield replace
    for key, body in kept.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        stack.restart(reader(key))


@pytest.mark.parametrize("damage", ["corrupt", "missing"])
def test_a_broken_model_becomes_an_abstention_that_the_score_names(stack: Stack, replaced, damage):
    key = key_of_model_file(stack, "lightgbm")
    replaced(key, b"tree\nnot a model" if damage == "corrupt" else None)
    (score,) = stack.json("score", f"without-lightgbm-{damage}.com")["scores"]
    predictors = {p["model"]: p for p in score["predictors"]}
    assert predictors["lightgbm"]["probability"] is None
    assert "ModelUnavailable" in predictors["lightgbm"]["reason"]
    assert key.split("/")[-1] in predictors["lightgbm"]["reason"]
    assert score["risk"] is not None and score["quorum"]["met"]
    assert score["quorum"]["answered"] == len(members(stack)) - 1


def test_a_corrected_model_is_picked_up_without_a_deployment(stack: Stack, replaced):
    key = key_of_model_file(stack, "forest")
    s3, bucket = stack.client("s3"), stack.outputs["BucketName"]
    good = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    replaced(key, b"{}")
    (score,) = stack.json("score", "before-correction.com")["scores"]
    assert score["quorum"]["answered"] == len(members(stack)) - 1
    s3.put_object(Bucket=bucket, Key=key, Body=good)

    def answered():
        (score,) = stack.json("score", "after-correction.com")["scores"]
        return score["quorum"]["answered"] == len(members(stack))

    wait_for("the corrected model", answered, seconds=30, every=1)


def test_without_a_quorum_the_verdict_is_unknown(stack: Stack, replaced):
    for model in members(stack):
        replaced(key_of_model_file(stack, model), b"broken")
    (score,) = stack.json("score", "nobody-answers.com")["scores"]
    assert score["verdict"] == "unknown" and score["risk"] is None
    assert not score["quorum"]["met"] and score["quorum"]["answered"] == 0


@pytest.fixture
def impatient(stack: Stack):
    """Lets a failed message come back after a second, and not after the 18 minutes of production."""
    sqs, url = stack.client("sqs"), stack.outputs["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes=answer["Attributes"])


def test_a_message_whose_execution_fails_is_kept_and_redriven_once_the_fault_is_gone(
    stack: Stack, replaced, impatient
):
    pointer = "ensemble/current.json"
    s3, bucket = stack.client("s3"), stack.outputs["BucketName"]
    good = s3.get_object(Bucket=bucket, Key=pointer)["Body"].read()
    replaced(pointer, b"not json")
    stack.send("kept-until-the-end.com")
    # Three deliveries fail, each reported; then SQS itself moves the message to the DLQ.
    wait_for("the message on the DLQ", lambda: dlq_depth(stack) == 1, seconds=120)
    assert len(failed_dispatches(stack)) >= 3 and not stack.items("kept-until-the-end.com")
    s3.put_object(Bucket=bucket, Key=pointer, Body=good)
    stack.restart("ensemble")
    listed = stack.json("dlq")
    assert any("kept-until-the-end.com" in json.dumps(m) for m in listed["messages"]), listed
    stack.run("dlq", "redrive", "--yes")
    assert stack.wait_scored("kept-until-the-end.com")["verdict"]["S"] in ("benign", "suspicious", "malicious")
    wait_for("an empty DLQ", lambda: dlq_depth(stack) == 0)


def failed_dispatches(stack: Stack) -> list[dict]:
    events = stack.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{stack.function('dispatch')}")["events"]
    lines = [json.loads(e["message"]) for e in events if e["message"].startswith("{")]
    return [line for line in lines if line.get("ExecutionsFailed", 0) > 0]


def dlq_depth(stack: Stack) -> int:
    answer = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["DlqUrl"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])
