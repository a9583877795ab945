"""The native Kafka node, seen by an independent client."""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic


def test_a_record_is_stored_with_the_brokers_time(kafka, unique):
    topic = unique("topic")
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    producer = KafkaProducer(bootstrap_servers=kafka)
    producer.send(topic, b"value", key=b"device", timestamp_ms=1000).get(10)
    producer.close()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    record = next(iter(consumer))
    consumer.close()
    admin.close()
    assert (record.key, record.value) == (b"device", b"value")
    assert record.timestamp > 1_700_000_000_000
