from rich.console import Console

from testbed.verify.histogram import Histogram
from testbed.verify.ledger import Verdict
from testbed.verify.report import PLOT_WIDTH, as_plot
from testbed.verify.window import Result


def plotted(*latencies):
    histogram = Histogram()
    for value in latencies:
        histogram.add(value)
    verdict = Verdict(len(latencies), len(latencies), 0, 0, 0, histogram, 1, 0, {}, [])
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(as_plot(Result(verdict, 1.0, [])))
    return [line.split() for line in captured.get().splitlines()]


def test_the_plot_has_a_bar_for_each_range_between_the_fastest_and_the_slowest():
    title, *bars = plotted(*[4] * 100, *[15] * 50, 70)
    assert title == ["latency"]
    assert [(bar[1], bar[3]) for bar in bars] == [
        ("5", "100"), ("10", "0"), ("20", "50"), ("50", "0"), ("100", "1")
    ]  # fmt: skip
    lengths = [len(bar[4]) if len(bar) > 4 else 0 for bar in bars]
    assert lengths == [PLOT_WIDTH, 0, PLOT_WIDTH // 2, 0, 1]


def test_what_took_longer_than_the_last_bound_and_nothing_at_all():
    assert plotted(10**6)[1][:2] == ["more", "1"]
    assert plotted() == [["latency"]]
