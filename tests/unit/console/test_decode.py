import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.decode import Address, Decoder, device_filters, read_topic
from iiot._pb.sparkplug_b_pb2 import Payload as Message
from iiot.lwm2m import oma_profile
from iiot.lwm2m.message import Command, Operation
from iiot.lwm2m.path import Path
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload
from sparkplug_hostile import HOSTILE

TOPIC = "spBv1.0/IIoT/DDATA/dev/asset"


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("spBv1.0/IIoT/NDATA/dev", Address("sparkplug", "dev", "NDATA", "up")),
        ("spBv1.0/IIoT/DCMD/dev/asset", Address("sparkplug", "dev", "DCMD", "down")),
        ("lwm2m/dev/send", Address("lwm2m", "dev", "send", "up")),
        ("lwm2m/dev/cmd/7", Address("lwm2m", "dev", "cmd", "down")),
        ("lwm2m/dev/ack/reg", Address("lwm2m", "dev", "ack", "down")),
        ("lwm2m/rd/dev", Address("lwm2m", "dev", "rd", "both")),
        ("site/lwm2m/bs/dev", Address("lwm2m", "dev", "bs", "both")),
        ("spBv1.0/STATE/host", None),
        ("$SYS/broker/uptime", None),
        ("test", None),
    ],
)
def test_topics_tell_protocol_device_kind_and_direction(topic, expected):
    assert read_topic(topic) == expected


def test_filters_leave_out_other_devices():
    assert all("dev" in topic_filter for topic_filter in device_filters("dev"))


def test_sparkplug_data_gets_names_and_types_from_a_birth_seen_before():
    decoder = Decoder()
    birth = Payload(timestamp=1, seq=1, metrics=[Metric("T", 1, DataType.INT32, alias=5)])
    decoder.decode("spBv1.0/IIoT/DBIRTH/dev/asset", encode_payload(birth), 10)
    data = Payload(timestamp=2, seq=2, metrics=[Metric(None, -3, DataType.INT32, alias=5)])
    shown = decoder.decode(TOPIC, encode_payload(data, with_datatypes=False), 11)
    assert shown["summary"] == "T = -3"
    assert shown["content"]["metrics"][0]["type"] == "Int32"
    assert "problems" not in shown["content"]


def test_sparkplug_data_gets_names_from_what_the_host_knows():
    decoder = Decoder()
    decoder.learn("IIoT", "dev", {None: [], "asset": [{"name": "T", "type": "Double", "alias": 5}]})
    data = Payload(timestamp=2, seq=2, metrics=[Metric(None, 1.5, DataType.DOUBLE, alias=5)])
    assert decoder.decode(TOPIC, encode_payload(data, with_datatypes=False), 1)["summary"] == "T = 1.5"


def test_an_alias_that_no_birth_told_is_shown_as_such():
    data = Payload(timestamp=2, seq=2, metrics=[Metric(None, 7, DataType.INT32, alias=9)])
    shown = Decoder().decode(TOPIC, encode_payload(data, with_datatypes=False), 1)
    assert shown["summary"] == "alias 9 = 7"
    assert shown["content"]["problems"]


@pytest.mark.parametrize(
    ("topic", "content", "summary"),
    [
        ("send", {"values": {"/3303/0/5700": 23.5}, "seq": 1}, "/3303/0/5700 = 23.5"),
        ("cmd/1", {"operation": "write", "path": "/1/0/1", "value": 60}, "write /1/0/1 value 60"),
        ("resp/1", {"code": "4.04", "error": "no such resource"}, "4.04 error no such resource"),
        ("reg", {"endpoint": "dev", "objects": {"3": {}, "5": {}}}, "objects 3, 5"),
        ("update", {"seq": 1, "timestamp": 2}, "nothing changed"),
    ],
)
def test_json_profile_is_summed_up(topic, content, summary):
    shown = Decoder().decode(f"lwm2m/dev/{topic}", orjson.dumps(content), 1)
    assert (shown["summary"], shown["content"]) == (summary, content)


def test_a_command_of_the_oma_binding_goes_down():
    command = Command(operation=Operation.READ, path=Path.parse("/3/0/0"), token="7")
    topic = str(oma_profile.Topic("dev"))
    shown = Decoder().decode(topic, oma_profile.encode_downlink(command), 1)
    assert (shown["direction"], shown["protocol"]) == ("down", "lwm2m")
    assert "error" not in shown


def test_a_command_below_an_alternate_path_is_understood():
    command = Command(token="4", operation=Operation.READ, path=Path.of(3, 0, 9))
    shown = Decoder().decode("lwm2m/rd/dev", oma_profile.encode_downlink(command, root="/lwm2m"), 1)
    assert "error" not in shown
    assert shown["direction"] == "down"


@given(
    topic=st.sampled_from([TOPIC, "lwm2m/dev/send", "lwm2m/rd/dev", "lwm2m/dev/cmd/1"]), payload=st.binary()
)
def test_hostile_payloads_are_shown_and_never_raise(topic, payload):
    shown = Decoder().decode(topic, payload, 1)
    assert shown["size"] == len(payload)
    orjson.dumps(shown)


def test_a_metric_that_cannot_be_read_is_shown_with_its_reason_beside_the_others():
    wrong, right = {"name": "a", "datatype": 99, "int_value": 1}, {"name": "b", "datatype": 3, "int_value": 2}
    message = Message(metrics=[wrong, right])
    shown = Decoder().decode(TOPIC, message.SerializeToString(), 1)
    bad, good = shown["content"]["metrics"]
    assert (bad["value"], bad["quality"], good["value"]) == (None, "bad", 2)
    assert "unknown datatype 99" in bad["reason"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_payload_beyond_the_budget_is_shown_as_an_error(name):
    shown = Decoder().decode(TOPIC, HOSTILE[name], 1)
    assert shown["error"]
    assert len(shown["content"]) <= 2000


def test_names_that_aliases_repeat_make_no_more_than_a_page_shows():
    decoder = Decoder()
    metric = {"name": "n" * 900_000, "alias": 1, "datatype": 3, "int_value": 1}
    birth = Message(timestamp=1, seq=0, metrics=[metric])
    decoder.decode(TOPIC.replace("DDATA", "DBIRTH"), birth.SerializeToString(), 1)
    data = Message(metrics=[{"alias": 1, "int_value": 1}] * 5_000)
    assert "bytes of JSON" in decoder.decode(TOPIC, data.SerializeToString(), 2)["error"]


def test_an_empty_message_on_the_topic_of_a_birth_forgets_no_names():
    decoder = Decoder()
    birth = Message(timestamp=1, seq=0, metrics=[{"name": "a", "alias": 1, "datatype": 1, "int_value": 1}])
    decoder.decode(TOPIC.replace("DDATA", "DBIRTH"), birth.SerializeToString(), 1)
    for topic in (TOPIC.replace("DDATA", "DBIRTH"), TOPIC.rpartition("/")[0].replace("DDATA", "NBIRTH")):
        decoder.decode(topic, b"", 2)
    data = Message(metrics=[{"alias": 1, "int_value": 0xFF}])
    assert decoder.decode(TOPIC, data.SerializeToString(), 3)["summary"] == "a = -1"
