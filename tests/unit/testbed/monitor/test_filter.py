import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.monitor.filter import Filter


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Filter()),
        ("  ", Filter()),
        ("Temp 23", Filter(words=("temp", "23"))),
        ("device:Temp topic:lwm2m", Filter(device=("temp",), topic=("lwm2m",))),
        ('"two words" one', Filter(words=("two words", "one"))),
        ("http://x", Filter(words=("http://x",))),
        ("device:", Filter(words=("device:",))),
        ('device:"a b"', Filter(device=("a b",))),
    ],
)
def test_what_is_typed_is_a_filter(text, wanted):
    assert Filter.parse(text) == wanted
    assert bool(Filter.parse(text)) is (wanted != Filter())


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("temp", True),
        ("TEMP 23.5", True),
        ("temp 24", False),
        ("device:temp", True),
        ("device:23.5", False),
        ("topic:sparkplug device:001", True),
        ("topic:lwm2m", False),
    ],
)
def test_all_conditions_must_hold(text, matches):
    found = Filter.parse(text).matches("value=23.5", device="device-temp-001", topic="iot.sparkplug.data")
    assert found is matches


def test_a_condition_on_what_a_row_does_not_have_leaves_it():
    assert Filter.parse("device:temp").matches("Kafka", topic="iot.updates")
    assert Filter.parse("topic:spark").matches("Kafka", "up")


@given(st.text())
def test_any_text_is_a_filter(text):
    Filter.parse(text).matches(text, device=text, topic=text)
