"""Definitions of LwM2M objects: what exists, what may be done with it, and which values are legal.

Definitions are YAML files, the testbed's own in `objects/`, a user's in a directory of his choice:

    id: 3303
    name: Temperature
    version: "1.1"          # default "1.0"
    multiple: true          # may have several instances; default false
    mandatory: false        # every device has it; default false
    common: [5601, 5602]    # taken from objects/common.yaml
    resources:
      5700: {name: Sensor Value, operations: R, type: float, range: [-50, 150], unit: Cel, mandatory: true}

`operations` is R, W, RW or E; without it only a bootstrap server may touch the resource. `multiple`
makes resource instances, `range` bounds numbers, or the length of a string.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as File
from typing import TypeVar

from iiot.errors import IiotError, InvalidValueError
from iiot.lwm2m.datatypes import Type, coerce
from iiot.lwm2m.message import Value
from iiot.lwm2m.path import MAX_ID, Path
from iiot.lwm2m.yaml_nodes import Fields, YamlError, compose

T = TypeVar("T")
BUILT_IN = File(__file__).parent / "objects"
_COMMON = "common.yaml"


class DefinitionError(IiotError):
    """A definition file is wrong; the text is `file:line: reason`."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Definition of a resource; `range` bounds a number (in `unit`) or the length of a string."""

    id: int
    name: str
    type: Type
    operations: str = ""
    range: tuple[float, float] | None = None
    unit: str | None = None
    mandatory: bool = False
    multiple: bool = False

    @property
    def readable(self) -> bool:
        """A server may read and observe it."""
        return "R" in self.operations

    @property
    def writable(self) -> bool:
        """A server may write it."""
        return "W" in self.operations

    @property
    def executable(self) -> bool:
        """A server may execute it."""
        return "E" in self.operations

    def check(self, value: object, field: str = "value") -> Value:
        """The value in this resource's type.

        Raises:
            InvalidValueError: wrong type or out of range; names `field`.
        """
        result = coerce(self.type, value, field)
        if self.range is None:
            return result
        low, high = self.range
        if isinstance(result, str):
            if not low <= len(result) <= high:
                raise InvalidValueError(field, value, f"a string of {low:g} to {high:g} characters")
        elif isinstance(result, int | float) and not low <= result <= high:
            raise InvalidValueError(field, value, f"{low:g} to {high:g}")
        return result


@dataclass(frozen=True, slots=True)
class Object:
    """Definition of an object and its resources by id."""

    id: int
    name: str
    version: str
    multiple: bool
    mandatory: bool
    resources: Mapping[int, Resource]


class Definitions(Mapping[int, Object]):
    """All known objects by id."""

    def __init__(self, objects: Mapping[int, Object]) -> None:
        self._objects = dict(sorted(objects.items()))

    def __getitem__(self, object_id: int) -> Object:
        return self._objects[object_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

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


@lru_cache(maxsize=1)
def built_in() -> Definitions:
    """The testbed's own definitions."""
    return load()


def load(extra: File | None = None) -> Definitions:
    """The testbed's definitions, and a user's, which may replace some of them.

    Args:
        extra: directory with more `*.yaml` files.

    Raises:
        DefinitionError: a file is wrong, two in one directory define the same id, or `extra` is no directory.
    """
    common = _read(BUILT_IN / _COMMON, _resources)
    objects = _load_directory(BUILT_IN, common)
    if extra is not None:
        if not extra.is_dir():
            raise DefinitionError(f"{extra}: not a directory")
        objects |= _load_directory(extra, common)
    return Definitions(objects)


def _load_directory(directory: File, common: Mapping[int, Resource]) -> dict[int, Object]:
    origin: dict[int, File] = {}
    objects: dict[int, Object] = {}
    for file in sorted(directory.glob("*.yaml")):
        if file == BUILT_IN / _COMMON:
            continue
        entry = _read(file, lambda fields: _object(fields, common))
        if entry.id in origin:
            raise DefinitionError(
                f"{file}:1: object {entry.id} is already defined by {origin[entry.id].name}"
            )
        origin[entry.id] = file
        objects[entry.id] = entry
    return objects


def _read(file: File, build: Callable[[Fields], T]) -> T:
    try:
        return build(compose(file.read_bytes()))
    except YamlError as error:
        raise DefinitionError(f"{file}:{error.line}: {error}") from error
    except (OSError, UnicodeError) as error:
        raise DefinitionError(f"{file}: {error}") from error


def _object(fields: Fields, common: Mapping[int, Resource]) -> Object:
    fields.finish(("id", "name", "version", "multiple", "mandatory", "common", "resources"))
    number = fields.take("id", int)
    if not 0 <= number <= MAX_ID:
        raise fields.error("id", f"got {number}, allowed: 0 to {MAX_ID}")
    resources: dict[int, Resource] = {}
    for shared in fields.take("common", list, []):
        if not isinstance(shared, int) or shared not in common:
            raise fields.error("common", f"got {shared!r}, allowed: {', '.join(map(str, common))}")
        resources[shared] = common[shared]
    resources |= _resources(fields)
    return Object(
        id=number,
        name=fields.take("name", str),
        version=fields.take("version", str, "1.0"),
        multiple=fields.take("multiple", bool, False),
        mandatory=fields.take("mandatory", bool, False),
        resources=dict(sorted(resources.items())),
    )


def _resources(fields: Fields) -> dict[int, Resource]:
    return {number: _resource(number, entry) for number, entry in fields.children("resources", "resource")}


def _resource(number: int, fields: Fields) -> Resource:
    fields.finish(("name", "operations", "type", "range", "unit", "mandatory", "multiple"))
    if not 0 <= number < MAX_ID:
        raise fields.error("name", f"id {number} is out of range, allowed: 0 to {MAX_ID - 1}")
    operations = fields.take("operations", str, "")
    if operations not in ("", "R", "W", "RW", "E"):
        raise fields.error("operations", f"got {operations!r}, allowed: R, W, RW, E, or none")
    kind = _type(fields, operations)
    return Resource(
        id=number,
        name=fields.take("name", str),
        type=kind,
        operations=operations,
        range=_range(fields, kind),
        unit=fields.take("unit", str, "") or None,
        mandatory=fields.take("mandatory", bool, False),
        multiple=fields.take("multiple", bool, False),
    )


def _type(fields: Fields, operations: str) -> Type:
    text = fields.take("type", str, Type.NONE.value if operations == "E" else "")
    if text not in list(Type) or (text == Type.NONE) != (operations == "E"):
        allowed = (
            "none (executable)"
            if operations == "E"
            else ", ".join(kind for kind in Type if kind != Type.NONE)
        )
        raise fields.error("type", f"got {text!r}, allowed: {allowed}")
    return Type(text)


def _range(fields: Fields, kind: Type) -> tuple[float, float] | None:
    bounds = fields.take("range", list, [])
    if not bounds:
        return None
    numbers = [bound for bound in bounds if type(bound) in (int, float)]
    if len(bounds) != 2 or len(numbers) != 2 or not numbers[0] <= numbers[1]:
        raise fields.error("range", f"got {bounds!r}, allowed: [low, high]")
    if not (kind.is_number or kind is Type.STRING):
        raise fields.error("range", f"does not apply to type {kind}")
    return numbers[0], numbers[1]
