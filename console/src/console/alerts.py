"""Alerts: what Alertmanager sent to the webhook, and what Prometheus says itself."""

import time
from collections import OrderedDict
from typing import Any

from pydantic import BaseModel, Field

from console.upstream import UnavailableError, Upstreams


class WebhookAlert(BaseModel):
    """One alert of Alertmanager's webhook, version 4."""

    status: str = Field(pattern="^(firing|resolved)$")
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: str = ""  # noqa: N815 - Alertmanager's name
    endsAt: str = ""  # noqa: N815
    generatorURL: str = ""  # noqa: N815
    fingerprint: str = ""


class Webhook(BaseModel):
    """What Alertmanager posts."""

    receiver: str = ""
    alerts: list[WebhookAlert] = Field(max_length=10_000)


class Alerts:
    """Keeps the newest `keep` alerts that came by webhook, one for each fingerprint and start."""

    def __init__(self, upstreams: Upstreams, keep: int) -> None:
        self._upstreams = upstreams
        self._keep = keep
        self._received: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def receive(self, webhook: Webhook) -> int:
        """Take in a notification; returns how many alerts are firing by webhook now."""
        for alert in webhook.alerts:
            labels = ",".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))
            key = f"{alert.fingerprint or labels} {alert.startsAt}"
            shown = alert.model_dump() | {"receiver": webhook.receiver, "received": round(time.time() * 1000)}
            self._received[key] = shown
            self._received.move_to_end(key)
        while len(self._received) > self._keep:
            self._received.popitem(last=False)
        return sum(alert["status"] == "firing" for alert in self._received.values())

    async def all(self) -> dict[str, Any]:
        """Alerts of both sources; of Prometheus why there are none, when it does not answer."""
        answer: dict[str, Any] = {"webhook": list(reversed(self._received.values())), "unavailable": {}}
        try:
            alerts = await self._upstreams.json("prometheus", "/api/v1/alerts")
            answer["prometheus"] = alerts["data"]["alerts"]
        except (UnavailableError, KeyError, TypeError) as exc:
            text = str(exc) if isinstance(exc, UnavailableError) else "prometheus answers something else"
            answer |= {"prometheus": [], "unavailable": {"prometheus": text}}
        return answer
