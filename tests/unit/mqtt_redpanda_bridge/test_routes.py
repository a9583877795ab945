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


@pytest.mark.parametrize("text", ["", "a/#/b", "a+/b", "a/b#", "a\0b", "x" * 65_536, "$share/g/a"])
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


def test_the_wire_format_with_ids_needs_one_schema_for_each_topic():
    framed = route("one", "a", format="lwm2m-json", wire_format="confluent")
    with pytest.raises(SettingsError, match=r"route one: .* topic t, which has format raw as well"):
        RouteTable([framed, route("two", "b")])


GOOD = "{name: x, filters: [a/#], topic: t, format: raw, key: topic}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "valid dictionary"),
        ("routes: []", "at least 1 item"),
        ("routes: [", "flow"),
        (f"routes: [{GOOD}]\nmore: 1", "more=1: Extra inputs"),
        (
            "routes: [" + GOOD.replace("a/#", "a/#/b") + "]",
            r"routes\.0\.filters\.0='a/#/b': allowed: # as the last",
        ),
        (
            "routes: [" + GOOD.replace("topic: t,", "topic: 'no space', ") + "]",
            r"routes\.0\.topic='no space'",
        ),
        ("routes: [" + GOOD.replace("raw", "xml") + "]", "routes.0.format='xml': should be 'sparkplug-json'"),
        ("routes: [" + GOOD.replace("key: topic", "key: level:0") + "]", "level:N"),
        ("routes: [" + GOOD.replace("key: topic", "key: device") + "]", "unknown in format raw"),
        ("routes: [" + GOOD.replace("raw", "raw, wire_format: confluent") + "]", "format raw has none"),
        ("routes: [" + GOOD.replace("name: x", "name: X Y") + "]", "routes.0.name='X Y'"),
    ],
)
def test_wrong_files_are_refused_with_place_and_reason(tmp_path, text, reason):
    path = tmp_path / "routes.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason):
        load_routes(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        load_routes(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("key", "expected"), [("topic", "a/b/c"), ("level:2", "b"), ("level:3", "c"), ("level:4", "a/b/c")]
)
def test_keys_from_topics(key, expected):
    assert route("x", "a/#", key=key).key_of("a/b/c") == expected


def test_filters_may_share_the_topic_of_a_device_that_cannot_exist():
    RouteTable([route("json", "lwm2m/+/reg"), route("oma", "lwm2m/rd/+")])
    with pytest.raises(SettingsError, match="in part"):
        RouteTable([route("one", "lwm2m/+/reg"), route("two", "lwm2m/dev/+"), route("three", "lwm2m/+/dev")])


def test_only_the_shared_topic_of_a_device_has_registrations_to_tell_apart():
    with pytest.raises(ValueError, match="registration_topic: for format lwm2m-oma only"):
        route("one", "a", registration_topic="r")
