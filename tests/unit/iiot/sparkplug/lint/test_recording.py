import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import DecodeError
from iiot.sparkplug.lint.events import (
    Connect,
    ConnectWill,
    Cut,
    Disconnect,
    Publish,
    Subscribe,
    Vantage,
    decode_line,
    encode_event,
    encode_vantage,
)
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.lint.report import as_json
from sparkplug_strategies import texts, times

wills = st.builds(ConnectWill, texts, st.binary(), st.integers(0, 2), st.booleans())
events = st.one_of(
    st.builds(Publish, times, texts, st.binary(), st.integers(0, 2), st.booleans(), st.booleans()),
    st.builds(Connect, times, texts, st.sampled_from([3, 4, 5]), st.booleans(), times, st.none() | wills),
    st.builds(Subscribe, times, texts, texts, st.integers(0, 2)),
    st.builds(Disconnect, times, texts, st.none() | st.integers(0, 255)),
    st.builds(Cut, times),
)


@given(events)
def test_events_survive_a_recording(event):
    line = encode_event(event)

    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert decode_line(line) == event


@given(st.builds(Vantage, st.booleans(), st.none() | st.booleans(), st.booleans()))
def test_the_vantage_survives_a_recording(vantage):
    assert decode_line(encode_vantage(vantage)) == vantage


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"{}",
        b'{"event":"publish"}',
        b'{"event":"unknown"}',
        b'{"event":"publish","time":"1","topic":"t","payload":""}',
        b'{"event":"publish","time":1,"topic":"t","payload":"?"}',
        b'{"event":"publish","time":1,"topic":"t","payload":"","colour":1}',
        b'{"event":"publish","time":1,"topic":"t","payload":"","client":5}',
        b'{"event":"publish","time":1,"topic":"t","payload":"","client":["c"]}',
        b'{"event":"disconnect","time":1,"client":"c","reason":"4"}',
        b'{"event":"connect","time":1,"client":"c","version":5,"clean":true,"will":"w"}',
        b'{"vantage":{"qos_as_published":"yes"}}',
    ],
)
def test_lines_of_another_form_are_refused(line):
    with pytest.raises(DecodeError):
        decode_line(line)


NAMES = ["NBIRTH", "NDEATH", "NDATA", "NCMD", "DBIRTH", "DDEATH", "DDATA", "DCMD", "STATE", "", "x"]
levels = st.sampled_from(NAMES)
hostile_topics = st.one_of(
    st.builds("spBv1.0/{}/{}/n/d".format, levels, levels),
    st.builds("spBv1.0/g/{}/n".format, levels),
    st.builds("spBv1.0/STATE/{}".format, levels),
    texts,
)


@given(st.lists(st.tuples(hostile_topics, st.binary(max_size=40), st.booleans()), max_size=12))
def test_hostile_traffic_is_judged_without_an_error(messages):
    linter = Linter()
    for number, (topic, payload, retain) in enumerate(messages):
        linter.feed(Publish(number * 3000, topic, payload, 0, retain))

    report = as_json(linter, linter.finish(60_000))
    assert report["messages"] <= len(messages)
