"""The simulator against a broker that misbehaves on purpose."""

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager
from itertools import pairwise

from device_simulator.bdseq import BdSeqStore
from device_simulator.fleet import Fleet, make_plans
from device_simulator.settings import SimulatorSettings
from iiot.service import Service
from iiot.sparkplug.payload import decode_payload
from scripted_broker import CONNECT, PUBLISH, SUBSCRIBE, ScriptedBroker, scripted_broker
from support import eventually, free_port

ID = "device-temp-001"


@asynccontextmanager
async def fleet_on(port, tmp_path, **values):
    """A fleet of one on a plain connection; stopped in good order at the end."""
    defaults = {"device_count": 1, "telemetry_interval": 0.05, "lwm2m_interval": 0.05, "state_dir": tmp_path}
    settings = SimulatorSettings(mqtt_host="127.0.0.1", mqtt_port=port, mqtt_tls=False, **defaults | values)
    service, store = Service("device-simulator"), BdSeqStore(tmp_path / "bdseq.jsonl")
    fleet = Fleet(make_plans(settings), settings, service, store)
    running = asyncio.create_task(fleet.run())
    try:
        yield fleet
    finally:
        service.stopping.set()
        await running
        store.close()


def published(packet):
    """Topic and payload of an MQTT 5 PUBLISH without properties."""
    end = 2 + struct.unpack_from("!H", packet.body)[0]
    start = end + (3 if packet.flags & 6 else 1)
    return packet.body[2:end].decode(), packet.body[start:]


def connections(broker):
    """What was published on each connection so far."""
    found = []
    for packet in broker.received:
        if packet.kind == CONNECT:
            found.append([])
        elif packet.kind == PUBLISH:
            found[-1].append(published(packet))
    return found


def bd_seq(messages):
    topic, payload = messages[0]
    assert topic == f"spBv1.0/IIoT/NBIRTH/{ID}"
    return next(m.value for m in decode_payload(payload).metrics if m.name == "bdSeq")


def accept(broker, packet):
    if packet.kind == SUBSCRIBE:
        broker.send(0x90, struct.pack("!HB", packet.mid, 0) + b"\1\1\1\1")
    elif packet.kind == PUBLISH and packet.flags & 6:
        broker.puback(packet.mid)


async def test_lwm2m_messages_without_puback_go_again_on_the_next_connection(tmp_path):
    def lose_the_first_connection(broker, packet):
        if broker.connects > 1 or packet.kind == SUBSCRIBE:
            accept(broker, packet)
        elif packet.kind == PUBLISH and published(packet)[0].endswith("/send"):
            sends = [t for t, _ in connections(broker)[0] if t.endswith("/send")]
            if len(sends) == 4:
                broker.drop()

    async with scripted_broker(on_packet=lose_the_first_connection) as broker:
        async with fleet_on(broker.port, tmp_path) as fleet:
            await eventually(
                lambda: len(connections(broker)) == 2 and len(connections(broker)[1]) > 20, "again"
            )
            assert fleet.stats.reconnects == 1
        first, second = connections(broker)
    unacknowledged = [message for message in first if message[0].startswith("lwm2m/")]
    kinds = [topic.split("/")[2] for topic, _ in second]
    assert kinds[:4] == ["NBIRTH", "DBIRTH", "reg", "reg"]
    assert second[3 : 3 + len(unacknowledged)] == unacknowledged
    assert (bd_seq(first), bd_seq(second)) == (0, 1)
    numbers = sorted(
        {json.loads(body)["seq"] for topic, body in first + second if topic.startswith("lwm2m/")}
    )
    assert all(b - a == 1 for a, b in pairwise(numbers))
    assert kinds[-2:] == ["dereg", "NDEATH"]


async def test_an_attempt_that_reaches_no_broker_takes_no_bdseq(tmp_path):
    port = free_port()
    async with fleet_on(port, tmp_path) as fleet:
        await eventually(lambda: fleet.stats.disconnects >= 2, "attempts without a broker")
        assert not fleet.health().healthy
        broker = ScriptedBroker(b"\0\0\0", accept)
        server = await asyncio.start_server(broker._serve, "127.0.0.1", port)
        await eventually(
            lambda: connections(broker) and len(connections(broker)[0]) > 3, "messages", seconds=20
        )
        assert fleet.health().healthy
        assert bd_seq(connections(broker)[0]) == 0
    server.close()


async def test_a_broker_that_stops_reading_delays_messages_and_loses_none(tmp_path):
    def accept_and_block(broker, packet):
        accept(broker, packet)
        if packet.kind == SUBSCRIBE:
            broker.writer.transport.pause_reading()

    async with scripted_broker(on_packet=accept_and_block) as broker:
        async with fleet_on(broker.port, tmp_path, telemetry_interval=0.0005) as fleet:
            device = fleet.devices[0]
            connection = await eventually(lambda: device.connection, "connected")
            sender = connection._transport._transport.get_extra_info("socket")
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # else it swallows megabytes
            await eventually(lambda: connection.is_congested, "held back")
            sent = device.streams[0].sent
            await asyncio.sleep(0.2)
            assert device.streams[0].sent == sent
            broker.writer.transport.resume_reading()
            await eventually(lambda: device.streams[0].sent > sent + 400, "the delay is made up for")
            assert fleet.health().healthy
            assert fleet.stats.skipped == 0
        messages = connections(broker)[0]
    numbers = [
        next(m.value for m in decode_payload(payload).metrics if m.name == "Ledger/Sequence")
        for topic, payload in messages
        if topic.startswith("spB") and "NDEATH" not in topic
    ]
    assert all(b - a == 1 for a, b in pairwise(numbers))
