"""Whatever a server sends, a device answers or refuses it, and goes on."""

import json

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_simulator.lwm2m_wire import OmaWire
from iiot.errors import DecodeError
from iiot.lwm2m.message import Operation
from iiot.lwm2m.model import built_in

PATHS = [
    "/", "/0", "/0/0/0", "/1", "/1/0", "/1/0/1", "/1/0/2", "/1/0/7", "/1/0/8", "/1/0/4", "/1/0/9", "/3",
    "/3/0", "/3/0/6", "/3/0/6/0", "/3/0/4", "/5/0", "/5/0/0", "/5/0/1", "/5/0/2", "/5/0/10", "/3303/0/5700",
    "/3306", "/3306/0", "/3306/0/5850", "/3306/65534", "/9999", "x", "/1/2/3/4/5", "/1/0/3", "/1/0/5",
    "/1/0/6", "/1/0/17", "/1/0/18", "/1/0/19", "/1/0/20", "/3/0/13", "/0/1/0", "/lwm2m/3/0/9",
]  # fmt: skip
paths = st.sampled_from(PATHS)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8), st.just("AAAA")
)
ids = st.sampled_from(["0", "1", "7", "5850", "5851", "65535", "x"])
values = st.recursive(scalars, lambda inner: st.dictionaries(ids, inner, max_size=3), max_leaves=4)
commands = st.fixed_dictionaries(
    {"operation": st.sampled_from([str(op) for op in Operation])},
    optional={
        "path": paths,
        "paths": st.lists(paths, max_size=3),
        "value": values,
        "values": st.dictionaries(paths, values, max_size=3),
        "arguments": st.text(max_size=5),
        "attributes": st.dictionaries(
            st.sampled_from(
                ["pmin", "pmax", "gt", "lt", "st", "epmin", "epmax", "edge", "hqmax", "con", "x"]
            ),
            scalars,
        ),
        "depth": st.integers(-1, 5),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(["t1", "t2", "t3"]), commands), max_size=8), st.booleans())
def test_json_commands(make_parts, requests, bootstraps):
    parts = make_parts(client={"bootstrap": "request" if bootstraps else "off"})
    parts.client.connected(parts.clock.now)
    for token, body in requests:
        try:
            payload = json.dumps(body).encode()
            answers = parts.client.receive(f"lwm2m/device-x-001/cmd/{token}", payload, parts.clock.now)
        except DecodeError:
            continue
        for answer in answers:
            json.loads(answer.payload)
        parts.clock.now += 0.7
        parts.client.tick(parts.clock.now, online=True)
        parts.client.report(parts.clock.now)


fields = st.dictionaries(
    st.one_of(st.integers(1, 24), st.sampled_from(["lt", "con"])),
    st.one_of(scalars, paths, st.binary(max_size=12), st.sampled_from([0, 60, 112, 11542, 11544])),
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 24), fields), max_size=8), st.booleans())
def test_oma_commands(make_parts, requests, bootstraps):
    wire = OmaWire("device-x-001", built_in())
    parts = make_parts(client={"wire": wire, "bootstrap": "request" if bootstraps else "off"})
    parts.client.connected(parts.clock.now)
    for number, (operation, extra) in enumerate(requests):
        payload = cbor2.dumps({5: "/3/0"} | extra | {1: operation, 2: number})
        topic = f"lwm2m/{'bs' if operation < 6 else 'rd'}/device-x-001"
        try:
            answers = parts.client.receive(topic, payload, parts.clock.now)
        except DecodeError:
            continue
        for answer in answers:
            cbor2.loads(answer.payload)
        parts.clock.now += 0.7
        parts.client.tick(parts.clock.now, online=True)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_refused(make_parts, value):
    payload = b'{"operation":"write","path":"/1/0/1","value":%s}' % value.encode()
    (answer,) = make_parts().client.receive("lwm2m/device-x-001/cmd/t", payload, 0.0)
    assert json.loads(answer.payload)["code"] == "4.00"
