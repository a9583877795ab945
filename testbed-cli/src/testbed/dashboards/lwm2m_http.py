"""The LwM2M HTTP path: overview in 95th percentiles, analysis in medians and whole distributions."""

from testbed.dashboards.board import NONE_ALLOWED, UP, Board, more, p, percentiles, rate, total

EVENTS = "/api/events"
API = "/api/.+"
TOPIC = "iot.telemetry.lwm2m.http"
DEAD = r"iot.telemetry.lwm2m.(http|websocket)\\.dlq"
CONSUMER = "lwm2m-http-source"
SECONDS = "lwm2m_http_request_duration_seconds"
BYTES = "lwm2m_http_response_size_bytes"
COMMIT = "/api/events/consumers/.consumer."


def overview() -> Board:
    """LwM2M HTTP Bridge Overview."""
    board = Board(
        "lwm2m-http-bridge",
        "LwM2M HTTP Bridge Overview",
        "From the LwM2M server's event feed over HTTP to Kafka: is it fast enough (95th percentiles)?",
    )
    board.row("Now")
    board.number(
        "Events made", "Events a second that the server appends", rate("lwm2m_events_total"), unit="eps"
    )
    board.number(
        "Requests", "HTTP requests a second to the server's API",
        rate("lwm2m_http_requests_total", route=API), unit="reqps",
    )  # fmt: skip
    board.number(
        "Answer time, p95", "Time in which 95 % of the event pages were answered",
        p(0.95, SECONDS, route=EVENTS), unit="s", steps=((None, "green"), (0.05, "yellow"), (0.25, "red")),
    )  # fmt: skip
    board.number(
        "To Kafka, p95", "From the device's time stamp to the record in Kafka, on the HTTP path",
        p(0.95, "ledger_latency_seconds", path="lwm2m.http"), unit="s",
        steps=((None, "green"), (1, "yellow"), (5, "red")),
    )  # fmt: skip
    board.number(
        "Cursor lag", "Events that the HTTP path has not taken yet",
        total("lwm2m_events_consumer_lag", consumer=CONSUMER),
        steps=((None, "green"), (1_000, "yellow"), (5_000, "red")),
    )  # fmt: skip
    board.number(
        "Errors", "Share of requests answered with a 5xx status",
        f'{rate("lwm2m_http_requests_total", status="5..")} / {rate("lwm2m_http_requests_total")}',
        unit="percentunit", steps=((None, "green"), (0.01, "red")),
    )  # fmt: skip
    board.row("Throughput")
    board.graph(
        "Events from server to Kafka",
        "Events a second made by the server, and records in the HTTP path's topic",
        {"made": rate("lwm2m_events_total"), "in Kafka": rate("kafka_topic_appended_total", topic=TOPIC)},
        unit="eps",
    )  # fmt: skip
    board.graph(
        "Requests by route", "HTTP requests a second",
        {"{{route}}": rate("lwm2m_http_requests_total", "route")}, unit="reqps", stack=True,
    )  # fmt: skip
    board.graph(
        "Bytes of event pages", "Bytes a second that event pages carry",
        {"event pages": rate(f"{BYTES}_sum", route=EVENTS)}, unit="Bps",
    )  # fmt: skip
    board.graph(
        "Events processed", "Records ever written by the HTTP path",
        {"records": total("kafka_topic_appended_total", topic=TOPIC)},
    )  # fmt: skip
    board.row("95th percentiles")
    board.graph(
        "Answer time by route", "95 % of the answers came within this; streams are left out",
        {"{{route}}": p(0.95, SECONDS, "route", route=API)}, unit="s",
    )  # fmt: skip
    board.graph(
        "Size of answers by route", "95 % of the answers were not larger than this",
        {"{{route}}": p(0.95, BYTES, "route", route=API)}, unit="bytes",
    )  # fmt: skip
    board.graph(
        "Commands to devices", "95 % of the devices answered a command within this, by operation",
        {"{{operation}}": p(0.95, "lwm2m_command_duration_seconds", "operation")}, unit="s",
    )  # fmt: skip
    board.graph(
        "Device to Kafka", "95 % of the messages were in Kafka within this, by path",
        {"{{path}}": p(0.95, "ledger_latency_seconds", "path", path="lwm2m.+")}, unit="s",
    )  # fmt: skip
    return board


def analysis() -> Board:
    """LwM2M HTTP Connector Detailed Analysis."""
    board = Board(
        "lwm2m-http-connector",
        "LwM2M HTTP Connector Detailed Analysis",
        "How Redpanda Connect reads the event feed: medians, distributions, sizes, status codes, cursor",
    )
    board.row("Now")
    board.number(
        "Page, median",
        "Half of the event pages were answered within this", p(0.5, SECONDS, route=EVENTS), unit="s"
    )  # fmt: skip
    board.number(
        "Page size, median", "Half of the event pages were not larger than this",
        p(0.5, BYTES, route=EVENTS), unit="bytes",
    )  # fmt: skip
    board.number(
        "Polls", "Event pages a second that the connector asks for",
        rate("lwm2m_http_requests_total", route=EVENTS, status="200"), unit="reqps",
    )  # fmt: skip
    board.number(
        "Events in a poll", "Events that a poll brings, in the mean",
        f'{rate("kafka_topic_appended_total", topic=TOPIC)} / '
        f'{rate("lwm2m_http_requests_total", route=EVENTS, status="200")}',
        unit="none",
    )  # fmt: skip
    board.number(
        "Dead letters", "Events in the window that could not be delivered as they are",
        more("kafka_topic_appended_total", topic=DEAD), steps=NONE_ALLOWED,
    )  # fmt: skip
    board.number(
        "Connector", "1 while Prometheus reaches the connector", 'min(up{job="redpanda-connect"})', steps=UP
    )  # fmt: skip
    board.row("Answer times")
    board.graph(
        "Event pages", "Median and further percentiles of the time to answer",
        percentiles(SECONDS, 0.5, 0.9, 0.95, 0.99, route=EVENTS), unit="s",
    )  # fmt: skip
    board.distribution(
        "Event pages, distribution", "How many pages took how long: each column is one moment",
        rate(f"{SECONDS}_bucket", "le", route=EVENTS),
    )  # fmt: skip
    board.graph(
        "Storing the position", "Median and further percentiles of the WebSocket path's commit",
        percentiles(SECONDS, 0.5, 0.95, 0.99, route=COMMIT), unit="s",
    )  # fmt: skip
    board.distribution(
        "Device to Kafka, distribution", "From the device's time stamp to the record, on the HTTP path",
        rate("ledger_latency_seconds_bucket", "le", path="lwm2m.http"),
    )  # fmt: skip
    board.row("Sizes and status codes")
    board.graph(
        "Size of event pages", "Median and 95th percentile",
        {"median": p(0.5, BYTES, route=EVENTS), "p95": p(0.95, BYTES, route=EVENTS)}, unit="bytes",
    )  # fmt: skip
    board.distribution(
        "Size of event pages, distribution", "How many pages were how large",
        rate(f"{BYTES}_bucket", "le", route=EVENTS), unit="bytes",
    )  # fmt: skip
    board.graph(
        "Status codes", "Requests a second by HTTP status, over all routes",
        {"{{status}}": rate("lwm2m_http_requests_total", "status")}, unit="reqps", stack=True,
    )  # fmt: skip
    board.graph(
        "Requests by method and route", "Requests a second",
        {"{{method}} {{route}}": rate("lwm2m_http_requests_total", "method, route")}, unit="reqps",
    )  # fmt: skip
    board.row("Cursor and feed")
    board.graph(
        "Cursor lag", "Events that each consumer has not taken",
        {"{{consumer}}": total("lwm2m_events_consumer_lag", "consumer")},
        steps=((None, "green"), (5_000, "red")),
    )  # fmt: skip
    board.graph(
        "Events kept", "Ids between the oldest and the newest event: how far behind a consumer may fall",
        {"kept": "sum(lwm2m_events_latest_id - lwm2m_events_oldest_id)"},
    )  # fmt: skip
    board.graph(
        "Size of the feed", "Bytes of events in memory and on disk",
        {"memory": total("lwm2m_events_memory_bytes"), "disk": total("lwm2m_events_disk_bytes")},
        unit="bytes",
    )  # fmt: skip
    board.graph(
        "Connector", "Events a second read, delivered and refused by Kafka",
        {
            "read": rate("input_received", job="redpanda-connect"),
            "delivered": rate("output_sent", job="redpanda-connect", label="kafka|"),
            "refused": rate("output_error", job="redpanda-connect", label="kafka|"),
        },
        unit="eps",
    )  # fmt: skip
    return board
