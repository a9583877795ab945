"""How much room is left where the parts keep their data."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from iiot.telemetry import get_logger

_NAME = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)

log = get_logger(__name__)


class DiskFigures(Collector):
    """Room on file systems, asked for at each scrape.

    Args:
        places: a directory on each file system, by the name that the figures carry.
    """

    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = places
        self._unseen: set[str] = set()

    def collect(self) -> Iterator[Metric]:
        """Free and whole size of each; a place that cannot be seen is left out."""
        free = GaugeMetricFamily("disk_free_bytes", "Room left, by whose data is there", labels=["data"])
        size = GaugeMetricFamily("disk_size_bytes", "Size of the file system", labels=["data"])
        for name, path in self._places.items():
            try:
                found = os.statvfs(path)
            except OSError as exc:
                self._note_unseen(name, exc)
                continue
            self._unseen.discard(name)
            free.add_metric([name], found.f_bavail * found.f_frsize)
            size.add_metric([name], found.f_blocks * found.f_frsize)
        yield free
        yield size

    def _note_unseen(self, name: str, error: OSError) -> None:
        if name not in self._unseen:
            self._unseen.add(name)
            log.warning("disk_not_seen", data=name, error=str(error))


def parse_places(text: str) -> dict[str, Path]:
    """`name=/path` pairs, separated by commas.

    Raises:
        ValueError: a pair is something else.
    """
    places = {}
    for pair in filter(None, text.split(",")):
        name, equals, path = pair.partition("=")
        if not (_NAME.fullmatch(name) and equals and path.startswith("/")):
            raise ValueError("allowed are pairs such as kafka=/var/lib/kafka, separated by commas")
        places[name] = Path(path)
    return places
