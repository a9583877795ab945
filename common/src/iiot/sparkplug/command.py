"""Payloads of the commands that a host application sends (specification 3.0, sections 6.4.22 and 6.4.23).

The specification advises to leave datatypes out of commands, for the edge node knows them. But many edge
nodes need them: without, sparkplug-client (npm) reads null, Tahu 1.0.10 makes a null metric, and pysparkplug
0.6.1 and mqtt-spb-wrapper 2.1.2 fail. `with_datatypes` is for those.
"""

from iiot.sparkplug.composite import MetaData
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.host_state import MetricState
from iiot.sparkplug.payload import REBIRTH, Metric, Payload, Value, encode_payload


def encode_rebirth_request(now: int, *, with_datatypes: bool = False) -> bytes:
    """The NCMD that asks an edge node for its births. `now` in UTC ms."""
    rebirth = Metric(REBIRTH, True, DataType.BOOLEAN, now)
    return encode_payload(Payload(now, [rebirth]), with_datatypes=with_datatypes)


def encode_write(
    metric: MetricState,
    value: Value | None,
    now: int,
    metadata: MetaData | None = None,
    *,
    with_datatypes: bool = False,
) -> bytes:
    """The NCMD or DCMD that sets a metric. `now` in UTC ms.

    A metric with an alias is named by that alone, as payloads-alias-data-cmd-requirement says.

    Raises:
        InvalidValueError: the value does not fit the metric's datatype.
    """
    name = metric.name if metric.alias is None else None
    written = Metric(name, value, metric.datatype, now, metric.alias, metadata=metadata)
    return encode_payload(Payload(now, [written]), with_datatypes=with_datatypes)
