"""Arguments of an Execute (Core 6.3.5): `0='now',1`."""

import re
from typing import Final

from iiot.errors import InvalidValueError

_ARGUMENT: Final = r"[0-9](?:='[!#-&(-\[\]-~]*')?"
_LIST: Final = re.compile(f"(?:{_ARGUMENT}(?:,{_ARGUMENT})*)?")
_NUMBER: Final = re.compile(r"(?:^|,)([0-9])(?=$|[,=])(?:='[^']*')?")
_ALLOWED: Final = (
    "digits, each once, with optional ='text' of printable ASCII without blanks, separated by commas"
)


def check_arguments(arguments: str) -> None:
    """Refuse arguments that are none.

    Raises:
        InvalidValueError: not of the grammar, or an argument stands twice; the field is `arguments`.
    """
    numbers = _NUMBER.findall(arguments)
    if not _LIST.fullmatch(arguments) or len(set(numbers)) != len(numbers):
        raise InvalidValueError("arguments", arguments, _ALLOWED)
