"""The proof of the whole: what two devices send at the defaults arrives on every path, once."""

import json

PATHS = {"sparkplug.data": 190.5, "lwm2m.bridge": 10, "lwm2m.http": 10, "lwm2m.websocket": 10}
"""Messages per second on each path: two devices at 95.24 and 5 messages a second."""


def test_nothing_is_lost_or_repeated_and_rates_are_kept(testbed):
    result = testbed.run("verify", "--json", "--seconds=15")
    report = json.loads(result.stdout)
    assert result.returncode == 0, report
    assert (report["lost"], report["duplicated"], report["reordered"], report["devices"]) == (0, 0, 0, 2)
    assert report["delivered"] == report["sent"]
    for name, per_second in PATHS.items():
        path = report["paths"][name]
        assert path["sent"] == path["delivered"]
        assert abs(path["sent"] / report["seconds"] - per_second) <= 0.02 * per_second + 1, name
        assert path["latency_ms"]["p50"] < 1000


def test_people_get_a_table(testbed):
    result = testbed.run("verify", "--seconds=1", "--plot")
    assert result.returncode == 0
    assert all(name in result.stdout for name in PATHS)
    assert "messages arrived on every path" in result.stdout
    assert any(line.strip().startswith("to ") and line.endswith("█") for line in result.stdout.splitlines())
