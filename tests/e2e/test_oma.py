"""The whole testbed with devices of the OMA binding, below a prefix: it promises what it does with JSON."""

import json

import pytest

from own_testbed import Testbed, free_offset

SETTINGS = {"LWM2M_PROFILE": "oma", "LWM2M_PREFIX": "tenant-a"}
PATHS = ("sparkplug.data", "lwm2m.bridge", "lwm2m.http", "lwm2m.websocket")


@pytest.fixture
def oma_testbed(tmp_path):
    running = Testbed(tmp_path / "state", free_offset())
    running.environment |= SETTINGS
    try:
        yield running
    finally:
        running.run("down")


def test_it_becomes_healthy_with_messages_in_all_topics_and_loses_nothing(oma_testbed):
    started = oma_testbed.up()
    assert started.returncode == 0, started.stdout
    result = oma_testbed.run("verify", "--json", "--seconds=10")
    report = json.loads(result.stdout)
    assert result.returncode == 0, report
    assert (report["lost"], report["duplicated"], report["reordered"], report["devices"]) == (0, 0, 0, 2)
    for name in PATHS:
        assert report["paths"][name]["sent"] == report["paths"][name]["delivered"] > 0, name
