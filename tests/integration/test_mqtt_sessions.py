import asyncio
from contextlib import asynccontextmanager

import pytest

from iiot.errors import MqttConnectError, MqttError
from iiot.mqtt import Backoff, Connection, ConnectOptions, Subscription, Will, keep_connected
from iiot.mqtt.wire import encode_publish
from mqtt_rig import (
    both_versions,
    connected,
    next_of,
    nothing,
    observer,
    options_of,
    plain,
    scripted,
)
from scripted_broker import DISCONNECT, PINGREQ, scripted_broker
from support import eventually, free_port


@pytest.fixture
def device(mosquitto, unique):
    """Options of a new device on the TLS listener."""
    return options_of(mosquitto, unique("device"))


@pytest.fixture
def service(mosquitto):
    """Options of a service that may use every LwM2M topic."""
    return options_of(mosquitto, "lwm2m-server")


class TestSessions:
    @both_versions
    async def test_what_was_not_acknowledged_comes_again(self, device, service, version):
        topic = f"lwm2m/{device().client_id}/cmd/t"
        options = device(version, clean_start=False, session_expiry=60)
        first, second = [], []
        async with connected(service()) as server:
            async with connected(options, first.append) as connection:
                assert not connection.session_present
                await connection.subscribe(Subscription(topic))
                for payload in (b"a", b"b"):
                    await server.publish_acked(topic, payload)
                await eventually(lambda: len(first) == 2, "both messages")
                first[0].ack()
            await server.publish_acked(topic, b"while away")
            async with connected(options, second.append) as connection:
                assert connection.session_present
                await eventually(lambda: len(second) == 2, "the rest")
                for message in second:
                    message.ack()
        assert [(m.payload, m.duplicate) for m in second] == [(b"b", True), (b"while away", False)]
        async with connected(device(version)) as connection:
            assert not connection.session_present

    async def test_another_connection_with_the_same_id_takes_over(self, device):
        async with connected(device()) as first, connected(device()):
            # Mosquitto 2.0 closes the old socket without a word.
            assert await asyncio.wait_for(first.wait_closed(), 5) == "connection lost"
            assert not first.is_open


class TestLoss:
    async def test_waiting_calls_end_with_an_error(self):
        async with scripted() as (broker, connection):
            waiting = [
                asyncio.ensure_future(connection.publish_acked("t", b"")),
                asyncio.ensure_future(connection.subscribe(Subscription("t"))),
            ]
            await eventually(lambda: len(broker.received) == 3, "both packets")
            broker.drop()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert [str(result) for result in results] == ["connection closed: connection lost"] * 2
            assert all(isinstance(result, MqttError) for result in results)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"\x8b\0", "broker shutting down"),
            (b"\x8e", "session taken over by another connection with this client id"),
            (b"\xa1\0", "reason code 0xa1"),
        ],
    )
    async def test_the_broker_says_why_with_its_last_packets(self, body, reason):
        arrived = []
        async with scripted(on_message=arrived.append) as (broker, connection):
            broker.publish("t", b"last", 1)
            broker.send(DISCONNECT, body)
            broker.writer.close()
            assert await asyncio.wait_for(connection.wait_closed(), 5) == reason
            await eventually(lambda: not connection.is_open, "closed")
        assert [message.payload for message in arrived] == [b"last"]

    async def test_packets_may_come_in_any_pieces(self):
        arrived = []
        async with scripted(on_message=lambda message: arrived.append(message.payload)) as (broker, _):
            payloads = [bytes([number]) * size for number, size in enumerate((0, 1, 120, 130, 20_000))]
            stream = b"".join(encode_publish("t", payload, 1, False, 1, b"\x00") for payload in payloads)
            for size in (1, 2, 3, 129, 4096, len(stream)):
                for at in range(0, len(stream), size):
                    broker.writer.write(stream[at : at + size])
                    await asyncio.sleep(0)
            await eventually(lambda: len(arrived) == 6 * len(payloads), "all messages")
        assert arrived == 6 * payloads

    async def test_unacknowledged_publishes_survive_it(self):
        async with scripted(b"\0\0\x03\x21\0\x02") as (broker, connection):
            for number in range(4):
                connection.publish("t", b"%d" % number, qos=1)
            broker.drop()
            await connection.wait_closed()
            assert connection.unacknowledged() == [("t", b"%d" % number) for number in range(4)]

    @pytest.mark.parametrize(
        "packet",
        [b"\x32\x01\x00", b"\x32\x03\x00\x01t", b"\x40\x01\x00", b"\x90\x00", b"\x30\xff\xff\xff\xff\x7f"],
        ids=["publish-cut", "publish-without-id", "puback-cut", "suback-empty", "length-too-long"],
    )
    async def test_malformed_packets_end_the_connection(self, packet):
        async with scripted() as (broker, connection):
            broker.writer.write(packet)
            await asyncio.wait_for(connection.wait_closed(), 5)

    async def test_keep_alive_finds_a_dead_broker_but_not_while_nothing_is_read(self):
        server_keep_alive_1 = b"\0\0\x03\x13\0\x01"
        async with scripted(server_keep_alive_1) as (broker, connection):
            connection.set_paused(True)
            await eventually(lambda: len(broker.of(PINGREQ)) == 3, "more than two keep-alive times")
            assert connection.is_open
            connection.set_paused(False)
            await asyncio.wait_for(connection.wait_closed(), 10)


class TestWill:
    @pytest.fixture
    def topic(self, device):
        return f"spBv1.0/IIoT/NDEATH/{device().client_id}"

    @both_versions
    @pytest.mark.parametrize("send_will", [True, False])
    async def test_on_disconnect_only_when_asked_for(self, mosquitto, device, topic, version, send_will):
        with observer(mosquitto, topic) as received:
            async with connected(device(version, will=Will(topic, b"bdSeq 7"))) as connection:
                await connection.disconnect(send_will=send_will)
            if send_will:
                assert (await next_of(received)).payload == b"bdSeq 7"
            else:
                async with connected(device(version)) as connection:
                    await connection.publish_acked(topic, b"later")
                assert (await next_of(received)).payload == b"later"

    @both_versions
    async def test_when_the_socket_breaks(self, mosquitto, device, topic, version):
        with observer(mosquitto, topic) as received:
            async with connected(device(version, will=Will(topic, b"gone"))) as connection:
                connection._transport._transport.abort()
                await connection.wait_closed()
            assert (await next_of(received)).payload == b"gone"

    async def test_a_function_is_asked_when_connect_leaves(self, device, topic):
        asked = []

        def will():
            asked.append(True)
            return Will(topic, b"")

        nowhere = ConnectOptions("x", plain(free_port()), will=will)
        with pytest.raises(MqttConnectError):
            await Connection.open(nowhere, nothing)
        assert not asked
        async with connected(device(will=will)):
            assert len(asked) == 1


class TestReconnecting:
    @pytest.fixture
    def stopping(self):
        return asyncio.Event()

    @asynccontextmanager
    async def kept(self, options, session, stopping, on_state=lambda connected, reason: None):
        quick = Backoff(base=0.01, cap=0.05)
        loop = keep_connected(options, nothing, session, stopping=stopping, on_state=on_state, backoff=quick)
        task = asyncio.create_task(loop)
        try:
            yield task
        finally:
            stopping.set()
            await asyncio.wait_for(task, 5)

    async def test_new_options_for_each_connect_and_the_session_cancelled_on_loss(self, stopping):
        wills = (Will("death", b"%d" % number) for number in range(100))
        ended, states = [], []

        async def session(_connection):
            try:
                await stopping.wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        async with scripted_broker() as broker:

            def options():
                return ConnectOptions("x", plain(broker.port), will=next(wills))

            async with self.kept(options, session, stopping, lambda *state: states.append(state)):
                for count in (1, 2, 3):
                    await eventually(
                        lambda at=count: states.count((True, "connected")) == at, f"connect {count}"
                    )
                    broker.drop()
                await eventually(lambda: len(ended) == 3, "three sessions cancelled")
        connects = [packet.body for packet in broker.of(0x10)]
        assert [body[body.index(b"death") + 7 :][:1] for body in connects[:3]] == [b"0", b"1", b"2"]
        assert states[1] == (False, "connection lost")

    async def test_an_mqtt_error_in_the_session_counts_as_loss(self, stopping):
        states = []

        async def session(_connection):
            raise MqttError("no PUBACK for t within 5 s")

        async with scripted_broker() as broker:
            options = ConnectOptions("x", plain(broker.port))
            async with self.kept(lambda: options, session, stopping, lambda *state: states.append(state)):
                await eventually(lambda: broker.connects >= 2, "a second CONNECT")
        assert (False, "no PUBACK for t within 5 s") in states

    async def test_another_error_in_the_session_is_not_swallowed(self, stopping):
        async def session(_connection):
            raise ZeroDivisionError

        async with scripted_broker() as broker:
            options = ConnectOptions("x", plain(broker.port))
            with pytest.raises(ZeroDivisionError):
                await keep_connected(lambda: options, nothing, session, stopping=stopping)

    async def test_it_goes_on_trying_and_stops_when_told(self, stopping):
        states = []
        options = ConnectOptions("x", plain(free_port()))

        async def session(_connection):
            raise AssertionError("there is no broker")

        async with self.kept(lambda: options, session, stopping, lambda *state: states.append(state)):
            await eventually(lambda: len(states) >= 3, "three attempts")
        assert not any(connected for connected, _ in states)

    async def test_the_session_ends_in_good_order_on_stopping(self, mosquitto, device, stopping):
        topic = f"lwm2m/{device().client_id}/dereg"
        ready = asyncio.Event()

        async def session(connection):
            ready.set()
            await stopping.wait()
            await connection.publish_acked(topic, b"bye")

        with observer(mosquitto, topic) as received:
            async with self.kept(device, session, stopping):
                await asyncio.wait_for(ready.wait(), 5)
            assert (await next_of(received)).payload == b"bye"


def test_back_off_is_full_jitter_below_a_growing_bound():
    backoff = Backoff(base=0.2, cap=30)
    for attempt, bound in ((0, 0.2), (1, 0.4), (5, 6.4), (10, 30), (10_000, 30)):
        delays = [backoff.delay(attempt) for _ in range(200)]
        assert 0 <= min(delays) < bound / 4
        assert bound * 3 / 4 < max(delays) <= bound
