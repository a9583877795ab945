import pytest

from iiot.sparkplug.payload import decode_payload
from lwm2m_peer import Server


@pytest.fixture
def server(make_parts):
    return Server(make_parts(kind="energy")).register()


def test_an_instance_is_created_read_written_and_deleted_and_the_server_hears_of_it(server):
    answer = server.command("create", "/3306", value={"5850": True, "5750": "pump", "5851": 40})
    assert (answer["code"], answer["location"]) == ("2.01", "/3306/0")
    assert server.of("update")[-1]["objects"]["3306"] == {"ver": "1.1", "0": {}}
    values = server.command("read", "/3306/0")["values"]
    assert values == {"/3306/0/5850": True, "/3306/0/5750": "pump", "/3306/0/5851": 40}
    assert server.code("write-partial", "/3306/0", value={"5850": False}) == "2.04"
    assert server.read("/3306/0/5750") == "pump"
    assert server.code("write", "/3306/0", value={"5850": True}) == "2.04"
    assert server.command("read", "/3306/0")["values"] == {"/3306/0/5850": True}
    assert server.code("delete", "/3306/0") == "2.02"
    assert server.of("update")[-1]["objects"]["3306"] == {"ver": "1.1"}
    assert server.code("read", "/3306/0") == "4.04"
    assert server.command("read", "/3306") == {"code": "2.05"}


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/3306", {"values": {"/3306/7/5850": True}}, "2.01"),
        ("/3306/7", {"value": {"5850": True}}, "2.01"),
        ("/3306", {"values": {"/3306/65535/5850": True, "/3306/65535/5750": "pump"}}, "2.01"),
        ("/3306", {"values": {"/3306/65535": {"5850": True}}}, "2.01"),
        ("/3306", {"values": {"/3306/65535/5850": True, "/3306/1/5851": 5}}, "4.00"),
        ("/3306/65535", {"value": {"5850": True}}, "4.00"),
        ("/3306", {"value": {"5850": True, "9999": 1}}, "2.01"),
        ("/3306", {"value": {"5851": 40}}, "4.00"),
        ("/3306", {"value": {"5850": "on"}}, "4.00"),
        ("/3306", {"value": {"5850": True, "5851": 101}}, "4.00"),
        ("/3306", {"values": {"/3306/1/5850": True, "/3306/2/5850": True}}, "4.00"),
        ("/3306", {"values": {"/3311/1/5850": True}}, "4.00"),
        ("/3312", {"values": {"/3312/0/5850": True}}, "4.00"),
        ("/3", {}, "4.05"),
        ("/1", {}, "4.05"),
        ("/0", {}, "4.01"),
        ("/9999", {}, "4.04"),
    ],
)
def test_what_can_be_created(server, path, fields, code):
    before = server.command("discover", "/3306")["links"]
    assert server.code("create", path, **fields) == code
    if code != "2.01":
        assert server.command("discover", "/3306")["links"] == before


def test_the_device_takes_the_first_free_instance_and_ignores_what_only_it_may_set(server):
    assert server.command("create", "/3328", value={"5750": "b", "5700": 12.5})["location"] == "/3328/1"
    assert server.code("read", "/3328/1/5700") == "5.03"
    assert server.read("/3328/1/5750") == "b"


@pytest.mark.parametrize(
    ("path", "code"), [("/3/0", "4.05"), ("/3328/0", "4.05"), ("/3/0/6/0", "4.05"), ("/3306/9", "4.04")]
)
def test_what_belongs_to_the_device_is_not_deleted(server, path, code):
    assert server.code("delete", path) == code


def test_a_composite_write_is_atomic_and_a_composite_read_gives_what_there_is(server):
    values = {"/1/0/1": 77, "/3312/0/5850": True, "/1/0/6": "no"}
    assert server.code("write-composite", values=values) == "4.00"
    assert server.code("write-composite", values=values | {"/1/0/6": True, "/3/0/0": "x"}) == "4.05"
    assert server.code("write-composite", values=values | {"/1/0/6": True, "/5/0/1": "x" * 256}) == "4.00"
    paths = ["/1/0/1", "/3312/0/5850", "/3306/5/5850", "/3/0/6"]
    assert server.command("read-composite", paths=paths)["values"] == {
        "/1/0/1": 3600,
        "/3312/0/5850": False,
        "/3/0/6/0": 6,
    }
    assert server.code("write-composite", values=values | {"/1/0/6": True}) == "2.04"
    assert server.read("/3312/0/5850") is True
    assert server.code("read-composite", paths=["/3/0/0", "/0/0"]) == "4.01"
    assert server.code("read-composite") == "4.00"


@pytest.mark.parametrize("operation", ["write", "write-partial", "write-composite"])
@pytest.mark.parametrize(
    "values",
    [
        {"/5/0/0": "QUJD", "/5/0/1": "https://localhost/fw"},
        {"/5/0/1": "https://localhost/fw", "/5/0/0": "QUJD"},
        {"/5/0/0": "", "/5/0/1": "https://localhost/fw"},
    ],
)
def test_a_package_and_its_uri_written_together_are_refused_as_a_whole(server, operation, values):
    path = None if operation == "write-composite" else "/5/0"
    assert server.code(operation, path, values=values | {"/5/0/11": 2}) == "4.00"
    assert (server.read("/5/0/3"), server.read("/5/0/1"), server.read("/5/0/11")) == (0, "", 1)


def test_a_value_written_twice_in_one_request_is_refused(server):
    records = [{"path": "/1/0/1", "value": 70}, {"path": "/1/0/1", "value": 80}]
    assert server.code("write-composite", None, records=records) == "4.00"
    assert server.read("/1/0/1") == 3600


def test_values_outside_of_the_path_are_refused(server):
    assert server.code("write", "/3312/0", values={"/3312/0/5850": True, "/1/0/1": 5}) == "4.00"
    assert server.code("write", "/3312", value={"0": {"5850": True}}) == "4.05"
    assert server.read("/3312/0/5850") is False


def links(server, path, **fields):
    return {link.pop("path"): link for link in server.command("discover", path, **fields)["links"]}


def test_discover_shows_attributes_dimensions_and_no_more_levels_than_asked_for(server):
    assert server.code("write-attributes", "/3", attributes={"pmin": 10}) == "2.04"
    assert server.code("write-attributes", "/3328/0/5700", attributes={"gt": 50, "lt": 42.2}) == "2.04"
    assert links(server, "/3", depth=0) == {"/3": {"pmin": 10}}
    assert links(server, "/3", depth=1) == {"/3": {"pmin": 10}, "/3/0": {}}
    device = links(server, "/3")
    assert device["/3/0/6"] == {"dim": 1}
    assert "/3/0/6/0" not in device
    assert links(server, "/3/0/6") == {"/3/0/6": {"dim": 1, "pmin": 10}, "/3/0/6/0": {}}
    assert "/3/0/6/0" in links(server, "/3", depth=3)
    assert links(server, "/3328/0/5700") == {"/3328/0/5700": {"gt": 50, "lt": 42.2}}
    assert server.code("discover", "/3/0/6/0") == "4.00"
    assert server.code("discover", "/3306/4") == "4.04"


@pytest.mark.parametrize(
    ("path", "attributes", "code"),
    [
        ("/3328/0/5700", {"st": 1}, "2.04"),
        ("/3328", {"pmin": 1, "pmax": 5}, "2.04"),
        ("/3/0/7/0", {"gt": 3500}, "2.04"),
        ("/3312/0/5850", {"edge": 1}, "2.04"),
        ("/3328/0/5700", {"lt": 10, "gt": 5}, "4.00"),
        ("/3328/0", {"gt": 5}, "4.00"),
        ("/3/0/0", {"gt": 5}, "4.00"),
        ("/3328/0/5700", {"speed": 5}, "4.00"),
        ("/3328/0/5700", {"pmin": -1}, "4.00"),
        ("/3328/9", {"pmin": 1}, "4.04"),
        ("/0/0", {"pmin": 1}, "4.01"),
    ],
)
def test_which_attributes_can_be_written(server, path, attributes, code):
    assert server.code("write-attributes", path, attributes=attributes) == code


def test_a_command_delivered_twice_is_answered_twice_and_carried_out_once(server):
    for _ in range(2):
        answer = server.command("create", "/3306", token="c1", value={"5850": True})
        assert answer["location"] == "/3306/0"
    assert server.command("create", "/3306", token="c2", value={"5850": True})["location"] == "/3306/1"


@pytest.mark.parametrize("forgets", ["time", "another command", "register"])
def test_a_repeated_command_counts_again_later(server, forgets):
    server.command("create", "/3306", token="c1", value={"5850": True})
    if forgets == "time":
        server.parts.clock.now += 10.5
    elif forgets == "register":
        server.register()
    else:
        server.command("read", "/3/0/0", token="c1")
        server.command("execute", "/3/0/99", token="c1")
    assert server.command("create", "/3306", token="c1", value={"5850": True})["location"] == "/3306/1"


def born(parts):
    parts.node.edge.next_will()
    parts.node.births(parts.clock.now)


def sparkplug_values(parts):
    """Metrics of the DDATA of this instant."""
    message = parts.node.telemetry(parts.clock.now)
    return {metric.name: metric.value for metric in decode_payload(message.payload).metrics}


def test_the_output_shows_in_power_at_once_on_both_sides(server):
    born(server.parts)
    before = server.read("/3328/0/5700")
    server.command("write", "/3312/0/5850", value=True)
    assert server.read("/3328/0/5700") == pytest.approx(before + 400)
    values = sparkplug_values(server.parts)
    assert (values["Outputs/Load"], values["Sensors/Power"]) == (True, server.read("/3328/0/5700"))


def test_a_reset_energy_meter_counts_from_0_on_both_sides(server):
    born(server.parts)
    assert server.read("/3331/0/5700") > 1
    assert server.code("execute", "/3331/0/5822") == "2.04"
    assert server.read("/3331/0/5700") == sparkplug_values(server.parts)["Sensors/Energy"] == 0
    server.command("write", "/3312/0/5850", value=True)
    server.parts.clock.now += 3600
    assert server.read("/3331/0/5700") > 0.4


@pytest.mark.parametrize(
    "kind", ["temperature", "humidity", "pressure", "vibration", "energy", "air-quality"]
)
def test_lwm2m_and_sparkplug_show_the_same_values_at_every_instant(make_parts, kind):
    parts = make_parts(kind=kind, faults=20)
    server = Server(parts).register()
    born(parts)
    for step in range(40):
        parts.clock.now += 0.37 * (1 + step % 5)
        metrics = sparkplug_values(parts)
        for channel in parts.state.plan.kind.channels:
            answer = server.command("read", channel.path)
            assert answer.get("values", {}).get(channel.path) == metrics[channel.metric]
        assert server.read("/3/0/9") == metrics["Battery/Level"]
