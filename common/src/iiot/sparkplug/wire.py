"""Counts what a Sparkplug payload holds before protobuf makes objects of it.

Two bytes are enough for a metric, a cell or a property, and each becomes some hundred bytes and a
microsecond. The counts are never too small; of messages that no encoder writes they may be too large.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, NoReturn

from iiot.budgets import COMPOSITE_NESTING, ELEMENTS, INFLATED_BYTES, METRICS, BudgetError
from iiot.errors import DecodeError


@dataclass(frozen=True, slots=True)
class PayloadBudget:
    """The most that one payload may hold.

    Attributes:
        metrics: the message's own.
        elements: of all metrics together, at any depth: members and parameters of templates, columns, rows
            and cells, properties.
        entries: of all arrays together: 1 MiB of numbers of 32 bits.
        nesting: templates in templates, property sets in property sets.
        inflated: bytes that a compressed payload may become.
        unchecked: bytes of a payload that is inside the budget, whatever it holds.
    """

    metrics: int = METRICS
    elements: int = ELEMENTS
    entries: int = 262_144
    nesting: int = COMPOSITE_NESTING
    inflated: int = INFLATED_BYTES
    unchecked: int = field(init=False)

    def __post_init__(self) -> None:
        """The densest payload has a metric of two bytes, or a number of one."""
        object.__setattr__(self, "unchecked", min(2 * self.metrics, self.elements))


DEFAULT_BUDGET: Final = PayloadBudget()
WHAT: Final = "Sparkplug payload"
_TRUNCATED: Final = "not a Sparkplug B payload: cut short"


class _Kind(NamedTuple):
    """A protobuf message, by the numbers of its fields that make objects.

    Attributes:
        parts: the kind of each of these fields.
        nests: whether it is a level of nesting.
        has_numbers: its numbers are a repeated field, packed or not.
        are_single: its parts are no repeated fields.
        are_halves: two of its parts, a key and a value, count as one.
    """

    parts: "dict[int, _Kind]"
    nests: bool = False
    has_numbers: bool = False
    are_single: bool = False
    are_halves: bool = False


_LEAF: Final = _Kind({})
_DATASET: Final = _Kind({2: _LEAF, 4: _Kind({1: _LEAF})}, has_numbers=True)
_TYPES: Final = 3
_PROPERTIES: Final = _Kind({1: _LEAF}, nests=True, are_halves=True)
_PROPERTIES.parts[2] = _Kind({9: _PROPERTIES, 10: _Kind({1: _PROPERTIES}), 11: _LEAF}, are_single=True)
_METRIC: Final = _Kind({8: _LEAF, 9: _PROPERTIES, 17: _DATASET, 19: _LEAF}, are_single=True)
_METRIC.parts[18] = _Kind({2: _METRIC, 3: _LEAF}, nests=True)
_PAYLOAD: Final = _Kind({2: _METRIC})
_STRAY: Final = 8
"""Fields that a message may have beside its repeated ones, if they are not numbers."""

_ODD: Final = 16
"""What a further field, a group or a tag longer than needed counts, in halves of an element: no encoder
writes them."""

_VARINT, _DOUBLE, _LENGTH, _GROUP, _GROUP_END, _FLOAT = range(6)
_SIZES: Final = {_DOUBLE: 8, _FLOAT: 4, _GROUP: 0, _GROUP_END: 0}
_GROUPS: Final = (_GROUP, _GROUP_END)
_LONGEST_VARINT: Final = 10


def _tags(wire: int, *numbers: int) -> bytes:
    return b"".join(b"\\x%02x" % (number << 3 | wire) for number in numbers or range(1, 16))


_BLOCK: Final = 256
_SCALAR: Final = rb"[%b][\x80-\xff]{0,9}+[\x00-\x7f]|[%b].{4}|[%b].{8}" % tuple(
    map(_tags, (_VARINT, _FLOAT, _DOUBLE))
)
_SHORT: Final = b"(?:%b)" % b"|".join(b"\\x%02x.{%d}" % (size, size) for size in range(128))
_SCALARS: Final = re.compile(b"(?:%b)*+" % _SCALAR, re.DOTALL)
_METRICS: Final = re.compile(
    b"(?:[%b]%b(?:%b|[%b]%b)*+){%d}+"
    % (_tags(_LENGTH, 2), _SHORT, _SCALAR, _tags(_LENGTH, 1, *range(3, 16)), _SHORT, _BLOCK),
    re.DOTALL,
)
_PARTS: Final = re.compile(
    b"(?:[%b]%b(?:%b)*+){%d}+" % (_tags(_LENGTH, 1, 2, 3, 4), _SHORT, _SCALAR, _BLOCK), re.DOTALL
)
_CELLS: Final = re.compile(
    rb"(?:[%b]%b|[%b][\x80-\xff]{0,9}+[\x00-\x7f]){%d}+"
    % (_tags(_LENGTH, 1, 2, 4), _SHORT, _tags(_VARINT, _TYPES), _BLOCK),
    re.DOTALL,
)


def check_budget(data: bytes, budget: PayloadBudget) -> None:
    """See that protobuf may parse a payload.

    Raises:
        BudgetError: it holds more than the budget.
        DecodeError: it is not protobuf.
    """
    if len(data) <= budget.unchecked:
        return
    try:
        _Counter(data, budget).count()
    except IndexError:
        raise DecodeError(_TRUNCATED) from None


class _Counter:
    """One walk over a payload."""

    __slots__ = ("_budget", "_data", "_halves", "_metrics")

    def __init__(self, data: bytes, budget: PayloadBudget) -> None:
        self._data = data
        self._budget = budget
        self._halves = self._metrics = 0

    def count(self) -> None:
        """Walk over all of it; errors as `check_budget`."""
        size = len(self._data)
        self._refuse_row(0, size, _METRICS, self._budget.metrics)
        self._walk(0, size, _PAYLOAD, 0)

    def _refuse_row(self, pos: int, end: int, block: re.Pattern[bytes], left: int) -> None:
        """Refuse a long row of short parts at the speed of `re`, before the walk visits each."""
        while end - pos > 2 * left and (match := block.match(self._data, pos, end)) is not None:
            left -= _BLOCK
            pos = match.end()
            if left < 0:
                self._refuse("metrics" if block is _METRICS else "elements")

    def _walk(self, pos: int, end: int, kind: _Kind, depth: int) -> None:
        """Count what is in a message."""
        data, parts, has_numbers = self._data, kind.parts, kind.has_numbers
        depth += kind.nests
        if depth > self._budget.nesting:
            raise BudgetError("nested levels", self._budget.nesting, WHAT)
        stray = groups = 0
        while pos < end:
            tag = data[pos]
            if tag & 0x87 == _LENGTH and data[pos + 1] < 0x80:
                start = pos + 2
                pos = start + data[pos + 1]
            else:
                if not has_numbers and (after := _after(_SCALARS, data, pos, end)) > pos:
                    pos = after
                    continue
                tag, start, pos = self._field(pos)
            if pos > end:
                raise DecodeError(_TRUNCATED)
            wire = tag & 7
            part = parts.get(tag >> 3) if wire == _LENGTH and not groups else None
            if has_numbers and part is None:
                self._add(2 * (pos - start if tag == _TYPES << 3 | _LENGTH else 1))
            elif part is None or kind.are_single:
                groups += (wire == _GROUP) - (wire == _GROUP_END)
                stray += 1
                if stray > _STRAY or wire in _GROUPS:
                    self._add(_ODD)
            else:
                self._count_part(kind)
            if part is not None and part.parts and pos > start:
                self._enter(start, pos, part, depth)

    def _count_part(self, kind: _Kind) -> None:
        if kind is not _PAYLOAD:
            self._add(1 if kind.are_halves else 2)
            return
        self._metrics += 1
        if self._metrics > self._budget.metrics:
            self._refuse("metrics")

    def _enter(self, pos: int, end: int, kind: _Kind, depth: int) -> None:
        if not kind.are_single:
            left = self._budget.elements - self._halves // 2
            row = _CELLS if kind.has_numbers else _PARTS
            self._refuse_row(pos, end, row, left * (1 + kind.are_halves))
        self._walk(pos, end, kind, depth)

    def _add(self, halves: int) -> None:
        self._halves += halves
        if self._halves > 2 * self._budget.elements:
            self._refuse("elements")

    def _refuse(self, name: Literal["metrics", "elements"]) -> NoReturn:
        raise BudgetError(name, getattr(self._budget, name), WHAT)

    def _field(self, pos: int) -> tuple[int, int, int]:
        """Tag of the field at `pos`, where its content begins, and where the next field does."""
        start = pos
        tag, pos = self._varint(pos)
        wire = tag & 7
        if tag < 0x80 and pos - start > 1:
            self._add(_ODD)
        if wire == _LENGTH:
            size, pos = self._varint(pos)
            return tag, pos, pos + size
        if wire == _VARINT:
            return tag, pos, self._varint(pos)[1]
        try:
            return tag, pos, pos + _SIZES[wire]
        except KeyError:
            raise DecodeError(f"not a Sparkplug B payload: wire type {wire}") from None

    def _varint(self, pos: int) -> tuple[int, int]:
        data = self._data
        value = data[pos]
        if value < 0x80:
            return value, pos + 1
        value &= 0x7F
        for shift in range(7, 7 * _LONGEST_VARINT, 7):
            pos += 1
            byte = data[pos]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, pos + 1
        raise DecodeError("not a Sparkplug B payload: a number of more than 10 bytes")


def _after(pattern: re.Pattern[bytes], data: bytes, pos: int, end: int) -> int:
    match = pattern.match(data, pos, end)
    return pos if match is None else match.end()
