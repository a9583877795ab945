from xml.etree import ElementTree

import pytest

from testbed.verify.histogram import Histogram
from testbed.verify.history import Sample
from testbed.verify.ledger import PathTotals, Verdict
from testbed.verify.paths import PATHS
from testbed.verify.plot import COLORS, LEFT, RIGHT, as_svg
from testbed.verify.window import Result

SVG = "{http://www.w3.org/2000/svg}"


def result(latencies=(), course=(), lost=0):
    counts = {"sent": 1200, "delivered": 1200 - lost, "lost": lost}
    paths = {path.name: PathTotals(Histogram(), **counts) for path in PATHS}
    for value in latencies:
        paths["lwm2m.http"].latency.add(value)
    return Result(Verdict(1200, 1200 - lost, lost, 0, 0, Histogram(), 2, 0, paths, []), 60.0, [], course)


def lines(svg):
    """The points of each line by colour: first latencies, then what was missing."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    found = {color: [] for color in COLORS}
    for line in root.iter(f"{SVG}polyline"):
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        found[line.get("stroke")].append(points)
    return list(found.values()), [text.text for text in root.iter(f"{SVG}text")]


def test_it_says_in_words_what_it_shows():
    found, texts = lines(as_svg(result(lost=3)))
    assert texts[0] == "2 devices, 60 s: 1,200 messages sent, 3 lost, 0 duplicated, 0 reordered"
    assert {path.name for path in PATHS} <= set(texts)
    assert texts.count("1,197") == len(PATHS)
    assert all(len(each) == 2 for each in found)


def test_the_latencies_of_a_path_peak_where_most_messages_are():
    found, texts = lines(as_svg(result([10] * 90 + [95] * 10)))
    latency = found[2][0]
    peak_x, peak_y = min(latency, key=lambda point: point[1])
    assert peak_y == pytest.approx(190)
    assert peak_x == pytest.approx(LEFT + (RIGHT - LEFT) / 2, abs=50)  # 10 ms is half of 1 … 100 ms
    assert "100 ms" in texts
    assert "90%" in texts


def test_an_outage_is_a_hill():
    missing = [0, 0, 500, 1000, 400, 0]
    course = [
        Sample(10.0 * at, {path.name: number * (path.name == "lwm2m.http") for path in PATHS})
        for at, number in enumerate(missing)
    ]
    found, texts = lines(as_svg(result(course=course)))
    heights = [710 - y for _, y in found[2][1]]
    assert heights == pytest.approx([0, 0, 115, 230, 92, 0])
    assert [y for _, y in found[0][1]] == [710] * 6
    assert {"0 s", "50 s", "1,000"} <= set(texts)
