"""YAML read field by field, so that every complaint names its line."""

from collections.abc import Hashable, Iterator
from reprlib import Repr
from typing import Any, Final, TypeVar

import yaml

from iiot.yaml_budget import YamlBudgetError, check_aliases, check_text

T = TypeVar("T")
_MISSING: Any = object()
_Loader: type[Any] = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml is five times faster, and optional
_SHORT: Final = Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_SHORT.maxlevel = 3
_KINDS = {str: "a string", bool: "true or false", int: "an integer", list: "a list", dict: "a mapping"}


def shown(value: object) -> str:
    """A value as a complaint repeats it: cut where it is long."""
    return _SHORT.repr(value)


class YamlError(Exception):
    """The text is not what it should be; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class Fields:
    """One mapping of a file. Take the fields that may be there, then `finish`."""

    def __init__(self, node: yaml.Node, what: str) -> None:
        self.line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise YamlError(self.line, f"{what}: expected a mapping")
        self._what = what
        self._nodes: dict[Hashable, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = _construct(key_node)
            if not isinstance(key, Hashable) or key in self._nodes:
                raise YamlError(key_node.start_mark.line + 1, f"{what}: {shown(key)} stands twice")
            self._nodes[key] = value_node

    def error(self, key: str, reason: str) -> YamlError:
        """The complaint about one field."""
        node = self._nodes.get(key)
        line = node.start_mark.line + 1 if node else self.line
        return YamlError(line, f"{self._what}: {key}: {reason}")

    def take(self, key: str, kind: type[T], default: T = _MISSING) -> T:
        """The field's value, checked to be a `kind`; required when there is no default.

        Raises:
            YamlError: missing, or of another kind.
        """
        node = self._nodes.get(key)
        if node is None:
            if default is _MISSING:
                raise self.error(key, "is missing")
            return default
        value = _construct(node)
        if type(value) is not kind:
            raise self.error(key, f"got {shown(value)}, expected {_KINDS[kind]}")
        return value

    def children(self, key: str, what: str) -> "Iterator[tuple[int, Fields]]":
        """The mappings below a field that maps integer ids to mappings.

        Raises:
            YamlError: the field or an entry is something else.
        """
        if key not in self._nodes:
            raise self.error(key, "is missing")
        table = Fields(self._nodes[key], f"{self._what}: {key}")
        for number, node in table._nodes.items():
            if type(number) is not int:
                raise YamlError(
                    node.start_mark.line + 1, f"{self._what}: {key}: {shown(number)} is not an id"
                )
            yield number, Fields(node, f"{what} {number}")

    def finish(self, allowed: tuple[str, ...]) -> None:
        """Refuse fields beyond those allowed, which are most often misspelt ones.

        Raises:
            YamlError: there is such a field.
        """
        for key, node in self._nodes.items():
            if key not in allowed:
                choice = ", ".join(allowed)
                raise YamlError(
                    node.start_mark.line + 1, f"{self._what}: unknown field {shown(key)}, known: {choice}"
                )


def compose(text: bytes) -> Fields:
    """The top mapping of a file.

    Raises:
        YamlError: not YAML, or no mapping.
    """
    try:
        check_text(text, _Loader)
        node = yaml.compose(text, Loader=_Loader)
        check_aliases(node)
    except YamlBudgetError as error:
        raise YamlError(error.line, str(error)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(line, error.problem or "not YAML") from error
    except yaml.YAMLError as error:
        raise YamlError(1, f"not YAML: {error}") from error
    if node is None:
        raise YamlError(1, "the file is empty")
    return Fields(node, "file")


def _construct(node: yaml.Node) -> Any:
    try:
        return yaml.constructor.SafeConstructor().construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        raise YamlError(node.start_mark.line + 1, f"cannot be read: {error}") from error
