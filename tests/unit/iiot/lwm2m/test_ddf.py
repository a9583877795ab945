"""OMA's object definitions (DDF): what is read, and what a hostile or a wrong file costs."""

import shutil
from pathlib import Path as File

import pytest

from iiot import budgets
from iiot.errors import InvalidValueError, SettingsError
from iiot.lwm2m import model
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.path import Path
from iiot.lwm2m.ranges import parse_ranges

PLANT = File(__file__).parents[3] / "models" / "plant.xml"
MIXER = PLANT.read_text()
TYPES = "String, Integer, Unsigned Integer, Float, Boolean, Opaque, Time, Objlnk, Corelnk, nothing"


@pytest.fixture
def put(tmp_path):
    """Loads a directory with one file of this content."""

    def load(content, name="plant.xml"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return model.load(tmp_path)

    return load


def refusal(load, content):
    with pytest.raises(SettingsError) as caught:
        load(content)
    return caught.value.problems


def test_reads_every_object_of_a_file(put):
    found = put(MIXER)
    mixer, hatch = found[32769], found[32770]
    assert (mixer.name, mixer.version, mixer.multiple, mixer.mandatory) == ("Mixer", "1.1", True, False)
    assert (hatch.name, hatch.version, hatch.multiple) == ("Hatch", "1.0", False)
    speed, stop, recipe = (mixer.resources[number] for number in (0, 1, 2))
    assert (speed.name, speed.type, speed.operations, speed.unit, speed.mandatory) == (
        "Speed", Type.UNSIGNED, "RW", "1/min", True,
    )  # fmt: skip
    assert (stop.type, stop.executable, recipe.multiple) == (Type.NONE, True, True)
    assert (mixer.resources[5].operations, mixer.resources[6].type) == ("", Type.CORELNK)
    assert hatch.resources[0].type is Type.BOOLEAN
    assert found[3303] == model.built_in()[3303]


@pytest.mark.parametrize(
    ("resource", "value", "allowed"),
    [
        (0, 99, "100 to 3000"),
        (0, -1, "an unsigned 64-bit integer"),
        (2, "überzug9", "a string of 0 to 8 bytes in UTF-8"),
        (3, 3, "1, 2, 5"),
        (4, 1.6, "0.5 to 1.5"),
        (5, b"x" * 17, "16, 32 bytes"),
    ],
)
def test_ranges_bound_what_is_written(put, resource, value, allowed):
    with pytest.raises(InvalidValueError) as caught:
        put(MIXER).check(Path.of(32769, 0, resource, *([0] if resource == 2 else [])), value)
    assert caught.value.allowed == allowed


@pytest.mark.parametrize(
    ("text", "kind", "ranges"),
    [
        ("0..255", Type.INTEGER, ((0, 255),)),
        (" 0 - 64 bytes ", Type.STRING, ((0, 64),)),
        ("1..2147483647 s", Type.INTEGER, ((1, 2147483647),)),
        ("0...3", Type.INTEGER, ((0, 3),)),
        ("-30..-120", Type.INTEGER, ((-120, -30),)),
        ("-1.5 to 2", Type.FLOAT, ((-1.5, 2),)),
        ("0..18446744073709551615", Type.UNSIGNED, ((0, 2**64 - 1),)),
        ("1,2,3", Type.INTEGER, ((1, 1), (2, 2), (3, 3))),
        ("0..247, 255", Type.INTEGER, ((0, 247), (255, 255))),
        ("0: off\n 1: on", Type.INTEGER, ((0, 0), (1, 1))),
        ("10 or 26 Bytes", Type.STRING, ((10, 10), (26, 26))),
        ("32 bytes", Type.STRING, ((0, 32),)),
        ("8-Bits", Type.INTEGER, ((0, 255),)),
        ("8 bit", Type.OPAQUE, ((0, 1),)),
        ("", Type.INTEGER, ()),
        ("as the specification says", Type.STRING, ()),
        ("2 Instances", Type.INTEGER, ()),
        ("<7 to >12.5", Type.INTEGER, ()),
        ("9" * 4000, Type.INTEGER, ()),
        ("99999999999999999999 bits", Type.INTEGER, ()),
        ("0..1", Type.BOOLEAN, ()),
    ],
)
def test_ranges_as_people_write_them(text, kind, ranges):
    assert parse_ranges(text, kind) == ranges


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_takes_the_encodings_of_xml(put, encoding):
    named = encoding.removesuffix("-sig")
    text = MIXER.replace('encoding="UTF-8"', f'encoding="{named}"').replace("Mixer", "Rührwerk")
    assert put(text.encode(encoding))[32769].name == "Rührwerk"


def test_takes_namespaces_and_passes_the_rest_of_the_registry_by(put, tmp_path):
    prefixed = MIXER.replace("<LWM2M ", '<LWM2M xmlns="urn:example" ')
    assert put(prefixed)[32769].name == "Mixer"
    (tmp_path / "DDF.xml").write_text("<DDFList><Item><ObjectID>0</ObjectID></Item></DDFList>")
    (tmp_path / "LWM2M_senml_units.xml").write_text("<units><unit/></units>")
    shared = '<Item ID="5700"><Name>Value</Name><Operations>R</Operations><Type>Float</Type></Item>'
    (tmp_path / "Common.xml").write_text(f"<LWM2M><Object><Resources>{shared}</Resources></Object></LWM2M>")
    assert len(put(MIXER)) == len(model.built_in()) + 2


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("<Type>Float", "<Type>Double", 18, f"object 32769: Item 4: Type: got 'Double', allowed: {TYPES}"),
        ("<Type>Float</Type>", "", 18, f"object 32769: Item 4: Type: is missing, allowed: {TYPES}"),
        (">RW</Operations><MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>Uns",
         ">X</Operations><MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>Uns",
         14, "object 32769: Item 0: Operations: got 'X', allowed: nothing, R, W, RW, WR, E"),
        ('ID="1"', 'ID="65535"', 15, "object 32769: Item 65535: ID: got '65535', allowed: 0 to 65534"),
        (' ID="1"', "", 15, "object 32769: Item None: ID: is missing, allowed: 0 to 65534"),
        ('ID="1"', 'ID="0"', 15, "object 32769: Item 0: stands twice"),
        ("<ObjectID>32769", "<ObjectID>-1", 7, "Object: ObjectID: got '-1', allowed: 0 to 65535"),
        ("urn:oma:lwm2m:x:32769:1.1", "urn:oma:lwm2m:x:3", 8,
         "object 32769: ObjectURN: got 'urn:oma:lwm2m:x:3', allowed: urn:oma:lwm2m:CLASS:32769[:VERSION]"),
        ("<ObjectVersion>1.1", "<ObjectVersion>latest", 10,
         "object 32769: ObjectVersion: got 'latest', allowed: a version such as 1.0"),
        ("<ObjectVersion>1.1", "<ObjectVersion>\u0661.1", 10,
         "object 32769: ObjectVersion: got '\u0661.1', allowed: a version such as 1.0"),
        ('ID="1"', f'ID="{"1" * 5000}"', 15,
         f"object 32769: Item {'1' * 100}: ID: got '{'1' * 100}', allowed: 0 to 65534"),
        ("Multiple</MultipleInstances>\n", "many</MultipleInstances>\n", 11,
         "object 32769: MultipleInstances: got 'many', allowed: Multiple, Single"),
        ("<Name>Speed</Name>", "<Name> </Name>", 14, "object 32769: Item 0: Name: got '', allowed: a name"),
        ("<Name>Mixer</Name>", "<Name>Mixer</Name><Name>M</Name>", 5, "Object: Name: stands twice"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_file_line_element_and_what_is_allowed(put, tmp_path, old, new, line, problem):
    assert old in MIXER
    assert f"{tmp_path / 'plant.xml'}:{line}: {problem}" in refusal(put, MIXER.replace(old, new, 1))


def test_every_fault_of_every_file_is_told_at_once(put, tmp_path):
    (tmp_path / "other.yaml").write_text("id: 1\n")
    wrong = MIXER.replace("<Type>Float", "<Type>Double").replace("<Type>Boolean", "<Type>Bool")
    assert [problem.split(": ")[0] for problem in refusal(put, wrong)] == [
        f"{tmp_path / 'other.yaml'}:1", f"{tmp_path / 'plant.xml'}:18", f"{tmp_path / 'plant.xml'}:32",
    ]  # fmt: skip


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "billion laughs": f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><LWM2M>&l9;</LWM2M>',
    "quadratic": f'<!DOCTYPE x [<!ENTITY a "{"a" * 100_000}">]><LWM2M>{"&a;" * 100_000}</LWM2M>',
    "external": '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><LWM2M>&f;</LWM2M>',
    "external subset": '<!DOCTYPE LWM2M SYSTEM "http://127.0.0.1:9/x.dtd"><LWM2M/>',
    "parameter": '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd">%p;]><LWM2M/>',
    "bare": "<!DOCTYPE LWM2M><LWM2M/>",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_declaration_is_refused(put, hostile, encoding):
    (problem,) = refusal(put, hostile.encode(encoding))
    assert problem.endswith(
        "plant.xml:1: got a document type declaration, allowed: none, since it can hold entities"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<LWM2M>" + "<a>" * 10_000, "got more than 32 levels"),
        ("<LWM2M>" + "<a/>" * 60_000 + "</LWM2M>", "got more than 50000 elements"),
        (MIXER.replace("Mixer", "M" * 5000), "Name: got more than 4096 characters"),
        (b"<LWM2M>" + b" " * budgets.DEFINITION_BYTES, f"got more than {budgets.DEFINITION_BYTES} bytes"),
        ("<LWM2M>&nbsp;</LWM2M>", "not XML: undefined entity"),
        ("<LWM2M><Object></LWM2M>", "not XML: mismatched tag"),
        ("", "not XML: no element found"),
        ("<html/>", "got the root element 'html', allowed: LWM2M"),
        ("<?xml version='1.0' encoding='klingon'?><LWM2M/>", "encoding"),
        ("<?xml version='1.0' encoding='shift_jis'?><LWM2M/>", "encoding"),
        (b"<LWM2M>\xff</LWM2M>", "not XML"),
        ("<x:LWM2M/>", "not XML: unbound prefix"),
    ],
)
def test_what_is_no_definition_or_too_much_costs_one_line(put, content, reason):
    (problem,) = refusal(put, content)
    assert "plant.xml:1: " in problem or "plant.xml:5: " in problem
    assert reason in problem
    assert len(problem) < 400


def test_of_several_versions_the_newest_counts_where_none_is_told(tmp_path):
    shutil.copy(PLANT, tmp_path / "b.xml")
    for name, version in (("a.xml", "1.10"), ("c.yaml", "1.9")):
        text = f'id: 32769\nname: Mixer {version}\nversion: "{version}"\nresources: {{}}\n'
        if name.endswith("xml"):
            text = MIXER.replace("32770", "32771").replace(":1.1<", f":{version}<")
            text = text.replace("<ObjectVersion>1.1", f"<ObjectVersion>{version}")
        (tmp_path / name).write_text(text)
    found = model.load(tmp_path)
    assert [known.version for known in found.versions if known.id == 32769] == ["1.1", "1.10", "1.9"]
    assert found[32769].version == "1.10"
    assert found.version(32769, "1.9").name == "Mixer 1.9"
    assert found.version(32769, "7.7").version == "1.10"
    assert found.version(99) is None
    assert found.with_versions({32769: "1.9", 7: None}).resource(Path.of(32769, 0, 0)) is None
    assert found.with_versions({32769: "1.10", 3: None}) is found


def test_a_later_directory_counts_before_an_earlier_one_and_before_our_own(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for directory, name in ((first, "One"), (second, "Two")):
        directory.mkdir()
        own = MIXER.replace("32769", "3").replace("<Name>Mixer", f"<Name>{name}")
        (directory / "3.xml").write_text(own.replace("32770", "32771" if directory == first else "32772"))
    found = model.load(first, None, second)
    assert (found[3].name, found[3].version) == ("Two", "1.1")
    assert {32771, 32772} <= found.keys()
    assert found.version(3, "1.2") == model.built_in()[3]
    shutil.copy(first / "3.xml", first / "2.xml")
    with pytest.raises(SettingsError, match=r"3\.xml:4: object 3 version 1\.1 is already defined by 2\.xml"):
        model.load(first)


def test_only_so_many_files_are_read(tmp_path, monkeypatch):
    own = len(list(model.BUILT_IN.iterdir()))
    monkeypatch.setattr(model, "DEFINITION_FILES", own)
    for number in range(own + 1):
        (tmp_path / f"{number}.xml").write_text("<LWM2M/>")
    with pytest.raises(SettingsError, match=f"got {own + 1} files, allowed: up to {own}"):
        model.load(tmp_path)
    (tmp_path / "0.xml").unlink()
    assert len(model.load(tmp_path)) == len(model.built_in())
