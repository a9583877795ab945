"""How many records the Kafka topics have received since a moment."""

from collections.abc import Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from iiot.errors import KafkaError

TIMEOUT: Final = 5.0


def counts(brokers: str, topics: Sequence[str], since_ms: int) -> dict[str, int]:
    """Records per topic that Kafka stored since `since_ms` (UTC ms); 0 for a topic that does not exist yet.

    Raises:
        KafkaError: no broker answers within `TIMEOUT` seconds.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "testbed-status",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    try:
        known = consumer.list_topics(timeout=TIMEOUT).topics
        partitions = [
            TopicPartition(topic, partition, since_ms)
            for topic in topics
            for partition in (known[topic].partitions if topic in known and not known[topic].error else ())
        ]
        result = dict.fromkeys(topics, 0)
        if partitions:
            for first in consumer.offsets_for_times(partitions, timeout=TIMEOUT):
                _, end = consumer.get_watermark_offsets(first, timeout=TIMEOUT)
                # Offset -1: nothing as new as that.
                result[first.topic] += end - first.offset if first.offset >= 0 else 0
    except KafkaException as exc:
        raise KafkaError(f"Kafka at {brokers} does not answer: {exc.args[0].str()}") from exc
    finally:
        consumer.close()
    return result
