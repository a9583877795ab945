"""The alerts that Prometheus holds to be true now."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import aiohttp

from testbed.monitor.figures import NO_ANSWER, TIMEOUT


class AlertLine(NamedTuple):
    """An alert.

    Attributes:
        state: `firing`, or `pending` while it has not lasted long enough.
        severity: `critical` or `warning`.
        since: when its condition became true.
    """

    name: str
    state: str
    severity: str
    since: datetime
    summary: str
    description: str


async def read_alerts(session: aiohttp.ClientSession, prometheus: str) -> list[AlertLine] | None:
    """Firing alerts first, the newest of them first; None while Prometheus does not answer."""
    try:
        url = f"{prometheus}/api/v1/alerts"
        async with session.get(url, timeout=TIMEOUT, raise_for_status=True) as response:
            found = list(_lines(await response.json()))
    except NO_ANSWER:
        return None
    found.sort(key=lambda alert: alert.since, reverse=True)
    return sorted(found, key=lambda alert: (alert.state != "firing", alert.severity != "critical"))


def _lines(body: Mapping[str, Any]) -> Iterator[AlertLine]:
    for alert in body["data"]["alerts"]:
        labels, told = alert["labels"], alert["annotations"]
        yield AlertLine(
            labels["alertname"],
            alert["state"],
            labels.get("severity", ""),
            datetime.fromisoformat(alert["activeAt"]),
            told.get("summary", ""),
            told.get("description", ""),
        )
