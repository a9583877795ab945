"""Object definitions from OMA's XML files (DDF); every fault of a file is told, with its line."""

import re
from typing import Final, TypeVar

from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.ddf_reader import DdfError, Entry, read_ddf
from iiot.lwm2m.definition import VERSION, DefinitionError, Object, Resource
from iiot.lwm2m.path import MAX_ID
from iiot.lwm2m.ranges import parse_ranges

T = TypeVar("T")
_TYPES: Final = {
    "String": Type.STRING,
    "Integer": Type.INTEGER,
    "Unsigned Integer": Type.UNSIGNED,
    "Float": Type.FLOAT,
    "Boolean": Type.BOOLEAN,
    "Opaque": Type.OPAQUE,
    "Time": Type.TIME,
    "Objlnk": Type.OBJLNK,
    "Corelnk": Type.CORELNK,
    "": Type.NONE,
}
_OPERATIONS: Final = {"": "", "R": "R", "W": "W", "RW": "RW", "WR": "RW", "E": "E"}
_INSTANCES: Final = {"Multiple": True, "Single": False}
_MANDATORY: Final = {"Mandatory": True, "Optional": False}
_LONGEST: Final = 100
"""Characters of a text in a complaint."""
_URN: Final = re.compile(
    r"urn:oma:lwm2m:\w+:([0-9]{1,5})(?::([0-9]{1,4}\.[0-9]{1,4}))?", re.IGNORECASE | re.ASCII
)


def parse_ddf(name: str, data: bytes) -> list[tuple[int, Object]]:
    """The objects of an XML file, each with the line on which it begins.

    Args:
        name: the file, for complaints.
        data: what is in it.

    Raises:
        DefinitionError: a line for each fault.
    """
    try:
        entries = read_ddf(data)
    except DdfError as error:
        raise DefinitionError([f"{name}:{error.line}: {error}"]) from error
    faults: list[str] = []
    objects = []
    for entry in entries:
        if not {"Name", "ObjectID", "ObjectURN"} & entry.texts.keys():
            continue  # OMA's list of reusable resources, which belong to no object
        built = _object(_Checked(name, "Object", entry, faults))
        objects.append((entry.line, built))
    if faults:
        raise DefinitionError(faults)
    return objects


class _Checked:
    """Takes the elements of an entry; notes what is wrong and goes on with something harmless."""

    def __init__(self, file: str, what: str, entry: Entry, faults: list[str]) -> None:
        self.file, self.what, self.entry, self.faults = file, what, entry, faults
        for tag, line in entry.repeated:
            self.fault(line, tag, "stands twice")

    def fault(self, line: int, field: str, reason: str) -> None:
        self.faults.append(f"{self.file}:{line}: {self.what}: {field}: {reason}")

    def wrong(self, tag: str, allowed: str) -> None:
        text, line = self.entry.texts.get(tag, (None, self.entry.line))
        got = "is missing" if text is None else f"got {text[:_LONGEST]!r}"
        self.fault(line, tag, f"{got}, allowed: {allowed}")

    def text(self, tag: str) -> str:
        return self.entry.texts.get(tag, ("", 0))[0]

    def one_of(self, tag: str, choices: dict[str, T], default: T) -> T:
        text = " ".join(self.text(tag).split()).casefold()
        for name, value in choices.items():
            if name.casefold() == text and tag in self.entry.texts:
                return value
        self.wrong(tag, ", ".join(name or "nothing" for name in choices))
        return default

    def number(self, text: str | None, field: str, top: int) -> int:
        if text is not None and re.fullmatch(r"[0-9]{1,5}", text.strip()) and int(text) <= top:
            return int(text)
        line = self.entry.texts.get(field, ("", self.entry.line))[1]
        got = "is missing" if text is None else f"got {text[:_LONGEST]!r}"
        self.fault(line, field, f"{got}, allowed: 0 to {top}")
        return 0

    def name(self) -> str:
        name = " ".join(self.text("Name").split())
        if not name:
            self.wrong("Name", "a name")
        return name


def _object(entry: _Checked) -> Object:
    number = entry.number(entry.entry.texts.get("ObjectID", (None, 0))[0], "ObjectID", MAX_ID)
    entry.what = f"object {number}"
    resources: dict[int, Resource] = {}
    seen: set[int] = set()
    for item in entry.entry.items:
        told = f"Item {str(item.ident)[:_LONGEST]}"
        built = _resource(_Checked(entry.file, f"{entry.what}: {told}", item, entry.faults))
        if built.id in seen:
            entry.fault(item.line, told, "stands twice")
        seen.add(built.id)
        # OMA's schema lets a type be empty: such a value is taken as it comes, like an unknown one.
        if built.type is not Type.NONE or built.executable:
            resources[built.id] = built
    if not entry.entry.items:
        entry.fault(entry.entry.line, "Resources", "got no Item, allowed: at least one")
    return Object(
        id=number,
        name=entry.name(),
        version=_version(entry, number),
        multiple=entry.one_of("MultipleInstances", _INSTANCES, False),
        mandatory=entry.one_of("Mandatory", _MANDATORY, False),
        resources=dict(sorted(resources.items())),
    )


def _version(entry: _Checked, number: int) -> str:
    """`ObjectVersion`, or else the version in the URN, or else 1.0 (schema 1.0 had neither)."""
    urn, told = entry.text("ObjectURN"), entry.text("ObjectVersion")
    match = _URN.fullmatch(urn)
    if urn and (match is None or int(match[1]) != number):
        entry.wrong("ObjectURN", f"urn:oma:lwm2m:CLASS:{number}[:VERSION]")
    for tag in ("ObjectVersion", "LWM2MVersion"):
        if entry.text(tag) and not VERSION.fullmatch(entry.text(tag)):
            entry.wrong(tag, "a version such as 1.0")
    return told or (match[2] if match and match[2] else "1.0")


def _resource(entry: _Checked) -> Resource:
    number = entry.number(entry.entry.ident, "ID", MAX_ID - 1)
    operations = entry.one_of("Operations", _OPERATIONS, "")
    kind = Type.NONE if operations == "E" else entry.one_of("Type", _TYPES, Type.STRING)
    return Resource(
        id=number,
        name=entry.name(),
        type=kind,
        operations=operations,
        ranges=parse_ranges(entry.text("RangeEnumeration"), kind),
        unit=entry.text("Units") or None,
        mandatory=entry.one_of("Mandatory", _MANDATORY, False),
        multiple=entry.one_of("MultipleInstances", _INSTANCES, False),
    )
