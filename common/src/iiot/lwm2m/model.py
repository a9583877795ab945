"""Definitions of LwM2M objects: what exists, what may be done with it, and which values are legal.

Definitions are files: the testbed's own YAML in `objects/`, a user's YAML or OMA's XML in directories of
his choice.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path as File
from typing import Final

from iiot.budgets import DEFINITION_BYTES, DEFINITION_FILES
from iiot.errors import InvalidValueError
from iiot.lwm2m.datatypes import coerce
from iiot.lwm2m.definition import DefinitionError, Object, Resource
from iiot.lwm2m.definition_ddf import parse_ddf
from iiot.lwm2m.definition_yaml import parse_common, parse_yaml
from iiot.lwm2m.message import Record, Value
from iiot.lwm2m.path import Path

__all__ = ["DefinitionError", "Definitions", "Object", "Resource", "built_in", "implied_version", "load"]

BUILT_IN = File(__file__).parent / "objects"
_COMMON: Final = "common.yaml"
_SUFFIXES: Final = (".yaml", ".yml", ".xml")
_IMPLIED: Final = {0: "1.2", 1: "1.2", 2: "1.1", 3: "1.2", 4: "1.3", 5: "1.1", 21: "2.0"}


def implied_version(object_id: int) -> str:
    """The version of an object whose link tells none, with LwM2M 1.2 (Core 7.2.2)."""
    return _IMPLIED.get(object_id, "1.0")


class Definitions(Mapping[int, Object]):
    """All known objects by id, in the version that counts where none is told.

    Args:
        objects: by id.
        versions: further versions of them, by id and version.
    """

    def __init__(
        self, objects: Mapping[int, Object], versions: Mapping[tuple[int, str], Object] | None = None
    ) -> None:
        self._objects = dict(sorted(objects.items()))
        own = {(known.id, known.version): known for known in self._objects.values()}
        self._versions = dict(sorted((own | dict(versions or {})).items()))

    def __getitem__(self, object_id: int) -> Object:
        return self._objects[object_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def versions(self) -> tuple[Object, ...]:
        """Every version of every object, by id."""
        return tuple(self._versions.values())

    def version(self, object_id: int, version: str | None = None) -> Object | None:
        """An object in a version; in the one that counts by default when that is unknown, or not told.

        Without `version` the one that the specification implies is taken, if it is known.
        """
        wanted = implied_version(object_id) if version is None else version
        return self._versions.get((object_id, wanted)) or self._objects.get(object_id)

    def with_versions(self, told: Mapping[int, str | None]) -> "Definitions":
        """These definitions as one device uses them, which tells the versions of its objects."""
        chosen = {number: self.version(number, version) for number, version in told.items()}
        changed = {
            number: known
            for number, known in chosen.items()
            if known is not None and known is not self._objects[number]
        }
        return Definitions(self._objects | changed, self._versions) if changed else self

    def resource(self, path: Path) -> Resource | None:
        """The definition behind a resource or resource instance path, None when unknown."""
        known = self._objects.get(path.ids[0]) if path.is_value else None
        return known.resources.get(path.ids[2]) if known else None

    def check(self, path: Path, value: Value) -> Value:
        """The value in the type that `path` has; as it is when the resource is unknown.

        Raises:
            InvalidValueError: wrong type or out of range.
        """
        resource = self.resource(path)
        return resource.check(value, str(path)) if resource else value

    def typed(self, path: Path, value: Value | None) -> Value:
        """The value in the type that `path` has; ranges are left aside, since a faulty sensor exceeds them.

        Raises:
            InvalidValueError: wrong type, or no value at all.
        """
        resource = self.resource(path)
        if resource is not None:
            return coerce(resource.type, value, str(path))
        if value is None:
            raise InvalidValueError(str(path), value, "a value")
        return value

    def typed_record(self, record: Record) -> Record:
        """The record with its value `typed`; one without a value as it is."""
        if record.value is None:
            return record
        value = self.typed(record.path, record.value)
        return record if value is record.value else Record(record.path, value, record.time)


@lru_cache(maxsize=1)
def built_in() -> Definitions:
    """The testbed's own definitions."""
    return load()


def load(*extra: File | None) -> Definitions:
    """The testbed's definitions, and a user's, which count in place of those of the same object.

    Of several versions of an object in one directory the newest counts where a device tells none.

    Args:
        extra: directories with more `*.yaml` and `*.xml` files; a later one counts before an earlier one.

    Raises:
        DefinitionError: with a line for each file, or fault of an XML file, that is wrong; for each pair
            of files in one directory that define the same version of an object; and for each of `extra`
            that is no directory.
    """
    common = parse_common(str(BUILT_IN / _COMMON), _content(BUILT_IN / _COMMON))
    problems: list[str] = []
    objects: dict[int, Object] = {}
    versions: dict[tuple[int, str], Object] = {}
    for directory in (BUILT_IN, *extra):
        if directory is None:
            continue
        found = _load_directory(directory, common, problems)
        versions |= found
        # The last one of an id is its newest version.
        objects |= {known.id: known for known in sorted(found.values(), key=_age)}
    if problems:
        raise DefinitionError(problems)
    return Definitions(objects, versions)


def _load_directory(
    directory: File, common: Mapping[int, Resource], problems: list[str]
) -> dict[tuple[int, str], Object]:
    if not directory.is_dir():
        problems.append(f"{directory}: not a directory")
        return {}
    origin: dict[tuple[int, str], File] = {}
    objects: dict[tuple[int, str], Object] = {}
    files = sorted(file for file in directory.iterdir() if file.suffix.lower() in _SUFFIXES)
    if len(files) > DEFINITION_FILES:
        problems.append(f"{directory}: got {len(files)} files, allowed: up to {DEFINITION_FILES}")
        return {}
    for file in files:
        if file == BUILT_IN / _COMMON:
            continue
        try:
            entries = _parse(file, common)
        except DefinitionError as error:
            problems += error.problems
            continue
        for line, entry in entries:
            key = (entry.id, entry.version)
            if key in origin:
                problems.append(
                    f"{file}:{line}: object {entry.id} version {entry.version}"
                    f" is already defined by {origin[key].name}"
                )
            origin[key], objects[key] = file, entry
    return objects


def _parse(file: File, common: Mapping[int, Resource]) -> list[tuple[int, Object]]:
    data = _content(file)
    if file.suffix.lower() == ".xml":
        return parse_ddf(str(file), data)
    return parse_yaml(str(file), data, common)


def _content(file: File) -> bytes:
    if not file.is_file():
        raise DefinitionError([f"{file}: not a regular file"])
    try:
        with file.open("rb") as opened:
            data = opened.read(DEFINITION_BYTES + 1)
    except OSError as error:
        raise DefinitionError([f"{file}: {error}"]) from error
    if len(data) > DEFINITION_BYTES:
        raise DefinitionError([f"{file}:1: got more than {DEFINITION_BYTES} bytes, allowed: up to that"])
    return data


def _age(known: Object) -> tuple[int, ...]:
    return tuple(map(int, known.version.split(".")))
