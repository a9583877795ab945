"""Metrics of a part: asked of the part itself, else of Prometheus (compose publishes not every port)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
NO_ANSWER: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError)
"""What asking may raise when the other side is away or is something else than expected."""


class Sample(NamedTuple):
    """One value of a metric."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All values of a part, over its instances, and where they come from."""

    samples: tuple[Sample, ...]
    instances: int
    via: Literal["http", "prometheus"]

    def total(self, name: str, **labels: str) -> float | None:
        """Sum of a metric's values that carry these labels; None when there is none."""
        values = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        return sum(values) if values else None

    def values(self, name: str, label: str) -> set[str]:
        """What a label of a metric can be."""
        return {s.labels[label] for s in self.samples if s.name == name and label in s.labels}


async def read_figures(
    session: aiohttp.ClientSession, url: str, prometheus: str, job: str, prefix: str
) -> Figures | None:
    """Figures of a part, None when neither it nor Prometheus tells.

    Of a part that is one of several (`{prefix}members`) Prometheus tells all, where it answers.

    Args:
        session: the HTTP client.
        url: the part's own address.
        prometheus: address of Prometheus.
        job: name of the part's scrape job.
        prefix: what the metrics' names begin with.
    """
    direct: Figures | None = None
    try:
        text = await _get_text(session, f"{url}/metrics")
        direct = Figures(tuple(one for one in parse(text) if one.name.startswith(prefix)), 1, "http")
    except NO_ANSWER:
        pass
    if direct is not None and direct.total(f"{prefix}members") in (None, 1):
        return direct
    try:
        up = await query(session, prometheus, f'up{{job="{job}"}} == 1')
        found = await query(session, prometheus, f'{{job="{job}",__name__=~"{prefix}.+"}}')
    except NO_ANSWER:
        return direct
    return Figures(tuple(found), len(up), "prometheus") if up else direct


async def query(session: aiohttp.ClientSession, prometheus: str, expression: str) -> list[Sample]:
    """An instant query to Prometheus."""
    async with session.get(
        f"{prometheus}/api/v1/query", params={"query": expression}, timeout=TIMEOUT, raise_for_status=True
    ) as response:
        return list(_vector(await response.json()))


def parse(text: str) -> Iterable[Sample]:
    """The samples of Prometheus' text format.

    Raises:
        ValueError: it is something else.
    """
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield Sample(sample.name, sample.labels, sample.value)


async def _get_text(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url, timeout=TIMEOUT, raise_for_status=True) as response:
        return await response.text()


def _vector(body: Any) -> Iterable[Sample]:
    for item in body["data"]["result"]:
        labels = dict(item["metric"])
        yield Sample(labels.pop("__name__", ""), labels, float(item["value"][1]))
