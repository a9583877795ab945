"""The verdict as a picture: an SVG that needs nothing but itself."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise
from math import ceil, log10
from typing import Final

from testbed.verify.histogram import Histogram
from testbed.verify.window import Result

WIDTH: Final = 960
HEIGHT: Final = 760
LEFT: Final = 80
RIGHT: Final = 930
COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito's, which people with any colour vision can tell apart."""
STYLE: Final = (
    "text{font:13px sans-serif;fill:#222}.title{font-size:17px;font-weight:bold}.axis{stroke:#999;fill:none}"
    ".grid{stroke:#e5e5e5}.right{text-anchor:end}.middle{text-anchor:middle}.line{fill:none;stroke-width:2}"
)
PER_DECADE: Final = 10
"""Bars per power of ten of the latency."""

Scale = Callable[[float], float]


def as_svg(result: Result) -> str:
    """Latencies of each path, and how many of its messages were missing at which time."""
    verdict = result.verdict
    title = (
        f"{verdict.devices} devices, {result.seconds:,.0f} s: {verdict.sent:,} messages sent, "
        f"{verdict.lost:,} lost, {verdict.duplicated:,} duplicated, {verdict.reordered:,} reordered"
    )
    body = [
        f'<text x="{LEFT}" y="34" class="title">{escape(title)}</text>',
        *_legend(result),
        *_latencies(result, top=190, bottom=420),
        *_missing(result, top=480, bottom=710),
    ]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *body,
            "</svg>\n",
        )
    )


def _legend(result: Result) -> Iterable[str]:
    columns = (300, 400, 480, 590, 690, 780, 870)
    for x, name in zip(
        columns, ("sent", "delivered", "lost", "duplicated", "reordered", "p50 ms", "p99 ms"), strict=True
    ):
        yield f'<text x="{x}" y="62" class="right">{name}</text>'
    for at, (name, path) in enumerate(result.verdict.paths.items()):
        y = 84 + 20 * at
        yield f'<rect x="{LEFT}" y="{y - 10}" width="14" height="10" fill="{COLORS[at]}"/>'
        yield f'<text x="{LEFT + 22}" y="{y}">{escape(name)}</text>'
        counts = (path.sent, path.delivered, path.lost, path.duplicated, path.reordered)
        times = (path.latency.quantile(0.5), path.latency.quantile(0.99))
        for x, value in zip(columns, (*counts, *times), strict=True):
            text = "-" if value is None else f"{value:,}"
            yield f'<text x="{x}" y="{y}" class="right">{text}</text>'


def _latencies(result: Result, top: float, bottom: float) -> Iterable[str]:
    """Shares of messages by latency, on a logarithmic axis."""
    yield f'<text x="{LEFT}" y="{top - 12}">share of messages by latency</text>'
    slowest = max((path.latency.quantile(1.0) or 0 for path in result.verdict.paths.values()), default=0)
    decades = max(1, ceil(log10(slowest + 1)))
    bounds = sorted({round(10 ** (step / PER_DECADE)) for step in range(decades * PER_DECADE + 1)})
    shares = [_shares(path.latency, bounds) for path in result.verdict.paths.values()]
    highest = max((share for line in shares for share in line), default=0.0) or 1.0
    x = _linear(0, decades, LEFT, RIGHT)
    y = _linear(0, highest, bottom, top)
    yield from _frame(top, bottom, [(x(n), f"{10**n:,} ms") for n in range(decades + 1)])
    yield from _rules([(y(highest * part), f"{highest * part:.0%}") for part in (0, 0.5, 1)])
    edges = [0.0, *(log10(bound) for bound in bounds[1:])]
    for at, line in enumerate(shares):
        steps = zip(pairwise(edges), line, strict=True)
        yield _polyline([(x(edge), y(share)) for ends, share in steps for edge in ends], at)


def _shares(latency: Histogram, bounds: Sequence[int]) -> list[float]:
    """Of all latencies the share between each two bounds; the first also has those below it."""
    first, *rest = latency.up_to(bounds)
    counts = [later - earlier for earlier, later in pairwise((0, *rest))] if rest else [first]
    return [count / max(latency.count, 1) for count in counts]


def _missing(result: Result, top: float, bottom: float) -> Iterable[str]:
    """Messages sent and not in Kafka over time: an outage is a hill, a loss a step that stays."""
    yield f'<text x="{LEFT}" y="{top - 12}">messages sent and not in Kafka, over time</text>'
    samples = result.course
    last = max((sample.seconds for sample in samples), default=0.0) or 1.0
    highest = max((n for sample in samples for n in sample.missing.values()), default=0) or 1
    x, y = _linear(0, last, LEFT, RIGHT), _linear(0, highest, bottom, top)
    times = [last * part for part in (0, 0.25, 0.5, 0.75, 1)]
    yield from _frame(top, bottom, [(x(time), f"{time:,.0f} s") for time in times])
    yield from _rules([(y(n), f"{n:,}") for n in sorted({0, highest // 2, highest})])
    for at, name in enumerate(result.verdict.paths):
        yield _polyline([(x(sample.seconds), y(sample.missing[name])) for sample in samples], at)


def _linear(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _frame(top: float, bottom: float, ticks: Iterable[tuple[float, str]]) -> Iterable[str]:
    yield f'<path class="axis" d="M{LEFT} {top}V{bottom}H{RIGHT}"/>'
    for x, text in ticks:
        yield f'<text x="{x:.1f}" y="{bottom + 20}" class="middle">{text}</text>'


def _rules(ticks: Iterable[tuple[float, str]]) -> Iterable[str]:
    for y, text in ticks:
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="right">{text}</text>'


def _polyline(points: Iterable[tuple[float, float]], at: int) -> str:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line" stroke="{COLORS[at]}" points="{text}"/>'
