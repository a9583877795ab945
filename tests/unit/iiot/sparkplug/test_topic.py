import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.budgets import BudgetError
from iiot.errors import DecodeError, InvalidValueError
from iiot.sparkplug.topic import MessageType, StateTopic, Topic, check_id, format_topic, parse_topic

ids = st.text(st.characters(exclude_characters="/+#\0", exclude_categories=["Cs"]), min_size=1, max_size=100)


@given(message_type=st.sampled_from(MessageType), group=ids, edge_node=ids, device=ids)
def test_every_legal_topic_survives_the_round_trip(message_type, group, edge_node, device):
    if group == "STATE":
        return
    device = device if message_type.of_device else None
    text = format_topic(message_type, group, edge_node, device)
    assert parse_topic(text) == Topic(message_type, group, edge_node, device)
    assert str(parse_topic(text)) == text


@given(st.text() | st.lists(st.sampled_from(["spBv1.0", "STATE", "DBIRTH", "NDATA", "", "x"])).map("/".join))
def test_any_text_is_a_topic_or_a_decode_error(text):
    with contextlib.suppress(DecodeError):
        assert str(parse_topic(text)) == text


def test_state():
    assert parse_topic("spBv1.0/STATE/scada") == StateTopic("scada")
    assert str(StateTopic("scada")) == "spBv1.0/STATE/scada"


@pytest.mark.parametrize(
    "text",
    [
        "STATE/scada",
        "spBv1.0",
        "spBv1.0/STATE",
        "spBv1.0/STATE/scada/more",
        "spBv1.0/IIoT",
        "spBv1.0/IIoT/NBIRTH",
        "spBv1.0/IIoT/NBIRTH/n/d",
        "spBv1.0/IIoT/DBIRTH/d",
        "spBv1.0/IIoT/DBIRTH/n/d/more",
        "spBv1.0/IIoT/DBIRTH/n/",
        "spBv1.0//NBIRTH/n",
        "spBv1.0/IIoT/nbirth/n",
        "spAv1.0/IIoT/NBIRTH/n",
    ],
)
def test_illegal_topics_are_refused(text):
    with pytest.raises(DecodeError, match="topic"):
        parse_topic(text)


def test_a_topic_of_more_characters_than_caches_can_hold_is_refused():
    with pytest.raises(BudgetError, match="more than 512 characters"):
        parse_topic("spBv1.0/IIoT/DDATA/n/" + "d" * 500)
    assert parse_topic("spBv1.0/IIoT/DDATA/n/" + "d" * 400).device == "d" * 400


@pytest.mark.parametrize("verb", ["DBIRTH", "DDATA", "DDEATH"])
def test_the_short_form_is_read_only_on_request(verb):
    topic = parse_topic(f"spBv1.0/IIoT/{verb}/device-temp-001", accept_short_form=True)
    assert topic == Topic(MessageType(verb), "IIoT", "device-temp-001", "device-temp-001", short_form=True)
    assert str(topic) == f"spBv1.0/IIoT/{verb}/device-temp-001/device-temp-001"


def test_the_short_form_of_a_command_does_not_exist():
    with pytest.raises(DecodeError):
        parse_topic("spBv1.0/IIoT/DCMD/device-temp-001", accept_short_form=True)


@pytest.mark.parametrize("text", ["", "a/b", "a+", "#", "a\0", "\ud800"])
def test_illegal_ids_are_refused(text):
    with pytest.raises(InvalidValueError, match="edge_node"):
        format_topic(MessageType.NBIRTH, "IIoT", text)


def test_the_group_state_is_refused():
    with pytest.raises(InvalidValueError, match="STATE"):
        check_id("group", "STATE")
    assert check_id("edge_node", "STATE") == "STATE"


def test_a_device_belongs_to_d_verbs_only():
    with pytest.raises(InvalidValueError, match="device"):
        format_topic(MessageType.NBIRTH, "IIoT", "n", "d")
    with pytest.raises(InvalidValueError, match="device"):
        format_topic(MessageType.DBIRTH, "IIoT", "n")
