"""How the testbed's own containers start, take an edit, and stop."""

import time
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest

from support import wait_until, yardstick

PORTS = {"lwm2m-server": 8080, "sparkplug-host": 8081, "mqtt-redpanda-bridge": 8082, "device-simulator": 8083}
START_SECONDS = 2.0
"""On a quiet machine of two cores, where `yardstick` takes `YARDSTICK_SECONDS`; longer on a slower one."""
STOP_SECONDS = 5.0
YARDSTICK_SECONDS = 0.3
TRIES = 3
"""Other work on the machine may cost one of them its time, not all."""


def answers(address: str, port: int) -> bool:
    connection = HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status in {200, 503}
    finally:
        connection.close()


@pytest.mark.parametrize("service", PORTS)
def test_stops_and_starts_in_time(stack, measured, service):
    for _ in range(TRIES):
        before = yardstick()
        stopped, started = stop_and_start(stack, service)
        slower = max(1.0, before / YARDSTICK_SECONDS, yardstick() / YARDSTICK_SECONDS)
        measured.append(
            f"{service}: stopped in {stopped:.2f} s, answers {started:.2f} s after its start"
            f" (allowed: {STOP_SECONDS:.0f} s and {START_SECONDS * slower:.1f} s)"
        )
        if stopped <= STOP_SECONDS and started <= START_SECONDS * slower:
            return
    pytest.fail(f"none of {TRIES} tries in time: {measured[-TRIES:]}")


def stop_and_start(stack, service):
    """Seconds that the service takes to stop, and to answer after its start."""
    [container] = stack.containers(service)
    begin = time.monotonic()
    stack.docker("stop", "--time", "30", container["Id"])
    stopped = time.monotonic() - begin
    [container] = stack.containers(service)
    assert container["State"]["ExitCode"] == 0, stack.compose("logs", "--tail", "20", service)

    stack.docker("start", container["Id"])
    [container] = stack.containers(service)
    [network] = container["NetworkSettings"]["Networks"].values()
    wait_until(lambda: answers(network["IPAddress"], PORTS[service]), f"{service} answers", 30, interval=0.02)
    # Docker writes nanoseconds, Python reads microseconds.
    since = datetime.fromisoformat(container["State"]["StartedAt"][:26]).replace(tzinfo=UTC)
    return stopped, (datetime.now(UTC) - since).total_seconds()


def test_an_edit_takes_effect_after_a_restart(stack):
    for service in PORTS:
        package = service.replace("-", "_")
        file = stack.directory / service / "src" / package / "__init__.py"
        file.write_text(f'{file.read_text()}\nprint("edited while running", flush=True)\n')
    stack.compose("restart", *PORTS)
    for service in PORTS:
        wait_until(
            lambda service=service: "edited while running" in stack.compose("logs", service), service, 20, 0.5
        )
    stack.compose("up", "--detach", "--wait", "--no-recreate")
