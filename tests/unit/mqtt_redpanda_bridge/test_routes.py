import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import InvalidValueError, SettingsError
from mqtt_redpanda_bridge.filters import check_filter, covers, matches, overlap
from mqtt_redpanda_bridge.routes import Route, RouteTable, load_routes

LEVEL = st.sampled_from(["a", "b", "", "$x"])
TOPICS = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "", "+", "$x"]), min_size=1, max_size=3),
        st.sampled_from([[], ["#"]]),
    )
    .map(lambda parts: "/".join(parts[0] + parts[1]))
    .filter(bool)
)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("#", "$SYS/broker", False),
        ("+/broker", "$SYS/broker", False),
        ("$SYS/#", "$SYS/broker", True),
    ],
)
def test_filters_match_as_mqtt_5_section_4_7_says(topic_filter, topic, expected):
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize("text", ["", "a/#/b", "a+/b", "a/b#", "a\0b", "a\ud800", "x" * 65_536, "$share/g/a"])
def test_broken_filters_are_refused(text):
    with pytest.raises(InvalidValueError):
        check_filter(text)


@given(FILTERS, FILTERS, TOPICS)
def test_covers_and_overlap_agree_with_matching(one, other, topic):
    if covers(one, other) and matches(other, topic):
        assert matches(one, topic)
    if matches(one, topic) and matches(other, topic):
        assert overlap(one, other)
    assert overlap(one, other) == overlap(other, one)
    if covers(one, other):
        assert overlap(one, other)


def test_defaults_route_every_documented_topic():
    table = load_routes(None)
    expected = {
        "spBv1.0/IIoT/DDATA/device-temp-001/asset": "sparkplug",
        "spBv1.0/IIoT/NBIRTH/device-temp-001": "sparkplug",
        "spBv1.0/IIoT/DDATA/device-temp-001": "sparkplug",
        "lwm2m/device-temp-001/reg": "lwm2m-registration",
        "lwm2m/device-temp-001/dereg": "lwm2m-registration",
        "lwm2m/device-temp-001/update": "lwm2m-updates",
        "lwm2m/device-temp-001/send": "lwm2m-updates",
        "lwm2m/device-temp-001/notify/t1": "lwm2m-updates",
        "lwm2m/rd/device-temp-001": "lwm2m-oma",
    }
    found = {topic: table.match(topic).name for topic in expected}
    assert found == expected
    for topic in (
        "spBv1.0/IIoT/DCMD/device-temp-001/asset",
        "lwm2m/device-temp-001/cmd/1",
        "lwm2m/bs/device-temp-001",
        "spBv1.0/STATE/host",
        "test",
    ):
        assert table.match(topic) is None


def route(name, *topic_filters, **more):
    return Route(
        **{"name": name, "filters": topic_filters, "topic": "t", "format": "raw", "key": "topic", **more}
    )


def test_first_route_wins_and_covered_filters_are_not_subscribed():
    table = RouteTable([route("special", "site/+/alarm"), route("rest", "site/#")])
    assert table.subscriptions == ("site/#",)
    assert table.match("site/1/alarm").name == "special"
    assert table.match("site/1/other").name == "rest"


@pytest.mark.parametrize(
    ("routes", "reason"),
    [
        ([("one", "a/#"), ("two", "a/b")], "never matches"),
        ([("one", "a/+"), ("two", "+/b")], "in part"),
        ([("one", "a"), ("one", "b")], "used 2 times"),
        ([("one", "a"), ("two", "a")], "never matches"),
    ],
)
def test_conflicting_routes_are_refused(routes, reason):
    with pytest.raises(SettingsError, match=reason):
        RouteTable([route(*args) for args in routes])


FRAMED = {"format": "lwm2m-json", "wire_format": "confluent"}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({}, r"route one: .* topic t, which has format raw as well"),
        (
            {"format": "lwm2m-json", "key": "device"},
            r"route two: wire_format plain for topic t, .* in route one",
        ),
    ],
)
def test_the_wire_format_with_ids_needs_one_schema_for_each_topic(other, reason):
    framed = route("one", "lwm2m/+/send", **FRAMED)
    with pytest.raises(SettingsError, match=reason):
        RouteTable([framed, route("two", "lwm2m/+/update", **other)])


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("a.b.dlq", "where the dead letters of another route go"),
        ("a_b", "topic a_b and a.b are one name"),
        ("iot.state_devices", "and iot.state.devices are one name"),
    ],
)
def test_topics_that_get_in_the_way_of_others_are_refused(topic, reason):
    with pytest.raises(SettingsError, match=f"route two: .*{reason}"):
        RouteTable([route("one", "a", topic="a.b"), route("two", "b", topic=topic)])


GOOD = """routes:
  - name: x
    filters: [lwm2m/+/send, lwm2m/+/update]
    topic: t
    format: lwm2m-json
    key: topic
"""


@pytest.mark.parametrize(
    ("good", "wrong", "reason"),
    [
        (GOOD, "", "1: file: got None, allowed: a mapping"),
        (GOOD, "routes: []", r"1: routes: got \[\], allowed: .*at least 1 item"),
        (GOOD, "routes: [", "1: not YAML"),
        (GOOD, "[" * 3000, "1: nested deeper than 50 levels"),
        (GOOD, "routes: &a [*a]", "1: holds an alias of itself"),
        ("routes:", "more: 1\nroutes:", "1: more: got 1, allowed: no such field"),
        ("    key", "    kee", "6: routes.0.kee: got 'topic', allowed: no such field"),
        ("    key: topic", "    topic: u", "6: topic: stands twice"),
        ("    topic: t\n", "", "2: routes.0.topic: this field is needed"),
        ("name: x", "name: X Y", "2: routes.0.name: got 'X Y', allowed: .*a-z"),
        (
            "+/send",
            "#/send",
            r"3: routes.0.filters.0: got 'lwm2m/#/send', allowed: # as the last level only$",
        ),
        (
            "[lwm2m/+/send, lwm2m/+/update]",
            "lwm2m/+/send",
            "3: routes.0.filters: got 'lwm2m.*, allowed: a list",
        ),
        (
            "[lwm2m/+/send, lwm2m/+/update]",
            "[]",
            r"3: routes.0.filters: got \[\], allowed: at least one filter",
        ),
        ("topic: t", "topic: no space", "4: routes.0.topic: got 'no space', allowed: 1 to 245 of"),
        (
            "topic: t",
            "topic: iot.state.devices",
            "4: routes.0.topic: .*allowed: any but the topic of the device",
        ),
        (
            "lwm2m-json",
            "xml",
            "5: routes.0.format: got 'xml', allowed: 'sparkplug-json', 'sparkplug-protobuf'",
        ),
        (
            "lwm2m-json",
            "sparkplug-json",
            "5: routes.0.format: .* filter lwm2m/.*/send; .* are like spBv1.0/#",
        ),
        ("key: topic", "key: level:0", "6: routes.0.key: got 'level:0', allowed: device, topic, level:N"),
        ("key: topic", "key: level:4", "6: routes.0.key: .*filter lwm2m/.*/send has 3"),
        ("lwm2m-json\n    key: topic", "raw", "2: routes.0.key: got 'device', allowed: topic, level:N"),
        ("lwm2m-json", "raw\n    wire_format: confluent", "6: routes.0.wire_format: .* allowed: plain"),
        ("key:", "registration_topic: u\n    key:", "6: routes.0.registration_topic: .*lwm2m-oma only"),
        ("+/update", "rd/send", "route x: filter lwm2m/rd/send never matches, lwm2m/.*/send of route x"),
    ],
)
def test_wrong_files_are_refused_with_line_field_value_and_what_is_allowed(tmp_path, good, wrong, reason):
    path = tmp_path / "routes.yaml"
    path.write_text(GOOD.replace(good, wrong))
    with pytest.raises(SettingsError, match=rf"^{path}:( |(?=\d)){reason}"):
        load_routes(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"absent.yaml: .*No such file"):
        load_routes(tmp_path / "absent.yaml")
