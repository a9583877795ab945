"""Object instances that a profile gives to devices, beside those of their kind; values stay as written."""

from collections.abc import Mapping
from typing import Any, Final

from device_simulator.tree import CLOSED_OBJECTS, Created, D, Held, Tree
from iiot.errors import InvalidValueError
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.message import ObjectLink, Value
from iiot.lwm2m.model import Resource
from iiot.lwm2m.path import MAX_ID, Path

Objects = Mapping[str, Mapping[int, Any]]
"""Values of resources by instance, such as `/10/0`; of a resource with instances a mapping of those, of an
executable one null."""
_PLAIN: Final[dict[Type, Value]] = {
    Type.BOOLEAN: False,
    Type.CORELNK: "",
    Type.OBJLNK: ObjectLink(MAX_ID, MAX_ID),
}


def preset_instances(tree: Tree[D], objects: Objects) -> Created:
    """The instances with the values given, and default values for what else is mandatory.

    Raises:
        InvalidValueError: no such object or resource, an instance that the device has anyway, or a value of
            the wrong type or out of range; the field is `objects./10/0.4`.
    """
    found: Created = {}
    for text, values in objects.items():
        field = f"objects.{text}"
        instance = _instance(tree, text, field)
        found[instance] = _contents(tree, instance, values, field)
    return found


def default(resource: Resource) -> Value:
    """A value that the definition allows: 0, nothing, or the least that it does allow."""
    low = next((bounds[0] for bounds in resource.ranges), 0)
    if any(least <= 0 <= most for least, most in resource.ranges):
        low = 0
    match resource.type:
        case Type.STRING:
            return "-" * int(low)
        case Type.OPAQUE:
            return bytes(int(low))
        case Type.FLOAT:
            return float(low)
    return _PLAIN.get(resource.type, int(low))


def _instance(tree: Tree[D], text: str, field: str) -> Path:
    try:
        path = Path.parse(text)
    except InvalidValueError as error:
        raise InvalidValueError(field, text, error.allowed) from error
    known = tree.definitions.get(path.ids[0]) if path.ids else None
    if path.level != "instance" or path.is_open or known is None:
        raise InvalidValueError(field, text, "/object/instance of a known object")
    if known.id in CLOSED_OBJECTS:
        raise InvalidValueError(field, text, "an object that servers, not only bootstrap servers, may use")
    if tree.has(path):
        raise InvalidValueError(field, text, "an instance that the kind of device does not have by itself")
    if path.ids[1] and not known.multiple:
        raise InvalidValueError(field, text, f"/{known.id}/0, since the object has one instance")
    return path


def _contents(tree: Tree[D], instance: Path, values: Mapping[int, Any], field: str) -> dict[int, Held]:
    resources = tree.definitions[instance.ids[0]].resources
    contents: dict[int, Held] = {
        number: {0: default(resource)} if resource.multiple else default(resource)
        for number, resource in resources.items()
        if resource.mandatory and not resource.executable
    }
    for number, value in values.items():
        if number not in resources:
            raise InvalidValueError(field, number, ", ".join(map(str, resources)))
        contents[number] = _held(resources[number], value, f"{field}.{number}")
    return contents


def _held(resource: Resource, value: Any, field: str) -> Held:
    if resource.executable:
        if value is not None:
            raise InvalidValueError(field, value, "nothing (null), since it is executable")
        return ""
    if not resource.multiple:
        return resource.check(value, field)
    if not isinstance(value, Mapping):
        raise InvalidValueError(field, value, "a mapping of resource instances to values")
    for number in value:
        if type(number) is not int or not 0 <= number < MAX_ID:
            raise InvalidValueError(field, number, f"ids from 0 to {MAX_ID - 1}")
    return {number: resource.check(each, f"{field}.{number}") for number, each in value.items()}
