"""When each alert fires and when not, on synthetic series evaluated by Prometheus itself (promtool)."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from alert_cases import (
    API,
    CASES,
    CONNECTED,
    DATA,
    DELIVERED,
    FREE,
    HEALTHY,
    HTTP_LAG,
    IN_FLIGHT,
    LENGTH,
    SPARKPLUG,
    Case,
)

ROOT = Path(__file__).parents[3]
RULES = ROOT / "prometheus" / "rules" / "testbed.yml"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}

SENDS = 'lwm2m_events_total{job="lwm2m-server", instance="a", type="send"}'
HTTP, WEBSOCKET = (
    f'kafka_topic_appended_total{{topic="iot.telemetry.lwm2m.{path}"}}' for path in ("http", "websocket")
)
ACTIVE, REGISTERED = (f'lwm2m_{name}{{job="lwm2m-server"}}' for name in ("active_devices", "registrations"))
ACCEPTED, REFUSED = (
    f'lwm2m_messages_total{{operation="send", outcome="{outcome}"}}' for outcome in ("accepted", "refused")
)
CONSOLE = 'console_http_request_duration_seconds_bucket{{job="console", route="/api/overview", le="{}"}}'
NO_NUMBER = " ".join(["NaN"] * LENGTH)
SELDOM = "0x119 1x119 2"
"""One in ten minutes."""

ODD = [
    Case(
        "one of three bridges is down",
        {
            'up{job="mqtt-redpanda-bridge", instance="b"}': "1x60 0x180",
            'up{job="mqtt-redpanda-bridge", instance="c"}': "1x240",
        },
        {5: set(), 8: {"PartDown"}},
    ),
    Case(
        "a part was never there",
        {'up{job="console", instance="a"}': None},
        {0.8: set(), 3: {"PartMissing"}},
    ),
    Case(
        "every third scrape of a busy service fails",
        {'up{job="lwm2m-server", instance="a"}': " ".join(["1 1 0"] * 80)},
        {2: set(), 9: set(), 19: set()},
    ),
    Case(
        "scrapes fail for half a minute",
        {SPARKPLUG: "0+950x60 _x6 63650+950x170", DELIVERED: "0+475x60 _x6 31825+475x170"},
        {5.2: set(), 6: set(), 9: set()},
    ),
    Case(
        "figures that are no numbers",
        {
            **dict.fromkeys((ACTIVE, HTTP_LAG, CONNECTED, IN_FLIGHT, FREE), NO_NUMBER),
            **{f'bridge_delivery_seconds_bucket{{le="{le}"}}': "7x240" for le in ("0.1", "1", "2.5", "+Inf")},
        },
        {2: set(), 9: set(), 19: set()},
    ),
    Case("Kafka has no topic for the data", {SPARKPLUG: None}, {0.8: set(), 3: {"NoDataInKafka"}}),
    Case("Kafka has no topic for events", {HTTP: None, WEBSOCKET: None}, {3: {"EventFeedStopped"}}),
    Case(
        "one WebSocket path of two stands still: the other goes on",
        {WEBSOCKET: "0+50x60 3000x180"},
        {9: set()},
    ),
    Case(
        "all is done once in ten minutes",
        {
            **dict.fromkeys((DATA, SPARKPLUG, HTTP, WEBSOCKET, DELIVERED, SENDS, ACCEPTED), SELDOM),
            IN_FLIGHT: "0x118 1 0x120",
            HTTP_LAG: "0x119 1 0x119 1",
        },
        {2: set(), 9.6: set(), 10.1: set(), 11: set(), 19: set()},
    ),
    Case(
        "the server was restarted and counts from 0",
        {SENDS: "0+50x60 _x3 0+50x177", HTTP_LAG: "12x60 _x3 0x177", REFUSED: "40x60 _x3 0x177"},
        {5.2: set(), 6: set(), 9: set()},
    ),
    Case(
        "host and exporter were restarted and count from 0",
        {
            "sparkplug_sequence_gaps_total": "5x60 _x3 0x177",
            "sparkplug_rebirth_requests_total": "300x60 _x3 5x177",
            'ledger_lost_messages_total{path="lwm2m.http"}': "7x60 _x3 0x177",
            "mosquitto_publish_dropped_total": "500x60 _x3 0x177",
        },
        {4: set(), 5.5: set(), 9: set()},
    ),
    Case(
        "a fleet of one device, which is away",
        {
            'simulator_devices{fleet="1"}': "1x240",
            CONNECTED: "1x60 0x180",
            **dict.fromkeys((ACTIVE, REGISTERED, "sparkplug_devices_online"), "1x60 0x180"),
        },
        {5: set(), 9: {"FleetDisconnected"}},
    ),
    Case(
        "ten thousand devices, of which some are always away",
        {
            'simulator_devices{fleet="1"}': "10000x240",
            CONNECTED: "9950-1x50 9900+1x50 9950-1x50 9900+1x87",
            **dict.fromkeys((ACTIVE, REGISTERED, "sparkplug_devices_online"), "9700x240"),
            'ledger_outstanding_messages{path="lwm2m.http"}': "900+8x20 1060-8x20 900+8x198",
            'ledger_sent_messages_total{path="lwm2m.http"}': "0+50000x240",
        },
        {4: set(), 9: set(), 19: set()},
    ),
    Case(
        "one refusal where hardly any device speaks",
        {ACCEPTED: "0+1x3 3x236", REFUSED: "0x60 1x180"},
        {6: set(), 9: set()},
    ),
    Case(
        "the console waits for a part that is away",
        {
            CONSOLE.format("0.5"): "0x240",
            CONSOLE.format("2.5"): "0+3x240",
            CONSOLE.format("+Inf"): "0+3x240",
        },
        {9: set()},
    ),
    Case(
        "one slow answer where hardly anybody asks",
        {**dict.fromkeys((API.format("0.01"), API.format("0.5")), "0x240"), API.format("+Inf"): "0x60 1x180"},
        {8: set()},
    ),
]


def promtool_test(case: Case) -> dict:
    series = {**HEALTHY, **case.change}
    moments = [
        {
            # Old promtools do not tell which test has failed; they do show the expression.
            "expr": f'group by (alertname) (ALERTS{{alertstate="firing"}}) # {case.name}',
            "eval_time": f"{round(minutes * 60)}s",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
        }
        for minutes, names in case.fires.items()
    ]
    return {
        "name": case.name,
        "interval": "5s",
        "input_series": [
            {"series": name, "values": values.format(n=LENGTH)} for name, values in series.items() if values
        ],
        "promql_expr_test": moments,
    }


def run_promtool(directory, *tests):
    file = directory / "test.yml"
    # Prometheus looks every 5 s; looks every 15 s show the same in less time.
    document = {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": list(tests)}
    file.write_text(yaml.safe_dump(document))
    return subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)


def test_exactly_the_right_alerts_fire(tmp_path):
    """All cases in one run of promtool, which names those that fail: starting it takes longer than a case."""
    result = run_promtool(tmp_path, *map(promtool_test, [*CASES, *ODD]))
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_fires_in_some_case_and_is_silent_in_the_same():
    fired = {name for case in (*CASES, *ODD) for names in case.fires.values() for name in names}
    assert fired == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_tells_what_it_means_and_what_to_do(name):
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert len(alert["annotations"]["description"]) > 30
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), flags=re.MULTILINE)
    assert anchor == name.lower()
    assert name in headings


def test_the_words_of_an_alert_are_filled_in(tmp_path):
    result = run_promtool(
        tmp_path,
        words_test(
            "the broker's certificate ends",
            "CertificateExpiring",
            ({"job": "testbed-exporter"}, "a certificate of the broker ends in 9d 23h 56m 0s"),
        ),
        words_test(
            "the exporter sees neither broker nor ledger",
            "FiguresMissing",
            *(
                ({"job": "testbed-exporter", "figures": figures}, f"the exporter cannot see {words}")
                for figures, words in (("broker", "the broker's figures"), ("ledger", "all of the ledger"))
            ),
        ),
    )
    assert result.returncode == 0, result.stdout + result.stderr


def words_test(case: str, alert: str, *expected: tuple[dict[str, str], str]) -> dict:
    """After four minutes of a case exactly these labels and summaries."""
    test = promtool_test(next(one for one in CASES if one.name == case)) | {"promql_expr_test": []}
    rule = ALERTS[alert]
    alerts = [
        {"exp_labels": rule["labels"] | labels, "exp_annotations": rule["annotations"] | {"summary": summary}}
        for labels, summary in expected
    ]
    return test | {"alert_rule_test": [{"alertname": alert, "eval_time": "4m", "exp_alerts": alerts}]}
