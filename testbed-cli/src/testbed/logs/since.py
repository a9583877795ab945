"""`--since`: a moment as people write it."""

import re
from datetime import datetime, timedelta
from typing import Final

from iiot.errors import InvalidValueError

ALLOWED: Final = "an age (90s, 10m, 2h, 1h30m, 1d), a time (18:05, 18:05:30) or a date (2026-11-25[T18:05])"
_AGE: Final = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,8})m)?(?:(\d{1,9})s)?")
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


def parse(text: str, now: datetime) -> datetime:
    """The moment that `text` means.

    Args:
        text: as in `ALLOWED`; without a zone in that of `now`.
        now: with its zone.

    Raises:
        InvalidValueError: it is something else.
    """
    age = _AGE.fullmatch(text)
    if age and text:
        days, hours, minutes, seconds = (int(number or 0) for number in age.groups())
        try:
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        except OverflowError as exc:
            raise InvalidValueError("since", text, ALLOWED) from exc
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = (int(number or 0) for number in clock.groups())
        today = now.replace(hour=hours, minute=minutes, second=seconds, microsecond=0)
        return today if today <= now else today - timedelta(days=1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InvalidValueError("since", text, ALLOWED) from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
