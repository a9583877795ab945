"""Clocks that are wrong, or set while everything runs: only the times shown may tell."""

import pytest

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric
from sparkplug_rig import Clock, patiently, running_host, running_simulator, watching

HOUR = 3600.0
REBIRTH = Metric("Node Control/Rebirth", True, DataType.BOOLEAN)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_wrong_clocks_that_jump_disturb_neither_order_nor_liveness(broker, stack, tmp_path, unique, ahead):
    group, fleet, host_id = unique("group"), unique("f"), unique("host")
    device = f"device-temp-{fleet}-001"
    watcher = stack.enter_context(watching(broker, group, host_id=host_id))
    hosts, devices = Clock(tmp_path, "host", -ahead), Clock(tmp_path, "fleet", ahead)
    host = stack.enter_context(
        running_host(broker, tmp_path, clock=hosts, SPARKPLUG_GROUP=group, SPARKPLUG_HOST_ID=host_id)
    )
    simulator = stack.enter_context(
        running_simulator(broker, tmp_path, clock=devices, SPARKPLUG_GROUP=group, FLEET_ID=fleet)
    )
    watcher.wait("DDATA", 5)

    def metric():
        return host.get(f"/api/nodes/{device}/devices/asset/metrics/Sensors%2FTemperature")

    for fleets_clock, hosts_clock in ((ahead, -ahead), (-2 * ahead, 2 * ahead), (0, 0)):
        devices.set(fleets_clock)
        hosts.set(hosts_clock)
        since = len(watcher.seen)
        watcher.command(device, REBIRTH)
        watcher.wait("NBIRTH", since=since)
        watcher.wait("DDATA", 20, since)
        last = watcher.of("DDATA", since)[-1].content
        patiently(
            lambda at=last.timestamp: 0 <= metric().get("timestamp", 0) - at < 60_000, "the host follows"
        )
        assert metric()["quality"] == "good"
        assert last.metrics[0].timestamp == last.timestamp
    shown = host.get(f"/api/nodes/{device}")
    assert (shown["gaps"], shown["reordered"], shown["rebirth_requests"]) == (0, 0, 0)
    assert shown["online"]
    assert not shown["stale"]
    sent = [m for m in watcher.seen if m.verb in ("NBIRTH", "DBIRTH", "DDATA")]
    numbers = [m.values["Ledger/Sequence"] for m in sent]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    simulator.stop()
    patiently(lambda: not host.get(f"/api/nodes/{device}")["online"], "the death counts")


def test_a_host_whose_clock_was_set_back_is_heard_by_the_devices_that_wait_for_it(
    broker, stack, tmp_path, unique
):
    group, fleet, host_id = unique("group"), unique("f"), unique("host")
    profile = tmp_path / "waits.yaml"
    profile.write_text(
        f"devices:\n- {{kind: temperature, weight: 1, sparkplug: {{primary_host: {host_id}}}}}\n"
    )
    watcher = stack.enter_context(watching(broker, group, host_id=host_id))
    settings = {"SPARKPLUG_GROUP": group, "SPARKPLUG_HOST_ID": host_id}
    clock = Clock(tmp_path, "host", HOUR)
    stack.enter_context(
        running_simulator(broker, tmp_path, SPARKPLUG_GROUP=group, FLEET_ID=fleet, PROFILE=str(profile))
    )
    for wrong, kill in ((HOUR, False), (0, True), (-HOUR, False)):
        clock.set(wrong)
        since = len(watcher.seen)
        with running_host(broker, tmp_path, clock=clock, **settings) as host:
            watcher.wait("DDATA", 3, since)
            said = [state for state in watcher.states() if state["online"]]
            times = [state["timestamp"] for state in said]
            assert times[-1] == max(times)
            since = len(watcher.seen)
            host.stop(kill=kill)
            watcher.wait("NDEATH", since=since)
