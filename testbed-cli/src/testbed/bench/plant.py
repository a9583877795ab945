"""Messages of a Sparkplug plant: edge nodes, each with a device of many metrics."""

from typing import Final

from iiot.sparkplug.datatypes import DataType, ScalarValue
from iiot.sparkplug.payload import BD_SEQ, REBIRTH, Metric, Payload, encode_payload
from iiot.sparkplug.sequence import MODULO
from iiot.sparkplug.topic import MessageType, Topic

GROUP: Final = "IIoT"
DEVICE: Final = "asset"
CHANGED: Final = 3
"""Metrics in a DATA message."""
FIRST_SEQ: Final = 2
"""The seq of the first DATA message: NBIRTH has 0, DBIRTH 1."""
_KINDS: Final[tuple[tuple[DataType, ScalarValue], ...]] = (
    (DataType.DOUBLE, 23.5),
    (DataType.INT32, 85),
    (DataType.INT64, 1_795_000_000_000_000),
    (DataType.STRING, "running"),
    (DataType.BOOLEAN, True),
)


def topic_of(message_type: MessageType, number: int) -> str:
    """The topic of the edge node with this number, or of its device."""
    device = DEVICE if message_type.startswith("D") else None
    return str(Topic(message_type, GROUP, f"node-bench-{number:06}", device))


def node_birth(now_ms: int) -> bytes:
    """NBIRTH with the metrics that every edge node has."""
    metrics = [
        Metric(BD_SEQ, 0, DataType.INT64, now_ms),
        Metric(REBIRTH, value=False, datatype=DataType.BOOLEAN, timestamp=now_ms),
    ]
    return encode_payload(Payload(now_ms, metrics, seq=0))


def device_birth(metrics: int, now_ms: int) -> bytes:
    """DBIRTH with this many metrics."""
    return encode_payload(Payload(now_ms, [_metric(n, now_ms) for n in range(metrics)], seq=1))


def data(now_ms: int) -> list[bytes]:
    """DDATA with three metrics, one for each seq."""
    return [
        encode_payload(
            Payload(now_ms, [_metric(n, now_ms, seq) for n in range(CHANGED)], seq=seq), with_datatypes=False
        )
        for seq in range(MODULO)
    ]


def _metric(number: int, now_ms: int, step: int = 0) -> Metric:
    datatype, value = _KINDS[number % len(_KINDS)]
    if isinstance(value, float | int) and not isinstance(value, bool):
        value += step
    return Metric(f"Sensors/Channel {number:02}", value, datatype, now_ms)
