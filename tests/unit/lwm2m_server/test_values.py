import orjson

from iiot.lwm2m.message import Record
from iiot.lwm2m.path import ROOT, Path
from lwm2m_server import values as module
from lwm2m_server.replay import replay
from lwm2m_server.values import Values

BATTERY, TEMPERATURE = Path.of(3, 0, 9), Path.of(3303, 0, 5700)


def test_the_newest_value_and_those_before_it():
    values = Values(3, 1000)
    for n in range(5):
        values.record("d1", [Record(BATTERY, n)], 1000 + n)
    values.record("d1", [Record(TEMPERATURE, 23.5)], 2000)
    assert values.latest("d1", ROOT) == {BATTERY: (1004, 4), TEMPERATURE: (2000, 23.5)}
    assert values.latest("d1", Path.of(3303)) == {TEMPERATURE: (2000, 23.5)}
    assert values.history("d1", BATTERY, 0, 10) == {BATTERY: [(1002, 2), (1003, 3), (1004, 4)]}
    assert values.history("d1", BATTERY, 1003, 10) == {BATTERY: [(1004, 4)]}
    assert values.history("d1", BATTERY, 0, 1) == {BATTERY: [(1004, 4)]}
    assert values.latest("d2", ROOT) == {}


def test_values_with_a_time_of_their_own_go_where_they_belong_and_none_lies_in_the_future():
    values = Values(10, 1000)
    values.record("d1", [Record(BATTERY, 3)], 3000)
    values.record("d1", [Record(BATTERY, 1, 1.0), Record(BATTERY, 2, 2.0), Record(BATTERY, 9, 9e9)], 4000)
    assert values.history("d1", BATTERY, 0, 10)[BATTERY] == [(1000, 1), (2000, 2), (3000, 3), (4000, 9)]


def test_many_resources_share_the_memory(monkeypatch):
    values = Values(100, 50)
    for n in range(100):
        for endpoint in ("d1", "d2"):
            values.record(endpoint, [Record(BATTERY, n), Record(TEMPERATURE, n)], n)
    kept = [len(points) for e in ("d1", "d2") for points in values.history(e, ROOT, 0, 1000).values()]
    assert (len(kept), sum(kept)) == (4, 48)
    monkeypatch.setattr(module, "MAX_ENDPOINTS", 2)
    values.record("d3", [Record(BATTERY, 1)], 1)
    assert values.latest("d1", ROOT) == {}
    assert values.resources == 3


def test_a_device_cannot_fill_the_memory(monkeypatch):
    monkeypatch.setattr(module, "MAX_RESOURCES", 10)
    values = Values(10, 1000)
    values.record("d1", [Record(Path.of(3303, n, 5700), 1.0) for n in range(100)], 1)
    assert values.resources == 10


def test_what_was_said_before_a_restart_is_known_after_it():
    def event(number, kind, **data):
        body = {"id": number, "type": kind, "endpoint": "d1", "timestamp": "2026-11-24T06:30:00.123Z"}
        return number, orjson.dumps(body | {"data": data})

    values = Values(10, 1000)
    replay(values, [
        event(1, "registered", objects={"3": {"0": {"9": 80}}}),
        event(2, "send", values={"/3303/0/5700": 23.5}),
        event(3, "notification", values={"/3/0/9": 85}),
        event(4, "offline"),
        event(5, "send", values={"x": 1}),
    ])  # fmt: skip
    moment = 1_795_501_800_123
    assert values.history("d1", ROOT, 0, 10) == {
        BATTERY: [(moment, 80), (moment, 85)], TEMPERATURE: [(moment, 23.5)],
    }  # fmt: skip
    assert values.sends("d1") == [2]
