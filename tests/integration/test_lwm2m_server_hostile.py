"""Wrong requests, answers and reports on a real server: nobody else is harmed, and later ones work."""

import asyncio
import struct

import cbor2
import pytest

from lwm2m_rig import device, oma_device
from lwm2m_vectors import BIGNUM, senml_pack, senml_record
from support import eventually

BATTERY = "/3/0/9"


@pytest.fixture
def thermometer(mosquitto, server, unique):
    with oma_device(mosquitto, unique("oma")) as made:
        yield made


def senml(*records):
    return {19: 112, 7: senml_pack(*records)}


FLOAT = b"\xfb" + struct.pack("!d", 19.5)


async def test_a_request_that_cannot_be_encoded_is_refused_and_later_ones_reach_the_device(
    server, thermometer
):
    await asyncio.to_thread(thermometer.register)
    thermometer.reply = lambda request: {9: {19: 0, 7: "85"}, 15: {18: 204}}.get(request[1])
    base = f"/api/clients/{thermometer.name}"
    twice = {
        "id": 0,
        "resources": [{"id": 6, "value": 1}, {"id": 6, "kind": "multiResource", "values": {"0": 1}}],
    }
    for method, path, body in [
        ("PUT", "/composite?nodeformat=LWM2M_CBOR", {"/3/0/6": 1, "/3/0/6/0": 1}),
        ("PUT", "/composite?nodeformat=SENML_JSON", {"/3/0/6": 1, "/3/0/6/0": 1}),
        ("PUT", "/composite", {"/3/0/6": 1, "3/0/6": 1}),
        ("PUT", "/3/0", twice),
        ("PUT", "/3/0?replace=false&format=TLV", twice),
        ("POST", "/3", twice),
    ]:
        status, refused = await server.call(method, base + path, json=body)
        assert status == 400, (path, refused)
        assert "/3/0/6" in refused["value"], refused
        assert " and " in refused["value"]
        assert (await server.get(base + BATTERY))[1]["content"]["value"] == "85"
    status, _ = await server.call("PUT", f"{base}/composite", data=b'{"/3/0/6/0":1,"/3/0/6/0":2}',
                                  headers={"Content-Type": "application/json"})  # fmt: skip
    assert status == 400
    status, _ = await server.call("PUT", f"{base}/composite", json={"/3/0/6/0": 1})
    assert status == 200


async def test_hostile_numbers_of_one_device_cost_another_nothing(server, mosquitto, thermometer, unique):
    await asyncio.to_thread(thermometer.register)
    with device(mosquitto, unique("json")) as other:
        await asyncio.to_thread(other.register)
        hostile = [
            senml(senml_record("/3303/0/5700", FLOAT), senml_record("/3303/0/5601", BIGNUM)),
            senml(senml_record("/3303/0/5700", FLOAT), senml_record("/3303/0/5601", b"\xf9\x7e\x00")),
            senml(b"\xa3\x22" + BIGNUM + b"\x00" + cbor2.dumps("/3303/0/5700") + b"\x02\x01"),
            {19: 112, 7: cbor2.dumps([{-3: 1e300, 0: "/3303/0/5700", 2: 1.0}])},
            {19: 112, 7: b"\x9a\x00\x03\xd0\x90" + b"\x80" * 250_000},
            {19: 110, 7: b"[" * 1000 + b"]" * 1000},
        ]
        for number, content in enumerate(hostile):
            answer = await asyncio.to_thread(thermometer.ask, {1: 24, 2: 100 + number} | content)
            assert answer[18] == 400, answer
            await asyncio.to_thread(other.say, "send", {"values": {BATTERY: number}, "token": "t"})
            assert (await asyncio.to_thread(other.hears, "ack/send"))["code"] == "2.04"
        seen = [
            event["data"]["values"][BATTERY]
            for event in await server.events(other.name)
            if event["type"] == "send"
        ]
        assert seen == [*range(len(hostile))]
    events = await server.events(thermometer.name)
    assert [event["type"] for event in events] == ["registered", "send", "send", *["refused"] * 4]
    assert events[1]["data"]["values"] == {"/3303/0/5700": 19.5}
    assert events[1]["data"]["refused"][0]["field"] == "/3303/0/5601"
    assert server.count("lwm2m_over_budget", budget="elements") == 1
    assert server.count("lwm2m_over_budget", budget="levels of JSON") == 1
    assert server.count("lwm2m_records_refused", operation="send") == 2
    assert server.count("lwm2m_messages_dropped", reason="failed") == 0


async def test_relative_times_are_absolute_wherever_values_are_shown(server, thermometer):
    await asyncio.to_thread(thermometer.register)
    for time, value in ((-30, 18.5), (None, 19.5), (-60, 17.5)):
        entry = {0: "/3303/0/5700", 2: value} | ({} if time is None else {6: time})
        answer = await asyncio.to_thread(
            thermometer.ask, {1: 24, 2: int(value * 10), 19: 112, 7: cbor2.dumps([entry])}
        )
        assert answer[18] == 204
    base = f"/api/clients/{thermometer.name}"
    _, (history,) = await server.get(f"{base}/3303/0/5700/history")
    assert [point["value"] for point in history["values"]] == ["17.5", "18.5", "19.5"]
    times = [point["timestamp"] for point in history["values"]]
    assert 29_000 < times[1] - times[0] < 31_000
    _, latest = await server.get(f"{base}/values")
    assert "19.5" in str(latest)
    assert "18.5" not in str(latest)
    sends = [event for event in await server.events(thermometer.name) if event["type"] == "send"]
    assert sends[0]["data"]["records"][0]["timestamp"] > 1_700_000_000_000


async def test_answers_that_do_not_fit_are_bad_gateways_and_counted(server, thermometer):
    await asyncio.to_thread(thermometer.register)
    base = f"/api/clients/{thermometer.name}"
    for call, reply, operation in [
        (("GET", BATTERY), {18: 201}, "read"),
        (("GET", BATTERY), {18: 204}, "read"),
        (("GET", BATTERY), {19: 112, 7: cbor2.dumps([{0: "/3/0/10", 2: 1}])}, "read"),
        (("GET", "/3/discover"), {19: 40, 7: b"</5>"}, "discover"),
        (("POST", "/3/0/4"), {18: 205}, "execute"),
        (
            ("GET", "/composite?paths=/3/0/9,/1/0/1"),
            {19: 112, 7: cbor2.dumps([{0: "/5/0/3", 2: 1}])},
            "read-composite",
        ),
    ]:
        before = server.count("lwm2m_answers_unfit", operation=operation)
        thermometer.reply = lambda _, reply=reply: reply
        status, body = await server.call(call[0], base + call[1])
        assert (status, "unintelligible" in body["detail"]) == (502, True), (call, body)
        assert server.count("lwm2m_answers_unfit", operation=operation) == before + 1
    thermometer.reply = lambda _: {19: 0, 7: "85"}
    assert (await server.call("POST", f"{base}{BATTERY}/observe"))[0] == 200
    token = thermometer.requests[-1][2]
    for path in ("/3/0/0", BATTERY):
        thermometer.tell({1: 23, 2: token, 19: 112, 7: cbor2.dumps([{0: path, 2: 7}])})
    await eventually(
        lambda: server.count("lwm2m_messages", operation="notify", outcome="accepted") == 1,
        "the right one arrives",
    )
    assert server.count("lwm2m_messages", operation="notify", outcome="refused") == 1
    assert server.count("lwm2m_answers_unfit", operation="notify") == 1
