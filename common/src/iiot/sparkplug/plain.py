"""The common case of DATA messages at a third of the cost: plain values whose names or aliases a birth told.

A general `Metric` asks each message for all that it might hold. This looks at what it does hold, and leaves
everything unusual to `decode_payload` and `BirthCatalog.resolve`, which mean the same.
"""

from typing import Final, TypeAlias

from iiot._pb.sparkplug_b_pb2 import Payload as _Pb
from iiot.sparkplug.births import Definition, Known
from iiot.sparkplug.datatypes import CARRIERS, DECODERS, UNFIT, DataType, ScalarValue
from iiot.sparkplug.wire import DEFAULT_BUDGET

PlainMetric: TypeAlias = tuple[Definition, ScalarValue, int | None]
"""What the birth said, the value, and the metric's own timestamp if it has one."""

_FIELDS: Final = _Pb.Metric.DESCRIPTOR.fields_by_name
_NAME: Final = _FIELDS["name"]
_ALIAS: Final = _FIELDS["alias"]
_TIMESTAMP: Final = _FIELDS["timestamp"]
_COMPOSITE: Final = (DataType.DATA_SET, DataType.TEMPLATE, DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST)
_CARRIERS: Final = frozenset(
    _FIELDS[CARRIERS[datatype]] for datatype in DataType if datatype and datatype not in _COMPOSITE
)
_WITHOUT_ARRAYS: Final = _CARRIERS - {_FIELDS["bytes_value"]}
_SHORT: Final = DEFAULT_BUDGET.entries // 8
"""Bytes of a message whose arrays are inside the budget, though they be of bits."""


def resolve_plain(message: _Pb, known: Known, size: int) -> list[PlainMetric] | None:
    """The metrics of a DATA message; None when one of them has, or lacks, anything else.

    Args:
        message: as `read_message` gives it.
        known: what the birth of its node or device said.
        size: bytes of the message, not compressed.
    """
    carriers = _CARRIERS if size <= _SHORT else _WITHOUT_ARRAYS
    by_name, by_alias, decoders = known.by_name, known.by_alias, DECODERS
    found: list[PlainMetric] = []
    try:
        for metric in message.metrics:
            fields = metric.ListFields()
            if len(fields) == 3:
                (key, named), (between, timestamp), (carrier, raw) = fields
                if between is not _TIMESTAMP:
                    return None
            elif len(fields) == 2:
                (key, named), (carrier, raw) = fields
                timestamp = None
            else:
                return None
            if key is _NAME:
                definition = by_name.get(named)
            else:
                definition = by_alias.get(named) if key is _ALIAS else None
            if definition is None or carrier not in carriers:
                return None
            found.append((definition, decoders[definition[1]](raw), timestamp))
    except UNFIT:
        return None
    return found
