"""Alerts: what Alertmanager sent to the webhook, and what Prometheus says itself."""

import time
from collections import OrderedDict
from typing import Annotated, Any, Final

import orjson
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, Field

from console.upstream import UnavailableError, Upstreams
from iiot.errors import InvalidValueError
from iiot.rest.parameters import check_body

MAX_BODY: Final = 256 * 1024
"""Bytes of a notification; Alertmanager's of 100 alerts have about 100 kB."""
MAX_ALERTS: Final = 100
"""Alerts of one notification: `max_alerts` in prometheus/alertmanager.yml."""
MAX_TEXT: Final = 8 * 1024
"""Characters of one alert, its labels and annotations together."""
MAX_KEPT: Final = 2 * 1024 * 1024
"""Bytes of all alerts that are kept, as JSON."""
REASONS: Final = ("token", "body")
"""Why a notification is refused as a whole."""

_Short = Annotated[str, Field(max_length=2000)]


class WebhookAlert(BaseModel):
    """One alert of Alertmanager's webhook, version 4."""

    status: str = Field(pattern="^(firing|resolved)$")
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: _Short = ""  # noqa: N815 - Alertmanager's name
    endsAt: _Short = ""  # noqa: N815
    generatorURL: _Short = ""  # noqa: N815
    fingerprint: _Short = ""


class Webhook(BaseModel):
    """What Alertmanager posts; each alert is judged by itself."""

    receiver: _Short = ""
    alerts: Annotated[list[Any], Field(max_length=MAX_ALERTS)]


class Alerts:
    """Keeps the newest `keep` alerts that came by webhook, one for each fingerprint and start.

    Args:
        upstreams: where Prometheus is.
        keep: alerts at most; those that are over go first.
        registry: where it is counted what was taken and refused.
    """

    def __init__(self, upstreams: Upstreams, keep: int, registry: CollectorRegistry) -> None:
        self._upstreams = upstreams
        self._keep = keep
        self._received: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._counted = Counter(
            "console_webhook_alerts",
            "Alerts that came by webhook, by outcome: accepted, or refused for their kind or size",
            ["outcome"],
            registry=registry,
        )
        self._turned_away = Counter(
            "console_webhook_refused",
            "Notifications refused as a whole, by reason: token, body",
            ["reason"],
            registry=registry,
        )
        for counter, values in ((self._counted, ("accepted", "refused")), (self._turned_away, REASONS)):
            for value in values:
                counter.labels(value)

    def turned_away(self, reason: str) -> None:
        """Count a notification that was refused as a whole; `reason` is one of `REASONS`."""
        self._turned_away.labels(reason).inc()

    def receive(self, body: object) -> dict[str, Any]:
        """Take in a notification; says how many alerts are firing by webhook now, and what was refused.

        Raises:
            InvalidValueError: it is no notification, or none of its alerts can be taken.
        """
        webhook = check_body(Webhook, body)
        assert isinstance(webhook, Webhook)  # noqa: S101 - for the type checker
        refused = []
        for number, given in enumerate(webhook.alerts):
            try:
                self._take(_checked(given, number), webhook.receiver)
            except InvalidValueError as error:
                refused.append(error)
        self._counted.labels("refused").inc(len(refused))
        self._counted.labels("accepted").inc(len(webhook.alerts) - len(refused))
        self._forget_surplus()
        if refused and len(refused) == len(webhook.alerts):
            raise refused[0]
        firing = sum(alert["status"] == "firing" for alert in self._received.values())
        return {"firing": firing} | ({"refused": [str(error) for error in refused[:10]]} if refused else {})

    def _take(self, alert: WebhookAlert, receiver: str) -> None:
        labels = ",".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))
        key = f"{alert.fingerprint or labels} {alert.startsAt}"
        shown = alert.model_dump() | {"receiver": receiver, "received": round(time.time() * 1000)}
        self._received[key] = shown
        self._sizes[key] = len(orjson.dumps(shown))
        self._received.move_to_end(key)

    def _forget_surplus(self) -> None:
        total = sum(self._sizes.values())
        over = [key for key, alert in self._received.items() if alert["status"] != "firing"]
        for key in (*over, *(key for key in self._received if key not in over)):
            if len(self._received) <= self._keep and total <= MAX_KEPT:
                return
            del self._received[key]
            total -= self._sizes.pop(key)

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


def _checked(given: object, number: int) -> WebhookAlert:
    where = f"alerts.{number}"
    try:
        alert = check_body(WebhookAlert, given)
    except InvalidValueError as error:
        field = where if error.field == "body" else f"{where}.{error.field}"
        raise InvalidValueError(field, error.value, error.allowed) from None
    assert isinstance(alert, WebhookAlert)  # noqa: S101 - for the type checker
    pairs = (*alert.labels.items(), *alert.annotations.items())
    size = sum(len(name) + len(value) for name, value in pairs)
    if size > MAX_TEXT:
        raise InvalidValueError(where, f"{size} characters", f"at most {MAX_TEXT} in labels and annotations")
    return alert
