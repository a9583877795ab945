"""What a person writes over REST reaches the device and shows in both protocols, or is refused."""

from contextlib import ExitStack
from urllib.parse import quote

import pytest

from own_broker import open_mosquitto
from sparkplug_rig import patiently, running_host, running_simulator, watching

PROFILE = """
devices:
- kind: energy
  weight: 1
  faults: 0
  telemetry_interval: 0.2
  sparkplug: {datatypes: true, aliases: ALIASES}
"""
GOOD = {
    "Int8": -128,
    "Int16": 32767,
    "Int32": -2147483648,
    "Int64": -9007199254740993,
    "UInt8": 255,
    "UInt16": 65535,
    "UInt32": 4294967295,
    "UInt64": 18446744073709551615,
    "Float": 0.25,
    "Double": -1e300,
    "Boolean": False,
    "String": 'µ\n"',
    "DateTime": 1700000000001,
    "Text": "",
    "UUID": "00000000-0000-4000-8000-000000000001",
    "DataSet": {"columns": ["a", "b"], "types": ["Int8", "String"], "rows": [[-1, "x"], [None, "y"]]},
    "Bytes": "AAEC",
    "File": "",
    "Int8Array": [-1, 127],
    "Int16Array": [-30000],
    "Int32Array": [],
    "Int64Array": [-9223372036854775808],
    "UInt8Array": [128, 255],
    "UInt16Array": [40000],
    "UInt32Array": [3000000000],
    "UInt64Array": [18446744073709551615],
    "FloatArray": [0.5, -1.5],
    "DoubleArray": [1e-300],
    "BooleanArray": [True, False, True, True, False, False, False, True, True],
    "StringArray": ["", "ä", "b"],
    "DateTimeArray": [0, 1700000000001],
}
BAD = {
    "Int8": 128,
    "Int16": -32769,
    "Int32": 2147483648,
    "Int64": 9223372036854775808,
    "UInt8": -1,
    "UInt16": 65536,
    "UInt32": 1.5,
    "UInt64": -1,
    "Float": 1e39,
    "Double": "1",
    "Boolean": 1,
    "String": 5,
    "DateTime": -1,
    "Text": True,
    "UUID": "no uuid",
    "DataSet": {"columns": ["a"], "types": ["Int8"], "rows": [[300]]},
    "Bytes": "not base64",
    "File": [1],
    "Int8Array": [128],
    "Int16Array": 1,
    "Int32Array": ["1"],
    "Int64Array": [0.5],
    "UInt8Array": [-1],
    "UInt16Array": [65536],
    "UInt32Array": [-1],
    "UInt64Array": [None],
    "FloatArray": [1e39],
    "DoubleArray": ["x"],
    "BooleanArray": [2],
    "StringArray": [5],
    "DateTimeArray": [-1],
    "Template": {"metrics": [{"name": "Speed", "value": "fast"}]},
}


@pytest.fixture(params=["false", "true"], ids=["names", "aliases"])
def plant(request, tmp_path, unique):
    """Host, watcher, and the path of a device with every datatype."""
    group, fleet = unique("group"), unique("f")
    device = f"device-energy-{fleet}-001"
    profile = tmp_path / "types.yaml"
    profile.write_text(PROFILE.replace("ALIASES", request.param))
    with ExitStack() as stack:
        broker, _ = stack.enter_context(open_mosquitto(tmp_path / "broker"))
        watcher = stack.enter_context(watching(broker, group))
        host = stack.enter_context(running_host(broker, tmp_path, SPARKPLUG_GROUP=group))
        stack.enter_context(
            running_simulator(broker, tmp_path, SPARKPLUG_GROUP=group, FLEET_ID=fleet, PROFILE=str(profile))
        )
        patiently(lambda: host.get(f"/api/nodes/{device}").get("devices_online") == 2, "the devices are born")
        yield host, watcher, device


def test_every_datatype_is_written_and_a_wrong_value_is_refused_by_name(plant):
    host, _, device = plant
    base = f"/api/nodes/{device}/devices/datatypes/metrics/Types/"
    for label, value in GOOD.items():
        assert host.request(base + label, "PUT", {"value": value})[0] == 202, label

    def shown():
        metrics = host.get(f"/api/nodes/{device}/devices/datatypes")["metrics"]
        return {metric["name"]: metric for metric in metrics}

    for label, value in GOOD.items():
        patiently(
            lambda label=label, value=value: shown()[f"Types/{label}"]["value"] == value,
            f"{label} is {value}",
        )
        assert (shown()[f"Types/{label}"]["type"], shown()[f"Types/{label}"]["quality"]) == (label, "good")
    for label, value in BAD.items():
        status, problem = host.request(base + label, "PUT", {"value": value})
        assert (status, problem["status"]) == (400, 400), label
        assert problem["field"].startswith("value"), label
        assert problem["allowed"], label
    assert shown()["Types/Double"]["properties"]["engUnit"] == "Cel"

    part = {"metrics": [{"name": "Speed", "value": -5}]}
    assert host.request(f"{base}Template", "PUT", {"value": part})[0] == 202

    def motor():
        return {m["name"]: m["value"] for m in shown()["Types/Template"]["value"]["metrics"]}

    patiently(lambda: motor() == {"Speed": -5, "Running": True, "Name": "M1"}, "one member is changed")
    assert host.get(f"/api/nodes/{device}")["gaps"] == 0


def test_what_is_written_shows_in_the_object_tree_and_the_other_way_round(plant):
    host, watcher, device = plant
    load = f"/api/nodes/{device}/devices/asset/metrics/{quote('Outputs/Load')}"
    lifetime = f"/api/nodes/{device}/metrics/{quote('LwM2M/Lifetime')}"

    def tree(path):
        return watcher.lwm2m(device, operation="read", path=path)["values"][path]

    def power():
        return host.get(f"/api/nodes/{device}/devices/asset/metrics/{quote('Sensors/Power')}")["value"]

    before = power()
    status, answer = host.request(f"{load}?wait=4", "PUT", {"value": True})
    assert (status, answer["outcome"], answer["reported"]) == (200, "accepted", True)
    assert host.get(load)["value"] is True
    assert tree("/3312/0/5850") is True
    patiently(lambda: power() > before + 100, "it shows in the power")
    assert host.request(lifetime, "PUT", {"value": 777})[0] == 202
    patiently(lambda: host.get(lifetime)["value"] == 777, "the lifetime is told")
    assert tree("/1/0/1") == 777
    assert watcher.lwm2m(device, operation="write", path="/1/0/1", value=888)["code"] == "2.04"
    patiently(lambda: host.get(lifetime)["value"] == 888, "the lifetime is told")

    status, problem = host.request(lifetime, "PUT", {"value": "long"})
    assert (status, problem["field"]) == (400, "value")
    read_only = f"/api/nodes/{device}/metrics/{quote('Properties/Model')}"
    status, problem = host.request(read_only, "PUT", {"value": "x"})
    assert (status, problem["field"], problem["value"]) == (422, "metric", "Properties/Model")
    births = len(watcher.of("NBIRTH"))
    assert host.request(f"/api/nodes/{device}/rebirth", "POST")[0] == 202
    watcher.wait("NBIRTH", births + 1)
    assert watcher.of("NBIRTH")[-1].values["Properties/Model"].startswith("SimDevice-")
    shown = host.get(f"/api/nodes/{device}")
    assert (shown["rebirth_requests"], shown["gaps"], shown["reordered"]) == (1, 0, 0)
