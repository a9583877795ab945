"""The ways from a device into Kafka, and what a record on each of them says about the ledger."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from iiot import topics

SEQUENCE_METRIC: Final = "Ledger/Sequence"


@dataclass(frozen=True, slots=True)
class Path:
    """One way from a device into Kafka: every message of the stream must come out of these topics."""

    name: str
    stream: str
    topics: tuple[str, ...]


PATHS: Final = (
    Path("sparkplug.data", "sparkplug", (topics.SPARKPLUG_DATA,)),
    Path("lwm2m.bridge", "lwm2m", (topics.LWM2M_REGISTRATION, topics.LWM2M_UPDATES)),
    Path("lwm2m.http", "lwm2m", (topics.LWM2M_HTTP,)),
    Path("lwm2m.websocket", "lwm2m", (topics.LWM2M_WEBSOCKET,)),
)
PATH_OF_TOPIC: Final = {topic: path for path in PATHS for topic in path.topics}


class Entry(NamedTuple):
    """A numbered message, as found in a Kafka record.

    `sent_ms` is the device's time stamp (UTC ms), None when it says nothing about the transport.
    """

    device: str
    number: int
    sent_ms: int | None


def read_record(topic: str, value: bytes) -> Entry | None:
    """The ledger entry in a record's value; None if the message carries no number."""
    try:
        record = orjson.loads(value)
        if topic == topics.SPARKPLUG_DATA:
            return _read_sparkplug(record)
        body = record["payload" if topic in _BRIDGED else "data"]
        return _entry(record["endpoint"], body["seq"], body.get("timestamp"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


_BRIDGED: Final = frozenset({topics.LWM2M_REGISTRATION, topics.LWM2M_UPDATES})


def _read_sparkplug(record: dict[str, Any]) -> Entry | None:
    for metric in record["metrics"]:
        if metric["name"] == SEQUENCE_METRIC:
            # Stored and forwarded values are old on purpose: they are delivered, but no latency.
            sent_ms = None if metric.get("historical") else record["timestamp"]
            return _entry(record["edge_node"], metric["value"], sent_ms)
    return None


def _entry(device: Any, number: Any, sent_ms: Any) -> Entry | None:
    if not (isinstance(device, str) and isinstance(number, int)):
        return None
    return Entry(device, number, sent_ms if isinstance(sent_ms, int) else None)
