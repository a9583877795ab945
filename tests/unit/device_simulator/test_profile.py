from pathlib import Path

import pytest

from device_simulator.kind import load_kinds
from device_simulator.profile import BUILT_IN, load_profile, plan_devices
from iiot.errors import SettingsError

KINDS = load_kinds()


def plan(name, total, fleet=""):
    return [device.id for device in plan_devices(load_profile(name, KINDS), KINDS, total, fleet)]


@pytest.mark.parametrize("file", sorted(BUILT_IN.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_profiles_deal_out_any_number_of_distinct_devices(file):
    for total in (1, 2, 7, 100):
        ids = plan(file.stem, total)
        assert len(ids) == len(set(ids)) == total


def test_the_default_fleet_starts_with_the_devices_of_the_readme():
    assert plan("default", 2) == ["device-temp-001", "device-humidity-001"]


def test_more_devices_rename_none():
    assert plan("mixed", 40)[:25] == plan("mixed", 25)


def test_weights_are_shares():
    ids = plan("mixed", 200)
    assert sum("-temp-" in name for name in ids) == 80
    assert sum("-air-" in name for name in ids) == 10


def test_the_fleet_id_stands_in_the_device_ids():
    assert plan("default", 1, "ab12") == ["device-temp-ab12-001"]
    with pytest.raises(SettingsError, match=r"FLEET_ID='a/b'"):
        plan("default", 1, "a/b")


def test_counts_come_first_and_weights_share_the_rest(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("devices:\n- {kind: energy, count: 3}\n- {kind: temperature, weight: 1}\n")
    ids = plan(str(file), 5)
    assert ids == [*(f"device-energy-00{i}" for i in (1, 2, 3)), "device-temp-001", "device-temp-002"]
    assert len(plan(str(file), 2)) == 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "devices:\n- kind: temperatur\n  weight: 1\n",
            r"p.yaml:2: devices.0.kind: got 'temperatur', allowed: .*temperature",
        ),
        (
            "devices:\n- kind: energy\n  weight: no\n",
            r"p.yaml:3: devices.0.weight: got False, allowed: .*number|p.yaml:3: .*greater than 0",
        ),
        (
            "devices:\n- {kind: energy, weight: 1, lwm2m_intervall: 1}\n",
            r"p.yaml:2: devices.0.lwm2m_intervall: got 1, allowed: no such field",
        ),
        ("devices:\n- {kind: energy}\n", r"p.yaml:2: devices.0: .*either count or weight"),
        (
            "devices:\n- kind: energy\n  count: 1\n  telemetry_interval: 0\n",
            r"p.yaml:4: devices.0.telemetry_interval: got 0, allowed: .*0.0005",
        ),
        (
            "devices:\n- kind: energy\n  count: 1\n  burst: {every: 5, seconds: 9, factor: 2}\n",
            r"p.yaml:4: devices.0.burst: .*seconds less than every",
        ),
        (
            "devices:\n- kind: energy\n  count: 1\n  on_change:\n    deadband: much\n",
            r"p.yaml:5: devices.0.on_change.deadband: got 'much'",
        ),
        ("device: []\n", r"p.yaml:1: devices: this field is needed"),
        ("devices: [", r"p.yaml:1: not YAML"),
        ("", r"p.yaml:1: file: got None"),
    ],
)
def test_a_wrong_file_is_refused_with_line_field_value_and_what_is_allowed(tmp_path, text, complaint):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=complaint):
        load_profile(str(file), KINDS)


def test_an_unknown_profile_names_those_there_are():
    with pytest.raises(SettingsError, match=r"PROFILE='nope': must be one of burst, default, .*mixed"):
        load_profile("nope", KINDS)


KIND = """\
name: level
id: level
model: level_sensor
battery: {supply: mains}
channels:
  - metric: Sensors/Level
    path: /3300/0/5700
    range: [0, 10]
    signal: {base: 5}
"""


def test_a_user_adds_a_kind_by_adding_a_file(tmp_path):
    (tmp_path / "level.yaml").write_text(KIND)
    assert load_kinds(tmp_path).keys() == KINDS.keys() | {"level"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            ("path: /3300/0/5700", "path: /3300/0"),
            r"level.yaml:7: channels.0.path: got '/3300/0', allowed: /object/instance/resource",
        ),
        (("signal: {base: 5}", "scale: 2"), r"level.yaml:6: channels.0: .*exactly one of"),
        (("signal: {base: 5}", "integral_of: Sensors/Flow"), r"level.yaml:.*'Sensors/Flow'"),
        (("base: 5", "bias: 5"), r"level.yaml:9: channels.0.signal"),
        (("supply: mains", "supply: coal"), r"level.yaml:4: battery.supply: got 'coal', allowed: .*'mains'"),
        (("id: level", "id: temp"), r"ids must differ"),
    ],
)
def test_a_wrong_kind_is_refused(tmp_path, change, complaint):
    (tmp_path / "level.yaml").write_text(KIND.replace(*change))
    with pytest.raises(SettingsError, match=complaint):
        load_kinds(tmp_path)


def test_a_directory_that_is_not_there_is_refused():
    with pytest.raises(SettingsError, match="KINDS_DIR"):
        load_kinds(Path("nowhere"))
