"""Figures of the parts over each phase of a run, asked of Prometheus afterwards."""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from iiot.http_client import open_session
from testbed.experiments.samples import Phases

SHORTEST: Final = 15.0
"""s; a rate needs at least two scrapes, which are 5 s apart."""
PATIENCE: Final = aiohttp.ClientTimeout(total=5)
QUERIES: Final = {
    "dropped by the broker": "sum(increase(mosquitto_publish_dropped_total[{span}]))",
    "sequence gaps seen by the host": "sum(increase(sparkplug_sequence_gaps_total[{span}]))",
    "rebirths requested by the host": "sum(increase(sparkplug_rebirth_requests_total[{span}]))",
    "dead letters of the bridge": "sum(increase(bridge_dead_lettered_total[{span}]))",
    "in flight in the bridge, at most": "max(max_over_time(bridge_in_flight[{span}]))",
    "CPU of {job}, ms per s": "1000 * sum by (job) (rate(process_cpu_seconds_total[{span}]))",
}
"""By what the report calls them; `{job}` in a name stands for each part."""


async def figures(url: str, phases: Phases) -> dict[str, dict[str, float]]:
    """Values by name and phase; empty where no Prometheus answers."""
    found: dict[str, dict[str, float]] = {}
    try:
        async with open_session(timeout=PATIENCE) as session:
            for phase, began in phases.began.items():
                seconds = phases.seconds(phase) or SHORTEST
                span = f"{max(SHORTEST, seconds):.0f}s"
                end = began / 1000 + seconds
                for name, query in QUERIES.items():
                    parameters = {"query": query.replace("{span}", span), "time": f"{end:.3f}"}
                    async with session.get(f"{url}/api/v1/query", params=parameters) as answer:
                        _take(found, name, phase, await answer.json())
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
        return {}
    return found


def _take(found: dict[str, dict[str, float]], name: str, phase: str, body: Mapping[str, Any]) -> None:
    for series in body["data"]["result"]:
        job = series["metric"].get("job", "")
        found.setdefault(name.replace("{job}", job), {})[phase] = round(float(series["value"][1]), 1)
