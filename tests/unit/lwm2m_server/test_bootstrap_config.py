import pytest

from iiot.errors import InvalidValueError
from iiot.lwm2m import model
from iiot.lwm2m.path import ROOT, Path
from lwm2m_server.bootstrap_config import parse

DEFINITIONS = model.built_in()


def values(config):
    return {str(record.path): record.value for record in config.records}


def test_its_own_form():
    config = parse(
        {"delete": ["/", "/1/0"], "objects": {"1": {"0": {"0": 101, "1": 300, "7": "M"}}}}, DEFINITIONS
    )
    assert config.delete == (ROOT, Path.of(1, 0))
    assert values(config) == {"/1/0/0": 101, "/1/0/1": 300, "/1/0/7": "M"}
    assert [*config.writes] == [Path.of(1, 0)]


def test_leshans_form():
    config = parse({
        "toDelete": ["/0", "/1"],
        "security": {"0": {
            "uri": "mqtts://broker", "bootstrapServer": False, "securityMode": "X509", "serverId": 101,
            "secretKey": [1, -1], "publicKeyOrId": [], "unknown": 5,
        }},
        "servers": {"0": {"shortId": 101, "lifetime": 300, "binding": "M", "notifIfDisabled": True}},
    }, DEFINITIONS)  # fmt: skip
    assert values(config) == {
        "/0/0/0": "mqtts://broker", "/0/0/1": False, "/0/0/2": 2, "/0/0/3": b"", "/0/0/5": b"\x01\xff",
        "/0/0/10": 101, "/1/0/0": 101, "/1/0/1": 300, "/1/0/6": True, "/1/0/7": "M",
    }  # fmt: skip
    assert [*config.writes] == [Path.of(0, 0), Path.of(1, 0)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "objects"),
        ({"colour": 1}, "body"),
        ({"delete": "/1"}, "delete"),
        ({"delete": ["/1/0/1"]}, "delete"),
        ({"objects": {"1": {"0": {"1": "soon"}}}}, "/1/0/1"),
        ({"objects": {"1": {"0": {"1": None}}}}, "/1/0/1"),
        ({"security": {"0": {"securityMode": "MAGIC"}}}, "securityMode"),
        ({"security": {"x": {}}}, "path"),
        ({"servers": {"0": 5}}, "servers"),
        ({"servers": []}, "servers"),
        ({"security": {"0": {"secretKey": [999]}}}, "secretKey"),
    ],
)
def test_what_is_wrong_is_named(body, field):
    with pytest.raises(InvalidValueError) as caught:
        parse(body, DEFINITIONS)
    assert caught.value.field == field


def test_what_a_device_is_asked_for_comes_first_and_the_session_may_stay_open():
    config = parse({"discover": ["/", "/1"], "read": ["/1", "/2/0"], "finish": False}, DEFINITIONS)
    assert ([*map(str, config.discover)], [*map(str, config.read)]) == (["/", "/1"], ["/1", "/2/0"])
    assert (config.finish, config.records) == (False, ())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"discover": ["/1/0"]}, "discover"),
        ({"read": ["/"]}, "read"),
        ({"read": ["/3"]}, "read"),
        ({"read": ["/1/0/1"]}, "read"),
        ({"read": "/1"}, "read"),
        ({"delete": ["/1"], "finish": "no"}, "finish"),
        ({"finish": True}, "objects"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(body, field):
    with pytest.raises(InvalidValueError) as refused:
        parse(body, DEFINITIONS)
    assert refused.value.field == field
