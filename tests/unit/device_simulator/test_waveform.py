from statistics import fmean, pstdev

import pytest

from device_simulator.waveform import DAY, Shape, Wave, key_of, noise, uniform

T = 1_780_293_600.0


def test_random_numbers_repeat_for_a_key_and_differ_between_keys():
    first = [uniform(key_of(1, "a"), i) for i in range(50)]
    assert first == [uniform(key_of(1, "a"), i) for i in range(50)]
    assert first != [uniform(key_of(2, "a"), i) for i in range(50)]
    assert all(0 <= x < 1 for x in first)
    assert len(set(first)) == 50


def test_noise_has_mean_0_and_deviation_1():
    values = [noise(key_of("n"), i) for i in range(20_000)]
    assert abs(fmean(values)) < 0.03
    assert abs(pstdev(values) - 1) < 0.03


def test_daily_cycle_peaks_at_its_hour():
    wave = Wave(Shape(base=20, daily=4, peak_hour=14.5), key_of("x"))
    hours = {hour: wave.value(T // DAY * DAY + hour * 3600, 0) for hour in (2.5, 8.5, 14.5, 20.5)}
    assert hours[14.5] == pytest.approx(24)
    assert hours[2.5] == pytest.approx(16)
    assert hours[8.5] == pytest.approx(20)


def test_a_value_depends_on_time_and_index_alone():
    shape = Shape(base=1, spread=1, daily=1, wander=1, drift_per_year=1, noise=1, duty=0.5)
    one, other = Wave(shape, 42), Wave(shape, 42)
    for i in reversed(range(100)):
        other.value(T + i, i)
    assert [one.value(T + i, i) for i in range(100)] == [other.value(T + i, i) for i in range(100)]


def test_integral_is_the_sum_of_the_smooth_signal():
    wave = Wave(Shape(base=600, spread=50, daily=200, wander=100, wander_hours=5), 42)
    step = 20.0
    middle_rule = sum(wave.value(T + (i + 0.5) * step, 0) * step for i in range(4320))
    assert wave.integral(T + DAY, T) == pytest.approx(middle_rule, rel=1e-6)


def test_a_machine_runs_for_its_share_of_the_time_and_idles_in_between():
    wave = Wave(Shape(base=10, duty=0.7, duty_minutes=1, idle=0.1), 42)
    values = [wave.value(T + i * 60, i) for i in range(5000)]
    assert set(values) == {10.0, 1.0}
    assert values.count(10.0) / 5000 == pytest.approx(0.7, abs=0.03)


def test_drift_stays_within_two_years_of_ageing():
    wave = Wave(Shape(base=0, drift_per_year=1), 42)
    values = [wave.value(T + i * 10 * DAY, 0) for i in range(300)]
    assert 0 < max(values) - min(values) <= 1
