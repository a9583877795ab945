"""Our events under the names and in the shapes of Leshan's demo server."""

import json

import pytest

from iiot.lwm2m.message import Link, Register
from iiot.lwm2m.model import built_in
from iiot.lwm2m.path import Path
from iiot.rest import Batch, Event
from lwm2m_rig import Clock
from lwm2m_server.leshan_events import NAMELESS, LeshanSource
from lwm2m_server.models import Models
from lwm2m_server.registry import Registry

NODE = {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "23.5"}


class Feed:
    """Stands for the event log with the events of one test."""

    oldest, latest = 1, 9

    def __init__(self, kind, data):
        body = {"id": 1, "type": kind, "endpoint": "dev", "timestamp": "2026-01-01T00:00:00.000Z"}
        self.event = Event(1, kind, "dev", json.dumps(body | {"data": data}).encode())

    async def read(self, after, limit):
        return Batch([self.event], 1)


async def translated(kind, data, registry=None):
    registry = registry or Registry(Clock())
    source = LeshanSource(Feed(kind, data), registry, Models(built_in(), registry), secure=True)
    (event,) = (await source.read(0, 10)).events
    return event.type, json.loads(event.body or b"null")


@pytest.fixture
def registry():
    known = Registry(Clock(), new_id=lambda: "r1")
    known.register(Register(endpoint="dev", lifetime=60, links=(Link(Path.of(3, 0)),)), "json")
    return known


async def test_a_registration_is_told_whole_while_it_is_there(registry):
    name, told = await translated("registered", {"registrationId": "r1", "lifetime": 60}, registry)
    assert name == "REGISTRATION"
    assert (told["endpoint"], told["registrationId"], told["lifetime"]) == ("dev", "r1", 60)
    assert (told["secure"], told["availableInstances"]) == (True, {"3": [0]})


async def test_an_update_has_the_registration_and_what_changed(registry):
    name, told = await translated("updated", {"registrationId": "r1", "lifetime": 30, "seq": 5}, registry)
    assert (name, told["registration"]["registrationId"]) == ("UPDATED", "r1")
    assert told["update"] == {"registrationId": "r1", "lifetime": 30}


@pytest.mark.parametrize("kind", ["deregistered", "expired"])
async def test_of_a_registration_that_ended_what_the_event_holds_is_told(kind):
    name, told = await translated(kind, {"registrationId": "r0", "lifetime": 60})
    assert name == "DEREGISTRATION"
    assert told == {"endpoint": "dev", "registrationId": "r0", "lifetime": 60}


@pytest.mark.parametrize(
    ("kind", "data", "name", "told"),
    [
        ("awake", {"registrationId": "r1"}, "AWAKE", {"ep": "dev"}),
        ("sleeping", {"registrationId": "r1"}, "SLEEPING", {"ep": "dev"}),
        (
            "send",
            {"values": {"/3303/0/5700": 23.5}, "seq": 1},
            "SEND",
            {"ep": "dev", "val": {"/3303/0/5700": NODE}},
        ),
        (
            "send",
            {
                "records": [
                    {"path": "/3303/0/5700", "value": v, "timestamp": t} for v, t in ((1, 1), (23.5, 2))
                ]
            },
            "SEND",
            {"ep": "dev", "val": {"/3303/0/5700": NODE}},
        ),
        (
            "notification",
            {"token": "2", "kind": "single", "paths": ["/3303/0/5700"], "values": {"/3303/0/5700": 23.5}},
            "NOTIFICATION",
            {"ep": "dev", "kind": "single", "res": "/3303/0/5700", "val": NODE},
        ),
        (
            "notification",
            {"token": "2", "kind": "composite", "paths": ["/3303/0/5700"], "values": {"/3303/0/5700": 23.5}},
            "NOTIFICATION",
            {
                "ep": "dev",
                "kind": "composite",
                "val": {"/3303/0/5700": NODE},
                "paths": ["/3303/0/5700"],
            },
        ),
        (
            "response",
            {"requestId": "8", "operation": "read", "path": "/3/0/9", "response": {"status": "CONTENT(205)"}},
            "REQUEST_RESPONSE",
            {
                "ep": "dev",
                "path": "/3/0/9",
                "requestId": "8",
                "response": {"status": "CONTENT(205)"},
                "failure": None,
                "delayed": True,
            },
        ),
        (
            "bootstrap",
            {"state": "failed", "operation": "bootstrap-write", "path": None, "error": "no answer"},
            "BSSESSION",
            {
                "name": "failed",
                "endpoint": "dev",
                "time": "2026-01-01T00:00:00.000Z",
                "message": "operation: bootstrap-write, error: no answer",
            },
        ),
        ("refused", {"operation": "send"}, NAMELESS, None),
        ("firmware", {"campaign": "1"}, NAMELESS, None),
        ("offline", {"registrationId": "r1"}, NAMELESS, None),
    ],
)
async def test_events_have_leshans_names_and_shapes(kind, data, name, told):
    assert await translated(kind, data) == (name, told)
