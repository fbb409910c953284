"""A stored score, computed again from the registry: to the last bit, by the versions that it names."""

from conftest import Stack


def test_scores_of_both_kinds_replay_to_the_last_bit(stack: Stack):
    for entity in ["replayed-secure-login.com", "8.8.4.4", "localhost"]:
        stack.run("score", entity)
        report = stack.json("replay", entity)
        assert report["identical"] and not report["differences"] and not report["missing"], report
        assert "bit-identical" in stack.run("replay", entity).stdout


def test_a_score_that_was_tampered_with_is_told(stack: Stack):
    entity = "tampered-secure-login.com"
    stack.run("score", entity)
    (item,) = stack.items(entity)
    stack.client("dynamodb").update_item(
        TableName=stack.outputs["TableName"],
        Key={"entity": item["entity"], "scored_key": item["scored_key"]},
        UpdateExpression="SET risk = :r",
        ExpressionAttributeValues={":r": {"N": "1.5"}},
    )
    report = stack.json("replay", entity, code=6)
    assert [d["part"] for d in report["differences"]] == ["risk"], report


def test_a_score_is_explained_from_the_table(stack: Stack):
    entity = "explained-secure-login.com"
    stack.run("score", entity)
    shown = stack.json("explain", entity)
    stored = stack.json("get", entity)
    assert (shown["risk"], shown["verdict"]) == (stored["risk"], stored["verdict"])
    assert shown["thresholds"]["suspicious"] <= shown["thresholds"]["malicious"]
    if shown["base_risk"] is not None:
        points = sum(group["points"] for group in shown["groups"]) + shown["other_points"]
        assert abs(shown["base_risk"] + points - shown["risk"]) < 1e-4, shown
    assert entity in stack.run("explain", entity).stdout
    stack.run("explain", entity, "--at", "2020-01-01", code=4)
