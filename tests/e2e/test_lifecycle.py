"""Start and stop as people and accidents do it: twice, half, interrupted, killed."""

import json
import os
import signal
import socket

import pytest

from own_testbed import Testbed, free_offset
from support import accepts_connections, wait_until
from testbed.engines.native.ports import PART_NAMES, Ports
from testbed.engines.native.process import owned


@pytest.fixture
def fresh(tmp_path):
    testbed = Testbed(tmp_path, free_offset())
    yield testbed
    testbed.run("down")
    assert_nothing_left(testbed)


def assert_nothing_left(testbed):
    assert owned(testbed.directory) == []
    ports = [port for part in PART_NAMES for port in Ports(testbed.offset).of(part).values()]
    assert [port for port in ports if accepts_connections(port)] == []


def started(testbed, part):
    wait_until(lambda: part in testbed.run("status", "--json").stdout, f"{part} is known", 30, 0.3)


def test_a_second_up_changes_nothing(testbed):
    before = {part["name"]: part["pid"] for part in testbed.status()["parts"]}
    result = testbed.up()
    assert result.returncode == 0
    assert "was up already" in result.stdout
    assert {part["name"]: part["pid"] for part in testbed.status()["parts"]} == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing(fresh, number):
    process = fresh.popen("up", "--engine", "native")
    started(fresh, "kafka")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert_nothing_left(fresh)


def test_down_cleans_up_after_a_killed_up_and_a_killed_supervisor(fresh):
    process = fresh.popen("up", "--engine", "native")
    started(fresh, "lwm2m-server")
    process.kill()
    process.communicate()
    supervisor = json.loads((fresh.directory / "run.json").read_text())["supervisor"]["pid"]
    wait_until(lambda: fresh.part("mosquitto")["state"] == "healthy", "Mosquitto is healthy", 30, 0.3)
    os.kill(supervisor, signal.SIGKILL)
    status = fresh.status()
    assert not status["healthy"]
    assert "not supervised" in next(p["detail"] for p in status["parts"] if p["name"] == "mosquitto")
    assert fresh.run("down").returncode == 0
    assert_nothing_left(fresh)


def test_a_port_in_use_is_named_in_one_line(fresh):
    with socket.create_server(("127.0.0.1", 8080 + fresh.offset)):
        result = fresh.up()
    assert result.returncode == 1
    lines = result.stdout.strip().splitlines()
    assert lines[-1].startswith(
        f"up: lwm2m-server needs port {8080 + fresh.offset}, which another program uses"
    )
    assert_nothing_left(fresh)


def test_a_part_that_cannot_start_ends_up_with_its_log(fresh):
    fresh.environment["TELEMETRY_INTERVAL"] = "abc"
    result = fresh.up()
    assert result.returncode == 1
    assert "TELEMETRY_INTERVAL='abc'" in result.stdout
    assert "device-simulator does not stay up" in result.stdout
    assert_nothing_left(fresh)


def test_status_and_down_of_a_testbed_that_does_not_run(fresh):
    assert fresh.run("status").returncode == 3
    assert fresh.run("down").returncode == 0
