from itertools import pairwise

import pytest

from device_simulator.battery import Battery, BatterySpec
from device_simulator.faults import SLOT, FaultKind, FaultPlan
from device_simulator.kind import load_kinds
from device_simulator.sensors import Sensors
from device_simulator.waveform import DAY, key_of

T = 1_780_293_600.0
KINDS = load_kinds()


def readings(kind, seed, faults=1.0, count=200):
    sensors = Sensors(KINDS[kind], key_of(seed, "d"), faults)
    return [list(sensors.read(T + i * 0.01, i)) for i in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_repeats_values_and_another_seed_does_not(kind):
    assert readings(kind, 1) == readings(kind, 1)
    assert readings(kind, 1) != readings(kind, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_two_days_stay_within_range_and_away_from_its_ends(kind):
    sensors = Sensors(KINDS[kind], key_of(3, "d"), 0)
    for i in range(600):
        for value, channel in zip(sensors.read(T + i * 2 * DAY / 600, i), KINDS[kind].channels, strict=True):
            low, high = channel.range
            assert low <= value <= high
            assert value != high


def faults_of_a_day(per_hour):
    plan = FaultPlan(key_of("f"), per_hour, channels=3)
    return [fault for i in range(int(DAY)) if (fault := plan.at(T + i))]


def test_faults_come_at_their_rate_and_last_as_long_as_their_kind():
    faults = set(faults_of_a_day(3))
    assert 40 < len(faults) < 105
    assert {fault.kind for fault in faults} == set(FaultKind)
    assert {fault.channel for fault in faults} == {0, 1, 2}
    for fault in faults:
        shortest, longest = fault.kind.value
        assert shortest <= fault.end - fault.start <= longest
        assert fault.start // SLOT == (fault.end - 1e-6) // SLOT
    assert faults_of_a_day(0) == []


@pytest.fixture
def faulty():
    """A temperature sensor, and one of its faults of each kind."""
    sensors = Sensors(KINDS["temperature"], key_of(1, "f"), 25)
    plan = FaultPlan(key_of(1, "f"), 25 * KINDS["temperature"].faults_per_hour, channels=1)
    found = {}
    for i in range(int(2 * DAY)):
        if fault := plan.at(T + i):
            found.setdefault(fault.kind, fault)
    return sensors, found


def test_each_fault_shows_in_the_readings(faulty):
    sensors, faults = faulty

    def during(kind):
        fault = faults[kind]
        span = fault.end - fault.start
        return [sensors.read(fault.start + x * span / 10, int(fault.start) + x)[0] for x in range(1, 9)]

    assert during(FaultKind.DROPOUT) == [None] * 8
    assert len(set(during(FaultKind.STUCK))) == 1
    assert all(abs(value - 21.5) > 15 for value in during(FaultKind.SPIKE))


def test_energy_never_runs_backwards_and_follows_power():
    sensors = Sensors(KINDS["energy"], key_of(1, "e"), 0)
    hours = [sensors.read(T + i * 60, i)[3] for i in range(120)]
    assert all(later > earlier for earlier, later in pairwise(hours))
    power = [sensors.read(T + i * 60, i)[0] for i in range(120)]
    assert hours[-1] - hours[0] == pytest.approx(sum(power) / 120 * 119 / 60 / 1000, rel=0.02)


def test_the_switched_load_shows_in_power_current_and_energy():
    sensors, plain = (Sensors(KINDS["energy"], key_of(1, "e"), 0) for _ in range(2))
    sensors.switch(True, T)
    assert sensors.read(T, 0)[0] == pytest.approx(plain.read(T, 0)[0] + 400, abs=0.2)
    assert sensors.read(T, 0)[2] > plain.read(T, 0)[2] + 1.5
    sensors.switch(False, T + 3600)
    assert sensors.read(T + 7200, 1)[0] == plain.read(T + 7200, 1)[0]
    assert sensors.read(T + 7200, 1)[3] == pytest.approx(plain.read(T + 7200, 1)[3] + 0.4)


def test_extremes_follow_the_readings_until_reset():
    sensors = Sensors(KINDS["temperature"], key_of(1, "t"), 0)
    seen = [sensors.read(T + i, i)[0] for i in range(100)]
    assert (sensors.minimum[0], sensors.maximum[0]) == (min(seen), max(seen))
    sensors.reset_extremes(0)
    assert sensors.minimum == sensors.maximum == [seen[-1]]


def test_a_battery_drains_and_is_replaced():
    battery = Battery(BatterySpec(supply="replaceable", hours=10), key_of("b"))
    levels = [battery.level(T + i * 60) for i in range(1800)]
    jumps = [(a, b) for a, b in pairwise(levels) if b > a]
    assert 2 <= len(jumps) <= 4
    assert all(a < 30 and b == 100 for a, b in jumps)
    assert {battery.status(T + i * 60) for i in range(1800)} >= {0, 4}


def test_a_rechargeable_battery_climbs_back_and_mains_stays_full():
    battery = Battery(BatterySpec(supply="rechargeable", hours=10), key_of("b"))
    levels = [battery.level(T + i * 60) for i in range(1800)]
    assert max(abs(a - b) for a, b in pairwise(levels)) < 5
    assert {battery.status(T + i * 60) for i in range(1800)} >= {0, 1}
    mains = Battery(BatterySpec(supply="mains"), key_of("b"))
    assert {mains.level(T + i * 3600) for i in range(100)} == {100}
