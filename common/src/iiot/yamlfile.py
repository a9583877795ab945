"""YAML files checked against a model, with the file, the line and the field in every complaint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from iiot.budgets import FILE_BYTES
from iiot.errors import SettingsError
from iiot.yaml_budget import YamlBudgetError, check_aliases, check_size, check_text

_ALLOWED_TEXT = {
    "extra_forbidden": "no such field",
    "missing": "this field is needed",
    "model_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}
MAX_SHOWN = 200
"""Characters of a wrong value that a complaint repeats."""


class StrictModel(BaseModel):
    """A mapping in a file: unknown fields are errors, values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


M = TypeVar("M", bound=StrictModel)


def load_yaml(path: Path, model: type[M], context: object = None) -> M:
    """Read and check one file.

    Args:
        path: the file.
        model: what it must hold.
        context: handed to the model's validators.

    Raises:
        SettingsError: with a line `file:line: field: got value, allowed: what` for each mistake.
    """
    root, data = _read(path)
    try:
        return model.model_validate(data, context=context)
    except ValidationError as exc:
        raise SettingsError([_complaint(path, root, error) for error in exc.errors()]) from exc


def _read(path: Path) -> tuple[yaml.Node | None, Any]:
    """The file as nodes, which know their lines, and as data."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
        check_size(data)
        text = data.decode()
        check_text(text)
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        check_aliases(root)
        # Data is made after this look, because merge keys (`<<`) change the nodes.
        if repeated := sorted(_repeated_keys(root)):
            raise SettingsError([f"{path}:{line}: {field}: stands twice" for line, field in repeated])
        return root, None if root is None else loader.construct_document(root)
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError([f"{path}: {exc}"]) from exc
    except YamlBudgetError as exc:
        raise SettingsError([f"{path}:{exc.line}: {exc}"]) from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise SettingsError([f"{path}:{line}: not YAML: {getattr(exc, 'problem', None) or exc}"]) from exc
    except ValueError as exc:  # such as the date 2024-13-01
        raise SettingsError([f"{path}: cannot be read: {exc}"]) from exc


def _repeated_keys(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Line and name of each key that its mapping has already; YAML forbids it, the parser takes the last."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if node is None or id(node) in seen:  # an alias may lead back to where it stands
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[Any] = set()
            for key, value in node.value:
                left += [key, value]
                if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                    yield key.start_mark.line + 1, key.value
                keys.add((key.tag, str(key.value)))


def _complaint(path: Path, root: yaml.Node | None, error: Any) -> str:
    loc = tuple(error["loc"])
    line, field = _locate(root, loc)
    said = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    allowed = _ALLOWED_TEXT.get(error["type"], said.removeprefix("Input ").removeprefix("should be "))
    if error["type"] == "missing":
        return f"{path}:{line}: {field}: {allowed}"
    value = repr(error["input"])
    shown = value if len(value) <= MAX_SHOWN else value[:MAX_SHOWN] + "…"
    return f"{path}:{line}: {field}: got {shown}, allowed: {allowed}"


def _locate(node: yaml.Node | None, loc: tuple[int | str, ...]) -> tuple[int, str]:
    """Line (from 1) of the deepest node on the way to `loc`, and the way as text.

    Pydantic puts names of union members into `loc`; what is no key of the file is left out.
    """
    line = node.start_mark.line + 1 if node else 1
    field: list[str] = []
    for position, part in enumerate(loc):
        step = _child(node, part)
        if step is None:
            if position == len(loc) - 1 and isinstance(node, yaml.MappingNode):
                field.append(str(part))
            continue
        line, node = step
        field.append(str(part))
    return line, ".".join(field) or "file"


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    return None
