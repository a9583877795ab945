"""Writing to an object tree: all values of a request, or none of them (Core 6.3.3, 6.3.4, 6.3.9)."""

from collections.abc import Callable, Sequence
from functools import partial

from device_simulator.tree import D, OperationError, Resource, Tree, place
from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Code, Record
from iiot.lwm2m.path import Path


def write(tree: Tree[D], device: D, records: Sequence[Record], *, replace: Path | None = None) -> None:
    """Write values.

    Args:
        tree: the device's objects.
        device: the device.
        records: resources or resource instances and their values.
        replace: node whose stored values, apart from `records`, are dropped: the target of a Write in
            replace mode. What belongs to the device itself keeps the values that are not written.

    Raises:
        OperationError: 4.00, 4.01, 4.04 or 4.05.
        InvalidValueError: a value has the wrong type or is out of range.
    """
    if not records:
        raise OperationError(Code.BAD_REQUEST, "nothing to write")
    if replace is not None and not all(replace.contains(record.path) for record in records):
        raise OperationError(Code.BAD_REQUEST, f"values outside of {replace}")
    _check_together(tree, [record.path for record in records])
    writes = [_prepared(tree, device, record) for record in records]
    if replace is not None:
        _drop(tree, device, replace)
    for perform in writes:
        perform()


def _check_together(tree: Tree[D], paths: Sequence[Path]) -> None:
    # Each alone would pass its check, and the second then fail after the first was carried out.
    given = set(paths)
    if len(given) < len(paths):
        raise OperationError(Code.BAD_REQUEST, "a value is written twice")
    for one, other in tree.exclusive:
        if {one, other} <= given:
            raise OperationError(Code.BAD_REQUEST, f"only one of {one} and {other} can be written")


def _prepared(tree: Tree[D], device: D, record: Record) -> Callable[[], object]:
    path = record.path
    if not path.is_value:
        raise OperationError(Code.BAD_REQUEST, f"{path} is no resource")
    resource = tree.resource(device, path)
    if not resource.writable:
        raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} cannot be written")
    if record.value is None:
        return _removal(resource, path)
    value = resource.definition.check(record.value, str(path))
    if resource.stored is not None:
        place({}, resource.definition, path, value)
        return partial(place, resource.stored, resource.definition, path, value)
    if resource.write is None or path.level != "resource":
        raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} is not a single value")
    if resource.check is not None:
        resource.check(device, value)
    return partial(resource.write, device, value)


def _removal(resource: Resource[D], path: Path) -> Callable[[], object]:
    # A null in a Write-Composite removes an instance of a resource (Core 6.3.9).
    held = resource.stored.get(resource.definition.id) if resource.stored else None
    if path.level != "resource instance":
        raise InvalidValueError(str(path), None, "a value; null is for instances of resources")
    if not isinstance(held, dict):
        raise OperationError(Code.METHOD_NOT_ALLOWED, f"{path} is part of the device")
    if path.ids[3] not in held:
        raise OperationError(Code.NOT_FOUND, f"{path} does not exist")
    return partial(held.pop, path.ids[3])


def _drop(tree: Tree[D], device: D, target: Path) -> None:
    contents = device.created.get(Path(target.ids[:2]))
    if contents is None:
        return
    if target.level == "instance":
        for number in list(contents):
            if tree.definitions[target.ids[0]].resources[number].writable:
                del contents[number]
    elif target.level == "resource":
        contents.pop(target.ids[2], None)
