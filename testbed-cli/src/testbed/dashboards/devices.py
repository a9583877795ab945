"""Devices: both protocols of the fleet, births and deaths, registrations, commands, gaps and rebirths."""

from testbed.dashboards.board import NONE_ALLOWED, Board, more, percentiles, rate, total

FLEET = "$fleet"
LIFE = "registered|deregistered|expired|online|offline|refused"


def build() -> Board:
    """The dashboard."""
    board = Board(
        "devices",
        "Devices",
        "Who is there, who came and went, what was asked of them, and where data went missing",
    )
    board.row("Now")
    board.number(
        "Devices", "Simulated devices of the chosen fleets", total("simulator_devices", fleet=FLEET)
    )  # fmt: skip
    board.number(
        "Connected", "Simulated devices with a connection to the broker",
        total("simulator_devices_connected", fleet=FLEET),
    )  # fmt: skip
    board.number("LwM2M active", "Registered devices that are online", total("lwm2m_active_devices"))
    board.number("Registrations", "Registered devices, online or not", total("lwm2m_registrations"))
    board.number("Sparkplug devices", "Devices that are born", total("sparkplug_devices_online"))
    board.number("Edge nodes", "Edge nodes that are born", total("sparkplug_nodes_online"))
    _presence(board)
    _traffic(board)
    _quality(board)
    return board


def _presence(board: Board) -> None:
    board.row("Coming and going")
    board.graph(
        "Active devices by protocol", "One device is both: the lines differ while one protocol lags behind",
        {
            "connected": total("simulator_devices_connected", fleet=FLEET),
            "LwM2M active": total("lwm2m_active_devices"),
            "Sparkplug devices online": total("sparkplug_devices_online"),
        },
    )  # fmt: skip
    board.graph(
        "Births and deaths", "Sparkplug births and deaths in the window, by message type",
        {"{{type}}": more("sparkplug_messages_total", "type", type="[ND](BIRTH|DEATH)")},
    )  # fmt: skip
    board.graph(
        "Registrations", "LwM2M registrations, ends and presence in the window, by event",
        {"{{type}}": more("lwm2m_events_total", "type", type=LIFE)},
    )  # fmt: skip
    board.graph(
        "Connections", "Connections lost and made again in the window, by the chosen fleets",
        {
            "lost": more("simulator_disconnects_total", fleet=FLEET),
            "made again": more("simulator_reconnects_total", fleet=FLEET),
        },
    )  # fmt: skip


def _traffic(board: Board) -> None:
    board.row("Messages and commands")
    board.graph(
        "Messages by type", "Messages a second that the chosen fleets send",
        {"{{protocol}} {{type}}": rate("simulator_messages_sent_total", "protocol, type", fleet=FLEET)},
        unit="mps", stack=True,
    )  # fmt: skip
    board.graph(
        "LwM2M commands", "Commands in the window by operation and result",
        {"{{operation}} {{code}}": more("lwm2m_commands_total", "operation, code")},
    )  # fmt: skip
    board.graph(
        "Sparkplug commands", "NCMD and DCMD sent in the window, by purpose",
        {"{{purpose}}": more("sparkplug_commands_sent_total", "purpose")},
    )  # fmt: skip
    board.graph(
        "Command answer time", "From request to the device's answer",
        percentiles("lwm2m_command_duration_seconds", 0.5, 0.95, 0.99), unit="s",
        steps=((None, "green"), (1, "red")),
    )  # fmt: skip
    board.graph(
        "Commands at the devices", "Commands received in the window, done or refused",
        {"{{protocol}} {{result}}": more("simulator_commands_total", "protocol, result", fleet=FLEET)},
    )  # fmt: skip
    board.graph(
        "Waiting for an answer", "Commands without an answer now, and answers that nobody waited for",
        {
            "waiting": total("lwm2m_commands_pending"),
            "nobody waited": more("lwm2m_responses_unmatched_total"),
        },
    )  # fmt: skip


def _quality(board: Board) -> None:
    board.row("Gaps, rebirths and refusals")
    board.graph(
        "Sequence gaps", "Sparkplug messages missing, put in order, or without effect, in the window",
        {
            "gaps": more("sparkplug_sequence_gaps_total"),
            "put in order": more("sparkplug_reordered_messages_total"),
            "without effect": more("sparkplug_ignored_messages_total"),
            "undecodable": more("sparkplug_decode_errors_total"),
        },
        steps=NONE_ALLOWED,
    )  # fmt: skip
    board.graph(
        "Rebirths", "Rebirth requests sent in the window, and why they were wanted",
        {
            "sent": more("sparkplug_rebirth_requests_total"),
            "wanted: {{reason}}": more("sparkplug_rebirths_wanted_total", "reason"),
        },
    )  # fmt: skip
    board.graph(
        "LwM2M messages refused", "In the window: refused, repeated, or on topics of nobody",
        {
            "{{operation}} refused": more("lwm2m_messages_total", "operation", outcome="refused"),
            "dropped: {{reason}}": more("lwm2m_messages_dropped_total", "reason"),
        },
        steps=NONE_ALLOWED,
    )  # fmt: skip
    board.graph(
        "Sparkplug messages off the specification", "In the window, understood all the same, by kind",
        {"{{kind}}": more("sparkplug_nonconformant_messages_total", "kind")}, steps=NONE_ALLOWED,
    )  # fmt: skip
    board.graph(
        "Simulators",
        "In the window: messages given up for lack of time, sent again, or refused by the server",
        {
            "given up": more("simulator_messages_skipped_total", fleet=FLEET),
            "sent again": more("simulator_messages_resent_total", fleet=FLEET),
            "refused": more("simulator_messages_refused_total", fleet=FLEET),
        },
        steps=NONE_ALLOWED,
    )  # fmt: skip
    board.graph(
        "Sparkplug processing", "Time from a message to the changed state of the host",
        percentiles("sparkplug_message_processing_seconds", 0.5, 0.95, 0.99), unit="s",
    )  # fmt: skip
