"""Redpanda: what arrives on both paths, over which connections, and what went wrong."""

from testbed.dashboards.board import NONE_ALLOWED, Board, more, p, percentiles, rate, total

TOPICS = r".+[^q]"
DEAD = r".+\\.dlq"
HTTP_AND_WEBSOCKET = "iot.telemetry.lwm2m.(http|websocket)"
BRIDGED = "iot.telemetry.(sparkplug.data|lwm2m.registration|lwm2m.updates)"
WEBSOCKET = "iot.telemetry.lwm2m.websocket"
_REDPANDA_ANSWERS = p(0.95, "redpanda_kafka_request_latency_seconds")


def build() -> Board:
    """The dashboard."""
    board = Board(
        "redpanda",
        "Redpanda",
        "The streaming side: message rate of both paths, totals, connections, errors, device activity",
    )
    board.row("Now")
    board.number(
        "Connector path", "Records a second by Redpanda Connect, HTTP and WebSocket together",
        rate("kafka_topic_appended_total", topic=HTTP_AND_WEBSOCKET), unit="recps",
    )  # fmt: skip
    board.number(
        "Bridge path", "Records a second by the MQTT bridge",
        rate("kafka_topic_appended_total", topic=BRIDGED), unit="recps",
    )  # fmt: skip
    board.number("Records ever", "Records ever written to all topics", total("kafka_topic_appended_total"))
    board.number("Records kept", "Records that the topics hold now", total("kafka_topic_retained_records"))
    board.number(
        "Dead letters", "Records in the dead-letter topics",
        total("kafka_topic_retained_records", topic=DEAD), steps=NONE_ALLOWED,
    )  # fmt: skip
    board.number(
        "Kafka answers in", "Time in which Kafka told the offsets of all topics", "max(kafka_answer_seconds)",
        unit="s", steps=((None, "green"), (0.25, "yellow"), (1, "red")),
    )  # fmt: skip
    _messages(board)
    _connections(board)
    _room(board)
    _activity(board)
    return board


def _messages(board: Board) -> None:
    board.row("Messages")
    board.graph(
        "Message bridge rate", "Records a second on each path",
        {
            "Redpanda Connect": rate("kafka_topic_appended_total", topic=HTTP_AND_WEBSOCKET),
            "MQTT bridge": rate("kafka_topic_appended_total", topic=BRIDGED),
        },
        unit="recps", stack=True,
    )  # fmt: skip
    board.graph(
        "Rate by topic", "Records a second",
        {"{{topic}}": rate("kafka_topic_appended_total", "topic", topic=TOPICS)}, unit="recps",
    )  # fmt: skip
    board.graph(
        "Total messages", "Records ever written, by topic",
        {"{{topic}}": total("kafka_topic_appended_total", "topic", topic=TOPICS)},
    )  # fmt: skip
    board.graph(
        "Records kept", "Records that each topic holds; retention takes the oldest away",
        {"{{topic}}": total("kafka_topic_retained_records", "topic")},
    )  # fmt: skip
    board.graph(
        "Bridge delivery time", "From MQTT receipt to Kafka's confirmation",
        percentiles("bridge_delivery_seconds", 0.5, 0.95, 0.99), unit="s",
        steps=((None, "green"), (1, "red")),
    )  # fmt: skip
    board.graph(
        "Bytes through the bridge", "Payload bytes a second received, and value bytes delivered",
        {"received": rate("bridge_received_bytes_total"), "delivered": rate("bridge_delivered_bytes_total")},
        unit="Bps",
    )  # fmt: skip


def _connections(board: Board) -> None:
    board.row("Connections and errors")
    board.states(
        "Connection status", "Every link that messages need",
        {
            "MQTT: bridge": "min(bridge_mqtt_connected)",
            "MQTT: LwM2M server": "min(lwm2m_mqtt_connected)",
            "MQTT: Sparkplug host": "min(sparkplug_mqtt_connected)",
            "WebSocket: Connect": "clamp_max(sum(lwm2m_ws_clients), 1)",
            "Kafka: bridge": "min(bridge_kafka_connected)",
            "Kafka: answers": "min(kafka_up)",
        },
    )  # fmt: skip
    board.graph(
        "Bridge errors",
        "What went wrong in the window; dead letters are kept, failed records are tried again",
        {
            "dead letters": more("bridge_dead_lettered_total"),
            "refused by Kafka": more("bridge_kafka_errors_total"),
            "no route": more("bridge_unmatched_total"),
            "sessions lost": more("bridge_sessions_lost_total"),
        },
        steps=NONE_ALLOWED,
    )  # fmt: skip
    board.graph(
        "In flight", "Messages that wait for Kafka's confirmation, and those that wait for a retry",
        {"{{route}}": total("bridge_in_flight", "route"), "waiting for a retry": total("bridge_stalled")},
    )  # fmt: skip
    board.graph(
        "Dead letters by topic", "Records written to dead-letter topics in the window",
        {"{{topic}}": more("kafka_topic_appended_total", "topic", topic=DEAD)}, steps=NONE_ALLOWED,
    )  # fmt: skip


def _room(board: Board) -> None:
    board.row("Kafka itself")
    board.graph(
        "Answer time of the Kafka API",
        "95th percentile of Redpanda's requests; where it is not Redpanda, the time to tell all offsets",
        {"answers": f"{_REDPANDA_ANSWERS} or max(kafka_answer_seconds)"}, unit="s",
        steps=((None, "green"), (1, "red")),
    )  # fmt: skip
    board.graph(
        "Room for data", "Bytes left on the file systems that hold records, queues and events",
        {"{{data}}": "disk_free_bytes"}, unit="bytes",
        steps=((None, "red"), (1e9, "yellow"), (5e9, "green")),
    )  # fmt: skip


def _activity(board: Board) -> None:
    board.row("Device activity")
    board.graph(
        "Active devices", "Devices by protocol",
        {
            "LwM2M, registered and online": total("lwm2m_active_devices"),
            "Sparkplug, born": total("sparkplug_devices_online"),
        },
    )  # fmt: skip
    board.graph(
        "Telemetry data rate", "Sparkplug data messages a second that reach Kafka",
        {"records": rate("kafka_topic_appended_total", topic="iot.telemetry.sparkplug.data")}, unit="recps",
    )  # fmt: skip
    board.graph(
        "WebSocket events", "Events a second made by the server, and records written by the WebSocket path",
        {"made": rate("lwm2m_events_total"), "in Kafka": rate("kafka_topic_appended_total", topic=WEBSOCKET)},
        unit="eps",
    )  # fmt: skip
    board.graph(
        "WebSocket clients", "Clients of /ws/events, and connections closed in the window by reason",
        {
            "connected": total("lwm2m_ws_clients"),
            "closed: {{reason}}": more("lwm2m_ws_closed_total", "reason"),
        },
    )  # fmt: skip
