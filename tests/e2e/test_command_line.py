"""The commands that read and steer a deployment."""

import json

from conftest import Stack, wait_for


def test_enqueue_counts_waits_and_names_what_it_refuses(stack: Stack):
    done = stack.json("enqueue", "--wait", "sent-by-hand.com", "10.0.0.0/8", code=3)
    assert (done["sent"], done["refused_count"], done["failed"], done["pending"]) == (1, 1, 0, [])
    assert [r["code"] for r in done["refused"]] == ["cidr"]
    assert [s["entity"] for s in done["scores"]] == ["sent-by-hand.com"]


def test_start_does_not_wait_and_watch_does(stack: Stack):
    (execution,) = stack.json("start", "started-directly.com")["executions"]
    assert execution["arn"].startswith("arn:aws:states:") and execution["entities"] == 1
    watched = stack.json("watch", "started-directly.com", "--timeout", "60s")
    watched = watched if isinstance(watched, list) else [watched]
    assert [s["entity"] for s in watched] == ["started-directly.com"]


def test_get_shows_the_latest_score_and_says_when_there_is_none(stack: Stack):
    for _ in range(2):
        stack.run("score", "scored-twice.com")
    history = stack.json("get", "Scored-Twice[.]com", "--history", "5")["scores"]
    assert len(history) == 2 and history[0]["scored_key"] > history[1]["scored_key"]
    assert stack.json("get", "scored-twice.com") == history[0]
    stack.run("get", "never-asked-for.com", code=4)


def test_list_has_the_riskiest_first(stack: Stack):
    alarms = ["qzxkwvjhtrpl.top", "verify.instagrarn-id690.site", "3f9a0c77e1b24d55a0.xyz"]
    verdicts = {s["entity"]: s["verdict"] for s in stack.json("score", *alarms)["scores"]}
    assert "malicious" in verdicts.values(), verdicts
    listed = stack.json("list", "--verdict", "malicious", "--since", "1h")["scores"]
    risks = [s["risk"] for s in listed]
    assert risks == sorted(risks, reverse=True)
    assert {e for e, v in verdicts.items() if v == "malicious"} <= {s["entity"] for s in listed}


def test_status_and_models_name_what_is_deployed_and_published(stack: Stack):
    status = stack.json("status")
    members = sorted(stack.outputs["Models"].split(","))
    assert sorted(status["predictors"]) == members and status["registry_error"] is None
    published = stack.json("models")["published"]
    assert sorted(p["name"] for p in published if p["kind"] == "model") == members
    assert any(p["name"] == "ip-ranges" for p in published if p["kind"] == "data set")


def test_dlq_says_why_and_brings_back_what_is_chosen(stack: Stack):
    stack.send("no entity at all", "10.0.0.0/8")

    def both():
        codes = {m["reason_code"] for m in stack.json("dlq")["messages"]}
        return codes if "cidr" in codes and len(codes) == 2 else None

    codes = wait_for("both dead letters", both)
    (other,) = codes - {"cidr"}
    moved = stack.json("dlq", "redrive", "--only", other, "--yes")
    assert moved["moved"] == 1
    # Nothing has changed, so it is refused again: two letters once more.
    wait_for("both dead letters again", both)
    for letter in stack.take_dead_letters(2):
        assert json.dumps(letter["MessageAttributes"])


def test_another_stack_is_not_found_with_a_hint(stack: Stack):
    done = stack.run("--stack", "NoSuchStack", "status", code=5)
    assert "NoSuchStack" in done.stderr and "docs/deploy.md" in done.stderr
