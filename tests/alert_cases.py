"""Series of a healthy testbed, and of faults with the alerts that must fire in them."""

from dataclasses import dataclass, field

PARTS = (
    *("lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "redpanda-connect"),
    *("device-simulator", "testbed-exporter", "console"),
)
LENGTH = 240
"""Samples, one every 5 s: 20 minutes."""
DAY = 86_400
WAITS = "/api/clients/{endpoint}/{path}"

# Values in promtool's notation; `{n}` is the number of samples.
HEALTHY = {
    **{f'up{{job="{part}", instance="a"}}': "1x{n}" for part in PARTS},
    'process_start_time_seconds{job="lwm2m-server", instance="a"}': "100x{n}",
    'process_open_fds{job="lwm2m-server", instance="a"}': "40x{n}",
    'process_max_fds{job="lwm2m-server", instance="a"}': "1024x{n}",
    'iiot_certificate_expiry_timestamp_seconds{job="lwm2m-server"}': f"{300 * DAY}x{{n}}",
    'mosquitto_certificate_expiry_timestamp_seconds{job="testbed-exporter"}': f"{300 * DAY}x{{n}}",
    'mosquitto_up{job="testbed-exporter"}': "1x{n}",
    "mosquitto_publish_dropped_total": "0x{n}",
    'ledger_up{job="testbed-exporter"}': "1x{n}",
    'ledger_outstanding_messages{path="lwm2m.http"}': "4x{n}",
    'ledger_sent_messages_total{path="lwm2m.http"}': "0+50x{n}",
    'ledger_lost_messages_total{path="lwm2m.http"}': "0x{n}",
    'ledger_duplicated_messages_total{path="lwm2m.http"}': "0x{n}",
    'kafka_up{job="testbed-exporter"}': "1x{n}",
    'kafka_topic_appended_total{topic="iot.telemetry.sparkplug.data"}': "0+950x{n}",
    'kafka_topic_appended_total{topic="iot.telemetry.lwm2m.http"}': "0+50x{n}",
    'kafka_topic_appended_total{topic="iot.telemetry.lwm2m.websocket"}': "0+50x{n}",
    'kafka_topic_appended_total{topic="iot.telemetry.sparkplug.data.dlq"}': "3x{n}",
    'bridge_mqtt_connected{job="mqtt-redpanda-bridge"}': "1x{n}",
    'bridge_kafka_connected{job="mqtt-redpanda-bridge"}': "1x{n}",
    **{
        f'bridge_{name}{{job="mqtt-redpanda-bridge", instance="{instance}", route="sparkplug"}}': value
        for instance in ("a", "b")
        for name, value in {
            "in_flight": "40x{n}",
            "delivered_total": "0+475x{n}",
            "dead_lettered_total": "3x{n}",
        }.items()
    },
    "bridge_sessions_lost_total": "0x{n}",
    'bridge_delivery_seconds_bucket{le="0.1"}': "0+950x{n}",
    'bridge_delivery_seconds_bucket{le="1"}': "0+950x{n}",
    'bridge_delivery_seconds_bucket{le="2.5"}': "0+950x{n}",
    'bridge_delivery_seconds_bucket{le="+Inf"}': "0+950x{n}",
    'lwm2m_mqtt_connected{job="lwm2m-server"}': "1x{n}",
    'lwm2m_events_consumer_lag{job="lwm2m-server", instance="a", consumer="lwm2m-http-source"}': "12x{n}",
    'lwm2m_events_total{job="lwm2m-server", instance="a", type="send"}': "0+50x{n}",
    'lwm2m_events_total{job="lwm2m-server", instance="a", type="expired"}': "2x{n}",
    'lwm2m_messages_total{operation="send", outcome="accepted"}': "0+50x{n}",
    'lwm2m_messages_total{operation="send", outcome="refused"}': "4x{n}",
    'lwm2m_active_devices{job="lwm2m-server"}': "10x{n}",
    'lwm2m_registrations{job="lwm2m-server"}': "10x{n}",
    'lwm2m_http_requests_total{job="lwm2m-server", route="/api/events", status="200"}': "0+25x{n}",
    'lwm2m_http_requests_total{job="lwm2m-server", route="/api/events", status="500"}': "0x{n}",
    **{
        f'lwm2m_http_request_duration_seconds_bucket{{job="lwm2m-server", route="/api/events", le="{le}"}}': (
            "0+25x{n}"
        )
        for le in ("0.01", "0.5", "1", "+Inf")
    },
    # Requests that wait for a device are not the service's own time.
    **{
        f'lwm2m_http_request_duration_seconds_bucket{{job="lwm2m-server", route="{WAITS}", le="{le}"}}': value
        for le, value in {"0.5": "0x{n}", "1": "0x{n}", "+Inf": "0+25x{n}"}.items()
    },
    'sparkplug_mqtt_connected{job="sparkplug-host"}': "1x{n}",
    "sparkplug_devices_online": "10x{n}",
    'sparkplug_messages_total{type="DDATA"}': "0+950x{n}",
    "sparkplug_sequence_gaps_total": "0x{n}",
    "sparkplug_rebirth_requests_total": "0+1x{n}",
    'simulator_devices{fleet="1"}': "10x{n}",
    'simulator_devices_connected{fleet="1"}': "10x{n}",
    'disk_free_bytes{data="state"}': "6e10x{n}",
    'disk_size_bytes{data="state"}': "1e11x{n}",
    "simulator_messages_skipped_total": "0x{n}",
}


@dataclass(frozen=True)
class Case:
    """A fault: series that differ from the healthy ones, and all alerts that fire at some moments.

    Attributes:
        change: values by series; None removes it.
        fires: names of the alerts by minutes from the start.
    """

    name: str
    change: dict[str, str | None]
    fires: dict[float, set[str]] = field(default_factory=dict)


HTTP_LAG = 'lwm2m_events_consumer_lag{job="lwm2m-server", instance="a", consumer="lwm2m-http-source"}'
OWN_LAG = 'lwm2m_events_consumer_lag{job="lwm2m-server", instance="a", consumer="mine"}'
SPARKPLUG = 'kafka_topic_appended_total{topic="iot.telemetry.sparkplug.data"}'
IN_FLIGHT, DELIVERED, DEAD = (
    f'bridge_{name}{{job="mqtt-redpanda-bridge", instance="a", route="sparkplug"}}'
    for name in ("in_flight", "delivered_total", "dead_lettered_total")
)
OTHER_IN_FLIGHT, OTHER_DELIVERED = (series.replace('"a"', '"b"') for series in (IN_FLIGHT, DELIVERED))
DATA = 'sparkplug_messages_total{type="DDATA"}'
EXPIRED = 'lwm2m_events_total{job="lwm2m-server", instance="a", type="expired"}'
ERRORS = 'lwm2m_http_requests_total{job="lwm2m-server", route="/api/events", status="500"}'
REQUESTS = 'lwm2m_http_requests_total{job="lwm2m-server", route="/api/events", status="200"}'
CONNECTED = 'simulator_devices_connected{fleet="1"}'
FREE = 'disk_free_bytes{data="state"}'
API = 'lwm2m_http_request_duration_seconds_bucket{{job="lwm2m-server", route="/api/events", le="{}"}}'

CASES = [
    Case("healthy", {}, {2: set(), 9: set(), 19: set()}),
    Case(
        "idle: nobody there, nothing sent",
        {
            "sparkplug_devices_online": "0x240",
            'simulator_devices{fleet="1"}': "0x240",
            CONNECTED: "0x240",
            DATA: "7x240",
            "lwm2m_active_devices" + '{job="lwm2m-server"}': "0x240",
            SPARKPLUG: "7x240",
            'kafka_topic_appended_total{topic="iot.telemetry.lwm2m.http"}': "7x240",
            'kafka_topic_appended_total{topic="iot.telemetry.lwm2m.websocket"}': "7x240",
            **dict.fromkeys((DELIVERED, OTHER_DELIVERED), "7x240"),
            **dict.fromkeys((IN_FLIGHT, OTHER_IN_FLIGHT), "0x240"),
            'lwm2m_events_total{job="lwm2m-server", instance="a", type="send"}': "7x240",
            'lwm2m_messages_total{operation="send", outcome="accepted"}': "7x240",
            HTTP_LAG: "0x240",
        },
        {9: set(), 19: set()},
    ),
    Case(
        "a part is down for a while",
        {'up{job="lwm2m-server", instance="a"}': "1x60 0x60 1x120"},
        {5.3: set(), 7: {"PartDown"}, 11: set()},
    ),
    Case(
        "a hiccup of a part",
        {'up{job="device-simulator", instance="a"}': "1x12 0x4 1x224"},
        {1.4: set(), 3: set()},
    ),
    Case(
        "a part is gone",
        {'up{job="sparkplug-host", instance="a"}': "1x60 stale"},
        {5.5: set(), 8: {"PartMissing"}},
    ),
    Case(
        "a part restarts again and again",
        {'process_start_time_seconds{job="lwm2m-server", instance="a"}': "100x20 200x5 300x5 400x210"},
        {2: set(), 4: {"PartRestarting"}, 15: set()},
    ),
    Case(
        "one restart",
        {'process_start_time_seconds{job="lwm2m-server", instance="a"}': "100x20 200x220"},
        {4: set()},
    ),
    Case(
        "the broker is away",
        {'bridge_mqtt_connected{job="mqtt-redpanda-bridge"}': "1x12 0x24 1x204"},
        {2: {"BrokerUnreachable"}, 4: set()},
    ),
    Case(
        "Kafka is away",
        {
            'bridge_kafka_connected{job="mqtt-redpanda-bridge"}': "1x60 0x180",
            'kafka_up{job="testbed-exporter"}': "1x60 0x180",
            SPARKPLUG: "0+950x60 stale",
            **dict.fromkeys((DELIVERED, OTHER_DELIVERED), "0+475x60 28500x180"),
        },
        {4: set(), 6.2: {"KafkaUnreachable"}, 9: {"KafkaUnreachable", "BridgeStuck"}},
    ),
    Case(
        "the exporter sees neither broker nor ledger",
        {
            'mosquitto_up{job="testbed-exporter"}': "1x12 0x228",
            'ledger_up{job="testbed-exporter"}': "1x12 0x228",
        },
        {1.5: set(), 4: {"FiguresMissing"}},
    ),
    Case(
        "devices are online and their data goes nowhere",
        {SPARKPLUG: "0+950x60 57000x180"},
        {5: set(), 9: {"NoDataInKafka"}},
    ),
    Case(
        "devices that speak every five minutes",
        {DATA: "0+0x30 10x59 20x60 30x60 40x31", SPARKPLUG: "0+0x30 10x59 20x60 30x60 40x31"},
        {2: set(), 6: set(), 12: set(), 19: set()},
    ),
    Case(
        "devices fall silent for ever",
        {DATA: "0+950x24 22800x216", SPARKPLUG: "0+950x24 22800x216"},
        {5: set(), 16: set(), 19: {"NoDataInKafka"}},
    ),
    Case(
        "all of Kafka's counters start anew",
        {
            SPARKPLUG: "0+950x60 0+950x180",
            'kafka_topic_appended_total{topic="iot.telemetry.sparkplug.data.dlq"}': "3x60 0x180",
        },
        {5.1: set(), 6: set(), 9: set()},
    ),
    Case(
        "one of two bridges is stuck",
        {DELIVERED: "0+475x60 28500x180", SPARKPLUG: "0+950x60 57000+475x180"},
        {5: set(), 9: {"BridgeStuck"}},
    ),
    Case(
        "a bridge gets nothing but what it cannot deliver",
        {DELIVERED: "0+475x60 28500x180", DEAD: "3x60 3+5x180"},
        {5: set(), 9: set()},
    ),
    Case(
        "a bridge was killed and counts from 0",
        {DELIVERED: "0+475x60 0+475x180", DEAD: "3x60 0x180"},
        {5.1: set(), 6: set(), 9: set()},
    ),
    Case(
        "loss, seen by the ledger",
        {'ledger_lost_messages_total{path="lwm2m.http"}': "0x60 7x180"},
        {4: set(), 6: {"MessagesLost"}, 14: {"MessagesLost"}, 17: set()},
    ),
    Case(
        "messages twice",
        {'ledger_duplicated_messages_total{path="lwm2m.http"}': "0x60 7x180"},
        {4: set(), 6: {"MessagesDuplicated"}, 17: set()},
    ),
    Case(
        "lag grows, then shrinks",
        {'ledger_outstanding_messages{path="lwm2m.http"}': "4x60 4+200x60 12000-100x110 4x10"},
        {5.5: set(), 8: {"LagGrowing"}, 14: set(), 19: set()},
    ),
    Case(
        "much on its way, but no more than before",
        {'ledger_outstanding_messages{path="lwm2m.http"}': "5000x240"},
        {9: set()},
    ),
    Case(
        "a large load has much on its way, now a little more and now a little less",
        {
            'ledger_outstanding_messages{path="lwm2m.http"}': "2000+5x60 2300-5x60 2000+5x60 2300-5x57",
            'ledger_sent_messages_total{path="lwm2m.http"}': "0+25000x240",
        },
        {4: set(), 9: set(), 14: set(), 19: set()},
    ),
    Case(
        "the broker lost the bridge's session",
        {"bridge_sessions_lost_total": "0x60 1x180"},
        {4: set(), 6: {"BrokerLostQueue"}, 17: set()},
    ),
    Case(
        "the broker drops messages",
        {"mosquitto_publish_dropped_total": "0x60 500x180"},
        {4: set(), 6: {"BrokerDropping"}, 12: set()},
    ),
    Case(
        "dead letters",
        {'kafka_topic_appended_total{topic="iot.telemetry.sparkplug.data.dlq"}': "3x60 5x180"},
        {4: set(), 6: {"DeadLetters"}, 12: set()},
    ),
    Case(
        "Kafka confirms slowly",
        {
            'bridge_delivery_seconds_bucket{le="0.1"}': "0x240",
            'bridge_delivery_seconds_bucket{le="1"}': "0x240",
        },
        {1: set(), 9: {"SlowDelivery"}},
    ),
    Case(
        "a consumer falls behind and still reads",
        {HTTP_LAG: "100x60 6000x180"},
        {4: set(), 6: set(), 8: {"EventFeedLagging"}},
    ),
    Case(
        "the cursor stands still",
        {HTTP_LAG: "12x60 12+50x60 3012x120"},
        {5: set(), 9: {"CursorStuck"}, 14: set()},
    ),
    Case(
        "the cursor stands still and no event is made",
        {
            'lwm2m_events_total{job="lwm2m-server", instance="a", type="send"}': "7x240",
            HTTP_LAG: "12x240",
        },
        {9: {"CursorStuck"}},
    ),
    Case("somebody's own consumer went home", {OWN_LAG: "0+50x240"}, {19: set()}),
    Case(
        "Connect delivers nothing",
        {
            'kafka_topic_appended_total{topic="iot.telemetry.lwm2m.http"}': "0+50x60 3000x180",
            'kafka_topic_appended_total{topic="iot.telemetry.lwm2m.websocket"}': "0+50x60 3000x180",
        },
        {5: set(), 9: {"EventFeedStopped"}},
    ),
    Case(
        "devices do not come back",
        {
            CONNECTED: "10x60 5x180",
            'lwm2m_active_devices{job="lwm2m-server"}': "10x60 5x180",
        },
        {5: set(), 9: {"FleetDisconnected"}},
    ),
    Case(
        "one small fleet of many is away",
        {
            'simulator_devices{fleet="2"}': "500x240",
            'simulator_devices_connected{fleet="2"}': "500x240",
            CONNECTED: "10x60 0x180",
            'lwm2m_active_devices{job="lwm2m-server"}': "510x60 500x180",
        },
        {5: set(), 9: {"FleetDisconnected"}},
    ),
    Case(
        "connected devices are not registered",
        {'lwm2m_active_devices{job="lwm2m-server"}': "10x60 5x180"},
        {6: set(), 9: {"RegistrationsMissing"}},
    ),
    Case(
        "registrations expire",
        {'lwm2m_events_total{job="lwm2m-server", instance="a", type="expired"}': "2x60 22x180"},
        {4: set(), 6: {"RegistrationsExpiring"}, 12: set()},
    ),
    Case(
        "a few of ten thousand registrations expire",
        {EXPIRED: "2x60 22x180", 'lwm2m_registrations{job="lwm2m-server"}': "10000x240"},
        {6: set(), 12: set()},
    ),
    Case(
        "Sparkplug messages are missing",
        {"sparkplug_sequence_gaps_total": "0x60 1x180"},
        {4: set(), 6: {"SequenceGaps"}, 12: set()},
    ),
    Case(
        "rebirths come in a storm",
        {"sparkplug_rebirth_requests_total": "0x60 0+5x60 300x120"},
        {4: set(), 7: {"RebirthStorm"}, 12: set()},
    ),
    Case(
        "devices are refused",
        {'lwm2m_messages_total{operation="send", outcome="refused"}': "4x60 4+5x180"},
        {4: set(), 9: {"MessagesRefused"}},
    ),
    Case(
        "the machine is too slow",
        {"simulator_messages_skipped_total": "0x60 50x180"},
        {4: set(), 6: {"SimulatorBehind"}},
    ),
    Case(
        "errors of the API",
        {'lwm2m_http_requests_total{job="lwm2m-server", route="/api/events", status="500"}': "0x60 0+2x180"},
        {4: set(), 9: {"ApiErrors"}},
    ),
    Case(
        "one error where hardly anybody asks",
        {ERRORS: "0x60 1x180", REQUESTS: "0x240"},
        {6: set(), 9: set()},
    ),
    Case(
        "a service that says that it is not healthy",
        {ERRORS.replace("/api/events", "/api/health").replace("500", "503"): "0+1x240"},
        {9: set()},
    ),
    Case(
        "the API is slow",
        {API.format("0.01"): "0x240", API.format("0.5"): "0x240"},
        {1: set(), 9: {"SlowApi"}},
    ),
    Case(
        "open files run out",
        {'process_open_fds{job="lwm2m-server", instance="a"}': "40x60 1000x180"},
        {5: set(), 9: {"OpenFilesNearLimit"}},
    ),
    Case(
        "the disk fills up",
        {FREE: "6e10x30 2e10-8e7x210"},
        {2: set(), 9: set(), 17: {"DiskFilling"}},
    ),
    Case(
        "the disk is full",
        {FREE: "6e10x60 9e8x180"},
        {4: set(), 6: {"DiskLow"}},
    ),
    Case(
        "a large disk has little left, and no less than before",
        {FREE: "3e9x240"},
        {19: set()},
    ),
    Case(
        "a service's certificate ends",
        {'iiot_certificate_expiry_timestamp_seconds{job="lwm2m-server"}': f"{10 * DAY}x240"},
        {1: {"CertificateExpiring"}},
    ),
    Case(
        "the broker's certificate ends",
        {'mosquitto_certificate_expiry_timestamp_seconds{job="testbed-exporter"}': f"{10 * DAY}x240"},
        {1: {"CertificateExpiring"}},
    ),
]
