import base64
import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot import dead_letters, schemas
from iiot.budgets import LETTER_PAYLOAD_BYTES, MESSAGE_BYTES, NESTING, RECORD_BYTES
from iiot.dead_letters import DeadLetter
from iiot.errors import DecodeError
from iiot.sparkplug.composite import DataSet, Property
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Parameter, Payload, Template, encode_payload
from mqtt_redpanda_bridge.devices import DeviceStates
from mqtt_redpanda_bridge.encode import Context, dead_letter, open_encoder
from mqtt_redpanda_bridge.routes import Format, Route

NOW = 1_795_503_119_839
T = 1_700_000_000_000


def encoder(topic, context=None, *, form=Format.SPARKPLUG_JSON, key="device"):
    route = Route(name="r", filters=("#",), topic="t", format=form, key=key)
    return open_encoder(route, topic, context or Context())


def encode(topic, payload, context=None, **more):
    value, headers = encoder(topic, context, **more).encode(payload, NOW)
    return json.loads(value), {name: v if isinstance(v, str) else v.decode() for name, v in headers}


def sparkplug(*metrics, seq=7, timestamp=T, types=True):
    return encode_payload(Payload(timestamp, list(metrics), seq), with_datatypes=types)


def test_a_birth_becomes_json_with_cloud_events_headers():
    topic = "spBv1.0/IIoT/DBIRTH/device-temp-001/asset"
    value, headers = encode(topic, sparkplug(Metric("Sensors/Temperature", 23.5, DataType.DOUBLE, T + 1)))
    assert value == {
        "topic": topic,
        "group": "IIoT",
        "edge_node": "device-temp-001",
        "device": "asset",
        "message_type": "DBIRTH",
        "seq": 7,
        "timestamp": T,
        "metrics": [{"name": "Sensors/Temperature", "type": "Double", "value": 23.5, "timestamp": T + 1}],
    }
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": f"{T}-7",
        "ce_source": f"/{topic}",
        "ce_type": "iot.sparkplug.dbirth",
        "ce_subject": "device-temp-001",
        "ce_time": "2023-11-14T22:13:20.000Z",
        "ce_dataschema": "urn:iot-testbed:schema:sparkplug-data.v2",
        "content-type": "application/json",
    }


def test_data_gets_names_types_and_signs_from_the_births():
    context = Context()
    births = (Metric("Level", -1, DataType.INT8, T, alias=9), Metric("Seen", 5, DataType.DATE_TIME, T))
    encode("spBv1.0/g/DBIRTH/n/d", sparkplug(*births), context)
    data = sparkplug(
        Metric(None, -85, DataType.INT8, T, alias=9), Metric("Seen", 6, DataType.DATE_TIME, T), types=False
    )
    value, _ = encode("spBv1.0/g/DDATA/n/d", data, context)
    found = [(m["name"], m["type"], m["value"]) for m in value["metrics"]]
    assert found == [("Level", "Int8", -85), ("Seen", "DateTime", 6)]
    assert context.unresolved == 0


BORN = (
    Metric("Level", -1, DataType.INT8, T, alias=1),
    Metric("Speed", 0.5, DataType.DOUBLE, T, alias=2),
    Metric("Mode", "auto", DataType.STRING, T, alias=3),
    Metric("Blob", b"\x01", DataType.BYTES, T, alias=4),
    Metric("Table", DataSet(["a"], [DataType.BOOLEAN], []), DataType.DATA_SET, T, alias=5),
)
TYPED = st.one_of(
    st.tuples(st.just(DataType.INT8), st.integers(-128, 127)),
    st.tuples(st.just(DataType.DOUBLE), st.floats()),
    st.tuples(st.just(DataType.STRING), st.text(max_size=3)),
    st.tuples(st.just(DataType.BYTES), st.binary(max_size=3)),
    st.tuples(st.just(DataType.DATA_SET), st.just(DataSet(["a"], [DataType.BOOLEAN], [(True,)]))),
    st.tuples(st.just(DataType.INT8), st.none()),
    st.tuples(st.just(DataType.INT32), st.sampled_from([-200, 300, 2**31 - 1])),
    st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
)
METRICS = st.builds(
    lambda name, alias, typed, timestamp, historical: Metric(
        name, typed[1], typed[0], timestamp, 9 if name is alias is None else alias, is_historical=historical
    ),
    st.sampled_from([None, "", "Level", "Speed", "Mode", "Blob", "Table", "Other"]),
    st.sampled_from([None, 1, 2, 3, 4, 5, 8]),
    TYPED,
    st.sampled_from([None, T]),
    st.sampled_from([False, False, True]),
)


@given(st.lists(METRICS, max_size=3), st.booleans(), st.sampled_from([None, T]), st.sampled_from([None, 7]))
def test_the_quick_way_of_plain_data_gives_what_the_general_one_gives(metrics, types, timestamp, seq):
    quick, general = Context(), Context()
    records = []
    for context in (quick, general):
        encode("spBv1.0/g/DBIRTH/n/d", sparkplug(*BORN), context)
        way = encoder("spBv1.0/g/DDATA/n/d", context)
        payload = sparkplug(*metrics, timestamp=timestamp, seq=seq, types=types)
        way._is_data = context is quick
        value, headers = way.encode(payload, NOW)
        records.append((value, [one for one in headers if (timestamp and seq) or one[0] != "ce_id"]))
    assert records[0] == records[1]
    assert quick.unresolved == general.unresolved
    assert quick.bad_metrics == general.bad_metrics


def test_what_no_birth_told_is_kept_and_counted():
    context = Context()
    data = sparkplug(
        Metric(None, 3, DataType.INT32, T, alias=4), Metric("x", -1, DataType.INT32, T), types=False
    )
    value, _ = encode("spBv1.0/g/NDATA/n", data, context)
    assert value["metrics"] == [
        {"name": None, "type": None, "value": 3, "timestamp": T, "alias": 4},
        {"name": "x", "type": None, "value": 0xFFFF_FFFF, "timestamp": T},
    ]
    assert context.unresolved == 2


def test_the_short_form_is_read_and_counted():
    context = Context()
    value, _ = encode("spBv1.0/IIoT/DDATA/dev", sparkplug(), context)
    assert (value["edge_node"], value["device"], context.non_conformant) == ("dev", "dev", 1)


def test_every_kind_of_value_has_a_json_form():
    inner = Template(
        [Metric("m", 1, DataType.INT8)], [Parameter("p", DataType.STRING, "v")], ref="T", version="1"
    )
    metrics = [
        Metric("null", None, DataType.STRING, T),
        Metric("bytes", b"\x00\xff", DataType.BYTES, T),
        Metric("array", (1, -2), DataType.INT16_ARRAY, T),
        Metric("u64", 2**64 - 1, DataType.UINT64, T),
        Metric("nan", float("nan"), DataType.DOUBLE, T),
        Metric("table", DataSet(["a"], [DataType.BOOLEAN], [(True,), (None,)]), DataType.DATA_SET, T),
        Metric("udt", inner, DataType.TEMPLATE, T),
        Metric("flags", True, DataType.BOOLEAN, None, is_historical=True, is_transient=True),
    ]
    metrics[0].properties = {"Quality": Property(DataType.INT32, 192)}
    value, _ = encode("spBv1.0/g/NBIRTH/n", sparkplug(*metrics))
    by_name = {m["name"]: m for m in value["metrics"]}
    assert by_name["null"]["value"] is None
    assert by_name["null"]["properties"] == {"Quality": 192}
    assert by_name["bytes"]["value"] == "AP8="
    assert by_name["array"]["value"] == [1, -2]
    assert by_name["u64"]["value"] == 2**64 - 1
    assert by_name["nan"]["value"] is None
    assert by_name["table"]["value"] == {"columns": ["a"], "types": ["Boolean"], "rows": [[True], [None]]}
    assert by_name["udt"]["value"]["metrics"] == [{"name": "m", "type": "Int8", "value": 1}]
    assert by_name["udt"]["value"]["parameters"] == [{"name": "p", "type": "String", "value": "v"}]
    flags = by_name["flags"]
    assert (flags["timestamp"], flags["historical"], flags["transient"]) == (T, True, True)


def test_a_death_without_seq_and_time_gets_the_time_of_receipt():
    death = sparkplug(Metric("bdSeq", 0, DataType.INT64), seq=None, timestamp=None)
    value, headers = encode("spBv1.0/g/NDEATH/n", death)
    assert (value["seq"], value["timestamp"]) == (None, NOW)
    assert headers["ce_time"] == "2026-11-24T06:51:59.839Z"
    _, again = encode("spBv1.0/g/NDEATH/n", death)
    assert headers["ce_id"] != again["ce_id"]


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0/IIoT/DCMD/n/d",
        "spBv1.0/IIoT/DATA/n/d",
        "spBv1.0/IIoT/DDATA/a/b/c",
        "spBv1.0/IIoT/NDATA",
        "spBv1.0/STATE/DDATA/n/d",
        "spBv1.0/STATE/h",
        "lwm2m/x/reg",
    ],
)
def test_topics_that_are_not_uplink_sparkplug_are_refused(topic):
    with pytest.raises(DecodeError):
        encoder(topic)


def test_protobuf_passes_unchanged_and_births_are_learnt_all_the_same():
    context = Context()
    payload = sparkplug(Metric("a", 1, DataType.INT8, T, alias=1))
    value, headers = encoder("spBv1.0/g/NBIRTH/n", context, form=Format.SPARKPLUG_PROTOBUF).encode(
        payload, NOW
    )
    assert value == payload
    assert ("content-type", "application/x-protobuf") in headers
    data, _ = encode(
        "spBv1.0/g/NDATA/n", sparkplug(Metric(None, 1, DataType.INT8, T, alias=1), types=False), context
    )
    assert data["metrics"][0]["name"] == "a"


@pytest.mark.parametrize(
    ("level", "operation"),
    [
        ("reg", "register"),
        ("dereg", "deregister"),
        ("update", "update"),
        ("send", "send"),
        ("notify/t", "notify"),
        ("resp/t", "response"),
    ],
)
def test_lwm2m_operations(level, operation):
    payload = b'{"values": {"/3303/0/5700": 23.5}, "seq": 12, "timestamp": 1700000000000}'
    value, headers = encode(f"lwm2m/dev/{level}", payload, form=Format.LWM2M_JSON)
    assert value == {
        "endpoint": "dev",
        "operation": operation,
        "topic": f"lwm2m/dev/{level}",
        "timestamp": T,
        "payload": json.loads(payload),
    }
    assert (headers["ce_id"], headers["ce_subject"], headers["ce_type"]) == (
        "12",
        "dev",
        f"iot.lwm2m.{operation}",
    )


def test_the_first_devices_send_lwm2m_without_seq_time_or_payload():
    value, headers = encode("lwm2m/dev/update", b"", form=Format.LWM2M_JSON)
    assert (value["payload"], value["timestamp"]) == ({}, NOW)
    assert headers["ce_id"].startswith("bridge-")


@pytest.mark.parametrize("payload", [b"{", b"[]", b"1", b"\xff", b'{"a": NaN}'])
def test_lwm2m_payloads_must_be_json_objects(payload):
    with pytest.raises(DecodeError):
        encode("lwm2m/dev/update", payload, form=Format.LWM2M_JSON)


@pytest.mark.parametrize(
    "topic",
    ["lwm2m/rd/reg", "lwm2m/dev/cmd/1", "lwm2m/dev/notify", "lwm2m/dev/send/x", "lwm2m/dev", "x/dev/reg"],
)
def test_other_lwm2m_topics_are_refused(topic):
    with pytest.raises(DecodeError):
        encoder(topic, form=Format.LWM2M_JSON)


def nested(levels):
    """A JSON object of so many levels, with brackets in a string that count for nothing."""
    arrays = levels - 1
    return b'{"text":"' + b"[{" * 100 + b'\\"","a":' + b"[" * arrays + b"]" * arrays + b',"b":[[],{},[]]}'


def test_nested_json_passes_as_deep_as_ordinary_readers_go():
    value, _ = encoder("lwm2m/dev/update", form=Format.LWM2M_JSON).encode(nested(NESTING), NOW)
    assert nested(NESTING) in value


@pytest.mark.parametrize("levels", [NESTING + 1, 100, 1020])
def test_deeper_json_is_refused_with_the_limit(levels):
    with pytest.raises(DecodeError, match="payload: more than 64 levels of JSON"):
        encoder("lwm2m/dev/update", form=Format.LWM2M_JSON).encode(nested(levels), NOW)


@pytest.mark.parametrize(
    ("topic", "form", "payload", "schema"),
    [
        ("spBv1.0/g/NDATA/n", Format.SPARKPLUG_JSON, encode_payload(Payload(1)), "sparkplug-data.v2"),
        ("spBv1.0/g/NDATA/n", Format.SPARKPLUG_PROTOBUF, encode_payload(Payload(1)), "sparkplug_b.proto"),
        ("lwm2m/dev/update", Format.LWM2M_JSON, b"{}", "lwm2m-message.v1"),
    ],
)
def test_every_record_names_its_schema(topic, form, payload, schema):
    headers = dict(encoder(topic, form=form).encode(payload, NOW)[1])
    assert headers["ce_dataschema"] == f"urn:iot-testbed:schema:{schema}"
    name = schema if schema.endswith(".proto") else f"{schema}.json"
    assert resources.files(schemas).joinpath(name).is_file()


def test_dead_letters_and_states_name_theirs_and_raw_payloads_have_none():
    assert dict(dead_letter("a", b"", "why", "a", NOW)[1])["ce_dataschema"].endswith(":dead-letter.v1")
    states = DeviceStates(1000)
    states.lwm2m("dev", "register", {}, NOW)
    assert dict(states.take()[2])["ce_dataschema"].endswith(":device-state.v1")
    assert "ce_dataschema" not in dict(encoder("a/b", form=Format.RAW, key="topic").encode(b"", NOW)[1])


def test_keys():
    assert encoder("spBv1.0/g/DDATA/node/unit").key == b"node"
    assert encoder("spBv1.0/g/DDATA/node/unit", key="level:5").key == b"unit"
    assert encoder("lwm2m/dev/send", form=Format.LWM2M_JSON, key="topic").key == b"lwm2m/dev/send"
    assert encoder("a/b", form=Format.RAW, key="level:2").key == b"b"


def test_times_outside_the_calendar_do_not_stop_a_message():
    _, headers = encode("spBv1.0/g/NDATA/n", sparkplug(timestamp=2**64 - 1))
    assert headers["ce_time"] == "1970-01-01T00:00:00.000Z"


def test_a_dead_letter_has_the_whole_of_the_largest_message():
    payload = bytes(range(256)) * (MESSAGE_BYTES // 256)
    value, headers = dead_letter("a/b", payload, "undecodable", "dev", NOW)
    assert dead_letters.read(value) == DeadLetter("a/b", "undecodable", MESSAGE_BYTES, payload)
    size = len(value) + sum(len(name) + len(text) for name, text in headers)
    assert size < RECORD_BYTES


def test_a_dead_letter_holds_the_start_of_a_payload_beyond_its_limit():
    payload = bytes(range(256)) * (LETTER_PAYLOAD_BYTES // 256 + 1)
    value, headers = dead_letter("a/b", payload, "why " * 1000, "dev", NOW)
    record = json.loads(value)
    assert base64.b64decode(record["payload_base64"]) == payload[:LETTER_PAYLOAD_BYTES]
    assert not dead_letters.read(value).is_whole
    assert len(value) < RECORD_BYTES
    assert (record["topic"], record["size"]) == ("a/b", len(payload))
    assert dict(headers)["error"] == record["reason"]
    assert len(record["reason"]) == 500


@given(st.binary(max_size=200))
def test_hostile_sparkplug_bytes_decode_or_raise_decode_error(payload):
    try:
        value, _ = encode("spBv1.0/g/NBIRTH/n", payload)
    except DecodeError:
        return
    assert value["message_type"] == "NBIRTH"


@given(st.text(max_size=60), st.sampled_from(list(Format)))
def test_hostile_topics_open_or_raise_decode_error(topic, form):
    key = "topic" if form is Format.RAW else "device"
    for text in (topic, f"spBv1.0/{topic}", f"lwm2m/{topic}"):
        try:
            opened = encoder(text, form=form, key=key)
        except DecodeError:
            continue
        assert isinstance(opened.key, bytes)
