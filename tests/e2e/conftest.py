"""The whole native testbed, started once by the command a person types, on ports of its own."""

from collections.abc import Iterator

import pytest

from own_testbed import Testbed, free_offset


@pytest.fixture(scope="session")
def testbed(tmp_path_factory) -> Iterator[Testbed]:
    """A running testbed; tests may break parts if they wait until it is healthy again."""
    running = Testbed(tmp_path_factory.mktemp("testbed"), free_offset())
    try:
        result = running.up()
        assert result.returncode == 0, result.stdout
        yield running
    finally:
        running.run("down")
