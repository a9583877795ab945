"""Object definitions from YAML files; the first fault of a file is told, with its line.

    id: 3303
    name: Temperature
    version: "1.1"          # default "1.0"
    multiple: true          # may have several instances; default false
    mandatory: false        # every device has it; default false
    common: [5601, 5602]    # taken from objects/common.yaml
    resources:
      5700: {name: Sensor Value, operations: R, type: float, range: [-50, 150], unit: Cel, mandatory: true}

`operations` is R, W, RW or E; without it only a bootstrap server may touch the resource. `multiple`
makes resource instances, `range` bounds numbers, or the bytes of a string or opaque value; it may be a
list of ranges.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.definition import VERSION, DefinitionError, Object, Ranges, Resource
from iiot.lwm2m.path import MAX_ID
from iiot.lwm2m.yaml_nodes import Fields, YamlError, compose, shown

T = TypeVar("T")


def parse_yaml(name: str, data: bytes, common: Mapping[int, Resource]) -> list[tuple[int, Object]]:
    """The object of a YAML file, with the line on which it begins.

    Args:
        name: the file, for complaints.
        data: what is in it.
        common: resources that an object may take over.

    Raises:
        DefinitionError: the file is wrong.
    """
    return [(1, _built(name, data, lambda fields: _object(fields, common)))]


def parse_common(name: str, data: bytes) -> dict[int, Resource]:
    """The resources that objects may take over.

    Raises:
        DefinitionError: the file is wrong.
    """
    return _built(name, data, _resources)


def _built(name: str, data: bytes, build: Callable[[Fields], T]) -> T:
    try:
        return build(compose(data))
    except YamlError as error:
        raise DefinitionError([f"{name}:{error.line}: {error}"]) from error
    except UnicodeError as error:
        raise DefinitionError([f"{name}: {error}"]) from error


def _object(fields: Fields, common: Mapping[int, Resource]) -> Object:
    fields.finish(("id", "name", "version", "multiple", "mandatory", "common", "resources"))
    number = fields.take("id", int)
    if not 0 <= number <= MAX_ID:
        raise fields.error("id", f"got {number}, allowed: 0 to {MAX_ID}")
    version = fields.take("version", str, "1.0")
    if not VERSION.fullmatch(version):
        raise fields.error("version", f"got {shown(version)}, allowed: a version such as 1.0")
    resources: dict[int, Resource] = {}
    for shared in fields.take("common", list, []):
        if not isinstance(shared, int) or shared not in common:
            raise fields.error("common", f"got {shown(shared)}, allowed: {', '.join(map(str, common))}")
        resources[shared] = common[shared]
    resources |= _resources(fields)
    return Object(
        id=number,
        name=fields.take("name", str),
        version=version,
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
        raise fields.error("operations", f"got {shown(operations)}, allowed: R, W, RW, E, or none")
    kind = _type(fields, operations)
    return Resource(
        id=number,
        name=fields.take("name", str),
        type=kind,
        operations=operations,
        ranges=_ranges(fields, kind),
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
        raise fields.error("type", f"got {shown(text)}, allowed: {allowed}")
    return Type(text)


def _ranges(fields: Fields, kind: Type) -> Ranges:
    bounds = fields.take("range", list, [])
    if not bounds:
        return ()
    pairs = bounds if all(isinstance(bound, list) for bound in bounds) else [bounds]
    if not (kind.is_number or kind in (Type.STRING, Type.OPAQUE)):
        raise fields.error("range", f"does not apply to type {kind}")
    if not all(_is_span(pair) for pair in pairs):
        raise fields.error("range", f"got {shown(bounds)}, allowed: [low, high], or a list of such")
    return tuple((low, high) for low, high in pairs)


def _is_span(pair: list[object]) -> bool:
    numbers = [bound for bound in pair if isinstance(bound, int | float) and not isinstance(bound, bool)]
    return len(pair) == 2 and len(numbers) == 2 and numbers[0] <= numbers[1]
