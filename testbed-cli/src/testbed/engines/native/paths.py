"""Where things are kept: the clone, its state directory, the user's cache."""

import os
from pathlib import Path


def root() -> Path:
    """The clone that this code belongs to."""
    return Path(__file__).resolve().parents[5]


def state() -> Path:
    """Everything that a running testbed writes; TESTBED_STATE moves it, so that two can run side by side."""
    return Path(os.environ.get("TESTBED_STATE") or root() / ".testbed").absolute()


def cache() -> Path:
    """Downloads that outlive a clone."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iiot-testbed"
