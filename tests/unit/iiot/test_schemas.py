"""Published schemas stay as they are, and each version reads what was written with the one before."""

import hashlib
import itertools
import json
from importlib import resources
from pathlib import Path

import jsonschema_rs
import pytest

from iiot import schemas, topics
from iiot.sparkplug.datatypes import DataType
from schema_compatibility import breaks, not_compared

PUBLISHED = json.loads(Path(__file__).with_name("published_schemas.json").read_text())


def versions(name):
    return [json.loads(schema.text) for schema in schemas.versions(name)]


def test_published_schemas_never_change_and_none_is_published_unseen():
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in resources.files(schemas).iterdir()
        if file.name.endswith((".json", ".proto"))
    }
    # A change belongs into a new version with its own line in published_schemas.json.
    assert found == PUBLISHED


@pytest.mark.parametrize("name", schemas.NAMES)
def test_every_version_is_a_schema_and_reads_the_data_of_the_one_before(name):
    found = versions(name)
    assert found
    for schema in found:
        jsonschema_rs.validator_for(schema)
        assert not_compared(schema) == []
    for old, new in itertools.pairwise(found):
        assert breaks(old, new) == []


def test_every_topic_and_dead_letter_has_a_schema():
    assert {schemas.name_of(topic) for topic in topics.TELEMETRY} <= set(schemas.NAMES)
    assert schemas.name_of(topics.dlq("anything")) == schemas.DEAD_LETTER
    assert schemas.name_of("of.someone.else") is None


def test_the_sparkplug_schema_lists_all_datatypes():
    listed = versions(schemas.SPARKPLUG_JSON)[-1]["definitions"]["datatype"]["enum"]
    assert set(listed) == {None, *(datatype.label for datatype in DataType)}


def changed(**changes):
    """A closed object with a text, a number and a list of objects; and the same with changes."""
    item = {"type": "object", "additionalProperties": False, "properties": {"x": {"type": "integer"}}}
    old = {
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "level": {"type": "integer", "minimum": 0},
            "kind": {"enum": ["a", "b"]},
            "list": {"type": "array", "items": {"$ref": "#/definitions/item"}},
        },
        "definitions": {"item": item},
    }
    whole = {key: changes.pop(key) for key in ("required", "definitions") if key in changes}
    members = {**old["properties"], **changes}
    new = {**old, **whole, "properties": {name: one for name, one in members.items() if one is not None}}
    return old, new


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"extra": {"type": "string"}},
        {"level": {"type": ["number", "null"]}},
        {"kind": {"enum": ["a", "b", "c"]}},
        {"kind": {"type": "string"}},
        {"required": []},
    ],
    ids=str,
)
def test_changes_that_read_old_data(changes):
    assert breaks(*changed(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": {"type": "integer"}}, "$.name: type string not allowed any more"),
        ({"level": {"type": "integer", "minimum": 1}}, "$.level: minimum is higher"),
        ({"kind": {"enum": ["a"]}}, "$.kind: fewer values allowed"),
        ({"required": ["name", "level"]}, "$.level: required now"),
        ({"level": None}, "$.level: not allowed any more"),
        ({"definitions": {"item": {"type": "string"}}}, "$.list.items: type object not allowed any more"),
        ({"name": {"type": "string", "pattern": "^a"}}, "$.name: pattern is new or another"),
    ],
    ids=str,
)
def test_changes_that_do_not(changes, reason):
    assert breaks(*changed(**changes))[0] == reason


def test_a_member_added_to_an_open_object_is_a_break_since_old_data_may_hold_anything_there():
    assert breaks({"type": "object"}, {"type": "object", "properties": {"x": {"type": "string"}}})
