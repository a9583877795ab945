"""How deep JSON is nested, told from its bytes: orjson reads 1,024 levels, most readers far fewer."""

import re
from typing import Final

from iiot.budgets import NESTING, BudgetError

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_OTHER: Final = bytes(set(range(256)) - set(b"[]{}"))
_SAME: Final = bytes.maketrans(b"{}", b"[]")


def check_nesting(text: bytes, what: str) -> None:
    """Refuse JSON of more than `NESTING` levels.

    Args:
        text: valid JSON.
        what: names it in the error.

    Raises:
        BudgetError: deeper.
    """
    if text.count(b"[") + text.count(b"{") <= NESTING:
        return
    brackets = _STRING.sub(b"", text).translate(_SAME, _OTHER)
    for _ in range(NESTING):  # each round takes the innermost level away
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    raise BudgetError("levels of JSON", NESTING, what)
