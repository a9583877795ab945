"""Medians over runs, and how they are shown."""

from testbed.bench.report import machine, medians, show
from testbed.bench.usage import microseconds_per, percent_of

RUNS = [
    {"rate": 1200.0, "latency_ms": {"p50": 1.5, "p99": None}},
    {"rate": 1100.0, "latency_ms": {"p50": 2.5, "p99": None}},
    {"rate": 5000.0, "latency_ms": {"p50": 2.0, "p99": 9.0}},
]


def test_the_median_of_each_figure_and_not_of_whole_runs():
    assert medians(RUNS) == {"rate": 1200.0, "latency_ms": {"p50": 2.0, "p99": 9.0}}


def test_a_figure_that_no_run_has():
    assert medians([{"p50": None}, {"p50": None}]) == {"p50": None}


def test_the_table_shows_the_spread(capsys):
    show({}, RUNS, as_json=False)
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines()]
    rows = {cells[1].strip(): [cell.strip() for cell in cells[2:5]] for cells in lines if len(cells) > 4}
    assert rows["rate"] == ["1,200", "1,100", "5,000"]
    assert rows["latency_ms p50"] == ["2", "1.5", "2.5"]


def test_the_machine_is_named():
    assert machine()["cores"] >= 1


def test_processor_time_by_message_and_by_second():
    before, after = {"server": 1.0, "load": 0.5}, {"server": 1.5, "load": 0.5}
    assert microseconds_per(10_000, before, after) == {"server": 50.0, "load": 0.0}
    assert percent_of(2.0, before, after) == {"server": 25.0, "load": 0.0}
    assert microseconds_per(0, before, after)["load"] == 0.0
