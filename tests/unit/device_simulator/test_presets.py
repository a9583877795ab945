"""Object instances that a profile gives to devices."""

import pytest

from device_simulator.fleet import build_trees, make_plans
from device_simulator.presets import default
from device_simulator.settings import SimulatorSettings
from iiot.errors import SettingsError
from iiot.lwm2m.model import built_in
from iiot.lwm2m.path import Path
from lwm2m_peer import Server
from lwm2m_rig import ROOT

SHIPPED = [known for known in built_in().values() if known.id not in (0, 1, 3, 4, 5, 21, 23)]


@pytest.fixture
def plan(tmp_path):
    """Plans a fleet of one device with these objects."""

    def make(objects):
        (tmp_path / "p.yaml").write_text(
            f"devices:\n  - kind: temperature\n    count: 1\n    objects: {objects}\n"
        )
        settings = SimulatorSettings(
            profile=str(tmp_path / "p.yaml"), models_dir=ROOT / "tests" / "models", state_dir=tmp_path
        )
        return build_trees(make_plans(settings), settings)

    return make


def test_every_shipped_object_can_be_served_with_values_that_its_definition_allows(make_parts):
    objects = {f"/{known.id}/7" if known.multiple else f"/{known.id}/0": {} for known in SHIPPED}
    server = Server(make_parts(objects=objects)).register()
    registered = server.of("reg")[-1]["objects"]
    for path in objects:
        _, number, instance = path.split("/")
        assert instance in registered[number]
        answer = server.command("read", path)
        assert answer["code"] == "2.05", answer
        for known, value in (answer.get("values") or {}).items():
            built_in().check(Path.parse(known), value)


def test_defaults_are_the_least_that_is_allowed():
    wlan = built_in()[12].resources
    assert [default(wlan[number]) for number in (0, 1, 4, 20)] == ["", False, "-" * 12, 1]
    assert default(built_in()[13].resources[10]) == -158


def test_a_preset_is_written_executed_created_deleted_and_back_after_a_factory_reset(make_parts):
    objects = {"/9/3": {0: "app", 7: 2, 14: "me"}, "/14/0": {3: None}, "/15/0": {1: 4}}
    server = Server(make_parts(objects=objects)).register()
    assert server.read("/9/3/0") == "app"
    assert server.code("read", "/9/3/14") == "4.05"
    assert server.code("write", "/9/3/8", value=True) == "2.04"
    assert server.read("/9/3/8") is True
    assert server.code("write", "/9/3/0", value="x") == "4.05"
    assert server.code("execute", "/9/3/4") == "2.04"
    assert server.code("execute", "/14/0/3") == "2.04"
    assert server.code("execute", "/14/0/4") == "4.04"
    assert server.command("create", "/9", value={"8": False})["location"] == "/9/0"
    for path in ("/9/0", "/9/3"):
        assert server.code("delete", path) == "2.02"
    assert server.of("update")[-1]["objects"]["9"] == {}
    server.parts.state.factory_reset()
    assert server.read("/9/3/0") == "app"
    assert server.command("discover", "/9/3/8")["code"] == "2.05"


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ('{"/9999/0": {}}', "objects./9999/0: got '/9999/0', allowed: /object/instance of a known object"),
        ('{"/9": {}}', "allowed: /object/instance of a known object"),
        ('{"/9/65535": {}}', "objects./9/65535: got '/9/65535', allowed: /object[/instance"),
        ('{"9/0/x": {}}', "'9/0/x'"),
        ('{"/0/0": {}}', "allowed: an object that servers"),
        ('{"/3/0": {}}', "allowed: an instance that the kind of device does not have"),
        ('{"/8/1": {}}', "allowed: /8/0, since the object has one instance"),
        ('{"/8/0": {77: 1}}', "objects./8/0: got 77, allowed: 0, 1, 2"),
        ('{"/8/0": {3: 1}}', "objects./8/0.3: got 1, allowed: nothing (null)"),
        ('{"/8/0": {0: 3}}', "objects./8/0.0: got 3, allowed: 0 to 2"),
        ('{"/8/0": {1: all}}', "objects./8/0.1: got 'all', allowed: a mapping of resource instances"),
        ('{"/8/0": {1: {x: all}}}', "objects./8/0.1: got 'x', allowed: ids from 0 to 65534"),
        ('{"/32769/0": {0: 5}}', "objects./32769/0.0: got 5, allowed: 100 to 3000"),
        ('{"/8/0": 1}', "p.yaml:4"),
    ],
)
def test_a_wrong_preset_ends_the_start_with_one_line(plan, objects, problem):
    with pytest.raises(SettingsError) as caught:
        plan(objects)
    assert problem in caught.value.problems[0]


def test_objects_of_a_users_xml_can_be_served(plan):
    assert plan('{"/32769/0": {2: {0: dough}}, "/32770/0": {}}')
