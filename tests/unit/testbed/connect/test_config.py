from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.topics import LWM2M_HTTP, LWM2M_WEBSOCKET
from testbed.connect.config import ConfigError, fill_in, parse

SHIPPED = (Path(__file__).parents[4] / "redpanda-connect-config.yaml").read_text()
VALUES = {"LWM2M_SERVER_WS_URL": "ws://server:1", "CURSOR_DIR": "/cursor", "POLL_INTERVAL": "50ms"}


def test_the_shipped_file_has_both_sources_and_one_commit():
    configuration = parse(SHIPPED, VALUES, "/health")
    http, websocket = configuration.sources
    assert (http.name, http.url) == ("lwm2m-http-source", None)
    assert websocket.name == "lwm2m-websocket-source"
    assert websocket.url == "ws://server:1/ws/events?consumer=lwm2m-websocket-source&access_token=none"
    assert configuration.commit["output"]["label"] == "commit"


def test_topics_and_consumers_can_have_other_names():
    given = {**VALUES, "LWM2M_HTTP_CONSUMER": "mine", "LWM2M_HTTP_TOPIC": "my.events"}
    http, websocket = parse(SHIPPED, given, "/health").sources
    assert (http.name, http.topic) == ("mine", "my.events")
    assert (websocket.name, websocket.topic) == ("lwm2m-websocket-source", LWM2M_WEBSOCKET)
    written = fill_in(SHIPPED, given)
    code = [line for line in written.splitlines() if not line.lstrip().startswith("#")]
    assert not [line for line in code if "lwm2m-http-source" in line or LWM2M_HTTP in line]


def test_batches_stay_in_order_and_what_the_runner_serves_itself_is_left_out():
    for source in parse(SHIPPED, VALUES, "/health").sources:
        assert source.document["max_in_flight"] == 1
        assert not {"http", "metrics", "output"} & source.document.keys()


def test_variables_reach_the_caches_and_health_becomes_readable_for_the_runner():
    document = parse(SHIPPED, VALUES, "/health").sources[0].document
    caches = {cache["label"]: cache["file"]["directory"] for cache in document["cache_resources"]}
    assert caches == {"cursor": "/cursor", "health": "/health"}
    assert document["rate_limit_resources"][0]["local"]["interval"] == "50ms"


@pytest.mark.parametrize(
    ("name", "is_header"),
    [("event_id", True), ("ce_type", True), ("content-type", True), ("error", True),
     ("cursor", False), ("kafka_topic", False), ("http_status_code", False), ("source", False)],
)  # fmt: skip
def test_only_what_the_file_names_becomes_a_header(name, is_header):
    assert parse(SHIPPED, VALUES, "/health").is_header(name) is is_header


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${A}", "a"),
        ("${A:other}", "a"),
        ("${NONE:http://host:80/x}", "http://host:80/x"),
        ("${EMPTY:default}", "default"),
        ("${NONE}", ""),
        ("${! @after }", "${! @after }"),
        ("x=${! timestamp_unix() } ${A}", "x=${! timestamp_unix() } a"),
    ],
)
def test_variables_are_filled_in_and_interpolations_left_alone(text, filled):
    assert fill_in(text, {"A": "a", "EMPTY": ""}) == filled


@pytest.mark.parametrize(
    "text", ["", "[", "input: {}", "input: 3", "cache_resources: []\ninput: {broker: {inputs: [1]}}"]
)
def test_another_file_is_refused_with_the_reason(text):
    with pytest.raises(ConfigError, match="not a configuration of the two LwM2M paths"):
        parse(text, {}, "/health")


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    with pytest.raises(ConfigError):
        parse(text, {}, "/health")
