"""Service health: is every part there, what it uses, when it restarted, which build it is."""

from testbed.dashboards.board import NONE_ALLOWED, Board, more, p, rate, total

SERVICES = "|".join(
    (
        *("lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "redpanda-connect"),
        *("device-simulator", "testbed-exporter", "console"),
    )
)
OURS = f'{{job=~"{SERVICES}"}}'
ERRORS = "5.."


def build() -> Board:
    """The dashboard."""
    board = Board(
        "service-health", "Service health", "Every part: up, resources, restarts, versions, certificates"
    )
    board.row("Now")
    board.number(
        "Parts down", "Parts that do not answer Prometheus", "count(up == 0) or vector(0)", steps=NONE_ALLOWED
    )  # fmt: skip
    board.number(
        "Alerts firing", "See Prometheus' or the console's list",
        'count(ALERTS{alertstate="firing"}) or vector(0)', steps=NONE_ALLOWED,
    )  # fmt: skip
    board.number(
        "Restarts", "Starts of services in the last hour beyond the first",
        f"sum(changes(process_start_time_seconds{OURS}[1h]))", steps=NONE_ALLOWED,
    )  # fmt: skip
    board.number(
        "Processor", "Cores that the services use together",
        rate("process_cpu_seconds_total", job=SERVICES), unit="none",
    )  # fmt: skip
    board.number(
        "Memory", "Resident memory of the services together",
        total("process_resident_memory_bytes", job=SERVICES), unit="bytes",
    )  # fmt: skip
    board.number(
        "Next certificate ends", "Time until the first certificate of broker or services ends",
        "min({__name__=~\"(iiot|mosquitto)_certificate_expiry_timestamp_seconds\"}) - time()", unit="s",
        steps=((None, "red"), (14 * 86_400, "yellow"), (30 * 86_400, "green")),
    )  # fmt: skip
    board.row("Parts")
    board.states("Up", "Whether each part answers Prometheus", {"{{job}} {{instance}}": "up"}, width=24)
    board.states(
        "Broker and Kafka",
        "Whether they tell their figures to the exporter, and whether the ledger is complete",
        {"Mosquitto": "min(mosquitto_up)", "Kafka": "min(kafka_up)", "ledger": "min(ledger_up)"},
    )  # fmt: skip
    board.table(
        "Builds", "What runs: version, revision of the source, Python",
        "iiot_build_info",
        {"service": "Service", "version": "Version", "revision": "Revision", "python_version": "Python",
         "instance": "Address"},
    )  # fmt: skip
    _resources(board)
    _quality(board)
    return board


def _resources(board: Board) -> None:
    board.row("Resources")
    board.graph(
        "Processor", "Cores by part",
        {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{OURS}[$window])"},
        unit="none",
    )  # fmt: skip
    board.graph(
        "Memory", "Resident memory by part; Mosquitto tells its heap",
        {
            "{{job}} {{instance}}": f"process_resident_memory_bytes{OURS}",
            "mosquitto": total("mosquitto_heap_bytes"),
        },
        unit="bytes",
    )  # fmt: skip
    board.graph(
        "Open files", "Share of the allowed number of open files, by part; each connection is one",
        {"{{job}} {{instance}}": f"process_open_fds{OURS} / process_max_fds{OURS}"},
        unit="percentunit", steps=((None, "green"), (0.8, "red")),
    )  # fmt: skip
    board.graph(
        "Running since", "Time since the start of each part",
        {
            "{{job}} {{instance}}": f"time() - process_start_time_seconds{OURS}",
            "mosquitto": "max(mosquitto_uptime_seconds)",
        },
        unit="s",
    )  # fmt: skip

    board.graph(
        "Room on disk", "Bytes left where the parts keep their data; below 1 GB DiskLow fires",
        {"{{data}}": "disk_free_bytes"}, unit="bytes",
        steps=((None, "red"), (1e9, "yellow"), (5e9, "green")),
    )  # fmt: skip
    board.graph(
        "Events kept", "Bytes of events that the LwM2M server keeps, on disk and in memory",
        {"on disk": total("lwm2m_events_disk_bytes"), "in memory": total("lwm2m_events_memory_bytes")},
        unit="bytes",
    )  # fmt: skip


def _quality(board: Board) -> None:
    board.row("Answers")
    board.graph(
        "Server errors", "Requests in the window answered with a 5xx status",
        {
            "LwM2M server": more("lwm2m_http_requests_total", status=ERRORS),
            "Sparkplug host": more("sparkplug_http_requests_total", status=ERRORS),
            "console": more("console_http_requests_total", status=ERRORS),
        },
        steps=NONE_ALLOWED,
    )  # fmt: skip
    board.graph(
        "Answer time", "95th percentile by service; streams are left out",
        {
            "LwM2M server": p(0.95, "lwm2m_http_request_duration_seconds", route="/api/.+"),
            "Sparkplug host": p(0.95, "sparkplug_http_request_duration_seconds", route="/(api/.+|metrics)"),
            "console": p(0.95, "console_http_request_duration_seconds", route="/(api/.+|metrics)"),
        },
        unit="s",
    )  # fmt: skip
    board.graph(
        "Scrape time", "How long Prometheus waits for each part's figures",
        {"{{job}} {{instance}}": "scrape_duration_seconds"}, unit="s", steps=((None, "green"), (1, "red")),
    )  # fmt: skip
    board.graph(
        "Certificates", "Time until each certificate ends",
        {
            "{{job}}": "iiot_certificate_expiry_timestamp_seconds - time()",
            "mosquitto": "mosquitto_certificate_expiry_timestamp_seconds - time()",
        },
        unit="s", steps=((None, "red"), (14 * 86_400, "green")),
    )  # fmt: skip
