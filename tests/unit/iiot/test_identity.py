import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_simulator.settings import SimulatorSettings
from iiot import certs
from iiot.errors import DecodeError, InvalidValueError, SettingsError
from iiot.identity import SERVICES, check_device_id, check_prefix
from iiot.lwm2m import json_profile, oma_profile
from iiot.settings import load
from lwm2m_server.settings import Settings as ServerSettings
from mqtt_redpanda_bridge.settings import BridgeSettings


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
        *("cmd", "ack", "resp", "notify", "lwm2m", "test", "mosquitto", "CMD", "Console", ".", ".."),
        *("NBIRTH", "NDATA", "NDEATH", "NCMD", "DBIRTH", "DDATA", "DDEATH", "DCMD", "STATE", "spBv1.0"),
        *(
            "a{b",
            "a}b",
            "{}",
            "{endpoint}",
            "%u{",
            "x" * 3000,
            " a",
            "a ",
            "a\t",
            "a\rb",
            "\x7f",
            "\x85",
            "\xa0a",
        ),
        *("e\u0301", "\u0301a", "\u202eabc", "a\u200bb", "a\u200db", "\ufeffa", "\ue000", "\U000e0041"),
        *("\uff43\uff4d\uff44", "\ufb01x", "\u2126", "a\ud800", "\udcff", "a\u2029b"),
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


ODD = ["cmd", "NBIRTH", "a{b}", "x" * 3000, "e\u0301", "\u202ea", "a\nb", "lwm2m", "test", " a", "\ud800"]


@pytest.mark.parametrize("text", ODD)
def test_no_certificate_is_made_for_what_is_no_id(tmp_path, text):
    certs.create_authority(tmp_path)
    with pytest.raises(InvalidValueError):
        certs.issue(tmp_path, text)
    assert not (tmp_path / "devices").exists()


@pytest.mark.parametrize("text", ODD)
def test_no_message_of_either_profile_is_taken_from_what_is_no_id(text):
    for parse, topic in (
        (json_profile.parse_topic, f"lwm2m/{text}/send"),
        (oma_profile.parse_topic, f"lwm2m/rd/{text}"),
    ):
        with pytest.raises((InvalidValueError, DecodeError)):
            parse(topic)


PREFIXES = (
    "test",
    "spBv1.0",
    "lwm2m",
    "LWM2M",
    "$SYS",
    "$share",
    "a/b",
    "+",
    "#",
    "STATE",
    "a b ",
    "{x}",
    "rd",
    "\n",
)


@pytest.mark.parametrize("settings", [ServerSettings, BridgeSettings, SimulatorSettings])
@pytest.mark.parametrize("prefix", [*PREFIXES, "x" * 65])
def test_a_prefix_that_means_something_else_stops_the_service(monkeypatch, settings, prefix):
    monkeypatch.setenv("LWM2M_PREFIX", prefix)
    with pytest.raises(SettingsError, match=r"^LWM2M_PREFIX=.*: allowed: nothing, or 1 to 64 bytes"):
        load(settings)


@pytest.mark.parametrize("prefix", ["", "plant-1", "hall.2"])
def test_other_prefixes_are_fine(prefix):
    assert check_prefix(prefix) == prefix
    assert load(ServerSettings, lwm2m_prefix=prefix).lwm2m_prefix == prefix
