"""Hostile and broken messages: each ends on the DLQ with its reason, and nothing beside it is lost."""

import json

from conftest import Stack

MIB = 1024 * 1024

# name -> (body, code of the reason that the DLQ names)
CASES = {
    "nul": ('"evil\\u0000.com"', "invalid_character"),
    "bad-escape": ('["ok-escape.com", "\\ud800 \\x"]', "not_json"),
    "deep": ("[" * 1000 + "]" * 1000, "not_json"),
    "long-label": ("a" * 300 + ".com", "label_too_long"),
    "emoji": ('"\U0001f608.com\U0001f608 x"', None),
    "cidr": ("10.0.0.0/8", "cidr"),
    "too-many": (json.dumps([f"many-{i}.com" for i in range(10_000)]), "too_many_entities"),
    "megabyte": ("x" * (MIB - 1024), None),
    "number": ("[1, 2, 3]", None),
    "object": ('{"hosts": ["evil.com"]}', None),
}


def reasons(message: dict) -> dict[str, str]:
    return {k: v["StringValue"] for k, v in message.get("MessageAttributes", {}).items()}


def test_each_bad_message_is_on_the_dlq_with_its_reason_and_good_ones_are_scored(stack: Stack):
    good = [f"beside-{name}.com" for name in CASES]
    for (name, (body, _)), neighbour in zip(CASES.items(), good, strict=True):
        stack.send(neighbour, body)
    letters = stack.take_dead_letters(len(CASES), seconds=90)
    for neighbour in good:
        assert stack.wait_scored(neighbour)["verdict"]["S"] != "unknown"
    codes = [reasons(letter).get("reason_code") for letter in letters]
    assert all(codes), [reasons(letter) for letter in letters]
    assert all(reasons(letter).get("reason") for letter in letters)
    for name, (_, expected) in CASES.items():
        if expected:
            assert expected in codes, (name, codes)


def test_good_entities_of_a_message_with_a_bad_one_are_scored(stack: Stack):
    stack.send(json.dumps({"entities": ["kept-one.com", "10.0.0.0/8", "kept-two.com"], "source": "e2e"}))
    assert stack.wait_scored("kept-one.com") and stack.wait_scored("kept-two.com")
    (letter,) = stack.take_dead_letters(1)
    assert reasons(letter)["reason_code"] == "cidr"
    assert "10.0.0.0/8" in letter["Body"] and "kept-one" not in letter["Body"]
