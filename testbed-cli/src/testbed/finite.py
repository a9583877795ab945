"""Numbers on the command line."""

import math
from typing import Final

import typer

LARGEST: Final = 1e9
"""No span of seconds, and no rate, is longer: 32 years."""


def finite(value: float | None) -> float | None:
    """Refuse what is no number that one can wait for: Python reads `nan`, `inf` and `1e400` as well.

    Raises:
        typer.BadParameter: names what was given.
    """
    if value is not None and not (math.isfinite(value) and abs(value) <= LARGEST):
        raise typer.BadParameter(f"{value} is not a number up to {LARGEST:.0f}")
    return value
