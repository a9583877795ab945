"""The glue between MQTT and the state machine, without a broker."""

import json
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from iiot.budgets import MESSAGE_BYTES
from iiot.errors import MqttError
from iiot.in_order import LARGE_BYTES
from iiot.service import Service
from iiot.settings import load
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.edge import EdgeNode, MetricDefinition
from iiot.sparkplug.host_events import NonConformity, RequestRebirth
from iiot.sparkplug.payload import Metric, Payload, decode_payload, encode_payload
from iiot.sparkplug.rebirth import RebirthReason
from iiot.sparkplug.state import decode_state
from iiot.sparkplug.topic import MessageType
from iiot.sparkplug.wire import PayloadBudget
from sparkplug_host.host import HostApplication
from sparkplug_host.inbox import WAITING_BYTES, Inbox
from sparkplug_host.logs import LimitedWarnings
from sparkplug_host.settings import Settings
from support import eventually

STATE = "spBv1.0/STATE/sparkplug-host"


class Wire:
    """Stands for the MQTT connection: notes what is published."""

    is_open = True

    def __init__(self):
        self.published = []

    def publish(self, topic, payload, *, qos=0, retain=False):
        self.published.append((topic, payload, qos, retain))


@pytest.fixture
def service():
    return Service("sparkplug-host")


@pytest.fixture
def host(service):
    return HostApplication(load(Settings), service)


@pytest.fixture
def wire(host):
    host._connection = host._introduced = Wire()
    return host._connection


def deliver(host, topic, payload, retain=False):
    acknowledged = []
    host._on_message(
        SimpleNamespace(topic=topic, payload=payload, retain=retain, ack=lambda: acknowledged.append(topic))
    )
    assert acknowledged == [topic]


def exposed(service):
    lines = generate_latest(service.registry).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def births():
    edge = EdgeNode("IIoT", "n", [], {"pump": [MetricDefinition("Mode", DataType.INT8)]})
    edge.next_will()
    return edge.births(1, lambda device: {"Mode": 1} if device else {})


def test_the_will_says_offline_with_the_time_that_the_birth_repeats(host):
    will = host._options().will()
    assert (will.topic, will.qos, will.retain) == (STATE, 1, True)
    death, birth = decode_state(will.payload), decode_state(host._presence.birth())
    assert (death.online, birth.online, death.timestamp) == (False, True, birth.timestamp)


def test_a_late_will_of_the_own_past_is_corrected_at_once(host, wire):
    late = host._presence.will(5)
    host._presence.will(9)
    deliver(host, STATE, late)
    ((topic, payload, qos, retain),) = wire.published
    assert (topic, decode_state(payload), qos, retain) == (STATE, (True, 9), 1, True)
    deliver(host, STATE, payload)
    deliver(host, "spBv1.0/STATE/other", late)
    assert len(wire.published) == 1


def test_a_stored_state_is_not_answered_but_a_later_one_makes_the_host_come_back_behind_it(host, wire):
    host._presence.will(5)
    deliver(host, STATE, b'{"online":false,"timestamp":4}', retain=True)
    assert not host._presence.is_outranked()
    deliver(host, STATE, b'{"online":false,"timestamp":9}', retain=True)
    assert host._presence.is_outranked()
    assert wire.published == []
    assert decode_state(host._presence.will(6)).timestamp == 10


def test_edge_nodes_of_other_groups_are_passed_over(host):
    for message in births():
        deliver(host, message.topic.replace("/IIoT/", "/Other/"), message.payload)
    assert host.state.nodes == {}


def test_the_own_death_is_not_answered(host):
    deliver(host, STATE, host._presence.death(5))


@pytest.mark.parametrize(
    ("topic", "payload", "series"),
    [
        ("spBv1.0/IIoT/NBIRTH/n", b"\xff\xff", "sparkplug_decode_errors_total"),
        ("spBv1.0/IIoT/DDATA/n/pump", b"not protobuf", "sparkplug_decode_errors_total"),
        ("spBv1.0/IIoT/NBIRTH/n/too/many", b"", "sparkplug_bad_topics_total"),
        ("spBv1.0/IIoT/DDATA/n/pump", b"", "sparkplug_ignored_messages_total"),
    ],
)
def test_bad_messages_are_counted_and_acknowledged(host, service, topic, payload, series):
    deliver(host, topic, payload)
    assert exposed(service)[series] == "1.0"


def test_every_series_exists_before_the_first_message(host, service):
    names = exposed(service)
    assert names["sparkplug_devices_online"] == "0.0"
    for member in MessageType:
        assert f'sparkplug_messages_total{{type="{member}"}}' in names
    for kind in NonConformity:
        assert f'sparkplug_nonconformant_messages_total{{kind="{kind}"}}' in names
    for reason in RebirthReason:
        assert f'sparkplug_rebirths_wanted_total{{reason="{reason}"}}' in names
    assert 'sparkplug_commands_sent_total{purpose="rebirth"}' in names


def test_births_are_counted_and_online(host, service):
    for message in births():
        deliver(host, message.topic, message.payload)
    series = exposed(service)
    assert (series["sparkplug_devices_online"], series["sparkplug_nodes_online"]) == ("1.0", "1.0")
    assert series['sparkplug_messages_total{type="DBIRTH"}'] == "1.0"
    assert series["sparkplug_message_processing_seconds_count"] == "2.0"


def test_a_retained_birth_says_nothing_about_now(host):
    nbirth = births()[0]
    deliver(host, nbirth.topic, nbirth.payload, retain=True)
    assert host.state.nodes_online == 0
    assert host.state.counters.non_conformant[NonConformity.RETAINED] == 1


def test_rebirth_requests_and_writes_go_to_the_right_topics(host, wire):
    for message in births():
        deliver(host, message.topic, message.payload)
    node = host.state.nodes["IIoT", "n"]
    host._act([RequestRebirth("IIoT", "n")])
    host.write(node, "pump", node.devices["pump"].metrics["Mode"], -2)
    (rebirth, write) = wire.published
    assert rebirth[0] == "spBv1.0/IIoT/NCMD/n"
    assert write[0] == "spBv1.0/IIoT/DCMD/n/pump"
    assert [metric.value for metric in decode_payload(write[1]).metrics] == [-2]
    assert (write[2], write[3]) == (0, False)


@pytest.mark.parametrize(
    ("settings", "with_datatypes"),
    [
        ({}, True),
        ({"command_datatypes": False}, False),
        ({"commands_without_datatypes": "n"}, False),
        ({"commands_without_datatypes": "other, IIoT/n"}, False),
        ({"commands_without_datatypes": "Other/n,m"}, True),
    ],
)
def test_commands_carry_datatypes_unless_the_edge_node_wants_none(service, settings, with_datatypes):
    host = HostApplication(load(Settings, **settings), service)
    host._connection = Wire()
    for message in births():
        deliver(host, message.topic, message.payload)
    node = host.state.nodes["IIoT", "n"]
    host._act([RequestRebirth("IIoT", "n")])
    host.write(node, "pump", node.devices["pump"].metrics["Mode"], -2)
    host.write(node, None, node.unit.metrics["Node Control/Rebirth"], True)
    found = [decode_payload(payload).metrics[0].datatype for _, payload, *_ in host._connection.published]
    expected = [DataType.BOOLEAN, DataType.INT8, DataType.BOOLEAN]
    assert found == (expected if with_datatypes else [None] * 3)


def test_without_a_connection_nothing_can_be_sent(host):
    for message in births():
        deliver(host, message.topic, message.payload)
    assert not host.health().healthy
    with pytest.raises(MqttError, match="not connected"):
        host.request_rebirth(host.state.nodes["IIoT", "n"])


async def test_a_lost_connection_leaves_nothing_online_and_is_told(host):
    for message in births():
        deliver(host, message.topic, message.payload)
    before = host.events.ring.latest
    with capture_logs() as lines:
        host._on_connection(False, "connection lost")
        host._on_connection(False, "connection refused")
    assert (host.state.nodes_online, host.state.devices_online) == (0, 0)
    (event,) = (await host.events.ring.read(before, 10)).events
    told = json.loads(event.body)
    assert (told["type"], told["endpoint"]) == ("node_stale", "n")
    assert (told["data"]["online"], told["data"]["cause"]) == (False, "host_cut_off")
    assert [line["edge_nodes"] for line in lines if line["event"] == "edge_nodes_stale"] == [1]
    assert [line["edge_node"] for line in lines if line["event"] == "stale"] == ["n"]


@pytest.mark.parametrize("verb", ["NBIRTH", "NDEATH", "DBIRTH", "NDATA"])
def test_clearing_a_retained_message_is_neither_birth_nor_death_nor_error(host, service, wire, verb):
    for message in births():
        deliver(host, message.topic, message.payload)
    with capture_logs() as lines:
        for edge_node in ("n", "other"):
            deliver(host, f"spBv1.0/IIoT/{verb}/{edge_node}" + "/pump" * (verb[0] == "D"), b"")
    assert {(line["event"], line["log_level"]) for line in lines} == {("retained_message_cleared", "info")}
    assert host.state.nodes.keys() == {("IIoT", "n")}
    names = exposed(service)
    assert (names["sparkplug_nodes_online"], names["sparkplug_devices_online"]) == ("1.0", "1.0")
    assert names["sparkplug_cleared_messages_total"] == "2.0"
    assert names["sparkplug_decode_errors_total"] == "0.0"
    assert host.state.tick(10**15) == []


def test_what_costs_too_much_is_counted_by_its_budget_and_asks_for_one_rebirth(service):
    host = HostApplication(load(Settings, max_metrics=3), service)
    host._connection = Wire()
    for message in births():
        deliver(host, message.topic, message.payload)
    large = Payload(1, [Metric("Mode", 1, DataType.INT8)] * 4, 2)
    with capture_logs() as lines:
        for _ in range(5):
            deliver(host, "spBv1.0/IIoT/DDATA/n/pump", encode_payload(large))
    assert exposed(service)['sparkplug_over_budget_total{budget="metrics"}'] == "5.0"
    assert [line["event"] for line in lines] == ["bad_payload"]
    now = time.monotonic_ns() // 1_000_000
    assert len([now for later in range(0, 20_000, 100) if host.state.tick(now + later)]) == 1


def test_limits_are_told(service):
    host = HostApplication(load(Settings, max_nodes=1), service)
    deliver(host, "spBv1.0/IIoT/NBIRTH/first", births()[0].payload)
    with capture_logs() as lines:
        for _ in range(3):
            deliver(host, "spBv1.0/IIoT/NBIRTH/second", births()[0].payload)
            host._tell_limits()
    assert [(line["event"], line["limit"]) for line in lines] == [("over_limit", "nodes")]
    assert exposed(service)['sparkplug_over_limit_total{limit="nodes"}'] == "3.0"


def test_a_late_will_that_two_filters_match_is_answered_once(host, wire):
    late = host._presence.will(5)
    host._presence.will(9)
    for _ in range(2):
        deliver(host, STATE, late)
    ((_, birth, *_),) = wire.published
    for _ in range(2):
        deliver(host, STATE, birth)
    deliver(host, STATE, late)  # again a will of an earlier session
    assert len(wire.published) == 2


async def test_a_large_message_is_handled_in_its_turn_and_the_loop_goes_on_meanwhile(host, wire):
    started, go_on = threading.Event(), threading.Event()
    read = host._inbox._read

    def slow(data):
        if len(data) > LARGE_BYTES:
            started.set()
            assert go_on.wait(10)
        return read(data)

    host._inbox._read = slow
    edge = EdgeNode("IIoT", "n", [], {"pump": [MetricDefinition("Text", DataType.STRING)]})
    edge.next_will()
    acknowledged = []
    messages = [
        *edge.births(1, lambda device: {"Text": "a"} if device else {}),
        edge.data("pump", {"Text": "b" * LARGE_BYTES}, 2),
        edge.data("pump", {"Text": "c"}, 3),
    ]
    for number, sent in enumerate(messages):
        ack = partial(acknowledged.append, number)
        host._on_message(SimpleNamespace(topic=sent.topic, payload=sent.payload, retain=False, ack=ack))
    await eventually(started.is_set, "a thread decodes")
    host._on_connection(False, "connection lost")  # it too waits for its turn
    unit = host.state.nodes["IIoT", "n"].devices["pump"]
    assert (unit.metrics["Text"].value, unit.online, acknowledged) == ("a", True, [0, 1])
    go_on.set()
    await eventually(lambda: not unit.online, "all is handled")
    assert (unit.metrics["Text"].value, acknowledged) == ("c", [0, 1, 2, 3])
    assert host.state.counters.gaps == 0


def test_reading_pauses_while_too_much_waits():
    pauses, finish = [], []
    inbox = Inbox(PayloadBudget(), pauses.append, lambda work, then: finish.append((work, then)))
    got = []
    for _ in range(WAITING_BYTES // MESSAGE_BYTES + 1):
        inbox.add(bytes(MESSAGE_BYTES), got.append)
    assert pauses == [True]
    while finish:
        work, then = finish.pop()
        work()
        then()
    assert pauses == [True, False]
    assert len(got) == WAITING_BYTES // MESSAGE_BYTES + 1


def test_warnings_are_limited_by_kind():
    lines = []
    warn = LimitedWarnings(SimpleNamespace(warning=lambda event, **details: lines.append((event, details))))
    for now in (0.0, 1.0, 2.0, 11.0):
        warn("bad_payload", now, topic="t")
    warn("bad_topic", 1.0)
    assert lines == [
        ("bad_payload", {"left_out": 0, "topic": "t"}),
        ("bad_payload", {"left_out": 2, "topic": "t"}),
        ("bad_topic", {"left_out": 0}),
    ]


def test_stored_births_tell_the_metrics_but_not_that_anything_lives(host, service):
    for message in births():
        deliver(host, f"$sparkplug/certificates/{message.topic}", message.payload, retain=True)
    deliver(host, "$sparkplug/certificates/spBv1.0/IIoT/NBIRTH/n", b"\xff\xff", retain=True)
    names = exposed(service)
    assert (names["sparkplug_certificates_total"], names["sparkplug_nodes_online"]) == ("2.0", "0.0")
    assert host.state.nodes["IIoT", "n"].devices["pump"].metrics.keys() == {"Mode"}
