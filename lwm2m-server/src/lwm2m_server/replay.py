"""Values from stored events: what devices said before a restart is known after it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import orjson

from iiot.errors import IiotError
from iiot.lwm2m import json_values
from lwm2m_server.values import Values

_WITH_VALUES: Final = ("send", "notification", "registered", "updated")


def replay(values: Values, events: Iterable[tuple[int, bytes]]) -> None:
    """Note the values of events, given as id and JSON, oldest first."""
    for number, body in events:
        event = orjson.loads(body)
        if event["type"] not in _WITH_VALUES:
            continue
        moment = round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000)
        endpoint, data = event["endpoint"], event["data"]
        try:
            records = (
                json_values.records(data)
                if event["type"] in ("send", "notification")
                else json_values.links_and_records(data.get("objects", {}))[1]
            )
        except IiotError:
            continue  # written by another version
        values.record(endpoint, records, moment)
        if event["type"] == "send":
            values.sent(endpoint, number)
