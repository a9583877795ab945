"""An LwM2M object tree: which resources a kind of device has, and what reading, writing, executing does.

One tree serves all devices of a kind; its functions are given the device.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from iiot.errors import IiotError, InvalidValueError
from iiot.lwm2m.message import Code, Link, Record, Value
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.model import Resource as Definition
from iiot.lwm2m.path import Path

D = TypeVar("D")
Reading = Value | Mapping[int, Value] | None

_CLOSED_OBJECTS = frozenset({0, 21, 23})
_DEFAULT_VERSIONS = {1: "1.2", 3: "1.2", 4: "1.3", 5: "1.1"}
"""What a 1.2 server assumes without `ver` (Core 7.2.2); 1.0 for all others."""
_ARGUMENTS = re.compile(r"^(\d(='[^']*')?(,\d(='[^']*')?)*)?$")


class OperationError(IiotError):
    """A request that cannot be carried out: the code to answer with, and why."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Resource(Generic[D]):
    """One resource: its definition and its functions; a resource without `write` cannot be written."""

    definition: Definition
    read: Callable[[D], Reading] | None = None
    write: Callable[[D, Value], None] | None = None
    execute: Callable[[D, str], None] | None = None


class Tree(Generic[D]):
    """The objects of one kind of device. Add resources, then use it for any number of devices."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._instances: dict[Path, dict[int, Resource[D]]] = {}

    def add(
        self,
        path: Path,
        read: Callable[[D], Reading] | None = None,
        write: Callable[[D, Value], None] | None = None,
        execute: Callable[[D, str], None] | None = None,
    ) -> None:
        """Add a resource.

        Raises:
            InvalidValueError: no definition knows the resource, or not as readable, writable, executable.
        """
        definition = self._definitions.resource(path)
        wanted = {"R": read, "W": write, "E": execute}
        letters = {letter for letter, function in wanted.items() if function}
        if definition is None or not letters <= set(definition.operations):
            known = definition.operations or "none" if definition else "a resource of a known object"
            raise InvalidValueError(f"resource {path}", "".join(sorted(letters)), known)
        self._instances.setdefault(path.parent, {})[path.ids[2]] = Resource(definition, read, write, execute)

    def defines(self, path: Path) -> bool:
        """Whether the definition of the object has this resource."""
        return self._definitions.resource(path) is not None

    def links(self) -> tuple[Link, ...]:
        """The object list of a registration: instances, and the version where it is not the default."""
        links = []
        for instance in sorted(self._instances):
            object_path = instance.parent
            version = self._definitions[object_path.ids[0]].version
            if version != _DEFAULT_VERSIONS.get(object_path.ids[0], "1.0"):
                link = Link(object_path, {"ver": version})
                if link not in links:
                    links.append(link)
            links.append(Link(instance))
        return tuple(links)

    def read(self, device: D, path: Path) -> tuple[Record, ...]:
        """The values at or below `path` (Core 6.3.1).

        Raises:
            OperationError: 4.01, 4.04, 4.05, or 5.03 when a sensor does not answer.
        """
        found = list(self._below(path))
        records: list[Record] = []
        for where, resource in found:
            if resource.read is None:
                if path.is_value:
                    raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} cannot be read")
                continue
            records += _records(where, resource.read(device), path)
        if not records and path.level == "resource instance":
            raise OperationError(Code.NOT_FOUND, f"{path} does not exist")
        if not records and path.level == "resource":
            raise OperationError(Code.SERVICE_UNAVAILABLE, f"the sensor behind {path} does not answer")
        return tuple(records)

    def write(self, device: D, records: tuple[Record, ...]) -> None:
        """Write all values, or none of them (Core 6.3.3).

        Raises:
            OperationError: 4.00, 4.01, 4.04 or 4.05.
            InvalidValueError: a value has the wrong type or is out of range.
        """
        if not records:
            raise OperationError(Code.BAD_REQUEST, "nothing to write")
        checked = []
        for record in records:
            if record.path.level != "resource":
                self._single(record.path)
                raise OperationError(Code.METHOD_NOT_ALLOWED, f"{record.path} is not a single value")
            resource = self._single(record.path)
            if resource.write is None:
                raise OperationError(Code.METHOD_NOT_ALLOWED, f"{record.path} cannot be written")
            checked.append((resource.write, resource.definition.check(record.value, str(record.path))))
        for write, value in checked:
            write(device, value)

    def execute(self, device: D, path: Path, arguments: str) -> None:
        """Execute a resource (Core 6.3.5).

        Raises:
            OperationError: 4.00, 4.01, 4.04 or 4.05.
        """
        if path.level != "resource":
            next(self._below(path))
            raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} is not a resource")
        resource = self._single(path)
        if resource.execute is None:
            raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} cannot be executed")
        if not _ARGUMENTS.match(arguments):
            raise OperationError(
                Code.BAD_REQUEST, "arguments are digits with optional ='text', comma-separated"
            )
        resource.execute(device, arguments)

    def discover(self, path: Path) -> tuple[Link, ...]:
        """The object, instances and resources at and below `path` (Core 6.3.2).

        Raises:
            OperationError: 4.01 or 4.04.
        """
        paths = {where for where, _ in self._below(path)}
        paths |= {
            parent
            for where in paths
            for parent in (where.parent, where.parent.parent)
            if path.contains(parent)
        }
        return tuple(Link(where) for where in sorted(paths))

    def _single(self, path: Path) -> Resource[D]:
        return next(self._below(path))[1]

    def _below(self, path: Path) -> Iterator[tuple[Path, Resource[D]]]:
        if path.object_id in _CLOSED_OBJECTS:
            raise OperationError(Code.UNAUTHORIZED, f"{path} is for bootstrap servers only")
        resource_path = Path(path.ids[:3])
        found = False
        for instance, resources in self._instances.items():
            if not (resource_path.contains(instance) or instance.contains(resource_path)):
                continue
            for number, resource in resources.items():
                where = Path((*instance.ids, number))
                if resource_path.contains(where):
                    found = True
                    yield where, resource
        if not found:
            raise OperationError(Code.NOT_FOUND, f"{path} does not exist")


def _records(where: Path, reading: Reading, wanted: Path) -> list[Record]:
    if reading is None:
        return []
    if isinstance(reading, Mapping):
        each = [Record(where / number, value) for number, value in reading.items()]
        return [record for record in each if wanted.contains(record.path)]
    return [Record(where, reading)] if wanted.contains(where) else []
