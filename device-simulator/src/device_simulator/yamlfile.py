"""YAML files checked against a model, with the file, the line and the field in every complaint."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from iiot.errors import SettingsError

_ALLOWED_TEXT = {
    "extra_forbidden": "no such field",
    "missing": "this field is needed",
}


class StrictModel(BaseModel):
    """A mapping in a file: unknown fields are errors, values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError([f"{path}: {exc}"]) from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise SettingsError([f"{path}:{line}: not YAML: {getattr(exc, 'problem', None) or exc}"]) from exc
    try:
        return model.model_validate(data, context=context)
    except ValidationError as exc:
        raise SettingsError([_complaint(path, root, error) for error in exc.errors()]) from exc


def _complaint(path: Path, root: yaml.Node | None, error: Any) -> str:
    loc = tuple(error["loc"])
    line, field = _locate(root, loc)
    said = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    allowed = _ALLOWED_TEXT.get(error["type"], said.removeprefix("Input "))
    if error["type"] == "missing":
        return f"{path}:{line}: {field}: {allowed}"
    return f"{path}:{line}: {field}: got {error['input']!r}, allowed: {allowed}"


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
