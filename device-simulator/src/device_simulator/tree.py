"""An LwM2M object tree: which resources a kind of device has, and what reading, writing, executing does.

One tree serves all devices of a kind; its functions are given the device, which holds the instances that
a server created.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from iiot.errors import IiotError, InvalidValueError
from iiot.lwm2m.arguments import check_arguments
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.message import Code, Link, Record, Value
from iiot.lwm2m.model import Definitions, implied_version
from iiot.lwm2m.model import Resource as Definition
from iiot.lwm2m.path import MAX_ID, Path

Held = Value | dict[int, Value]
"""What a stored resource holds: one value, or those of its instances."""
Created = dict[Path, dict[int, Held]]
"""Instances that a server created, with what their resources hold."""


class HasInstances(Protocol):
    """What a tree needs of a device."""

    @property
    def created(self) -> Created:
        """Instances that a server created on this device, or its profile gave it."""

    @property
    def presets(self) -> Created:
        """Instances that its profile gave it, as they were at first."""


D = TypeVar("D", bound=HasInstances)
Reading = Value | Mapping[int, Value] | None
Check = Callable[[D, Value], None]

CLOSED_OBJECTS: Final = frozenset({0, 21, 23})
"""Objects that only bootstrap servers may use."""


class OperationError(IiotError):
    """A request that cannot be carried out: the code to answer with, and why."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Resource(Generic[D]):
    """One resource: its definition and its functions; a resource without `write` cannot be written.

    Attributes:
        check: raises what `write` would, and changes nothing.
        stored: where a created instance holds it; then the functions are not used.
    """

    definition: Definition
    read: Callable[[D], Reading] | None = None
    write: Callable[[D, Value], None] | None = None
    execute: Callable[[D, str], None] | None = None
    check: Callable[[D, Value], None] | None = None
    stored: dict[int, Held] | None = None

    def reading(self, device: D) -> Reading:
        """What it holds now, None when nothing, or when its sensor does not answer."""
        if self.stored is not None:
            return self.stored.get(self.definition.id)
        return self.read(device) if self.read else None

    @property
    def writable(self) -> bool:
        """Whether a server may write it."""
        return self.definition.writable if self.stored is not None else self.write is not None


class Tree(Generic[D]):
    """The objects of one kind of device. Add resources, then use it for any number of devices.

    Attributes:
        exclusive: pairs of resources of which one request may write only one.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._instances: dict[Path, dict[int, Resource[D]]] = {}
        self._creatable: set[int] = set()
        self.exclusive: list[tuple[Path, Path]] = []

    def add(
        self,
        path: Path,
        read: Callable[[D], Reading] | None = None,
        write: Callable[[D, Value], None] | None = None,
        execute: Callable[[D, str], None] | None = None,
        check: Callable[[D, Value], None] | None = None,
    ) -> None:
        """Add a resource.

        Raises:
            InvalidValueError: no definition knows the resource, or not as readable, writable, executable.
        """
        definition = self.definitions.resource(path)
        wanted = {"R": read, "W": write, "E": execute}
        letters = {letter for letter, function in wanted.items() if function}
        if definition is None or not letters <= set(definition.operations):
            known = definition.operations or "none" if definition else "a resource of a known object"
            raise InvalidValueError(f"resource {path}", "".join(sorted(letters)), known)
        resource = Resource(definition, read, write, execute, check)
        self._instances.setdefault(path.parent, {})[path.ids[2]] = resource

    def allow_create(self, object_id: int) -> None:
        """Let servers create instances of an object, if its definition has several."""
        known = self.definitions.get(object_id)
        if known is not None and known.multiple:
            self._creatable.add(object_id)

    def has(self, instance: Path) -> bool:
        """Whether every device of this kind has the instance."""
        return instance in self._instances

    def instances(self, device: D) -> tuple[Path, ...]:
        """All object instances of a device."""
        return (*self._instances, *device.created)

    def defines(self, path: Path) -> bool:
        """Whether the definition of the object has this resource."""
        return self.definitions.resource(path) is not None

    def kind_of(self, path: Path) -> Type | None:
        """The type of a resource or resource instance, None above that level."""
        definition = self.definitions.resource(path)
        return definition.type if definition else None

    def links(self, device: D) -> tuple[Link, ...]:
        """The object list of a registration: instances, and the version where it is not the default."""
        instances = sorted(self.instances(device))
        objects = {instance.ids[0] for instance in instances} | self._offered(device)
        links = []
        for number in sorted(objects):
            version = self.definitions[number].version
            own = [Link(instance) for instance in instances if instance.ids[0] == number]
            if version != implied_version(number):
                links.append(Link(Path.of(number), {"ver": version}))
            elif not own:
                links.append(Link(Path.of(number)))
            links += own
        return tuple(links)

    def read(self, device: D, path: Path) -> tuple[Record, ...]:
        """The values at or below `path` (Core 6.3.1).

        Raises:
            OperationError: 4.01, 4.04, 4.05, or 5.03 when a sensor does not answer.
        """
        records: list[Record] = []
        for where, resource in self._below(device, path):
            if not resource.definition.readable or (resource.read is None and resource.stored is None):
                if path.is_value:
                    raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} cannot be read")
                continue
            records += _records(where, resource.reading(device), path)
        if not records and path.level == "resource instance":
            raise OperationError(Code.NOT_FOUND, f"{path} does not exist")
        if not records and path.level == "resource":
            raise OperationError(Code.SERVICE_UNAVAILABLE, f"{path} has no value now")
        return tuple(records)

    def discover(self, device: D, path: Path, depth: int | None = None) -> tuple[Link, ...]:
        """What is at `path` and down to `depth` levels below it (Core 6.3.2).

        Without `depth`, an object shows its instances and resources, an instance its resources, a resource
        its instances. A resource with instances tells their number as `dim`.

        Raises:
            OperationError: 4.00, 4.01 or 4.04.
        """
        if path.level == "resource instance":
            raise OperationError(Code.BAD_REQUEST, "Discover is for objects, instances and resources")
        levels = depth if depth is not None else 2 if path.level == "object" else 1
        links = {path: Link(path)}
        for where, resource in self._below(device, path):
            for parent in (where.parent.parent, where.parent):
                if path.contains(parent):
                    links[parent] = Link(parent)
            reading = resource.reading(device)
            several = reading if isinstance(reading, Mapping) else {}
            links[where] = Link(where, {"dim": len(several)} if several else {})
            links |= {where / number: Link(where / number) for number in several}
        shown = [node for node in links if path.contains(node) and len(node.ids) <= len(path.ids) + levels]
        return tuple(links[node] for node in sorted(shown))

    def execute(self, device: D, path: Path, arguments: str) -> None:
        """Execute a resource (Core 6.3.5).

        Raises:
            OperationError: 4.01, 4.04 or 4.05.
            InvalidValueError: the arguments are none.
        """
        if path.level != "resource":
            self._require(device, path)
            raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} is not a resource")
        resource = self.resource(device, path)
        if resource.execute is None:
            raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} cannot be executed")
        check_arguments(arguments)
        resource.execute(device, arguments)

    def create(self, device: D, path: Path, values: Mapping[Path, Value]) -> Path:
        """Create an instance of an object (Core 6.3.6); the path of the new one.

        Values of resources that a server may not write are ignored, as are those without a definition.

        Args:
            device: the device.
            path: the object, or the instance to be.
            values: by path; the instance id 65535 leaves the choice to the device.

        Raises:
            OperationError: 4.00, 4.01, 4.04 or 4.05.
            InvalidValueError: a value has the wrong type or is out of range.
        """
        object_id = self._creatable_object(device, path)
        named = {where.ids[1] for where in values} | set(path.ids[1:2])
        if len(named) > 1 or any(where.ids[0] != object_id for where in values):
            raise OperationError(Code.BAD_REQUEST, "one instance of one object at a time")
        taken = {instance.ids[1] for instance in self.instances(device) if instance.ids[0] == object_id}
        number = named.pop() if named else MAX_ID
        if number == MAX_ID:
            number = next(free for free in range(MAX_ID) if free not in taken)
        elif number in taken:
            raise OperationError(Code.BAD_REQUEST, f"/{object_id}/{number} exists")
        device.created[Path.of(object_id, number)] = self._contents(object_id, values)
        return Path.of(object_id, number)

    def delete(self, device: D, path: Path) -> None:
        """Delete an instance, or an instance of a resource, that a server created (Core 6.3.7).

        Raises:
            OperationError: 4.01, 4.04 or 4.05.
        """
        self._require(device, path)
        contents = device.created.get(Path(path.ids[:2]))
        if contents is not None and path.level == "instance":
            del device.created[path]
            return
        held = contents.get(path.ids[2]) if contents and path.level == "resource instance" else None
        if not isinstance(held, dict):
            raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} is part of the device")
        if held.pop(path.ids[3], None) is None:
            raise OperationError(Code.NOT_FOUND, f"{path} does not exist")

    def resource(self, device: D, path: Path) -> Resource[D]:
        """The resource at or above `path`.

        Raises:
            OperationError: 4.01 or 4.04.
        """
        return next(self._below(device, path))[1]

    def _require(self, device: D, path: Path) -> None:
        next(self._below(device, path), None)

    def _offered(self, device: D) -> set[int]:
        """Objects that the device has even without an instance."""
        return self._creatable | {instance.ids[0] for instance in device.presets}

    def _creatable_object(self, device: D, path: Path) -> int:
        if path.object_id in CLOSED_OBJECTS:
            raise OperationError(Code.UNAUTHORIZED, f"{path} is for bootstrap servers only")
        known = self.definitions.get(path.ids[0]) if path.ids else None
        creates = known is not None and known.multiple and path.ids[0] in self._offered(device)
        if creates and path.level in ("object", "instance"):
            return path.ids[0]
        if not any(instance.ids[:1] == path.ids[:1] for instance in self.instances(device)):
            raise OperationError(Code.NOT_FOUND, f"{path} does not exist")
        raise OperationError(Code.METHOD_NOT_ALLOWED, f"no instance can be created at {path}")

    def _contents(self, object_id: int, values: Mapping[Path, Value]) -> dict[int, Held]:
        contents: dict[int, Held] = {}
        resources = self.definitions[object_id].resources
        for path, value in values.items():
            definition = resources.get(path.ids[2])
            if definition is None or not definition.writable:
                continue
            place(contents, definition, path, definition.check(value, str(path)))
        missing = [
            str(r.id) for r in resources.values() if r.mandatory and r.writable and r.id not in contents
        ]
        if missing:
            raise OperationError(Code.BAD_REQUEST, f"mandatory resources are missing: {', '.join(missing)}")
        return contents

    def _below(self, device: D, path: Path) -> Iterator[tuple[Path, Resource[D]]]:
        if path.object_id in CLOSED_OBJECTS:
            raise OperationError(Code.UNAUTHORIZED, f"{path} is for bootstrap servers only")
        resource_path = Path(path.ids[:3])
        found = path.level == "object" and path.ids[0] in self._offered(device)
        for instance, resources in (*self._instances.items(), *self._created(device)):
            if not (resource_path.contains(instance) or instance.contains(resource_path)):
                continue
            found = found or resource_path.contains(instance)
            for number, resource in resources.items():
                where = Path((*instance.ids, number))
                if resource_path.contains(where):
                    found = True
                    yield where, resource
        if not found:
            raise OperationError(Code.NOT_FOUND, f"{path} does not exist")

    def _created(self, device: D) -> Iterator[tuple[Path, dict[int, Resource[D]]]]:
        for instance, contents in device.created.items():
            definitions = self.definitions[instance.ids[0]].resources
            yield (
                instance,
                {
                    number: Resource(
                        definition, stored=contents, execute=_do_nothing if definition.executable else None
                    )
                    for number, definition in definitions.items()
                    if number in contents or definition.writable or definition.mandatory
                },
            )


def _do_nothing(_: object, __: str) -> None:
    """What an executable resource of a stored instance does."""


def place(contents: dict[int, Held], definition: Definition, path: Path, value: Value) -> None:
    """Put a value where it belongs in a stored instance.

    Raises:
        OperationError: 4.00, one value for a resource that has instances, or the other way round.
    """
    if definition.multiple != (path.level == "resource instance"):
        kind = "instances" if definition.multiple else "one value"
        raise OperationError(Code.BAD_REQUEST, f"{path}: the resource has {kind}")
    if path.level == "resource":
        contents[definition.id] = value
        return
    held = contents.setdefault(definition.id, {})
    if isinstance(held, dict):
        held[path.ids[3]] = value


def _records(where: Path, reading: Reading, wanted: Path) -> list[Record]:
    if reading is None:
        return []
    if isinstance(reading, Mapping):
        each = [Record(where / number, value) for number, value in reading.items()]
        return [record for record in each if wanted.contains(record.path)]
    return [Record(where, reading)] if wanted.contains(where) else []
