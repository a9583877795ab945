"""Bounds on YAML that a person wrote, held before anything is made of it.

An alias costs a few bytes and stands for all that its anchor holds: seven lines of them make ten million
values wherever somebody walks through the data, or prints it.
"""

from dataclasses import dataclass
from typing import Any, Final

import yaml

from iiot.budgets import FILE_BYTES, FILE_NODES

MAX_DEPTH: Final = 50
"""Levels of nesting; the parser needs the stack for each."""


class YamlBudgetError(Exception):
    """The text is more than a person writes; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, slots=True)
class _Extent:
    """What a node is once its aliases are written out."""

    nodes: int = 1
    characters: int = 0
    depth: int = 1


def check_size(text: str | bytes) -> None:
    """Check the length alone, for a file of which no more than that was read.

    Raises:
        YamlBudgetError: it is larger than `FILE_BYTES`.
    """
    if len(text) > FILE_BYTES:
        raise YamlBudgetError(1, f"larger than {FILE_BYTES} bytes")


def check_text(text: str | bytes, loader: Any = yaml.SafeLoader) -> None:
    """Check size and nesting of a text before its nodes are made.

    Args:
        text: the YAML.
        loader: PyYAML's loader that will read it.

    Raises:
        YamlBudgetError: it is larger than `FILE_BYTES`, or nested deeper than `MAX_DEPTH` levels.
        yaml.YAMLError: it is no YAML.
    """
    check_size(text)
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YamlBudgetError(_line(event), f"nested deeper than {MAX_DEPTH} levels")


def check_aliases(root: yaml.Node | None) -> None:
    """Check how much the nodes of a text that passed `check_text` are once aliases are written out.

    Raises:
        YamlBudgetError: more than `FILE_NODES` values or `FILE_BYTES` characters, nested deeper than
            `MAX_DEPTH` levels, or a value that holds itself.
    """
    if root is not None:
        _measure(root, {})


def _measure(node: yaml.Node, known: dict[int, _Extent | None]) -> _Extent:
    # An anchor stands before its aliases, so it has been measured: the recursion is as deep as the text.
    if id(node) in known:
        extent = known[id(node)]
        if extent is None:
            raise YamlBudgetError(_line(node), "holds an alias of itself")
        return extent
    if isinstance(node, yaml.ScalarNode):
        extent = _Extent(characters=len(node.value))
    else:
        known[id(node)] = None
        pairs = isinstance(node, yaml.MappingNode)
        children = [part for pair in node.value for part in pair] if pairs else node.value
        extents = [_measure(child, known) for child in children]
        extent = _Extent(
            1 + sum(each.nodes for each in extents),
            sum(each.characters for each in extents),
            1 + max((each.depth for each in extents), default=0),
        )
    _check_extent(node, extent)
    known[id(node)] = extent
    return extent


def _check_extent(node: yaml.Node, extent: _Extent) -> None:
    for size, limit, unit in (
        (extent.nodes, FILE_NODES, "values"),
        (extent.characters, FILE_BYTES, "characters"),
    ):
        if size > limit:
            raise YamlBudgetError(_line(node), f"more than {limit} {unit} once aliases are written out")
    if extent.depth > MAX_DEPTH + 1:  # the innermost one is a scalar
        raise YamlBudgetError(_line(node), f"nested deeper than {MAX_DEPTH} levels by its aliases")


def _line(place: Any) -> int:
    return place.start_mark.line + 1 if place.start_mark else 1
