"""Recordings that each break a rule about values, and the datatypes that births announce."""

import zlib

from iiot._pb.sparkplug_b_pb2 import Payload as Pb
from iiot.sparkplug.compression import ENVELOPE
from iiot.sparkplug.datatypes import DataType
from sparkplug_breaches import breaks, dataset, setting, template, with_properties
from sparkplug_traffic import metric


def inflating(payload, metrics):
    """The payload in an envelope, with many more metrics of two bytes each."""
    content = payload.SerializeToString() + b"\x12\x00" * metrics
    return Pb(uuid=ENVELOPE, body=zlib.compress(content, 9)).SerializeToString()


@breaks("payload-over-budget")
def _(traffic):
    traffic.births()
    payload = Pb(timestamp=traffic.now, seq=2)
    traffic.publish("spBv1.0/group/DDATA/node/dev", inflating(payload, 1 << 20))


@breaks("value-out-of-range")
def _(traffic):
    traffic.nbirth(edit=lambda payload: metric(payload, "Small", DataType.INT8, int_value=300))
    traffic.dbirth(setting("Level", datatype=DataType.UINT8))
    traffic.ddata(setting("Level", int_value=256))


@breaks("value-malformed")
def _(traffic):
    traffic.nbirth(edit=lambda payload: metric(payload, "Id", DataType.UUID, string_value="12-34"))
    traffic.dbirth(lambda payload: metric(payload, "Names", DataType.STRING_ARRAY, bytes_value=b"a\0"))
    traffic.ddata(lambda payload: metric(payload, "Names", None, bytes_value=b"a\0b"))


@breaks("datatype-not-of-birth", also=["datatype-in-data"])
def _(traffic):
    traffic.births()
    traffic.ddata(setting("Level", int_value=None, datatype=DataType.STRING, string_value="5"))


@breaks("property-value")
def _(traffic):
    def fill(properties):
        properties.keys.append("limit")
        properties.values.add(type=DataType.INT8, int_value=300)

    traffic.nbirth(edit=with_properties(fill))


@breaks("property-key-twice")
def _(traffic):
    def fill(properties):
        for value in ("C", "F"):
            properties.keys.append("unit")
            properties.values.add(type=DataType.STRING, string_value=value)

    traffic.nbirth(edit=with_properties(fill))


@breaks("dataset-cell-value")
def _(traffic):
    traffic.nbirth(edit=dataset(types=[DataType.STRING]))


@breaks("dataset-column-twice")
def _(traffic):
    traffic.nbirth(edit=dataset(num_of_columns=2, columns=["a", "a"], types=[3, 3], cells=2))


@breaks("template-name-twice")
def _(traffic):
    traffic.nbirth(edit=template(members=("Speed", "Speed")))
