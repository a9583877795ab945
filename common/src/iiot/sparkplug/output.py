"""How much JSON the metrics of a message make, told before it is made.

A name that a birth told once is written with every value that an alias names, and a byte becomes six in a
text, so a few bytes may become many.
"""

from typing import Any, Final

import orjson

from iiot.budgets import OUTPUT_BYTES, BudgetError

_ESCAPED: Final = 6
"""JSON characters of one in a text, at most."""
_PER_METRIC: Final = 160
"""JSON bytes of a metric whose value is a number, without its name, at most."""
_MEMBERS: Final = 4
"""Of a metric that has nothing unusual: name, type, value, timestamp."""
_LARGE: Final = frozenset({dict, list, tuple})
_PIECE: Final = 4096


def check_output(entries: list[dict[str, Any]], limit: int = OUTPUT_BYTES) -> None:
    """See that metrics make no more than `limit` bytes of JSON, before the JSON is made.

    A name that a birth told once is written with every value, so a few bytes may become many.

    Raises:
        BudgetError: they make more.
    """
    size = 0
    for entry in entries:
        value, name = entry["value"], entry["name"] or ""
        size += _PER_METRIC + _ESCAPED * (len(name) + (len(value) if type(value) is str else 0))
        if size > limit or len(entry) > _MEMBERS or type(value) in _LARGE:
            _Measure(limit).add(entries)
            return


class _Measure:
    """Adds up bytes of JSON, made in small pieces that are not kept."""

    def __init__(self, limit: int) -> None:
        self._left = self._limit = limit

    def add(self, value: Any) -> None:
        """Count a value as JSON.

        Raises:
            BudgetError: it is too much.
        """
        if isinstance(value, dict):
            for key, member in value.items():
                self.add(key)
                self.add(member)
        elif isinstance(value, list) or (isinstance(value, tuple) and value and type(value[0]) is str):
            for member in value:
                self.add(member)
        elif isinstance(value, str | tuple):
            for at in range(0, len(value) or 1, _PIECE):
                self._take(orjson.dumps(value[at : at + _PIECE]))
        else:
            self._take(orjson.dumps(value))

    def _take(self, made: bytes) -> None:
        self._left -= len(made)
        if self._left < 0:
            raise BudgetError("bytes of JSON", self._limit, "record")
