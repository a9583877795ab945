"""A general MQTT to Kafka bridge as one writes it in Python: `python -m testbed.bench.paho_bridge`.

For comparison: paho-mqtt receives QoS 1 with acknowledgement by hand, confluent-kafka delivers, and each
delivery report acknowledges its message. Arguments: MQTT port, filter, Kafka brokers, topic. Key: the second
level of the MQTT topic.
"""

import sys
import threading
from contextlib import suppress

import paho.mqtt.client as mqtt
from confluent_kafka import KafkaError, Producer
from paho.mqtt.enums import CallbackAPIVersion


def main(port: str, topic_filter: str, brokers: str, topic: str) -> None:
    """Run until killed."""
    producer = Producer(
        {"bootstrap.servers": brokers, "enable.idempotence": True, "acks": "all", "linger.ms": 5}
    )
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-paho", clean_session=False, manual_ack=True)

    def on_connect(*_: object) -> None:
        client.subscribe(topic_filter, qos=1)

    def on_subscribe(*_: object) -> None:
        print("subscribed", flush=True)  # noqa: T201 - told to the parent

    def on_message(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        number, qos = message.mid, message.qos

        def on_delivery(error: KafkaError | None, _record: object) -> None:
            if error is None:
                client.ack(number, qos)

        key = message.topic.split("/")[1]
        while True:
            with suppress(BufferError):
                producer.produce(topic, bytes(message.payload), key, on_delivery=on_delivery)
                return
            producer.poll(0.1)

    def deliver() -> None:
        while True:
            producer.poll(0.1)

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    threading.Thread(target=deliver, daemon=True).start()
    client.connect("127.0.0.1", int(port))
    client.loop_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
