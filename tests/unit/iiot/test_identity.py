import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import InvalidValueError
from iiot.identity import SERVICES, check_device_id


@pytest.mark.parametrize(
    "text", ["a", "device-temp-001", "urn:dev:mac:0024befffe804ff1", "gerät 7", "x" * 64]
)
def test_legal_ids_come_back_as_they_are(text):
    assert check_device_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 65,
        "ä" * 33,
        "a/b",
        "a+",
        "#",
        "$SYS",
        "a\x00b",
        "line\nbreak",
        "\u2028",
        "bs",
        "rd",
        "reg",
        "update",
        "dereg",
        "send",
        "bootstrap",
        *SERVICES,
    ],
)
def test_ids_that_would_break_topics_or_name_a_service_are_refused(text):
    with pytest.raises(InvalidValueError, match=r"device id: got .* allowed: 1 to 64 bytes"):
        check_device_id(text)


@given(st.text(max_size=80))
def test_what_is_accepted_is_one_mqtt_topic_level(text):
    try:
        check_device_id(text)
    except InvalidValueError:
        return
    assert text
    assert len(text.encode()) <= 64
    assert not set(text) & set("/+#\0")
    assert not text.startswith("$")
