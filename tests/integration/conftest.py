"""What several modules of integration tests share."""

from contextlib import ExitStack

import pytest

from own_broker import open_mosquitto


@pytest.fixture
def stack():
    """Contexts that a test enters; they are left at its end, the last one first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def broker(tmp_path):
    """An open Mosquitto of the test's own."""
    with open_mosquitto(tmp_path / "broker") as (broker, _):
        yield broker
