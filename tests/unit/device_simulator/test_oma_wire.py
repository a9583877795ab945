import contextlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_simulator.lwm2m_wire import OmaWire
from iiot.errors import DecodeError
from iiot.lwm2m.model import built_in

TOPIC = "lwm2m/rd/device-x-001"
OP, TOKEN, URI, PATHS, PAYLOAD, LIFETIME, RESULT, CT = 1, 2, 5, 6, 7, 8, 18, 19
TEXT, SENML_JSON, SENML_CBOR, LWM2M_CBOR, TLV = 0, 110, 112, 11544, 11542


@pytest.fixture
def make_oma(make_parts):
    def make(prefix="", extensions=True, **kwargs):
        wire = OmaWire("device-x-001", built_in(), prefix, extensions=extensions)
        parts = make_parts(client={"wire": wire, **kwargs})
        parts.state.binding = "M"
        return parts

    return make


@pytest.fixture
def oma(make_oma):
    return make_oma()


def said(publication):
    return cbor2.loads(publication.payload)


def ask(parts, topic=TOPIC, **extra):
    """Answer to a request {1: op, 2: token, ...}; further messages follow."""
    fields = {int(key[1:]): value for key, value in extra.items()}
    return [said(p) for p in parts.client.receive(topic, cbor2.dumps(fields), parts.clock.now)]


def test_register_update_and_send_are_maps_on_the_devices_topic(oma):
    register = oma.client.register(1000.0)
    assert register.topic == TOPIC
    body = said(register)
    assert (body[OP], body[LIFETIME], body[9], body[10]) == (6, 3600, "1.2", "M")
    assert body[PAYLOAD].startswith(b'</>;rt="oma.lwm2m";ct="60 110 112 11542 11544",</1/0>,')
    assert b"</3303>;ver=1.1,</3303/0>" in body[PAYLOAD]
    assert body[TOKEN] % 2 == 1
    assert body["seq"] == 5000
    send = said(oma.client.report(1000.2))
    assert (send[OP], send[CT]) == (24, SENML_CBOR)
    assert send[TOKEN] == body[TOKEN] + 2
    assert {record[0] for record in cbor2.loads(send[PAYLOAD])} >= {"/3303/0/5700"}


def test_only_the_answer_to_its_own_token_registers_the_device(oma):
    token = said(oma.client.register(1000.0))[TOKEN]
    assert ask(oma, _18=201, _2=token + 1) == []
    assert not oma.client.registered
    assert ask(oma, _18=201, _2=token) == []
    assert oma.client.registered


def test_a_forgotten_registration_is_made_again(oma):
    token = said(oma.client.register(1000.0))[TOKEN]
    ask(oma, _18=201, _2=token)
    token = said(oma.client.report(1000.2))[TOKEN]
    ask(oma, _18=404, _2=token)
    assert said(oma.client.report(1000.4))[OP] == 6


def test_own_messages_that_come_back_are_dropped(oma):
    register = oma.client.register(1000.0)
    assert oma.client.receive(register.topic, register.payload, 1000.0) == []
    (answer,) = oma.client.receive(TOPIC, cbor2.dumps({OP: 9, TOKEN: 56, URI: "/3/0/0"}), 1000.0)
    assert said(answer) == {RESULT: 205, TOKEN: 56, CT: TEXT, PAYLOAD: b"IoT Testing Corp"}
    assert oma.client.receive(answer.topic, answer.payload, 1000.0) == []


def test_reads_in_the_format_that_was_wished_for(oma):
    (one,) = ask(oma, _1=9, _2=2, _5="/3/0")
    assert one[CT] == SENML_CBOR
    (wished,) = ask(oma, _1=9, _2=4, _5="/3/0", _4=LWM2M_CBOR)
    assert wished[CT] == LWM2M_CBOR
    assert ask(oma, _1=9, _2=6, _5="/3/0", _4=TEXT)[0][RESULT] == 406
    assert ask(oma, _1=9, _2=8, _5="/3/0", _4=12345)[0][RESULT] == 406
    assert ask(oma, _1=9, _2=10, _5="/3/0/77")[0][RESULT] == 404
    assert ask(oma, _1=9, _2=12, _5="/3/x")[0][RESULT] == 400
    assert ask(oma, _1=99, _2=14, _5="/3")[0][RESULT] == 501


def test_discover_answers_with_links(oma):
    (answer,) = ask(oma, _1=11, _2=58, _5="/3", _22=1)
    assert (answer[CT], answer[PAYLOAD]) == (40, b"</3>,</3/0>")


@pytest.mark.parametrize(
    ("form", "payload", "result"),
    [
        (TEXT, b"60", 204),
        (SENML_CBOR, cbor2.dumps([{0: "/1/0/1", 2: 60}]), 204),
        (LWM2M_CBOR, cbor2.dumps({(1, 0, 1): 60}), 204),
        (TLV, bytes.fromhex("c1013c"), 204),
        (TEXT, b"soon", 400),
        (SENML_CBOR, b"\xff", 400),
        (40, b"</3>", 400),
        (12345, b"60", 415),
    ],
)
def test_writes_in_every_format(oma, form, payload, result):
    answer, *update = ask(oma, _1=12, _2=60, _5="/1/0/1", _19=form, _7=payload)
    assert answer[RESULT] == result
    assert [body[LIFETIME] for body in update] == ([60] if result == 204 else [])


@pytest.mark.parametrize(
    ("form", "payload"),
    [
        (LWM2M_CBOR, cbor2.dumps({(3306, 65535, 5850): True})),
        (SENML_CBOR, cbor2.dumps([{-2: "/3306/65535/", 0: "5850", 4: True}, {0: "5750", 3: "pump"}])),
        (SENML_JSON, b'[{"n":"/3306/65535/5850","vb":true}]'),
        (TLV, bytes.fromhex("e116da01")),
        (TLV, bytes.fromhex("28ffff04e116da01")),
    ],
)
def test_create_leaves_the_instance_to_the_device_which_updates_its_objects(oma, form, payload):
    oma.client.register(1000.0)
    created, update = ask(oma, _1=17, _2=62, _5="/3306", _19=form, _7=payload)
    assert created[RESULT] == 201
    assert (update[OP], b"</3306/0>" in update[PAYLOAD]) == (7, True)
    created, update = ask(oma, _1=17, _2=64, _5="/3306", _19=form, _7=payload)
    assert b"</3306/1>" in update[PAYLOAD]


@pytest.mark.parametrize(
    ("operation", "uri", "form", "payload"),
    [
        (12, "/3306/0", SENML_CBOR, cbor2.dumps([{0: "/3306/65535/5850", 4: True}])),
        (13, "/3306/0", LWM2M_CBOR, cbor2.dumps({(3306, 65535, 5850): True})),
        (15, None, SENML_CBOR, cbor2.dumps([{0: "/3306/65535/5850", 4: True}])),
        (17, "/3306/65535", SENML_CBOR, cbor2.dumps([{0: "/3306/65535/5850", 4: True}])),
    ],
)
def test_the_reserved_instance_id_stands_in_the_payload_of_a_create_only(oma, operation, uri, form, payload):
    oma.client.register(1000.0)
    fields = {"_1": operation, "_2": 62, "_19": form, "_7": payload} | ({} if uri is None else {"_5": uri})
    assert [answer[RESULT] for answer in ask(oma, **fields)] == [400]
    assert ask(oma, _1=10, _2=64, _6=cbor2.dumps([{0: "/3306/65535"}]))[0][RESULT] == 400


def test_observe_notify_and_cancel_share_the_observations_token(oma):
    value = {OP: 20, TOKEN: 66, URI: "/1/0/1"}
    assert ask(oma, _1=20, _2=66, _5="/1/0/1") == [{RESULT: 205, TOKEN: 66, CT: TEXT, PAYLOAD: b"3600"}], (
        value
    )
    _, update, notify = ask(oma, _1=12, _2=68, _5="/1/0/1", _19=TEXT, _7=b"70")
    assert (update[OP], notify[OP], notify[TOKEN], notify[PAYLOAD]) == (7, 23, 66, b"70")
    assert ask(oma, _1=22, _2=66) == [{RESULT: 205, TOKEN: 66}]
    assert ask(oma, _1=22, _2=66) == [{RESULT: 205, TOKEN: 66}], "a repeated request has the same answer"
    assert len(ask(oma, _1=12, _2=70, _5="/1/0/1", _19=TEXT, _7=b"80")) == 2


def test_composite_read_and_observe_take_paths_as_senml(oma):
    paths = cbor2.dumps([{0: "/3/0/0"}, {0: "/1/0/1"}])
    (answer,) = ask(oma, _1=10, _2=68, _6=paths)
    assert cbor2.loads(answer[PAYLOAD]) == [{0: "/3/0/0", 3: "IoT Testing Corp"}, {0: "/1/0/1", 2: 3600}]
    assert ask(oma, _1=21, _2=72, _6=paths)[0][RESULT] == 205
    (same,) = ask(oma, _1=10, _2=74, _19=SENML_JSON, _6=b'[{"n":"/3/0/0"},{"n":"/1/0/1"}]')
    assert same[PAYLOAD] == answer[PAYLOAD]
    assert ask(oma, _1=10, _2=76, _19=TLV, _6=paths)[0][RESULT] == 400
    (changed,) = [
        body
        for body in ask(oma, _1=15, _2=74, _19=SENML_CBOR, _7=cbor2.dumps([{0: "/1/0/1", 2: 9}]))
        if body.get(OP) == 23
    ]
    assert changed[TOKEN] == 72


def test_attributes_with_and_without_keys(oma):
    fields = {"1": 14, "2": 62, "5": "/3303/0/5700", "12": 10, "13": 60, "14": 30.0, "15": 0.5}
    assert ask(oma, **{f"_{key}": value for key, value in fields.items()})[0][RESULT] == 204
    extended = cbor2.dumps({OP: 14, TOKEN: 64, URI: "/3303/0/5700", "lt": 10.0, 12: None})
    assert said(oma.client.receive(TOPIC, extended, 0.0)[0])[RESULT] == 204
    (links,) = ask(oma, _1=11, _2=66, _5="/3303/0/5700")
    assert links[PAYLOAD] == b"</3303/0/5700>;pmax=60;gt=30.0;lt=10.0;st=0.5"


def test_bootstrap_happens_on_its_own_topic(make_oma):
    parts = make_oma(bootstrap="request", prefix="tenant")
    (request,) = parts.client.connected(1000.0)
    topic = "tenant/lwm2m/bs/device-x-001"
    assert (request.topic, said(request)[OP]) == (topic, 0)
    ask(parts, topic, _18=204, _2=said(request)[TOKEN])
    payload = cbor2.dumps({(1, 0): {0: 101, 1: 300}})
    (written,) = parts.client.receive(
        topic, cbor2.dumps({OP: 1, TOKEN: 2, URI: "/1", CT: LWM2M_CBOR, PAYLOAD: payload}), 0.0
    )
    assert (written.topic, said(written)) == (topic, {RESULT: 204, TOKEN: 2})
    (discovered,) = ask(parts, topic, _1=4, _2=4, _5="/")
    assert discovered[PAYLOAD].startswith(b'</>;lwm2m="1.2",')
    finished, register = parts.client.receive(topic, cbor2.dumps({OP: 5, TOKEN: 6}), 0.0)
    assert said(finished) == {RESULT: 204, TOKEN: 6}
    assert (register.topic, said(register)[LIFETIME]) == ("tenant/lwm2m/rd/device-x-001", 300)


def test_a_wrong_bootstrap_request_is_refused_where_it_came_from(make_oma):
    parts = make_oma(bootstrap="request")
    parts.client.connected(1000.0)
    topic = "lwm2m/bs/device-x-001"
    (refused,) = parts.client.receive(topic, cbor2.dumps({OP: 1, TOKEN: 2, URI: "/x"}), 0.0)
    assert (refused.topic, said(refused)[RESULT]) == (topic, 400)


def test_a_pack_brings_everything(make_oma):
    parts = make_oma(bootstrap="pack")
    (request,) = parts.client.connected(1000.0)
    payload = cbor2.dumps({(1, 0): {1: 400}, (0, 1): {0: "mqtt://b", 10: 5}})
    (register,) = ask(
        parts, "lwm2m/bs/device-x-001", _18=205, _2=said(request)[TOKEN], _19=LWM2M_CBOR, _7=payload
    )
    assert (register[OP], register[LIFETIME]) == (6, 400)


def test_strict_mode_says_nothing_that_the_text_does_not(make_oma):
    parts = make_oma(extensions=False)
    assert all(isinstance(key, int) for key in said(parts.client.register(1000.0)))
    assert parts.streams["lwm2m"].sent == 0
    assert ask(parts, _1=9, _2=10, _5="/3/0/77") == [{RESULT: 404, TOKEN: 10}]


def test_foreign_topics_and_nonsense_are_refused(oma):
    for topic, payload in [
        ("lwm2m/rd/another", cbor2.dumps({OP: 9, TOKEN: 2, URI: "/3"})),
        ("lwm2m/device-x-001/cmd/1", b"{}"),
        (TOPIC, b"{}"),
        (TOPIC, cbor2.dumps({OP: 9, URI: "/3"})),
        (TOPIC, cbor2.dumps({OP: 9, TOKEN: -1})),
    ]:
        with pytest.raises(DecodeError):
            oma.client.receive(topic, payload, 0.0)


@given(
    st.one_of(
        st.binary(max_size=80),
        st.dictionaries(
            st.integers(1, 22),
            st.one_of(
                st.integers(-2, 300), st.binary(max_size=20), st.sampled_from(["/3", "/1/0/1", "/x", "/"])
            ),
        ).map(cbor2.dumps),
    )
)
def test_hostile_bytes_never_escape(payload):
    wire = OmaWire("device-x-001", built_in())
    for topic in (TOPIC, "lwm2m/bs/device-x-001"):
        with contextlib.suppress(DecodeError):
            wire.decode(topic, payload, 0.0)


ONE, MISSING, MULTIPLE, INSTANCE = "/3/0/9", "/3/0/77", "/3/0/6", "/3306/3"


def etch(*paths):
    return cbor2.dumps([{0: path} for path in paths])


@pytest.mark.parametrize(
    ("request_", "form"),
    [
        ({OP: 9, URI: ONE}, TEXT),
        ({OP: 9, URI: MULTIPLE}, SENML_CBOR),
        ({OP: 9, URI: "/3/0/6/0"}, SENML_CBOR),
        ({OP: 9, URI: "/3/0"}, SENML_CBOR),
        ({OP: 10, PATHS: etch(ONE)}, SENML_CBOR),
        ({OP: 10, PATHS: etch(ONE, MISSING)}, SENML_CBOR),
        ({OP: 10, PATHS: etch(MISSING)}, SENML_CBOR),
        ({OP: 20, URI: ONE}, TEXT),
        ({OP: 20, URI: MULTIPLE}, SENML_CBOR),
        ({OP: 21, PATHS: etch(ONE)}, SENML_CBOR),
        ({OP: 21, PATHS: etch(ONE, MISSING)}, SENML_CBOR),
    ],
)
def test_the_format_of_an_answer_follows_operation_and_level_not_the_number_of_values(oma, request_, form):
    (answer,) = ask(oma, **{f"_{key}": value for key, value in (request_ | {TOKEN: 50}).items()})
    assert (answer[RESULT], answer[CT]) == (205, form)
    if form == SENML_CBOR:
        assert isinstance(cbor2.loads(answer[PAYLOAD]), list)


@pytest.mark.parametrize(
    ("request_", "form"),
    [
        ({OP: 20, URI: "/3303/0/5700"}, TEXT),
        ({OP: 20, URI: "/3303/0/5700", 4: SENML_JSON}, SENML_JSON),
        ({OP: 20, URI: "/3303/0"}, SENML_CBOR),
        ({OP: 21, PATHS: etch("/3303/0/5700")}, SENML_CBOR),
        ({OP: 21, PATHS: etch("/3303/0/5700", MISSING)}, SENML_CBOR),
    ],
)
def test_a_notification_has_the_format_of_the_answer_to_its_observe(oma, request_, form):
    token = said(oma.client.register(1000.0))[TOKEN]
    ask(oma, _18=201, _2=token)
    (answer,) = ask(oma, **{f"_{key}": value for key, value in (request_ | {TOKEN: 50}).items()})
    told = [said(p) for at in range(1, 120) for p in oma.client.tick(1000.0 + at, online=True)]
    notified = [body for body in told if body.get(OP) == 23 and body[TOKEN] == 50]
    assert notified
    assert {body[CT] for body in (answer, *notified)} == {form}


@pytest.fixture
def below(make_parts):
    """A device that has its objects at `/lwm2m`, and attributes that a server attached."""
    wire = OmaWire("device-x-001", built_in(), root="/lwm2m")
    parts = make_parts(client={"wire": wire})
    assert said(parts.client.register(1000.0))[PAYLOAD].startswith(
        b'</lwm2m>;rt="oma.lwm2m";ct="60 110 112 11542 11544",</lwm2m/1/0>,'
    )
    return parts


def test_a_device_with_an_alternate_path_answers_below_it_and_nowhere_else(below):
    (read,) = ask(below, _1=9, _2=2, _5="/lwm2m/3/0")
    assert read[RESULT] == 205
    assert cbor2.loads(read[PAYLOAD])[0][-2] == "/lwm2m/3/0/"
    assert ask(below, _1=9, _2=4, _5="/3/0")[0][RESULT] == 404
    assert ask(below, _1=9, _2=6, _5="/other/3/0")[0][RESULT] == 404
    (links,) = ask(below, _1=11, _2=8, _5="/lwm2m/3", _22=1)
    assert links[PAYLOAD] == b"</lwm2m/3>,</lwm2m/3/0>"
    paths = cbor2.dumps([{0: "/lwm2m/3/0/1"}, {0: "/lwm2m/3/0/9"}])
    (both,) = ask(below, _1=10, _2=10, _6=paths)
    assert cbor2.loads(both[PAYLOAD])[0][-2] == "/lwm2m/3/0/"
    pack = cbor2.dumps([{0: "/lwm2m/1/0/1", 2: 60}])
    answer, update = ask(below, _1=15, _2=12, _19=SENML_CBOR, _7=pack)
    assert (answer[RESULT], update[LIFETIME]) == (204, 60)
    (observed,) = ask(below, _1=20, _2=14, _5="/lwm2m/3303/0", _13=1)
    assert observed[RESULT] == 205
    (notified,) = [said(m) for m in below.client.tick(1002.0, online=True)]
    assert cbor2.loads(notified[PAYLOAD])[0][-2].startswith("/lwm2m/3303/0")
    send = said(below.client.report(1002.2))
    assert cbor2.loads(send[PAYLOAD])[0][-2] == "/lwm2m"


def test_create_tells_the_location_as_an_extension(make_oma, below):
    pack = cbor2.dumps([{0: "/lwm2m/3306/65535/5850", 4: True}])
    answer, update = ask(below, _1=17, _2=2, _5="/lwm2m/3306", _19=SENML_CBOR, _7=pack)
    assert (answer[RESULT], answer["location"]) == (201, "/lwm2m/3306/0")
    assert b"</lwm2m/3306/0>" in update[PAYLOAD]
    strict = make_oma(extensions=False)
    pack = cbor2.dumps([{0: "/3306/65535/5850", 4: True}])
    answer, *_ = ask(strict, _1=17, _2=2, _5="/3306", _19=SENML_CBOR, _7=pack)
    assert answer == {RESULT: 201, TOKEN: 2}


def test_discover_shows_what_a_node_inherits(oma):
    for token, path, extra in [
        (2, "/3", {"_12": 10}),
        (4, "/3/0", {"_13": 60}),
        (6, "/3/0/7", {"_14": 50.5}),
    ]:
        assert ask(oma, _1=14, _2=token, _5=path, **extra)[0][RESULT] == 204

    def links(path, **extra):
        text = ask(oma, _1=11, _2=8, _5=path, **extra)[0][PAYLOAD].decode()
        return dict(link.partition(">")[::2] for link in text.split(","))

    assert links("/3/0/7") == {"</3/0/7": ";dim=1;pmin=10;pmax=60;gt=50.5", "</3/0/7/0": ""}
    assert links("/3/0/9")["</3/0/9"] == ";pmin=10;pmax=60"
    instance = links("/3/0")
    assert (instance["</3/0"], instance["</3/0/7"]) == (";pmin=10;pmax=60", ";dim=1;gt=50.5")
    assert (links("/3")["</3"], links("/3")["</3/0"]) == (";pmin=10", ";pmax=60")


@pytest.mark.parametrize("form", [40, 42, 7777])
@pytest.mark.parametrize("before", [False, True])
def test_an_observe_whose_answer_cannot_be_given_observes_nothing(oma, form, before):
    if before:
        assert ask(oma, _1=20, _2=66, _5="/1/0/1")[0][RESULT] == 205
    assert ask(oma, _1=20, _2=66, _5="/1/0/1", _4=form)[0][RESULT] == 406
    paths = cbor2.dumps([{0: "/3/0/0"}, {0: "/1/0/1"}])
    assert ask(oma, _1=21, _2=68, _6=paths, _4=form)[0][RESULT] == 406
    written = ask(oma, _1=12, _2=70, _5="/1/0/1", _19=TEXT, _7=b"70")
    assert [message.get(OP) for message in written] == [None, 7], "no notification"


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63), 253_402_300_800])
def test_the_clock_is_set_to_times_of_the_calendar_only(oma, seconds):
    refused = ask(oma, _1=12, _2=66, _5="/3/0/13", _19=60, _7=cbor2.dumps(seconds))
    assert refused[0][RESULT] == 400
    assert ask(oma, _1=12, _2=68, _5="/3/0/13", _19=TEXT, _7=b"253402300799")[0][RESULT] == 204
    oma.clock.now += 10
    assert ask(oma, _1=9, _2=70, _5="/3/0", _4=TLV)[0][RESULT] == 205
