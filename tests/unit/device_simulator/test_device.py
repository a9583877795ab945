import asyncio
import base64
import json

import pytest

from device_messages import BIRTHS, EP, ID, SP, Incoming, bd_seq, command, lose, run
from device_simulator.firmware import Result
from device_simulator.firmware_package import Package
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, decode_payload, encode_payload


async def test_on_connect_the_messages_leave_in_the_order_of_the_contract(make_device, clock):
    device = make_device()
    connection, _ = await device.connect()
    run(device, clock, 1)
    subscribe, *published = connection.log
    filters = [f"{SP}NCMD/{ID}", f"{SP}DCMD/{ID}/+", f"{EP}ack/+", f"{EP}cmd/+"]
    assert subscribe == ("SUBSCRIBE", [(topic_filter, 1) for topic_filter in filters])
    assert [entry[0] for entry in published[:3]] == [*BIRTHS, f"{EP}reg"]
    assert [entry[2] for entry in published[:3]] == [0, 0, 1]
    assert {(topic, qos) for topic, _, qos in published[3:]} == {
        (f"{SP}DDATA/{ID}/asset", 0),
        (f"{EP}send", 1),
    }
    assert (connection.will.topic, connection.will.qos) == (f"{SP}NDEATH/{ID}", 1)
    assert bd_seq(connection.will.payload) == bd_seq(published[0][1]) == 0


async def test_a_minute_at_the_defaults_has_its_messages(make_device, clock):
    device = make_device()
    connection, _ = await device.connect()
    run(device, clock, 60, step=0.0047)
    topics = connection.topics()
    assert abs(topics.count(f"{SP}DDATA/{ID}/asset") - 60 / 0.0105) <= 1
    lwm2m = [topic for topic in topics if topic.startswith(EP)]
    assert abs(len(lwm2m) - 300) <= 1  # an unanswered Register takes a Send's turn
    assert abs(topics.count(f"{EP}update") - 12) <= 1


async def test_nothing_is_produced_while_disconnected_and_lwm2m_is_sent_again(make_device, clock):
    device = make_device()
    connection, session = await device.connect()
    run(device, clock, 1)
    sends = [(topic, payload) for topic, payload, *_ in connection.log if topic.startswith(f"{EP}send")]
    connection.unacked = sends[-2:]
    connection.is_open = False
    session.cancel()
    await asyncio.gather(session, return_exceptions=True)
    numbers = [stream.last for stream in device.streams]
    run(device, clock, 5)
    assert [stream.last for stream in device.streams] == numbers

    again, _ = await device.connect()
    run(device, clock, 0.3)
    assert again.topics()[1:6] == [*BIRTHS, f"{EP}reg", f"{EP}send", f"{EP}send"]
    assert [entry[:2] for entry in again.log[4:6]] == sends[-2:]
    assert bd_seq(again.will.payload) == bd_seq(again.log[1][1]) == 1
    assert (device.stats.resent, device.stats.reconnects) == (2, 1)
    ledger = [json.loads(payload)["seq"] for topic, payload, *_ in again.log if topic == f"{EP}reg"]
    assert ledger == [numbers[1] + 1]


@pytest.mark.parametrize(
    ("version", "acknowledges", "will"),
    [("5", True, True), ("5", False, True), ("3.1.1", True, False), ("3.1.1", False, True)],
)
async def test_a_clean_stop_says_goodbye_in_order(make_device, clock, version, acknowledges, will):
    device = make_device(version=version)
    connection, session = await device.connect()
    connection.acknowledges = acknowledges
    device.stop()
    await session
    run(device, clock, 1)
    assert connection.log[-3][0::2] == (f"{EP}dereg", 1)
    assert connection.log[-2] == (connection.will.topic, connection.will.payload, 1)
    assert connection.log[-1] == ("DISCONNECT", will)


async def test_reboot_answers_then_reconnects_with_the_next_bdseq_and_uptime_from_0(make_device, clock):
    device = make_device()
    connection, session = await device.connect()
    clock.now += 50
    device.receive(message := command("execute", path="/3/0/4"))
    await session
    assert message.acked == 1
    assert connection.topics()[-3:] == [f"{EP}resp/t1", f"{SP}NDEATH/{ID}", "DISCONNECT"]
    again, _ = await device.connect()
    assert bd_seq(again.will.payload) == 1
    uptime = {m.name: m.value for m in decode_payload(again.log[2][1]).metrics}["Device/Uptime"]
    assert uptime == 0
    again_session_lives = device.connection is again
    assert again_session_lives


async def test_rebirth_requests_that_come_together_have_one_answer(make_device, clock):
    device = make_device()
    connection, _ = await device.connect()
    run(device, clock, 0.5)
    payload = encode_payload(Payload(1, [Metric("Node Control/Rebirth", True, DataType.BOOLEAN)]))
    sent = len(connection.log)
    for _ in range(5):
        device.receive(Incoming(f"{SP}NCMD/{ID}", payload))
    await asyncio.sleep(0)
    assert connection.topics()[sent:] == BIRTHS
    assert bd_seq(connection.log[-2][1]) == 0
    assert device.stats.commands["sparkplug", "done"] == 5
    device.receive(Incoming(f"{SP}NCMD/{ID}", payload))
    await asyncio.sleep(0)
    assert connection.topics()[sent:] == BIRTHS * 2


async def test_a_written_lifetime_is_told_to_both_sides(make_device):
    device = make_device()
    connection, _ = await device.connect()
    device.receive(command("write", path="/1/0/1", value=50))
    assert connection.topics()[-3:] == [f"{EP}resp/t1", f"{EP}update", f"{SP}NDATA/{ID}"]
    payload = encode_payload(Payload(1, [Metric("LwM2M/Lifetime", 60, DataType.INT64)]))
    device.receive(Incoming(f"{SP}NCMD/{ID}", payload))
    assert connection.topics()[-2:] == [f"{SP}NDATA/{ID}", f"{EP}update"]


async def test_what_is_not_understood_is_acknowledged_counted_and_harmless(make_device):
    device = make_device()
    await device.connect()
    for message in (
        Incoming(f"{SP}NCMD/{ID}", b"\xff\xff"),
        Incoming(f"{EP}ack/reg", b"{"),
        Incoming(f"{EP}cmd/t1", b"{"),
        Incoming("x", b""),
    ):
        device.receive(message)
        assert message.acked == 1
    assert device.stats.commands["sparkplug", "refused"] == 1
    assert device.stats.commands["lwm2m", "refused"] == 3


async def test_retained_commands_are_refused_since_they_would_come_again_for_ever(make_device):
    device = make_device()
    connection, _ = await device.connect()
    before = len(connection.log)
    reboot = command("execute", path="/3/0/4")
    rebirth = Payload(metrics=(Metric("Node Control/Rebirth", True, DataType.BOOLEAN),))
    for topic, payload in ((reboot.topic, reboot.payload), (f"{SP}NCMD/{ID}", encode_payload(rebirth))):
        device.receive(message := Incoming(topic, payload, retain=True))
        assert message.acked == 1
    await asyncio.sleep(0)
    assert (connection.log[before:], connection.is_open) == ([], True)
    assert device.stats.commands["lwm2m", "refused"] == device.stats.commands["sparkplug", "refused"] == 1


async def test_commands_before_the_births_are_ignored(make_device):
    device = make_device()
    device.receive(message := command("read", path="/3/0/0"))
    assert message.acked == 1
    assert device.streams[1].sent == 0


async def test_a_congested_socket_delays_messages_and_loses_none(make_device, clock):
    device = make_device()
    connection, _ = await device.connect()
    connection.is_congested = True
    run(device, clock, 2)
    assert len(connection.log) == 4
    connection.is_congested, connection.in_flight = False, 1000
    run(device, clock, 0.01)
    assert f"{EP}send" not in connection.topics()
    connection.in_flight = 0
    run(device, clock, 0.01)
    assert connection.topics().count(f"{SP}DDATA/{ID}/asset") >= 190
    assert device.schedule.skipped == 0


@pytest.mark.parametrize("together", [True, False])
async def test_bursts_come_at_their_times_and_stay_on_schedule(make_device, clock, together):
    burst = {"every": 10, "seconds": 2, "factor": 10, "together": together}
    device = make_device(telemetry_interval=0.1, burst=burst)
    connection, _ = await device.connect()
    counts = []
    for _ in range(40):
        before = len(connection.log)
        run(device, clock, 1)
        counts.append(sum(topic.startswith(f"{SP}DDATA") for topic in connection.topics()[before:]))
    assert sum(counts) == pytest.approx(4 * (2 * 100 + 8 * 10), abs=12)
    assert max(counts) >= 99
    assert sorted(counts)[:24] == pytest.approx([10] * 24, abs=1)
    assert counts[10:20] == pytest.approx(counts[20:30], abs=2)


def bodies(connection, kind):
    return [json.loads(entry[1]) for entry in connection.log if entry[0] == f"{EP}{kind}"]


def said(connection, topic):
    """The values that notifications of one token carried, in order."""
    return [body["values"] for body in bodies(connection, topic)]


async def test_a_firmware_update_is_observed_restarts_the_device_and_shows_on_both_sides(make_device, clock):
    device = make_device(firmware={"download": 1, "install": 2})
    connection, session = await device.connect()
    device.receive(command("observe", path="/5/0/3"))
    device.receive(command("write", path="/5/0/0", value=base64.b64encode(b'{"version":"3.1"}\nx').decode()))
    run(device, clock, 1.5)
    assert said(connection, "notify/t1") == [{"/5/0/3": 1}, {"/5/0/3": 2}]
    device.receive(command("execute", path="/5/0/2"))
    run(device, clock, 2.5)
    await session
    again, _ = await device.connect()
    assert bd_seq(again.will.payload) == 1
    assert bodies(again, "reg")[0]["objects"]["3"]["0"]["3"] == "3.1"
    birth = {m.name: m.value for m in decode_payload(again.log[1][1]).metrics}
    assert birth["Properties/Firmware"] == "3.1"
    device.receive(command("read", path="/5/0"))
    values = bodies(again, "resp/t1")[-1]["values"]
    assert (values["/5/0/3"], values["/5/0/5"], values["/5/0/7"]) == (0, 1, "3.1")
    after_a_restart_of_the_process, _ = await make_device().connect()
    assert bodies(after_a_restart_of_the_process, "reg")[0]["objects"]["3"]["0"]["3"] == "3.1"


@pytest.mark.parametrize("outcome", [Package("app", "2.0", 9), Result.INVALID_URI])
async def test_a_pull_downloads_beside_everything_else(make_device, clock, monkeypatch, outcome):
    asked = []

    async def download(uri, largest, ca):
        asked.append((uri, largest, ca))
        await asyncio.sleep(0)
        return outcome

    monkeypatch.setattr("device_simulator.device.download", download)
    device = make_device(firmware={"download": 1, "flash": 1000})
    connection, _ = await device.connect()
    device.receive(command("write", path="/5/0/1", value="https://x/fw"))
    for _ in range(5):
        await asyncio.sleep(0)
    run(device, clock, 1.5)
    assert asked == [("https://x/fw", 1000, None)]
    device.receive(command("read", path="/5/0"))
    values = bodies(connection, "resp/t1")[-1]["values"]
    expected = (2, 0) if isinstance(outcome, Package) else (0, 7)
    assert (values["/5/0/3"], values["/5/0/5"]) == expected


@pytest.mark.parametrize("end", ["cancel", "connection"])
async def test_a_download_ends_with_its_reason(make_device, clock, monkeypatch, end):
    async def download(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr("device_simulator.device.download", download)
    device = make_device(firmware={"download": 0})
    connection, session = await device.connect()
    device.receive(command("write", path="/5/0/1", value="http://x/fw"))
    await asyncio.sleep(0)
    if end == "cancel":
        device.receive(command("execute", path="/5/0/10"))
    else:
        connection.is_open = False
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)
        connection, _ = await device.connect()
    device.receive(command("read", path="/5/0/5"))
    assert bodies(connection, "resp/t1")[-1]["values"] == {"/5/0/5": 10 if end == "cancel" else 4}


async def test_observations_go_on_offline_and_are_delivered_when_made_again(make_device, clock):
    device = make_device()
    connection, session = await device.connect()
    device.receive(command("write", path="/1/0/6", value=True))
    device.receive(command("write-attributes", path="/3303/0/5700", attributes={"pmin": 5}))
    device.receive(command("observe", path="/3303/0/5700"))
    connection.is_open = False
    session.cancel()
    await asyncio.gather(session, return_exceptions=True)
    run(device, clock, 21)
    again, _ = await device.connect()
    device.receive(command("observe", path="/3303/0/5700"))
    run(device, clock, 0.3)
    (history,) = [body for body in bodies(again, "notify/t1") if "records" in body]
    assert len(history["records"]) == 4


async def test_a_lifetime_written_by_a_host_is_notified_to_the_lwm2m_server(make_device):
    device = make_device()
    connection, _ = await device.connect()
    device.receive(command("observe", path="/1/0/1"))
    payload = encode_payload(Payload(1, [Metric("LwM2M/Lifetime", 60, DataType.INT64)]))
    device.receive(Incoming(f"{SP}NCMD/{ID}", payload))
    assert said(connection, "notify/t1") == [{"/1/0/1": 60}]


async def test_the_oma_binding_subscribes_to_its_topics_without_its_own_messages(make_device):
    device = make_device(lwm2m_profile="oma")
    connection, _ = await device.connect()
    assert connection.log[0][1][2:] == [(f"lwm2m/rd/{ID}", 1), (f"lwm2m/bs/{ID}", 1)]
    assert connection.topics()[3] == f"lwm2m/rd/{ID}"
    assert all(s.no_local for s in device.client.wire.subscriptions())
    assert device.stats.sent["reg"] == 1


async def test_what_a_lost_connection_missed_is_sent_after_the_next_births(make_device, clock):
    device = make_device(telemetry_interval=0.1, sparkplug={"store": {"drain_rate": 50}})
    await lose(*await device.connect())
    run(device, clock, 2)
    connection, _ = await device.connect()
    run(device, clock, 2)
    data = [decode_payload(payload) for topic, payload, _ in connection.log[1:] if "/DDATA/" in topic]
    stored = [payload for payload in data if payload.metrics[0].is_historical]
    assert 19 <= len(stored) <= 21
    assert 19 <= len(data) - len(stored) <= 21
    times = [payload.metrics[0].timestamp for payload in stored]
    assert times == sorted(times)
    assert times[-1] <= decode_payload(connection.log[1][1]).timestamp
    assert [payload.seq for payload in data] == list(range(2, 2 + len(data)))


async def test_without_a_store_nothing_is_sampled_between_connections(make_device, clock):
    device = make_device(telemetry_interval=0.1)
    await lose(*await device.connect())
    run(device, clock, 2)
    connection, _ = await device.connect()
    run(device, clock, 1)
    assert not any(
        metric.is_historical
        for topic, payload, _ in connection.log[1:]
        if "/DDATA/" in topic
        for metric in decode_payload(payload).metrics
    )
