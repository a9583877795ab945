"""Judges timestamps against the observer's clock; all in ms."""

from typing import Final

MINUTE: Final = 60_000
CLOCKS_AGREE: Final = 5 * MINUTE
"""Difference that nobody minds; networks, queues and clocks without a time service add up."""
_ZONE_STEP: Final = 15 * MINUTE
_ZONE_NOISE: Final = MINUTE
_ZONE_FURTHEST: Final = 14 * 60 * MINUTE
_YEAR_2000: Final = 946_684_800_000
_YEAR_2200: Final = 7_258_118_400_000


def describe_wrong_unit(timestamp: int) -> str | None:
    """Why a number cannot be ms since 1970 of our time; None when it can."""
    if timestamp < _YEAR_2000:
        return f"{timestamp} is before 2000: seconds instead of ms, or a clock that was never set"
    if timestamp > _YEAR_2200:
        return f"{timestamp} is after 2200: µs or ns instead of ms"
    return None


def is_zone_offset(difference: int) -> bool:
    """Whether two clocks differ as time zones do."""
    steps = round(difference / _ZONE_STEP)
    near = abs(difference - steps * _ZONE_STEP) <= _ZONE_NOISE
    return near and steps != 0 and abs(difference) <= _ZONE_FURTHEST + _ZONE_NOISE


def describe_wrong_metric_time(timestamp: int, now: int) -> str | None:
    """Why a metric's timestamp cannot be right; old ones can, for values keep for long."""
    if wrong := describe_wrong_unit(timestamp):
        return wrong
    if timestamp - now > CLOCKS_AGREE:
        return f"{timestamp} is {(timestamp - now) / MINUTE:.0f} min ahead of the observer"
    return None
