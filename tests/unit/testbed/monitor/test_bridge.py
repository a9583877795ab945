from testbed.monitor.bridge import Latencies, bridge_figures
from testbed.monitor.figures import Figures, Sample


def figures(counts, *others):
    buckets = [
        Sample("bridge_delivery_seconds_bucket", {"route": route, "le": bound}, count)
        for route in ("a", "b")
        for bound, count in counts.items()
    ]
    return Figures((*buckets, *others), 2, "http")


def test_quantiles_are_those_of_the_last_seconds():
    latencies = Latencies()
    wanted = ("bridge_delivery_seconds", 0.5, 0.99)
    metric, *shares = wanted
    assert latencies.quantiles(figures({"0.1": 0, "1": 1000, "+Inf": 1000}), metric, 0, *shares) == [
        None,
        None,
    ]
    quick = figures({"0.1": 98, "1": 1100, "+Inf": 1100})
    assert latencies.quantiles(quick, metric, 10, *shares) == [0.1, 1.0]
    slow = figures({"0.1": 98, "1": 1100, "+Inf": 1300})
    assert latencies.quantiles(slow, metric, 30, *shares)[1] == float("inf")


def test_figures_say_what_should_worry():
    found = {
        figure.name: figure
        for figure in bridge_figures(
            figures(
                {"+Inf": 0}, Sample("bridge_sessions_lost_total", {}, 2), Sample("bridge_stalled", {}, 0)
            ),
            Latencies(),
            0,
        )
    }
    assert found["bridges"].value == "2"
    assert found["queues lost"].value == "2"
    assert found["queues lost"].worrying
    assert not found["waiting for a retry"].worrying
    assert found["to Kafka, half within"].value == "-"
    assert "refused by Kafka" not in found  # of an older bridge that does not count them
