from prometheus_client import CollectorRegistry

from iiot.kafka_reader import Count
from testbed.exporter.broker import FRESH, BrokerFigures
from testbed.exporter.ledger import LedgerFigures
from testbed.exporter.topics import TopicFigures
from testbed.verify.books import Books


def exported(collector):
    registry = CollectorRegistry()
    registry.register(collector)
    return registry.get_sample_value


def test_the_broker_is_up_while_it_tells_its_figures(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    figures = BrokerFigures()
    value = exported(figures)
    assert value("mosquitto_up") == 0
    assert value("mosquitto_publish_dropped_total") is None
    figures.take("$SYS/broker/uptime", b"17 seconds", 1000.0)
    figures.take("$SYS/broker/clients/connected", b"6", 1000.0)
    figures.take("$SYS/broker/load/bytes/sent/1min", b"4.5", 1000.0)
    assert value("mosquitto_up") == 1
    assert value("mosquitto_uptime_seconds") == 17
    assert value("mosquitto_clients_connected") == 6
    assert value("mosquitto_publish_dropped_total") == 0  # never published: never happened
    clock[0] += FRESH
    assert value("mosquitto_up") == 0


def test_a_broker_that_comes_back_starts_at_zero():
    figures = BrokerFigures()
    figures.take("$SYS/broker/publish/messages/dropped", b"5", 0.0)
    figures.forget()
    assert not figures.is_fresh(0.0)


def test_what_cannot_be_read_is_left_out():
    figures = BrokerFigures()
    figures.take("$SYS/broker/clients/connected", b"", 0.0)
    figures.take("$SYS/broker/clients/connected", b"many", 0.0)
    assert not figures.is_fresh(0.0)


def test_only_topics_of_the_testbed_are_shown():
    figures = TopicFigures()
    value = exported(figures)
    assert value("kafka_up") == 0
    figures.take({"iot.telemetry.lwm2m.http": Count(3, 9), "mine": Count(1, 1)}, 0.02)
    assert value("kafka_up") == 1
    assert value("kafka_topic_appended_total", {"topic": "iot.telemetry.lwm2m.http"}) == 9
    assert value("kafka_topic_retained_records", {"topic": "iot.telemetry.lwm2m.http"}) == 3
    assert value("kafka_topic_appended_total", {"topic": "mine"}) is None
    figures.failed()
    assert value("kafka_up") == 0
    assert value("kafka_topic_appended_total", {"topic": "iot.telemetry.lwm2m.http"}) is None


def test_every_path_has_its_figures_from_the_start():
    value = exported(LedgerFigures(Books(300)))
    for path in ("sparkplug.data", "lwm2m.bridge", "lwm2m.http", "lwm2m.websocket"):
        assert value("ledger_lost_messages_total", {"path": path}) == 0
        assert value("ledger_outstanding_messages", {"path": path}) == 0
        assert value("ledger_latency_seconds_count", {"path": path}) == 0
