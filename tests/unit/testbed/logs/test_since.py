from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import InvalidValueError
from testbed.logs.since import ALLOWED, parse

ZONE = timezone(timedelta(hours=1))
NOW = datetime(2026, 11, 25, 18, 5, 30, 500_000, ZONE)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("90s", NOW - timedelta(seconds=90)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("1d", NOW - timedelta(days=1)),
        ("0s", NOW),
        ("18:05", datetime(2026, 11, 25, 18, 5, 0, 0, ZONE)),
        ("9:07:08", datetime(2026, 11, 25, 9, 7, 8, 0, ZONE)),
        ("18:06", datetime(2026, 11, 24, 18, 6, 0, 0, ZONE)),
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=ZONE)),
        ("2026-11-25T10:11", datetime(2026, 11, 25, 10, 11, tzinfo=ZONE)),
        ("2026-11-25 10:11:12.5", datetime(2026, 11, 25, 10, 11, 12, 500_000, ZONE)),
        ("2026-11-25T10:11:12Z", datetime(2026, 11, 25, 11, 11, 12, tzinfo=ZONE)),
    ],
)
def test_a_moment_as_people_write_it(text, moment):
    assert parse(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "10", "m", "10 m", "-5m", "25:00", "18:60", "soon", "2026-13-01", "99999d"]
)
def test_anything_else_is_refused_with_what_is_allowed(text):
    with pytest.raises(InvalidValueError) as error:
        parse(text, NOW.replace(year=1) if text.endswith("99d") else NOW)
    assert str(error.value) == f"since: got {text!r}, allowed: {ALLOWED}"


@given(st.text(max_size=20))
def test_any_text_is_a_moment_or_refused(text):
    with suppress(InvalidValueError):
        assert parse(text, NOW).tzinfo is not None
