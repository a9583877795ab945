from contextlib import suppress
from dataclasses import replace

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError, IiotError, InvalidValueError
from iiot.lwm2m import content
from iiot.lwm2m import oma_profile as profile
from iiot.lwm2m.content import Format
from iiot.lwm2m.message import (
    Attributes,
    BootstrapRequest,
    Code,
    Command,
    Content,
    Deregister,
    Link,
    Notify,
    Operation,
    Register,
    Response,
    Send,
    Update,
)
from iiot.lwm2m.oma_profile import Topic
from iiot.lwm2m.path import Path
from lwm2m_vectors import DEFINITIONS, records

RD, BS = Topic("d1"), Topic("d1", "bs")
SENML = bytes.fromhex("82a321652f332f302f006139020fa2006232300204")
TEMPERATURE = Path.of(3303, 0, 5700)


def text(value):
    return Content(Format.TEXT, value)


UPLINKS = [
    (BS, "a2010002182a", BootstrapRequest(token="42")),
    (
        RD,
        "a601060201081a000151800963312e320a614d07573c2f312f303e2c3c2f332f303e2c3c2f333330332f303e",
        Register(
            endpoint="d1",
            token="1",
            lifetime=86400,
            version="1.2",
            binding="M",
            links=(Link(Path.of(1, 0)), Link(Path.of(3, 0)), Link(Path.of(3303, 0))),
        ),
    ),
    (RD, "a3010702030819012c", Update(token="3", lifetime=300)),
    (RD, "a201070205", Update(token="5")),
    (RD, "a201080207", Deregister(token="7")),
    (
        RD,
        "a41218cd021838130007544f70656e204d6f62696c6520416c6c69616e6365",
        Response(token="56", code=Code.CONTENT, content=text(b"Open Mobile Alliance")),
    ),
    (RD, "a401170218421300074432332e34", Notify(token="66", content=text(b"23.4"))),
    (
        RD,
        "a40118180209131870075582a321652f332f302f006139020fa2006232300204",
        Send(token="9", content=Content(Format.SENML_CBOR, SENML)),
    ),
    (RD, "a212190194021838", Response(token="56", code=Code.NOT_FOUND)),
]
DOWNLINKS = [
    (
        RD,
        "a3010902183805662f332f302f30",
        Command(token="56", operation=Operation.READ, path=Path.of(3, 0, 0)),
    ),
    (RD, "a21218c90201", Response(token="1", code=Code.CREATED)),
    (
        RD,
        "a4010b02183a05622f331601",
        Command(token="58", operation=Operation.DISCOVER, path=Path.of(3), depth=1),
    ),
    (
        RD,
        "a5010c02183c05662f312f302f31130007423630",
        Command(token="60", operation=Operation.WRITE, path=Path.of(1, 0, 1), content=text(b"60")),
    ),
    (
        RD,
        "a7010e02183e056c2f333330332f302f353730300c0a0d183c0efb403e0000000000000ffb3fe0000000000000",
        Command(
            token="62",
            operation=Operation.WRITE_ATTRIBUTES,
            path=TEMPERATURE,
            attributes=Attributes(pmin=10, pmax=60, gt=30.0, st=0.5),
        ),
    ),
    (
        RD,
        "a3011002184005662f332f302f34",
        Command(token="64", operation=Operation.EXECUTE, path=Path.of(3, 0, 4)),
    ),
    (
        RD,
        "a30114021842056c2f333330332f302f35373030",
        Command(token="66", operation=Operation.OBSERVE, path=TEMPERATURE),
    ),
    (RD, "a20116021842", Command(token="66", operation=Operation.CANCEL_OBSERVE)),
    (RD, "a21218cc0209", Response(token="9", code=Code.CHANGED)),
    (
        RD,
        "a3010a02184406581c83a100662f332f302f30a100662f332f302f39a100662f312f302f31",
        Command(
            token="68",
            operation=Operation.READ_COMPOSITE,
            paths=(Path.of(3, 0, 0), Path.of(3, 0, 9), Path.of(1, 0, 1)),
        ),
    ),
    (BS, "a201050201", Command(token="1", operation=Operation.BOOTSTRAP_FINISH)),
    (
        BS,
        "a301030201" + "05622f30",
        Command(token="1", operation=Operation.BOOTSTRAP_DELETE, path=Path.of(0)),
    ),
]


@pytest.mark.parametrize(("topic", "hexadecimal", "message"), UPLINKS)
def test_device_messages_on_the_wire(topic, hexadecimal, message):
    assert profile.decode_uplink(topic, bytes.fromhex(hexadecimal)) == message
    assert profile.encode_uplink(message).hex() == hexadecimal
    assert profile.encode_uplink(message, extensions=False).hex() == hexadecimal


@pytest.mark.parametrize(("topic", "hexadecimal", "message"), DOWNLINKS)
def test_server_messages_on_the_wire(topic, hexadecimal, message):
    assert profile.decode_downlink(topic, bytes.fromhex(hexadecimal)) == message
    assert profile.encode_downlink(message).hex() == hexadecimal
    assert profile.encode_downlink(message, extensions=False).hex() == hexadecimal


def test_the_specifications_own_examples():
    as_text = bytes.fromhex("a41218cd021838130007744f70656e204d6f62696c6520416c6c69616e6365")
    assert profile.decode_uplink(RD, as_text).content.payload == b"Open Mobile Alliance"
    mislabelled = bytes.fromhex("a4011702184e131870075582a321652f332f302f006139020fa2006232300204")
    notify = profile.decode_uplink(RD, mislabelled)
    assert isinstance(notify, Notify)
    values = content.decode(notify.content, Path.of(3, 0), DEFINITIONS)
    assert values == records({"/3/0/9": 15, "/3/0/20": 4})


def test_echoes_are_told_by_their_operation():
    for topic, hexadecimal, message in UPLINKS:
        if not isinstance(message, Response):
            assert profile.decode_downlink(topic, bytes.fromhex(hexadecimal)) is None
    for topic, hexadecimal, message in DOWNLINKS:
        if not isinstance(message, Response):
            assert profile.decode_uplink(topic, bytes.fromhex(hexadecimal)) is None


def test_6_is_register_on_one_topic_and_bootstrap_pack_on_the_other():
    message = cbor2.dumps({1: 6, 2: 5, 8: 60, 9: "1.2"})
    assert isinstance(profile.decode_uplink(RD, message), Register)
    assert profile.decode_uplink(BS, message) == BootstrapRequest(token="5", pack=True)


def test_topics():
    assert profile.parse_topic("tenant-a/lwm2m/rd/d1", "tenant-a") == Topic("d1", "rd", "tenant-a")
    assert str(Topic("d1", "bs", "tenant-a")) == "tenant-a/lwm2m/bs/d1"
    assert profile.server_filters() == ("lwm2m/rd/+", "lwm2m/bs/+")
    assert profile.device_filters("d1", "t") == ("t/lwm2m/rd/d1", "t/lwm2m/bs/d1")
    for topic in ("lwm2m/rd", "lwm2m/xx/d1", "lwm2m/rd/d1/x", "t/lwm2m/rd/d1", "lwm2m/d1/reg"):
        with pytest.raises(DecodeError):
            profile.parse_topic(topic)
    with pytest.raises(InvalidValueError):
        profile.parse_topic("lwm2m/rd/bs")


@pytest.mark.parametrize(
    "attributes",
    [
        Attributes(lt=20.0),
        Attributes(con=True),
        Attributes(unset=frozenset({"gt"})),
        Attributes(unset=frozenset({"lt"})),
    ],
)
def test_what_the_binding_cannot_say_needs_the_extensions(attributes):
    command = Command(
        token="2", operation=Operation.WRITE_ATTRIBUTES, path=TEMPERATURE, attributes=attributes
    )
    assert profile.decode_downlink(RD, profile.encode_downlink(command)) == command
    with pytest.raises(InvalidValueError, match="not expressible over MQTT"):
        profile.encode_downlink(command, extensions=False)


def test_further_extensions_stay_out_of_strict_messages():
    send = Send(token="9", content=Content(Format.SENML_CBOR, SENML), seq=5, timestamp=7)
    assert profile.decode_uplink(RD, profile.encode_uplink(send)) == send
    assert profile.encode_uplink(send, extensions=False).hex() == UPLINKS[7][1]
    refused = Response(token="9", code=Code.BAD_REQUEST, error="no such object")
    assert profile.decode_uplink(RD, profile.encode_uplink(refused)) == refused
    assert cbor2.loads(profile.encode_uplink(refused, extensions=False)) == {18: 400, 2: 9}
    queueing = Register(endpoint="d1", token="1", lifetime=60, binding="MQ")
    assert profile.decode_uplink(RD, profile.encode_uplink(queueing)).binding == "MQ"
    assert cbor2.loads(profile.encode_uplink(queueing, extensions=False))[10] == "M"
    wish = Command(token="2", operation=Operation.READ, path=TEMPERATURE, format=Format.TLV)
    assert profile.decode_downlink(RD, profile.encode_downlink(wish)) == wish
    assert 4 not in cbor2.loads(profile.encode_downlink(wish, extensions=False))


def test_composites_execute_and_discover():
    links = (Link(Path.of(3, 0, 9), {"pmin": 10}),)
    for message in (
        Command(token="2", operation=Operation.EXECUTE, path=Path.of(3, 0, 4), arguments="0='now'"),
        Command(token="2", operation=Operation.WRITE_COMPOSITE, content=Content(Format.SENML_CBOR, SENML)),
        Command(
            token="2",
            operation=Operation.CREATE,
            path=Path.of(2),
            content=Content(Format.LWM2M_CBOR, b"\xa0"),
        ),
        Command(
            token="2",
            operation=Operation.BOOTSTRAP_WRITE,
            path=Path.of(1, 0),
            content=Content(Format.TLV, b"x"),
        ),
    ):
        topic = BS if message.operation.startswith("bootstrap") else RD
        assert profile.decode_downlink(topic, profile.encode_downlink(message)) == message
    answer = profile.decode_uplink(
        RD, profile.encode_uplink(Response(token="2", code=Code.CONTENT, links=links))
    )
    assert answer.content == Content(Format.LINK, b"</3/0/9>;pmin=10")


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (None, {6: cbor2.dumps([{0: "/3/0/9"}])}),
        (Format.SENML_CBOR, {6: cbor2.dumps([{0: "/3/0/9"}])}),
        (Format.SENML_ETCH_CBOR, {6: cbor2.dumps([{0: "/3/0/9"}])}),
        (Format.SENML_JSON, {19: 110, 6: b'[{"n":"/3/0/9"}]'}),
        (Format.SENML_ETCH_JSON, {19: 320, 6: b'[{"n":"/3/0/9"}]'}),
    ],
)
@pytest.mark.parametrize("operation", [Operation.READ_COMPOSITE, Operation.OBSERVE_COMPOSITE])
def test_paths_in_every_format_that_holds_paths(operation, form, wire):
    command = Command(token="68", operation=operation, paths=(Path.of(3, 0, 9),), path_format=form)
    encoded = profile.encode_downlink(command)
    assert {key: value for key, value in cbor2.loads(encoded).items() if key not in (1, 2)} == wire
    assert profile.decode_downlink(RD, encoded) == replace(command, path_format=None)


def test_without_the_extensions_paths_have_one_format():
    for form in (Format.SENML_JSON, Format.SENML_ETCH_JSON, Format.TLV):
        command = Command(
            token="68", operation=Operation.READ_COMPOSITE, paths=(Path.of(3),), path_format=form
        )
        with pytest.raises(InvalidValueError, match="pathformat"):
            profile.encode_downlink(command, extensions=False)
    wrong = cbor2.dumps({1: 10, 2: 68, 19: 11542, 6: b"\xa0"})
    with pytest.raises(InvalidValueError, match="ct"):
        profile.decode_downlink(RD, wrong)


def test_large_tokens_and_the_unprotected_wrapper():
    token = str(2**64 - 1)
    assert profile.decode_uplink(RD, profile.encode_uplink(Update(token=token))).token == token
    assert profile.decode_uplink(RD, cbor2.dumps({1: None, 2: {1: 7, 2: 5}})) == Update(token="5")
    with pytest.raises(DecodeError, match="COSE"):
        profile.decode_uplink(RD, cbor2.dumps({1: b"secret", 2: {1: 7, 2: 5}}))


@pytest.mark.parametrize(
    "message",
    [
        Send(token="9", records=records({"/3/0/9": 5})),
        Update(token="x"),
        Update(token=""),
        Update(token=str(2**64)),
        Response(token="9", code=Code.CONTENT, records=records({"/3/0/9": 5})),
    ],
)
def test_what_cannot_be_encoded(message):
    with pytest.raises(InvalidValueError):
        profile.encode_uplink(message)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({1: 6, 2: 5, 9: "1.2"}, "lifetime"),
        ({1: 6, 2: 5, 8: 60}, "version"),
        ({1: 6, 2: 5, 8: -1, 9: "1.2"}, "lifetime"),
        ({1: 6, 2: 5, 8: 60, 9: "1.2", 3: "other"}, "ep"),
        ({1: 6, 2: 5, 8: 60, 9: 1.2}, "version"),
        ({1: 6, 2: -5}, "token"),
        ({1: 24, 2: 5, 7: b""}, "ct"),
        ({1: 23, 2: 5, 19: 0}, "payload"),
        ({1: 24, 2: 5, 19: 112, 7: [1]}, "payload"),
        ({1: 19, 2: 5}, "operation"),
        ({1: 3, 2: 5}, "operation"),
        ({1: "6", 2: 5}, "operation"),
        ({18: 299, 2: 5}, "result"),
    ],
)
def test_a_wrong_field_is_named(body, field):
    with pytest.raises(InvalidValueError) as caught:
        profile.decode_uplink(RD, cbor2.dumps(body))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "body", [{}, {2: 5}, {1: 7}, {1: 7, 18: 205, 2: 5}, [], 5, {1: 6, 2: 5, 8: 1, 9: "1", 7: b"\xff"}]
)
def test_what_is_no_message(body):
    with pytest.raises(DecodeError):
        profile.decode_uplink(RD, cbor2.dumps(body))


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=12)
)
keys = st.integers(0, 23) | st.sampled_from(["lt", "con", "seq", "ts"])
bodies = st.dictionaries(keys, leaves | st.just("/3/0/9") | st.just(5), max_size=8).map(
    lambda body: body | {1: (body.get(1) or 6), 2: 5}
)


@given(st.sampled_from([RD, BS]), bodies.map(cbor2.dumps) | st.binary(max_size=60))
def test_hostile_bytes_raise_only_our_errors(topic, payload):
    for decode in (profile.decode_uplink, profile.decode_downlink):
        with suppress(IiotError):
            decode(topic, payload)
