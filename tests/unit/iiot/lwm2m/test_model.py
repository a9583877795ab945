import math

import pytest

from iiot.errors import InvalidValueError
from iiot.lwm2m import model
from iiot.lwm2m.datatypes import Type, coerce
from iiot.lwm2m.message import ObjectLink
from iiot.lwm2m.path import Path

REQUIRED = [*range(17), *range(19, 28), 3300, 3303, 3304, 3305, 3306, 3311, 3312, 3313]
REQUIRED += [3315, 3316, 3317, 3325, 3328, 3331, 3336, 3342, 3424, 3428]
GOOD = """\
id: 26241
name: Coffee machine
multiple: true
common: [5750]
resources:
  1: {name: Water, operations: R, type: float, range: [0, 2], unit: l, mandatory: true}
  2: {name: Brew, operations: E}
"""


def test_own_definitions_hold_what_devices_need():
    objects = model.built_in()
    assert list(objects) == REQUIRED
    temperature = objects[3303]
    assert (temperature.name, temperature.version, temperature.multiple) == ("Temperature", "1.1", True)
    assert temperature.resources[5700].mandatory
    assert temperature.resources[5605].executable
    level = objects.resource(Path.of(3, 0, 9))
    assert (level.type, level.range, level.unit, level.readable, level.writable) == (
        Type.INTEGER, (0, 100), "/100", True, False,
    )  # fmt: skip
    assert objects.resource(Path.of(3, 0, 6, 1)).multiple
    assert objects.resource(Path.of(3, 0)) is None
    assert objects.resource(Path.of(9999, 0, 1)) is None
    assert objects[0].resources[5].operations == ""


def test_a_user_adds_an_object_and_replaces_one(tmp_path):
    (tmp_path / "coffee.yaml").write_text(GOOD)
    (tmp_path / "six.yaml").write_text(GOOD.replace("26241", "6"))
    objects = model.load(tmp_path)
    assert objects[26241].resources[1].unit == "l"
    assert objects[26241].resources[5750].name == "Application Type"
    assert objects[6].name == "Coffee machine"
    assert len(objects) == len(REQUIRED) + 1


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("id: 26241", "id: 70000", 1, "0 to 65535"),
        ("id: 26241\n", "", 1, "id: is missing"),
        ("id: 26241\n", "id: 26241\nversion: '1.²'\n", 2, "got '1.²', allowed: a version such as 1.0"),
        ("id: 26241\n", "id: 26241\nversion: '1'\n", 2, "got '1', allowed: a version such as 1.0"),
        ("name: Coffee machine", "name: 7", 2, "got 7, expected a string"),
        ("multiple: true", "multiple: maybe", 3, "'maybe', expected true or false"),
        ("multiple: true", "multipel: true", 3, "unknown field 'multipel'"),
        ("[5750]", "[1]", 4, "got 1, allowed: 5518"),
        ("type: float", "type: double", 6, "got 'double', allowed: string, integer"),
        ("type: float, ", "", 6, "got '', allowed: string"),
        ("[5750]", "[[1]]", 4, "got [1], allowed"),
        ("[0, 2]", "[2, 0]", 6, "allowed: [low, high]"),
        ("[0, 2]", "[.nan, 1]", 6, "allowed: [low, high]"),
        ("operations: R,", "operations: X,", 6, "allowed: R, W, RW, E"),
        ("operations: E", "operations: E, type: string", 7, "none (executable)"),
        ("operations: E", "operations: R, type: boolean, range: [0, 1]", 7, "does not apply to type boolean"),
        ("  2: {", "  1: {", 7, "stands twice"),
        ("  2: {", "  two: {", 7, "'two' is not an id"),
        ("  2: {", "  65535: {", 7, "out of range"),
        ("{name: Brew, operations: E}", "[Brew]", 7, "expected a mapping"),
        ("{name: Brew, operations: E}", "{name: Brew", 8, ""),
        (GOOD, "", 1, "empty"),
        (GOOD, "- 1", 1, "expected a mapping"),
        (GOOD, "id: !!python/object:os.system {}", 1, "cannot be read"),
        (GOOD, "id: \x01", 1, "not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path, old, new, line, reason):
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(model.DefinitionError) as caught:
        model.load(tmp_path)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert reason in str(caught.value)


def test_two_files_for_one_object_and_a_missing_directory(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD)
    with pytest.raises(
        model.DefinitionError, match=r"b\.yaml:1: object 26241 version 1\.0 is already defined by a\.yaml"
    ):
        model.load(tmp_path)
    with pytest.raises(model.DefinitionError, match="not a directory"):
        model.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (Type.FLOAT, 3, 3.0),
        (Type.INTEGER, 3.0, 3),
        (Type.UNSIGNED, 2**64 - 1, 2**64 - 1),
        (Type.BOOLEAN, 1, True),
        (Type.OPAQUE, "q83v", b"\xab\xcd\xef"),
        (Type.OPAQUE, "_-8", b"\xff\xef"),
        (Type.TIME, "2013-05-02T10:40:15Z", 1367491215),
        (Type.TIME, "2013-05-02T10:40:15", 1367491215),
        (Type.OBJLNK, "66:0", ObjectLink(66, 0)),
        (Type.STRING, "x", "x"),
        (Type.CORELNK, "</3>", "</3>"),
    ],
)
def test_takes_what_stands_for_a_value(kind, value, result):
    assert coerce(kind, value, "x") == result
    assert type(coerce(kind, value, "x")) is type(result)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Type.FLOAT, "3"), (Type.FLOAT, True), (Type.FLOAT, math.inf), (Type.FLOAT, math.nan),
        (Type.FLOAT, 10**400), (Type.INTEGER, 3.5), (Type.INTEGER, 2**63), (Type.INTEGER, False),
        (Type.UNSIGNED, -1), (Type.BOOLEAN, 2), (Type.BOOLEAN, "true"), (Type.BOOLEAN, []),
        (Type.OPAQUE, "%"), (Type.OPAQUE, "a"), (Type.OPAQUE, 1), (Type.OPAQUE, "\u00e9"),
        (Type.TIME, "noon"), (Type.TIME, math.nan), (Type.OBJLNK, "66"), (Type.OBJLNK, "66:65536"),
        (Type.OBJLNK, 66), (Type.STRING, 1), (Type.NONE, None), (Type.INTEGER, math.inf),
    ],
)  # fmt: skip
def test_refuses_what_does_not(kind, value):
    with pytest.raises(InvalidValueError, match=r"^x: got "):
        coerce(kind, value, "x")


def test_checks_ranges_of_numbers_and_lengths():
    objects = model.built_in()
    assert objects.check(Path.of(3, 0, 9), 100) == 100
    assert objects.check(Path.of(9999, 0, 1), "anything") == "anything"
    with pytest.raises(InvalidValueError, match=r"^/3/0/9: got 101, allowed: 0 to 100$"):
        objects.check(Path.of(3, 0, 9), 101)
    with pytest.raises(InvalidValueError, match="0 to 255 bytes in UTF-8"):
        objects.check(Path.of(5, 0, 1), "x" * 256)
