import asyncio
import queue
import struct
from contextlib import asynccontextmanager, contextmanager

import paho.mqtt.client as paho
import pytest

from iiot.errors import MqttConnectError, MqttError, SubscribeRefusedError
from iiot.mqtt import Backoff, Connection, ConnectOptions, Subscription, Will, keep_connected
from iiot.mqtt.wire import encode_publish
from iiot.settings import MqttSettings
from scripted_broker import DISCONNECT, PINGREQ, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, scripted_broker
from support import eventually, free_port

both_versions = pytest.mark.parametrize("version", ["5", "3.1.1"])
NOT_AUTHORISED = 0x87


def nothing(_message):
    pass


def plain(port, **changes):
    return MqttSettings(mqtt_host="127.0.0.1", mqtt_port=port, mqtt_tls=False, **changes)


@asynccontextmanager
async def connected(options, on_message=nothing):
    connection = await Connection.open(options, on_message)
    try:
        yield connection
    finally:
        await connection.disconnect()


@asynccontextmanager
async def scripted(connack=b"\0\0\0", on_packet=lambda broker, packet: None, on_message=nothing, **settings):
    async with scripted_broker(connack, on_packet) as broker:
        options = ConnectOptions("scripted", plain(broker.port, **settings))
        async with connected(options, on_message) as connection:
            yield broker, connection


@contextmanager
def observer(mosquitto, *filters):
    """An independent client on the plain listener; yields a queue of what it receives."""
    received, subscribed = queue.Queue(), queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _u, message: received.put(message)
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.connect("127.0.0.1", mosquitto.plain_port)
    client.loop_start()
    try:
        for topic_filter in filters:
            client.subscribe(topic_filter, qos=1)
            subscribed.get(timeout=5)
        yield received
    finally:
        client.disconnect()
        client.loop_stop()


async def next_of(received):
    return await asyncio.to_thread(received.get, timeout=5)


@pytest.fixture
def device(mosquitto, unique):
    """Options of a new device on the TLS listener."""
    name = unique("device")
    settings = mosquitto.client_settings(name)
    return lambda version="5", **changes: ConnectOptions(
        name, settings.model_copy(update={"mqtt_version": version}), **changes
    )


@pytest.fixture
def service(mosquitto):
    """Options of a service that may use every LwM2M topic."""
    settings = mosquitto.client_settings("lwm2m-server")
    return lambda version="5", **changes: ConnectOptions(
        "lwm2m-server", settings.model_copy(update={"mqtt_version": version}), **changes
    )


class TestConnecting:
    async def test_nobody_there(self):
        port = free_port()
        with pytest.raises(MqttConnectError, match=rf"127\.0\.0\.1:{port}: .*[Cc]onnect"):
            await Connection.open(ConnectOptions("x", plain(port)), nothing)

    async def test_unknown_authority(self, mosquitto, device, tmp_path):
        options = device()
        settings = options.settings.model_copy(update={"mqtt_ca": None})
        with pytest.raises(MqttConnectError, match="certificate verify failed"):
            await Connection.open(ConnectOptions("x", settings), nothing)

    async def test_certificate_of_another_host(self, device):
        settings = device().settings.model_copy(update={"mqtt_host": "127.0.0.2"})
        with pytest.raises(MqttConnectError, match=r"127\.0\.0\.2"):
            await Connection.open(ConnectOptions("x", settings), nothing)

    async def test_without_a_certificate(self, device):
        settings = device().settings.model_copy(update={"mqtt_cert": None, "mqtt_key": None})
        with pytest.raises(MqttConnectError, match="certificate accepted"):
            await Connection.open(ConnectOptions("x", settings), nothing)

    async def test_tls_to_a_listener_without_it(self, mosquitto, device):
        settings = device().settings.model_copy(update={"mqtt_port": mosquitto.plain_port})
        with pytest.raises(MqttConnectError, match=str(mosquitto.plain_port)):
            await Connection.open(ConnectOptions("x", settings), nothing)

    async def test_no_tls_to_a_listener_with_it(self, mosquitto):
        with pytest.raises(MqttConnectError, match="connection lost"):
            await Connection.open(ConnectOptions("x", plain(mosquitto.tls_port)), nothing)

    async def test_certificate_files_that_are_not_there(self, device, tmp_path):
        settings = device().settings.model_copy(update={"mqtt_cert": tmp_path / "none.crt"})
        with pytest.raises(MqttConnectError, match=r"none\.crt"):
            await Connection.open(ConnectOptions("x", settings), nothing)

    async def test_a_certificate_file_that_is_none(self, device, tmp_path):
        (tmp_path / "tls.crt").write_text("not a certificate")
        settings = device().settings.model_copy(update={"mqtt_cert": tmp_path / "tls.crt"})
        with pytest.raises(MqttConnectError, match=r"tls\.crt"):
            await Connection.open(ConnectOptions("x", settings), nothing)

    @both_versions
    async def test_refused_by_the_broker(self, mosquitto, version):
        options = ConnectOptions("x", plain(mosquitto.plain_port, mqtt_version=version), username="someone")
        with pytest.raises(MqttConnectError, match=r"(?i)not authori[sz]ed"):
            await Connection.open(options, nothing)

    async def test_a_broker_that_stays_silent(self, monkeypatch):
        monkeypatch.setattr("iiot.mqtt.connection.CONNECT_TIMEOUT", 0.2)
        async with scripted_broker(connack=None) as broker:
            with pytest.raises(MqttConnectError, match=r"no answer within 0\.2 s"):
                await Connection.open(ConnectOptions("x", plain(broker.port)), nothing)

    @both_versions
    async def test_client_id_and_user_come_from_the_certificate(self, mosquitto, device, version):
        options = device(version)
        claims = ConnectOptions("another-name", options.settings)
        topic = f"lwm2m/{options.client_id}/reg"
        with observer(mosquitto, topic) as received:
            async with connected(claims) as connection:
                await connection.publish_acked(topic, b"mine")
            assert (await next_of(received)).payload == b"mine"


class TestMessages:
    @both_versions
    @pytest.mark.parametrize("qos", [0, 1])
    async def test_out_and_in(self, mosquitto, device, service, version, qos):
        up, down = (f"lwm2m/{device().client_id}/{leaf}" for leaf in ("reg", "cmd/t1"))
        payload = bytes(range(256)) * 300
        messages = asyncio.Queue()
        with observer(mosquitto, up) as seen:
            async with (
                connected(device(version), messages.put_nowait) as connection,
                connected(service(version)) as server,
            ):
                await connection.subscribe(Subscription(down))
                connection.publish(up, payload, qos=qos)
                server.publish(down, payload, qos=qos)
                message = await asyncio.wait_for(messages.get(), 5)
                message.ack()
                heard = await next_of(seen)
        assert (message.topic, message.payload, message.retain, message.duplicate) == (
            down,
            payload,
            False,
            False,
        )
        # The shipped broker sends QoS 0 messages on with the subscription's QoS, to queue them.
        assert message.qos == 1
        assert (heard.topic, heard.payload) == (up, payload)

    async def test_retained_messages_and_subscription_options(self, service, unique):
        topics = [f"lwm2m/{unique('options')}/retained" for _ in range(3)]
        arrived = []
        async with connected(service(), arrived.append) as connection:
            for topic in topics:
                await connection.publish_acked(topic, b"kept", retain=True)
            await connection.subscribe(
                Subscription(topics[0], no_local=True),
                Subscription(topics[1], retain_handling=2),
                Subscription(topics[2], retain_as_published=True, retain_handling=2),
            )
            for topic in topics:
                await connection.publish_acked(topic, b"", retain=True)
            await eventually(lambda: len(arrived) == 3, "three messages")
        assert [(topics.index(m.topic), m.payload, m.retain) for m in arrived] == [
            (0, b"kept", True),
            (1, b"", False),
            (2, b"", True),
        ]

    async def test_a_handler_that_fails_does_not_stop_the_stream(self, device, service):
        topic = f"lwm2m/{device().client_id}/cmd/t"
        arrived = []

        def handle(message):
            arrived.append(message.payload)
            if message.payload == b"poison":
                raise ValueError("bad")
            message.ack()

        async with connected(device(receive_maximum=1), handle) as connection, connected(service()) as server:
            await connection.subscribe(Subscription(topic))
            for payload in (b"poison", b"good"):
                server.publish(topic, payload, qos=1)
            await eventually(lambda: arrived == [b"poison", b"good"], "both messages")

    async def test_refused_filters_are_named(self):
        def refuse(broker, packet):
            if packet.kind == SUBSCRIBE:
                broker.send(SUBACK, packet.body[:2] + bytes((0, 1, NOT_AUTHORISED)))

        async with scripted(on_packet=refuse) as (_, connection):
            with pytest.raises(SubscribeRefusedError, match=r"refused to subscribe spBv1\.0/#$"):
                await connection.subscribe(Subscription("lwm2m/#"), Subscription("spBv1.0/#"))

    @both_versions
    async def test_unsubscribed_filters_bring_nothing_more(self, service, device, unique, version):
        received, topic = [], f"lwm2m/{device().client_id}/send"
        async with connected(
            service(version), lambda message: received.append(message.payload)
        ) as connection:
            await connection.subscribe(Subscription(topic), Subscription("lwm2m/+/send"))
            await connection.unsubscribe("lwm2m/+/send", "never/subscribed")
            async with connected(device(version)) as sender:
                await sender.publish_acked(topic, b"1")
                await connection.unsubscribe(topic)
                await sender.publish_acked(topic, b"2")
            await connection.subscribe(Subscription(topic))
            async with connected(device(version)) as sender:
                await sender.publish_acked(topic, b"3")
            await eventually(lambda: received[-1:] == [b"3"], "the last message")
        assert received == [b"1", b"3"]

    async def test_all_filters_go_into_one_subscribe(self):
        def grant(broker, packet):
            if packet.kind == SUBSCRIBE:
                broker.send(SUBACK, packet.body[:2] + bytes((0, 1, 1)))

        async with scripted(on_packet=grant) as (broker, connection):
            await connection.subscribe(Subscription("a"), Subscription("b", no_local=True, retain_handling=1))
        [packet] = broker.of(SUBSCRIBE)
        assert packet.flags == 2
        assert packet.body[3:] == b"\0\x01a\x01" + b"\0\x01b" + bytes((1 | 1 << 2 | 1 << 4,))


class TestPublishing:
    async def test_the_access_list_refuses_and_says_so(self, device):
        async with connected(device()) as connection:
            with pytest.raises(MqttError, match=r"lwm2m/other/reg refused: not authori[sz]ed"):
                await connection.publish_acked("lwm2m/other/reg", b"{}")
            assert connection.refused == 1
            connection.publish("lwm2m/other/update", b"{}", qos=1)
            await eventually(lambda: connection.refused == 2, "the second refusal")
            assert connection.in_flight == 0

    async def test_no_more_in_flight_than_the_broker_allows(self):
        receive_maximum_3 = b"\0\0\x03\x21\0\x03"
        async with scripted(receive_maximum_3) as (broker, connection):
            for number in range(6):
                connection.publish("t", b"%d" % number, qos=1)
            sent = await eventually(lambda: len(broker.of(PUBLISH)), "a publish")
            assert sent <= 3
            assert connection.in_flight == 6
            assert connection.unacknowledged() == [("t", b"%d" % number) for number in range(6)]
            broker.puback(broker.of(PUBLISH)[0].mid)
            await eventually(lambda: len(broker.of(PUBLISH)) == sent + 1, "one more after a PUBACK")
            assert connection.unacknowledged() == [("t", b"%d" % number) for number in range(1, 6)]
            await acknowledge_all(broker, 6)
            assert [packet.body[-1:] for packet in broker.of(PUBLISH)] == [
                b"%d" % number for number in range(6)
            ]
            await eventually(lambda: connection.in_flight == 0, "nothing in flight")

    async def test_packet_ids_come_round_again(self):
        def acknowledge(broker, packet):
            if packet.kind == PUBLISH:
                broker.puback(packet.mid)

        async with scripted(on_packet=acknowledge) as (broker, connection):
            for _ in range(70):
                for _ in range(1000):
                    connection.publish("t", b"", qos=1)
                await eventually(lambda: connection.in_flight == 0, "all acknowledged")
            assert len(broker.of(PUBLISH)) == 70_000

    async def test_more_than_all_packet_ids_wait_their_turn(self):
        async with scripted() as (broker, connection):
            for number in range(66_000):
                connection.publish("t", struct.pack("!I", number), qos=1)
            await acknowledge_all(broker, 66_000)
            numbers = [struct.unpack("!I", packet.body[-4:])[0] for packet in broker.of(PUBLISH)]
            assert numbers == list(range(66_000))
            await eventually(lambda: connection.in_flight == 0, "nothing in flight")

    async def test_no_puback_in_time(self):
        async with scripted() as (_, connection):
            with pytest.raises(MqttError, match=r"no PUBACK for t within 0\.05 s"):
                await connection.publish_acked("t", b"", timeout=0.05)

    async def test_after_the_end_publishing_is_an_error(self, device):
        async with connected(device()) as connection:
            pass
        assert not connection.is_open
        with pytest.raises(MqttError, match="connection closed"):
            connection.publish("t", b"")
        with pytest.raises(MqttError, match="connection closed"):
            await connection.publish_acked("t", b"")
        with pytest.raises(MqttError, match="connection closed"):
            await connection.subscribe(Subscription("t"))

    async def test_drain_waits_for_a_slow_broker(self, mosquitto, device):
        topic = f"lwm2m/{device().client_id}/send"
        async with connected(device()) as connection:
            while not connection.is_congested:
                connection.publish(topic, bytes(100_000))
            await asyncio.wait_for(connection.drain(), 10)
            assert not connection.is_congested


async def acknowledge_all(broker, count):
    """Acknowledge everything as it comes until `count` publishes have been seen."""
    done = 0
    while done < count:
        await eventually(lambda at=done: len(broker.of(PUBLISH)) > at, f"publish {done + 1} of {count}")
        packets = broker.of(PUBLISH)
        for packet in packets[done:]:
            broker.puback(packet.mid)
        done = len(packets)


class TestAcknowledging:
    async def test_pubacks_leave_in_order_of_arrival(self):
        arrived = []
        async with scripted(on_message=arrived.append) as (broker, _):
            for mid in (11, 12, 13, 14):
                broker.publish("t", b"%d" % mid, mid)
            await eventually(lambda: len(arrived) == 4, "all messages")
            for index in (1, 3, 1):
                arrived[index].ack()
            await asyncio.sleep(0.05)
            assert broker.of(PUBACK) == []
            arrived[0].ack()
            await eventually(lambda: len(broker.of(PUBACK)) == 2, "the done prefix")
            arrived[2].ack()
            await eventually(lambda: len(broker.of(PUBACK)) == 4, "the rest")
        assert [packet.mid for packet in broker.of(PUBACK)] == [11, 12, 13, 14]

    async def test_a_message_may_be_acknowledged_in_its_handler(self):
        async with scripted(on_message=lambda message: message.ack()) as (broker, _):
            for mid in range(1, 101):
                broker.publish("t", b"", mid)
            await eventually(lambda: len(broker.of(PUBACK)) == 100, "all PUBACKs")
        assert [packet.mid for packet in broker.of(PUBACK)] == list(range(1, 101))

    async def test_pubacks_are_on_their_way_before_a_disconnect(self):
        arrived = []
        async with scripted(on_message=arrived.append) as (broker, connection):
            broker.publish("t", b"", 7)
            await eventually(lambda: arrived, "the message")
            arrived[0].ack()
            await connection.disconnect()
            await eventually(lambda: broker.of(DISCONNECT), "DISCONNECT")
        assert [packet.kind for packet in broker.received[-2:]] == [PUBACK, DISCONNECT]

    async def test_acknowledging_after_the_end_is_harmless(self):
        arrived = []
        async with scripted(on_message=arrived.append) as (broker, connection):
            broker.publish("t", b"", 7)
            await eventually(lambda: arrived, "the message")
            broker.drop()
            await connection.wait_closed()
            arrived[0].ack()
            await asyncio.sleep(0)

    async def test_the_broker_sends_no_more_than_the_receive_maximum_ahead(self, device, service):
        topic = f"lwm2m/{device().client_id}/cmd/t"
        arrived = []
        async with (
            connected(device(receive_maximum=5), arrived.append) as connection,
            connected(service()) as server,
        ):
            await connection.subscribe(Subscription(topic))
            for number in range(20):
                await server.publish_acked(topic, b"%d" % number)
            await eventually(lambda: len(arrived) == 5, "the first five")
            await asyncio.sleep(0.1)
            assert len(arrived) == 5
            for index in range(20):
                await eventually(lambda at=index: len(arrived) > at, f"message {index}")
                arrived[index].ack()
        assert [message.payload for message in arrived] == [b"%d" % number for number in range(20)]


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
