import pytest

from device_simulator.sleep import SleepPlan
from lwm2m_peer import Server

SENSOR = "/3303/0/5700"


@pytest.fixture
def server(make_parts):
    return Server(make_parts()).register()


def times(notifications):
    return [round(body["timestamp"] / 1000) % 10_000 - 1000 for body in notifications]


def test_an_observation_answers_with_the_value_and_then_notifies_with_ledger_numbers(server):
    server.command("write-attributes", SENSOR, attributes={"pmin": 5})
    answer = server.command("observe", SENSOR, token="o1")
    assert answer["code"] == "2.05"
    assert answer["values"].keys() == {SENSOR}
    numbers = server.parts.streams["lwm2m"].last
    server.run(20)
    notified = server.notified("o1")
    assert times(notified) == [5, 10, 15, 20]
    assert [body["seq"] for body in notified] == list(range(numbers + 1, numbers + 5))
    assert notified[-1]["values"] == {SENSOR: server.read(SENSOR)}
    assert server.code("cancel-observe", token="o1") == "2.05"
    server.run(20)
    assert len(server.notified("o1")) == 4
    assert server.code("cancel-observe", token="o1b") == "4.04"
    assert not server.parts.client.needs_ticks


def test_pmax_and_defaults_of_the_server_object(server):
    server.command("write-composite", values={"/1/0/2": 2, "/1/0/3": 30})
    server.command("observe", "/3/0/0", token="o1")
    server.run(95)
    assert times(server.notified("o1")) == [30, 60, 90]
    server.command("write", "/1/0/3", value=0)
    server.run(100)
    assert len(server.notified("o1")) == 3


def test_a_write_is_notified_at_once(server):
    server.command("observe", "/1/0", token="o1")
    server.command("write", "/1/0/1", value=1234)
    assert server.notified("o1")[0]["values"]["/1/0/1"] == 1234


def test_thresholds_and_steps_hold_on_the_sensor(server):
    server.command("write-attributes", SENSOR, attributes={"st": 1000})
    server.command("observe", SENSOR, token="o1")
    server.command("observe", "/3303/0", token="o2")
    server.run(30)
    assert server.notified("o1") == []
    assert len(server.notified("o2")) > 5


def test_attributes_below_the_observed_node_do_not_count_and_those_above_do(server):
    server.command("write-attributes", SENSOR, attributes={"pmin": 1000})
    server.command("write-attributes", "/3303", attributes={"pmin": 4})
    server.command("observe", "/3303/0", token="o1")
    server.command("observe", SENSOR, token="o2")
    server.run(20)
    assert times(server.notified("o1")) == [4, 8, 12, 16, 20]
    assert server.notified("o2") == []


def test_a_composite_observation_has_one_token_and_all_values(server):
    paths = ["/3/0/0", "/1/0/1", "/3306/0/5850"]
    answer = server.command("observe-composite", token="o1", paths=paths)
    assert answer["values"] == {"/3/0/0": "IoT Testing Corp", "/1/0/1": 3600}
    server.command("write", "/1/0/1", value=60)
    (notified,) = server.notified("o1")
    assert notified["values"] == {"/3/0/0": "IoT Testing Corp", "/1/0/1": 60}
    server.command("create", "/3306", value={"5850": True})
    assert server.notified("o1")[-1]["values"]["/3306/0/5850"] is True


@pytest.mark.parametrize(
    ("path", "code"), [("/3/0/99", "4.04"), ("/3/0/4", "4.05"), ("/0/0", "4.01"), ("/", "4.00")]
)
def test_what_cannot_be_observed(server, path, code):
    assert server.code("observe", path) == code
    assert not server.parts.client.needs_ticks


def test_observations_are_bounded(server):
    codes = [server.code("observe", "/3/0/0", token=f"o{number}") for number in range(201)]
    assert codes == ["2.05"] * 200 + ["4.00"]


def test_a_new_registration_ends_the_observations(server):
    server.command("observe", SENSOR, token="o1")
    server.register()
    server.run(10)
    assert server.notified("o1") == []


@pytest.mark.parametrize(("hqmax", "kept"), [(None, 6), (3, 3), (0, 0)])
def test_what_happens_offline_is_told_with_its_times_after_the_server_observes_again(server, hqmax, kept):
    server.command("write", "/1/0/6", value=True)
    server.command("write-attributes", SENSOR, attributes={"pmin": 10, "hqmax": hqmax})
    server.command("observe", SENSOR, token="o1")
    server.run(60, online=False)
    server.register()
    server.run(5)
    assert server.notified("o1") == []
    server.command("observe", SENSOR, token="o2")
    stored = [body for body in server.notified("o2") if "records" in body]
    assert len(stored) == (kept > 0)
    records = [record for body in stored for record in body["records"]]
    assert [round(record["timestamp"] / 1000) % 10_000 - 1000 for record in records] == [
        10, 20, 30, 40, 50, 60,
    ][6 - kept :]  # fmt: skip
    assert {record["path"] for record in records} <= {SENSOR}


def test_without_storing_nothing_is_kept(server):
    server.command("observe", SENSOR, token="o1")
    server.run(60, online=False)
    server.register()
    server.command("observe", SENSOR, token="o1")
    assert server.notified("o1") == []


def test_queue_mode_is_deaf_asleep_and_wakes_with_an_update(make_parts):
    server = Server(make_parts(client={"sleep": SleepPlan(asleep=60, awake=10)})).register()
    client, clock = server.parts.client, server.parts.clock
    assert server.code("read", "/3/0/0") == "2.05"
    server.run(9)
    assert client.report(clock.now) is not None
    server.run(2)
    assert client.report(clock.now) is None
    assert server.command("read", "/3/0/0") is None
    before = len(server.inbox)
    server.run(60)
    assert len(server.of("update", since=before)) == 1
    assert server.code("read", "/3/0/0") == "2.05"


def test_without_q_in_the_binding_a_device_does_not_sleep(make_parts):
    server = Server(make_parts(client={"sleep": SleepPlan(asleep=60, awake=10)})).register()
    server.command("write", "/1/0/7", value="U")
    server.run(30)
    assert server.code("read", "/3/0/0") == "2.05"


def test_what_is_noted_asleep_is_told_on_waking_under_the_same_token(make_parts):
    server = Server(make_parts(client={"sleep": SleepPlan(asleep=60, awake=10)})).register()
    server.command("write", "/1/0/6", value=True)
    server.command("write-attributes", SENSOR, attributes={"pmin": 20})
    server.command("observe", SENSOR, token="o1")
    server.run(65)
    assert server.notified("o1") == []
    server.run(6)
    stored = [record["timestamp"] for body in server.notified("o1") for record in body.get("records", [])]
    assert [round(at / 1000) % 10_000 - 1000 for at in stored] == [20, 40, 60]


def test_a_disabled_device_deregisters_and_returns_after_its_time(server):
    client, clock = server.parts.client, server.parts.clock
    server.command("write", "/1/0/5", value=120)
    assert server.code("execute", "/1/0/4") == "2.04"
    assert [kind for kind, *_ in server.inbox[-2:]] == ["resp", "dereg"]
    assert client.report(clock.now) is None
    assert server.command("read", "/3/0/0") is None
    server.run(50)
    server.take(client.connected(clock.now))
    before = len(server.inbox)
    server.run(69)
    assert server.inbox[before:] == []
    server.run(2)
    assert len(server.of("reg", since=before)) == 1
    assert server.code("read", "/3/0/0") == "2.05"


def test_a_disabled_device_that_reboots_registers(server):
    server.command("execute", "/1/0/4")
    assert server.parts.client.connected(server.parts.clock.now) == []
    assert [p.kind for p in server.parts.client.connected(server.parts.clock.now, booted=True)] == ["reg"]


def test_a_factory_reset_forgets_attributes_and_created_instances(server):
    server.command("write-attributes", SENSOR, attributes={"pmin": 5})
    server.command("create", "/3306", value={"5850": True})
    server.command("execute", "/3/0/5")
    assert server.command("discover", SENSOR)["links"] == [{"path": SENSOR}]
    assert server.code("read", "/3306/0") == "4.04"


def test_attributes_of_an_observe_hold_for_its_observation_alone(server):
    server.command("write-attributes", "/3303", attributes={"pmin": 100, "pmax": 200})
    answer = server.command("observe", SENSOR, token="own", attributes={"pmin": 0, "pmax": 5})
    assert answer["code"] == "2.05"
    server.command("observe", SENSOR, token="attached")
    server.command(
        "write-attributes", SENSOR, attributes={"pmax": 150}
    )  # follows at once, and changes no own
    server.run(21)
    assert len(server.notified("own")) >= 4
    assert server.notified("attached") == []
    links = server.command("discover", SENSOR)["links"]
    assert links == [{"path": SENSOR, "pmin": 100, "pmax": 150}]
    server.command("observe", SENSOR, token="own")  # without any: what is attached holds again
    before = len(server.notified("own"))
    server.run(90)
    assert len(server.notified("own")) == before


def test_attributes_of_an_observe_composite_replace_the_attached_ones(server):
    server.command("write-attributes", SENSOR, attributes={"pmin": 100})
    paths = [SENSOR, "/3/0/9"]
    answer = server.command("observe-composite", paths=paths, token="c", attributes={"pmax": 5})
    assert answer["code"] == "2.05"
    server.run(11)
    assert len(server.notified("c")) >= 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"operation": "observe", "path": SENSOR, "attributes": {"pmin": None}}, "pmin"),
        ({"operation": "observe", "path": SENSOR, "attributes": {"gt": 10, "lt": 20}}, "lt"),
        ({"operation": "observe", "path": SENSOR, "attributes": {"edge": 1}}, "edge"),
        ({"operation": "observe", "path": "/3303/0", "attributes": {"gt": 10}}, "gt"),
        ({"operation": "observe", "path": SENSOR, "attributes": {"epmin": 10, "epmax": 5}}, "epmin"),
        ({"operation": "observe", "path": SENSOR, "attributes": {"x": 1}}, "attribute"),
        ({"operation": "observe-composite", "paths": [SENSOR], "attributes": {"gt": 10}}, "gt"),
    ],
)
def test_attributes_that_an_observe_cannot_have_are_refused_by_name(server, fields, field):
    answer = server.command(token="o1", **fields)
    assert (answer["code"], answer["error"]["field"]) == ("4.00", field)
    server.run(20)
    assert server.notified("o1") == []
