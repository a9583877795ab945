import itertools

import pytest

from iiot.lwm2m.path import Path
from iiot.sparkplug.payload import decode_payload


def test_uptime_counts_from_the_boot_and_the_world_does_not_jump_at_a_reboot(make_parts, clock):
    state = make_parts().state
    clock.now += 100
    state.sample(clock.now)
    before = state.time
    assert state.uptime == 100
    state.boot(clock.now)
    clock.now += 1
    state.sample(clock.now)
    assert state.uptime == 1
    assert state.time == pytest.approx(before + 1, abs=0.02)


def test_a_seeded_run_gives_the_same_values_whenever_it_starts(make_parts, clock):
    def run():
        parts = make_parts(kind="energy")
        deadline = parts.state.next_deadline(0.0105, 0.0, clock.now)
        return [list(parts.state.sample(deadline + i * 0.0105)) for i in range(300)]

    first = run()
    clock.now += 12345.678
    assert run() == first


def test_without_a_seed_a_restarted_device_goes_on_where_it_was(make_parts, clock):
    state = make_parts(seed=None, device_id="device-temp-001").state
    clock.now += 3600
    state.sample(clock.now)
    battery, value = state.battery_level, state.values[0]
    restarted = make_parts(seed=None, device_id="device-temp-001").state
    assert restarted.battery_level == battery
    assert restarted.values[0] == pytest.approx(value, abs=0.4)


@pytest.mark.parametrize("interval", [0.0105, 0.2, 1.0, 7.3, 60.0])
def test_each_message_of_a_stream_carries_a_sample_of_its_own(make_parts, clock, interval):
    state = make_parts(interval=interval).state
    deadline = state.next_deadline(interval, 0.4, clock.now)
    assert clock.now < deadline <= clock.now + interval + 1
    times = []
    for i in range(200):
        state.sample(deadline + i * interval)
        times.append(state.time)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == pytest.approx([interval] * 199, abs=1e-6)


def test_devices_do_not_send_in_step(make_parts, clock):
    places = [make_parts(device_id=f"d{i}").state.next_deadline(10.0, i / 50, clock.now) for i in range(50)]
    assert len(set(places)) == 50


def test_a_stream_keeps_its_place_over_a_reconnect(make_parts, clock):
    state = make_parts().state
    first = state.next_deadline(0.5, 0.3, clock.now)
    clock.now += 77.7
    later = state.next_deadline(0.5, 0.3, clock.now)
    assert clock.now < later <= clock.now + 0.5
    assert (later - first) / 0.5 == pytest.approx(round((later - first) / 0.5))


@pytest.mark.parametrize(
    "kind", ["temperature", "humidity", "pressure", "vibration", "energy", "air-quality"]
)
def test_both_protocols_show_the_same_value_at_the_same_instant(make_parts, clock, kind):
    parts = make_parts(kind=kind)
    parts.client.register(clock.now)
    parts.node.edge.next_will()
    parts.node.births(clock.now)
    for _ in range(20):
        clock.now += 0.7
        sparkplug = {m.name: m.value for m in decode_payload(parts.node.telemetry(clock.now).payload).metrics}
        for channel in parts.state.plan.kind.channels:
            (record,) = parts.client._tree.read(parts.state, Path.parse(channel.path))
            assert record.value == sparkplug[channel.metric]
        (battery,) = parts.client._tree.read(parts.state, Path.of(3, 0, 9))
        assert battery.value == sparkplug["Battery/Level"]
        assert sparkplug["Device/Uptime"] == int(clock.now - 1000)
