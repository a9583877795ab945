import pytest

from console.figures import rates, read_figures

METRICS = """\
# TYPE bridge_received counter
bridge_received_total{route="sparkplug"} 10
bridge_received_total{route="lwm2m"} 5
# TYPE bridge_in_flight gauge
bridge_in_flight 2
bridge_in_flight_bytes 999
python_info{version="3"} 1
"""
BRIDGE = "mqtt-redpanda-bridge"


def test_sums_labels_and_instances_and_no_other_series():
    assert read_figures(BRIDGE, [METRICS, METRICS]) == {"received": 30, "in_flight": 4}


def test_only_samples_with_the_labels_count():
    text = 'simulator_messages_sent_total{protocol="lwm2m",type="send"} 4\n'
    assert read_figures("device-simulator", [text]) == {"lwm2m_sent": 4}


def test_counters_become_rates_and_gauges_stay():
    shown = rates(BRIDGE, {"received": 100, "in_flight": 7}, {"received": 130, "in_flight": 2}, 2.0)
    assert (shown["received"], shown["in_flight"]) == (15, 2)


@pytest.mark.parametrize(("before", "seconds"), [({}, 2.0), ({"received": 900}, 2.0), ({"received": 1}, 0.0)])
def test_no_rate_without_an_earlier_figure_or_after_a_restart(before, seconds):
    assert rates(BRIDGE, before, {"received": 130}, seconds)["received"] is None
