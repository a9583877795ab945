"""Payloads of the commands that a host application sends (specification 3.0, sections 6.4.22 and 6.4.23)."""

from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.host_state import MetricState
from iiot.sparkplug.payload import REBIRTH, Metric, Payload, Value, encode_payload


def encode_rebirth_request(now: int) -> bytes:
    """The NCMD that asks an edge node for its births. `now` in UTC ms."""
    return encode_payload(Payload(now, [Metric(REBIRTH, True, DataType.BOOLEAN, now)]), with_datatypes=False)


def encode_write(metric: MetricState, value: Value | None, now: int) -> bytes:
    """The NCMD or DCMD that sets a metric. `now` in UTC ms.

    Raises:
        InvalidValueError: the value does not fit the metric's datatype.
    """
    written = Metric(metric.name, value, metric.datatype, now, metric.alias)
    return encode_payload(Payload(now, [written]), with_datatypes=False)
