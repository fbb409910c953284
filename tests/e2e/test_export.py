"""What `tribunal export` writes is what others read: STIX by OASIS's validator, MISP by the schema of its own client.

Scores come of the repository's models in this process, so no stack is needed.
"""

import csv
import io
import json
import subprocess
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from conftest import ROOT, TRIBUNAL
from pymisp import MISPEvent
from stix2validator import ValidationOptions, validate_string

NAMES = ["paypa1-login-secure.com", "wikipedia.org", "192.0.2.1", "8.8.8.8", "2606:4700:4700::1111", "xn--bcher-kva.example"]
VERDICTS = ["--verdict", "malicious", "--verdict", "suspicious", "--verdict", "benign"]
MARKINGS = ["clear", "green", "amber", "amber+strict", "red", None]


def tribunal(*arguments: str, text: str = "") -> subprocess.CompletedProcess:
    return subprocess.run([TRIBUNAL, *arguments], input=text, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> Path:
    """A file of scores, of every marking, one with text that tries to leave its place."""
    done = tribunal("score", "--local", "--models", str(ROOT / "models"), "--lines", "--json", *NAMES)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line, marking in zip(lines, MARKINGS):
        if marking:
            line["tlp"] = marking
    hostile = dict(lines[0], entity="x' OR domain-name:value = '\\.com", source='=HYPERLINK("http://x")')
    path = tmp_path_factory.mktemp("export") / "scores.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, hostile]))
    return path


def export(scores: Path, format: str, *arguments: str) -> str:
    done = tribunal("export", "--format", format, "--from", str(scores), *VERDICTS, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_risk(scores: Path) -> list[dict]:
    lines = [json.loads(line) for line in scores.read_text().splitlines()]
    return [line for line in lines if line["verdict"] in ("malicious", "suspicious", "benign")]


def test_the_validator_of_oasis_takes_the_bundle(scores):
    text = export(scores, "stix", "--tlp", "green")
    # 103: ids are of version 5, so that the same scores give the same ids.
    result = validate_string(text, ValidationOptions(version="2.1", disabled=["103"]))
    assert result.is_valid, result.as_dict()
    assert not result.warnings, result.warnings
    objects = json.loads(text)["objects"]
    indicators = [one for one in objects if one["type"] == "indicator"]
    assert len(indicators) == len(with_risk(scores)) >= 4
    assert len({one["id"] for one in objects}) == len(objects)
    assert text == export(scores, "stix", "--tlp", "green")


def test_a_broken_bundle_is_refused_by_the_validator(scores):
    text = export(scores, "stix").replace("[domain-name:value = '", "[domain-name:value = ''", 1)
    assert not validate_string(text, ValidationOptions(version="2.1", disabled=["103"])).is_valid


def test_misp_reads_the_event(scores):
    text = export(scores, "misp", "--tlp", "amber")
    event = json.loads(text)
    jsonschema.validate(event, json.loads((files("pymisp") / "data/schema.json").read_text()))
    read = MISPEvent()
    read.from_dict(**event)
    assert len(read.attributes) == len(with_risk(scores))
    assert {a.type for a in read.attributes} == {"domain", "ip-dst"}
    assert all(any(tag.name.startswith("tlp:") for tag in a.tags) for a in read.attributes)


def test_no_cell_is_computed_by_a_spreadsheet(scores):
    rows = list(csv.DictReader(io.StringIO(export(scores, "csv"))))
    assert [row["entity"] for row in rows] == [line["entity"] for line in with_risk(scores)]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in list("=+-@\t\r") and cell]
    assert rows[-1]["asked_by"].startswith("'=")


def test_a_file_has_its_name_only_when_it_is_whole(scores, tmp_path):
    target = tmp_path / "bundle.json"
    export(scores, "stix", "-o", str(target))
    assert json.loads(target.read_text())["type"] == "bundle"
    broken = tmp_path / "broken.jsonl"
    broken.write_text(scores.read_text() + "{}\n")
    done = tribunal("export", "--format", "stix", "--from", str(broken), *VERDICTS, "-o", str(tmp_path / "no.json"))
    assert done.returncode == 2 and "not a score" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jsonl", "bundle.json"]


def test_nothing_that_matches_ends_with_4(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert tribunal("export", "--format", "csv", "--from", str(empty)).returncode == 4


