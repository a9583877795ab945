import asyncio
import json

import pytest

from device_messages import BIRTHS, ID, SP, Incoming, bd_seq, lose, run
from iiot.errors import MqttError
from iiot.settings import MqttSettings
from iiot.sparkplug.datatypes import DataType
from iiot.sparkplug.payload import Metric, Payload, encode_payload


def state(online, timestamp):
    return Incoming("spBv1.0/STATE/host", json.dumps({"online": online, "timestamp": timestamp}).encode())


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_device_waits_for_its_primary_host_and_leaves_with_it(make_device, clock):
    device = make_device(sparkplug={"primary_host": "host"})
    connection, task = await device.connect()
    assert ("spBv1.0/STATE/host", 1) in connection.log[0][1]
    device.receive(state(False, 5))
    await settle()
    run(device, clock, 1)
    assert len(connection.log) == 1
    device.receive(state(True, 6))
    await settle()
    assert connection.topics()[1:3] == BIRTHS
    device.receive(state(False, 5))
    await settle()
    assert not task.done()
    device.receive(state(False, 6))
    await settle()
    assert task.done()
    assert connection.topics()[-2:] == [f"{SP}NDEATH/{ID}", "DISCONNECT"]
    again, _ = await device.connect()
    run(device, clock, 1)
    assert len(again.log) == 1


async def test_a_device_that_is_told_to_stop_does_not_wait_for_its_host(make_device):
    device = make_device(sparkplug={"primary_host": "host"})
    connection, task = await device.connect()
    device.stop()
    await settle()
    assert task.done()
    assert connection.topics()[-1] == "DISCONNECT"


async def test_births_that_the_broker_would_not_take_are_not_sent(make_device):
    device = make_device()
    connection, task = await device.connect(max_packet_size=100)
    with pytest.raises(MqttError, match="the broker takes packets of 100"):
        await task
    assert connection.topics() == ["SUBSCRIBE"]
    connection, _ = await device.connect(max_packet_size=10_000)
    assert connection.topics()[1:3] == BIRTHS


def ask_for_next_server(device):
    payload = encode_payload(Payload(1, [Metric("Node Control/Next Server", True, DataType.BOOLEAN)]))
    device.receive(Incoming(f"{SP}NCMD/{ID}", payload))


async def test_next_server_ends_the_session_and_takes_the_next_of_the_list(make_device):
    device = make_device(servers="two,three:1")
    seen = []
    for _ in range(4):
        connection, task = await device.connect()
        seen.append((connection.server, bd_seq(connection.will.payload), bd_seq(connection.log[1][1])))
        ask_for_next_server(device)
        await task
        assert connection.topics()[-2:] == [f"{SP}NDEATH/{ID}", "DISCONNECT"]
    assert seen == [("localhost", 0, 0), ("two", 1, 1), ("three", 2, 2), ("localhost", 3, 3)]
    assert device.stats.commands["sparkplug", "refused"] == 0


async def test_with_one_server_the_next_is_the_same(make_device):
    device = make_device()
    _, task = await device.connect()
    ask_for_next_server(device)
    await task
    again, _ = await device.connect()
    assert (again.server, bd_seq(again.will.payload)) == ("localhost", 1)


async def test_a_server_that_does_not_answer_gives_way_to_the_next(make_device):
    device = make_device(servers="two")
    values = MqttSettings()
    hosts = [device.options(values).settings.mqtt_host for _ in range(3)]
    assert hosts == ["localhost", "two", "localhost"]
    connection, task = await device.connect()
    assert connection.server == "two"
    await lose(connection, task)
    assert device.options(values).settings.mqtt_host == "two"


async def test_where_the_primary_host_is_offline_a_device_tries_the_next_server(make_device):
    device = make_device(servers="two", sparkplug={"primary_host": "host"})
    connection, task = await device.connect()
    device.receive(state(False, 5))
    await settle()
    assert task.done()
    assert connection.topics() == ["SUBSCRIBE", "DISCONNECT"]
    second, task = await device.connect()
    device.receive(state(True, 3))  # of another session of the host than that on the first server
    await settle()
    assert (second.server, second.topics()[1:3]) == ("two", BIRTHS)
    device.receive(state(False, 3))
    await task
    assert second.topics()[-2:] == [f"{SP}NDEATH/{ID}", "DISCONNECT"]
    third, _ = await device.connect()
    assert third.server == "localhost"
    device.receive(state(True, 4))  # older than what this server said before
    await settle()
    assert third.topics() == ["SUBSCRIBE"]


async def test_where_nothing_is_heard_of_the_primary_host_a_device_tries_the_next_server(
    make_device, monkeypatch
):
    monkeypatch.setattr("device_simulator.host_gate.SILENCE", 0)
    device = make_device(servers="two", sparkplug={"primary_host": "host"})
    connection, task = await device.connect()
    await task
    assert connection.topics() == ["SUBSCRIBE", "DISCONNECT"]
    again, _ = await device.connect()
    assert again.server == "two"


async def test_a_host_that_goes_before_the_births_are_sent_is_waited_for(make_device):
    device = make_device(sparkplug={"primary_host": "host"})
    connection, task = await device.connect()
    device.receive(state(True, 5))
    device.receive(state(False, 6))
    await settle()
    assert connection.topics() == ["SUBSCRIBE"]
    assert not task.done()
    device.receive(state(True, 7))
    await settle()
    assert connection.topics()[1:3] == BIRTHS
