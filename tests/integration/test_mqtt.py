import asyncio
import struct

import pytest

from iiot.errors import MqttConnectError, MqttError, SubscribeRefusedError
from iiot.mqtt import Connection, ConnectOptions, Subscription
from mqtt_rig import (
    NOT_AUTHORISED,
    acknowledge_all,
    both_versions,
    connected,
    next_of,
    nothing,
    observer,
    options_of,
    plain,
    scripted,
)
from scripted_broker import DISCONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, scripted_broker
from support import eventually, free_port


@pytest.fixture
def device(mosquitto, unique):
    """Options of a new device on the TLS listener."""
    return options_of(mosquitto, unique("device"))


@pytest.fixture
def service(mosquitto):
    """Options of a service that may use every LwM2M topic."""
    return options_of(mosquitto, "lwm2m-server")


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
