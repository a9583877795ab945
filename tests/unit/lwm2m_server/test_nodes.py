import pytest

from iiot.errors import InvalidValueError
from iiot.lwm2m import model
from iiot.lwm2m.content import tlv
from iiot.lwm2m.message import ObjectLink, Record
from iiot.lwm2m.path import Path
from lwm2m_server.nodes import from_body, to_node, to_nodes

DEFINITIONS = model.built_in()
DEVICE = [
    Record(Path.of(3, 0, 0), "ACME"),
    Record(Path.of(3, 0, 9), 85),
    Record(Path.of(3, 0, 6, 0), 1),
    Record(Path.of(3, 0, 6, 1), 5),
]


def node(path, *records):
    return to_node(Path.parse(path), records, DEFINITIONS)


def test_single_and_multiple_resources():
    assert node("/3/0/9", *DEVICE) == {"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "85"}
    assert node("/3/0/6", *DEVICE) == {
        "kind": "multiResource", "id": 6, "type": "INTEGER", "values": {"0": "1", "1": "5"},
    }  # fmt: skip
    assert node("/3/0/6/1", *DEVICE) == {
        "kind": "resourceInstance", "id": 1, "type": "INTEGER", "value": "5",
    }  # fmt: skip


def test_instances_and_objects():
    instance = node("/3/0", *DEVICE)
    assert (instance["kind"], [r["id"] for r in instance["resources"]]) == ("instance", [0, 6, 9])
    assert node("/3", *DEVICE) == {"kind": "obj", "id": 3, "instances": [instance]}
    assert node("/3") == {"kind": "obj", "id": 3, "instances": []}


@pytest.mark.parametrize(
    ("path", "value", "kind", "shown"),
    [
        ("/3303/0/5700", 23.5, "FLOAT", "23.5"),
        ("/3312/0/5850", True, "BOOLEAN", True),
        ("/5/0/0", b"\xab\xcd", "OPAQUE", "abcd"),
        ("/3/0/13", 1367491215, "TIME", "2013-05-02T10:40:15Z"),
        ("/3/0/13", 2**60, "TIME", str(2**60)),
        ("/0/0/26", ObjectLink(24, 0), "OBJLNK", {"objectId": 24, "objectInstanceId": 0}),
        ("/9999/0/1", 7, "INTEGER", "7"),
        ("/9999/0/1", "x", "STRING", "x"),
    ],
)
def test_values_as_leshan_shows_them(path, value, kind, shown):
    result = node(path, Record(Path.parse(path), value))
    assert (result["type"], result["value"]) == (kind, shown)


@pytest.mark.parametrize(
    ("path", "body", "value"),
    [
        ("/1/0/1", "60", 60),
        ("/1/0/1", 60, 60),
        ("/1/0/1", {"id": 1, "kind": "singleResource", "type": "integer", "value": "60"}, 60),
        ("/1/0/1", {"value": 60}, 60),
        ("/3312/0/5850", "true", True),
        ("/3312/0/5850", False, False),
        ("/3/0/13", "2013-05-02T10:40:15Z", 1367491215),
        ("/5/0/0", "abcd", b"\xab\xcd"),
        ("/1/0/10", "11:0", ObjectLink(11, 0)),
        ("/1/0/10", {"value": {"objectId": 11, "objectInstanceId": 0}}, ObjectLink(11, 0)),
        ("/3/0/14", "+01:00", "+01:00"),
        ("/9999/0/1", "60", "60"),
        ("/9999/0/1", {"type": "FLOAT", "value": "1e3"}, 1000.0),
    ],
)
def test_bodies_become_values(path, body, value):
    (record,) = from_body(Path.parse(path), body, DEFINITIONS)
    assert (record.path, record.value, type(record.value)) == (Path.parse(path), value, type(value))


def test_bodies_of_many_values():
    resource = {"id": 24, "kind": "multiResource", "type": "OBJLNK", "values": {"0": "11:0", "1": "11:1"}}
    assert [str(r.path) for r in from_body(Path.of(1, 0, 24), resource, DEFINITIONS)] == [
        "/1/0/24/0",
        "/1/0/24/1",
    ]
    instance = {"id": 0, "kind": "instance", "resources": [{"id": 1, "value": "60"}, resource]}
    assert [str(r.path) for r in from_body(Path.of(1, 0), instance, DEFINITIONS)] == [
        "/1/0/1", "/1/0/24/0", "/1/0/24/1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/1/0/1", "sixty", "/1/0/1"),
        ("/1/0/1", None, "/1/0/1"),
        ("/3306/0/5851", 101, "/3306/0/5851"),
        ("/1/0/1", {"id": 1}, "/1/0/1"),
        ("/1/0/1", {"values": [1]}, "values"),
        ("/1/0/1", {"values": {"x": 1}}, "values"),
        ("/1/0", "60", "/1/0"),
        ("/1/0", {"resources": 5}, "resources"),
        ("/1/0", {"resources": [{"id": "x", "value": 1}]}, "id"),
        ("/9999/0/1", [1], "/9999/0/1"),
        ("/1/0/10", {"value": {"objectId": "x"}}, "/1/0/10"),
    ],
)
def test_wrong_bodies_name_what_is_wrong(path, body, field):
    with pytest.raises(InvalidValueError) as caught:
        from_body(Path.parse(path), body, DEFINITIONS)
    assert caught.value.field == field


@pytest.mark.parametrize("seconds", [-(2**36), -62_135_596_801, 253_402_300_800, 2**63 - 1, -(2**63)])
def test_a_time_that_no_calendar_has_is_shown_as_its_number(seconds):
    path = Path.parse("/3/0/13")
    assert to_node(path, [Record(path, seconds)], DEFINITIONS)["value"] == str(seconds)


class Counted(tuple):
    """Ids of a path that count how often they are looked at."""

    looks = 0
    __slots__ = ()

    def __getitem__(self, key):
        Counted.looks += 1
        return tuple.__getitem__(self, key)


@pytest.mark.parametrize(
    ("top", "ids"),
    [("/30000/0", lambda n: (30000, 0, n)), ("/30000", lambda n: (30000, n, 0)), ("/", lambda n: (n, 0, 0))],
)
def test_many_values_are_looked_at_a_few_times_each(top, ids):
    many = [Record(Path(Counted(ids(number))), number) for number in range(2000)]
    Counted.looks = 0
    to_node(Path.parse(top), many, DEFINITIONS)
    to_nodes([record.path for record in many], many, DEFINITIONS)
    tlv.encode(many, Path.parse("/30000") if top == "/" else Path.parse(top), DEFINITIONS)
    assert Counted.looks < 40 * len(many)


def test_nodes_of_overlapping_paths_are_those_of_each_path():
    paths = [Path.parse(text) for text in ("/3", "/3/0", "/3/0/9", "/3/0/6", "/3/0/6/1", "/3303", "/")]
    values = {"/3/0/9": 85, "/3/0/6/0": 1, "/3/0/6/1": 5, "/3303/0/5700": 20.5}
    records = [Record(Path.parse(path), value) for path, value in values.items()]
    expected = {str(path): to_node(path, records, DEFINITIONS) for path in paths}
    assert to_nodes(paths, records, DEFINITIONS) == expected
