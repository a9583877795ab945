"""Data Flow Pipeline: every message from device to Kafka, stage by stage."""

from testbed.dashboards.board import NONE_ALLOWED, Board, more, p, rate, total

FLEET = "$fleet"
CONNECT = "iot.telemetry.lwm2m.(http|websocket)"


def build() -> Board:
    """The dashboard."""
    board = Board(
        "data-flow-pipeline",
        "Data Flow Pipeline",
        "Every message from device to Kafka, stage by stage: rates, lag and loss of each hop",
    )
    _now(board)
    _devices_to_broker(board)
    _consumers(board)
    _connect(board)
    _kafka(board)
    return board


def _now(board: Board) -> None:
    board.row("Now")
    board.number(
        "Devices connected", "Simulated devices with a connection to the broker",
        total("simulator_devices_connected", fleet=FLEET),
    )  # fmt: skip
    board.number("LwM2M active", "Registered devices that are online", total("lwm2m_active_devices"))
    board.number("Sparkplug online", "Devices that are born", total("sparkplug_devices_online"))
    board.number(
        "In Kafka", "Records a second written to all telemetry topics; each LwM2M message makes three",
        rate("kafka_topic_appended_total"), unit="recps",
    )  # fmt: skip
    board.number(
        "Outstanding", "Messages that devices counted and that are not in Kafka yet, over all paths",
        total("ledger_outstanding_messages"),
        steps=((None, "green"), (1_000, "yellow"), (10_000, "red")),
    )  # fmt: skip
    board.number(
        "Lost", "Messages that the ledger gave up on since the exporter started",
        total("ledger_lost_messages_total"), steps=NONE_ALLOWED,
    )  # fmt: skip
    board.bars(
        "Rate of each hop",
        "Messages a second, in the order of their way; each hop sees what the one before it sent",
        {
            "1 devices send": rate("simulator_messages_sent_total"),
            "2 broker receives": rate("mosquitto_publish_received_total"),
            "3 LwM2M server accepts": rate("lwm2m_messages_total", outcome="accepted"),
            "4 Sparkplug host receives": rate("sparkplug_messages_total"),
            "5 bridge receives": rate("bridge_received_total"),
            "6 bridge delivers": rate("bridge_delivered_total"),
            "7 LwM2M server makes events": rate("lwm2m_events_total"),
            "8 Connect delivers": rate("kafka_topic_appended_total", topic=CONNECT),
            "9 all records in Kafka": rate("kafka_topic_appended_total"),
        },
        unit="mps",
    )  # fmt: skip
    board.graph(
        "Waiting at each hop",
        "Messages that have entered a hop and not left it: where a jam is",
        {
            "devices: not sent or not acknowledged": total("simulator_publish_backlog", fleet=FLEET),
            "broker: held": total("mosquitto_stored_messages"),
            "bridge: in flight": total("bridge_in_flight"),
            "server: events not durable": total("lwm2m_events_pending"),
            "Connect: events not taken by {{consumer}}": total("lwm2m_events_consumer_lag", "consumer"),
        },
    )


def _devices_to_broker(board: Board) -> None:
    board.row("Devices to broker")
    board.graph(
        "Devices send", "Messages a second by protocol, as the simulators count them",
        {"{{protocol}}": rate("simulator_messages_sent_total", "protocol", fleet=FLEET)},
        unit="mps", stack=True,
    )  # fmt: skip
    board.graph(
        "Broker", "PUBLISH messages a second; dropped means that a client's queue was full",
        {
            "received": rate("mosquitto_publish_received_total"),
            "sent": rate("mosquitto_publish_sent_total"),
            "dropped": rate("mosquitto_publish_dropped_total"),
        },
        unit="mps",
    )  # fmt: skip
    board.graph(
        "Simulators behind schedule",
        "How late scheduled messages left; late means that this machine is too slow",
        {
            "median": p(0.5, "simulator_schedule_lag_seconds", fleet=FLEET),
            "95th percentile": p(0.95, "simulator_schedule_lag_seconds", fleet=FLEET),
        },
        unit="s",
    )  # fmt: skip
    board.graph(
        "Broker clients", "Connections now, and sessions kept for clients that are away",
        {
            "connected": total("mosquitto_clients_connected"),
            "away": total("mosquitto_clients_disconnected"),
        },
    )  # fmt: skip


def _consumers(board: Board) -> None:
    board.row("Broker to LwM2M server, Sparkplug host and bridge")
    board.graph(
        "LwM2M server", "Messages of devices a second by operation",
        {"{{operation}}": rate("lwm2m_messages_total", "operation")}, unit="mps", width=8,
    )  # fmt: skip
    board.graph(
        "Sparkplug host", "Messages a second by type",
        {"{{type}}": rate("sparkplug_messages_total", "type")}, unit="mps", width=8,
    )  # fmt: skip
    board.graph(
        "Bridge", "Messages a second by route; received and delivered run together",
        {
            "{{route}} received": rate("bridge_received_total", "route"),
            "{{route}} delivered": rate("bridge_delivered_total", "route"),
        },
        unit="mps", width=8,
    )  # fmt: skip


def _connect(board: Board) -> None:
    board.row("LwM2M server to Redpanda Connect")
    board.graph(
        "Events", "Events a second: made by the server, and read by Redpanda Connect on both paths",
        {"made": rate("lwm2m_events_total"), "read": rate("input_received", job="redpanda-connect")},
        unit="eps",
    )  # fmt: skip
    board.graph(
        "Cursor lag", "Events that a consumer has not taken yet",
        {"{{consumer}}": total("lwm2m_events_consumer_lag", "consumer")},
        steps=((None, "green"), (5_000, "red")),
    )  # fmt: skip


def _kafka(board: Board) -> None:
    board.row("Into Kafka")
    board.graph(
        "Records by topic", "Records a second written to each topic",
        {"{{topic}}": rate("kafka_topic_appended_total", "topic", topic=r".+[^q]")}, unit="recps",
    )  # fmt: skip
    board.graph(
        "Dead letters by topic", "Messages that could not be used, by the topic that keeps them",
        {"{{topic}}": more("kafka_topic_appended_total", "topic", topic=r".+\\.dlq")},
        steps=NONE_ALLOWED,
    )  # fmt: skip
    board.graph(
        "Latency of each path", "95th percentile from the device's time stamp to the record in Kafka",
        {"{{path}}": p(0.95, "ledger_latency_seconds", "path")}, unit="s",
        steps=((None, "green"), (1, "red")),
    )  # fmt: skip
    board.graph(
        "Ledger", "Messages lost, duplicated and out of order in the window; 0 is proven, not assumed",
        {
            "{{path}} lost": more("ledger_lost_messages_total", "path"),
            "{{path}} duplicated": more("ledger_duplicated_messages_total", "path"),
            "{{path}} out of order": more("ledger_reordered_messages_total", "path"),
        },
        steps=NONE_ALLOWED,
    )  # fmt: skip
