"""Object 2 on a device with accounts of two servers: what the one it is registered with may do."""

import pytest

from iiot.lwm2m.path import Path
from lwm2m_peer import Server

READ, WRITE, EXECUTE, DELETE, CREATE = 1, 2, 4, 8, 16
OTHER = {"/1/1": {0: 2, 1: 300, 7: "M"}}


def control(object_id, instance, owner=65535, **rights):
    acl = {int(server.removeprefix("s")): mask for server, mask in rights.items()}
    return {0: object_id, 1: instance, 2: acl, 3: owner}


@pytest.fixture
def make(make_parts):
    def build(*controls, others=OTHER, **more):
        objects = {f"/2/{number}": entry for number, entry in enumerate(controls)}
        presets = {"/3306/5": {}, "/3311/5": {}, "/8/0": {}}
        return Server(make_parts(kind="energy", objects=objects | others | presets, **more)).register()

    return build


def outcomes(server, path):
    """The codes of one operation of each kind on an object instance with resource 5850."""
    value, attributes = {"5850": True}, {"pmin": 1}
    return {
        "read": server.code("read", f"{path}/5850"),
        "observe": server.code("observe", path),
        "write-attributes": server.code("write-attributes", path, attributes=attributes),
        "write": server.code("write", path, value=value),
        "write-partial": server.code("write-partial", path, value=value),
        "write-composite": server.code("write-composite", values={f"{path}/5850": False}),
        "discover": server.code("discover", path),
        "delete": server.code("delete", path),
    }


ALLOWED = {
    "read": "2.05", "observe": "2.05", "write-attributes": "2.04", "write": "2.04", "write-partial": "2.04",
    "write-composite": "2.04", "discover": "2.05", "delete": "2.02",
}  # fmt: skip
READS, WRITES = {"read", "observe", "write-attributes"}, {"write", "write-partial", "write-composite"}


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        (control(3306, 5, s1=READ), READS),
        (control(3306, 5, s1=WRITE), WRITES),
        (control(3306, 5, s1=DELETE), {"delete"}),
        (control(3306, 5, s1=READ | WRITE | DELETE), READS | WRITES | {"delete"}),
        (control(3306, 5, s1=0, s0=31), set()),
        (control(3306, 5, s0=READ), READS),
        (control(3306, 5, s2=31), set()),
        (control(3306, 5, owner=2, s0=READ), READS),
        (control(3306, 5, owner=1), READS | WRITES | {"delete"}),
        (control(3306, 5, owner=1, s2=READ, s0=0), READS | WRITES | {"delete"}),
        (control(3306, 5, owner=1, s1=READ), READS),
        (control(3306, 4, s1=31), set()),
        (control(3311, 5, s1=31), set()),
    ],
)
def test_rights_decide_over_each_operation_and_discover_needs_none(make, entry, allowed):
    found = outcomes(make(entry), "/3306/5")
    assert found == {
        name: code if name in allowed | {"discover"} else "4.01" for name, code in ALLOWED.items()
    }


def test_a_single_server_may_do_everything_whatever_object_2_says(make):
    server = make(control(3306, 5, s1=0), others={})
    assert outcomes(server, "/3306/5") == ALLOWED
    assert server.code("execute", "/3/0/12") == "4.04"
    assert server.command("create", "/3306", value={"5850": True})["location"] == "/3306/0"
    assert not [path for path in server.of("update")[-1]["objects"]["2"] if path not in ("0", "ver")]


def test_the_account_says_which_server_is_meant(make):
    server = make(control(3306, 5, s7=READ))
    assert server.code("read", "/3306/5/5850") == "4.01"
    server.parts.state.written[Path.of(1, 0, 0)] = 7
    assert server.code("read", "/3306/5/5850") == "2.05"


def test_execute_wants_its_own_right(make):
    assert make(control(8, 0, s1=31 - EXECUTE)).code("execute", "/8/0/3") == "4.01"
    assert make(control(8, 0, s1=EXECUTE)).code("execute", "/8/0/3") == "2.04"
    server = make(control(3, 0, s1=READ))
    assert server.code("execute", "/3/0/4") == "4.01"
    assert not server.parts.state.reboot_wanted


def test_what_is_not_there_is_not_found_and_not_refused(make):
    server = make(control(3306, 65535, s1=0))
    assert server.code("read", "/3306/9") == "4.04"
    assert server.code("read", "/9999/0") == "4.04"
    assert server.code("read", "/0/0") == "4.01"


def test_an_object_is_read_as_far_as_it_may_be(make):
    server = make(
        control(3306, 5, s1=READ), control(3306, 6), control(3311, 5), others=OTHER | {"/3306/6": {}}
    )
    assert server.command("read", "/3306")["values"] == {"/3306/5/5850": False}
    assert server.code("read", "/3311") == "4.01"
    assert server.code("observe", "/3311") == "4.01"
    assert server.command("observe", "/3306")["values"] == {"/3306/5/5850": False}
    paths = ["/3306/5/5850", "/3306/6/5850", "/3311/5/5850"]
    for operation in ("read-composite", "observe-composite"):
        assert server.command(operation, paths=paths)["values"] == {"/3306/5/5850": False}
        assert server.code(operation, paths=paths[1:]) == "4.01"
    values = {"/3306/5/5850": True, "/3306/6/5850": True}
    assert server.code("write-composite", values=values) == "4.01"


def test_an_observation_falls_silent_when_the_right_is_taken_away(make):
    server = make(control(3306, 5, owner=1, s1=READ))
    server.code("write-attributes", "/3306/5", attributes={"pmax": 5})
    server.command("observe", "/3306/5", token="o1")
    server.run(11)
    heard = len(server.notified("o1"))
    assert heard >= 2
    assert server.code("write", "/2/0/2", value={"1": 0, "2": 31}) == "2.04"
    server.run(20)
    assert len(server.notified("o1")) == heard
    assert server.code("write-partial", "/2/0/2", value={"1": READ}) == "2.04"
    server.run(11)
    assert len(server.notified("o1")) > heard


def test_a_send_holds_what_the_server_may_read(make):
    server = make(control(3328, 0, s1=READ), control(3, 0))
    server.take([server.parts.client.report(server.parts.clock.now)])
    assert list(server.of("send")[-1]["values"]) == ["/3328/0/5700"]
    assert make().parts.client.report(server.parts.clock.now) is None


@pytest.mark.parametrize("others", [OTHER, {}], ids=["several servers", "one server"])
def test_only_the_owner_writes_object_2_and_nobody_creates_or_deletes_there(make, others):
    server = make(
        control(3306, 5, owner=1), control(3311, 5, owner=2, s1=31), control(3, 0), control(2, 0, s1=31),
        others=others,
    )  # fmt: skip
    assert server.command("read", "/2/1/3")["values"] == {"/2/1/3": 2}
    assert server.code("write", "/2/0/3", value=2) == "2.04"
    for path in ("/2/0/3", "/2/1/3", "/2/2/3"):
        assert server.code("write", path, value=1) == "4.01"
    assert server.code("write-partial", "/2/1/2", value={"1": 31}) == "4.01"
    assert server.code("write-composite", values={"/2/1/3": 1}) == "4.01"
    assert server.code("create", "/2", value={"3": 1}) == "4.01"
    assert server.code("delete", "/2/1") == "4.01"
    assert server.code("delete", "/2/1/2/1") == "4.01"
    assert server.code("write", "/2/0/0", value=1) == "4.01"


def test_who_creates_an_instance_owns_it_and_its_entry_goes_with_it(make):
    server = make(control(3306, 65535, s1=CREATE), control(3311, 65535, s0=READ))
    assert server.code("create", "/3311", value={"5850": True}) == "4.01"
    assert server.code("create", "/3328", value={}) == "4.01"
    assert server.command("create", "/3306", value={"5850": True})["location"] == "/3306/0"
    assert server.command("read", "/2/2")["values"] == {"/2/2/0": 3306, "/2/2/1": 0, "/2/2/3": 1}
    assert server.of("update")[-1]["objects"]["2"].keys() == {"0", "1", "2"}
    assert server.code("write", "/2/2/2", value={"2": READ}) == "2.04"
    assert server.code("write-partial", "/3306/0", value={"5850": False}) == "2.04"
    assert server.code("delete", "/3306/0") == "2.02"
    assert server.code("read", "/2/2") == "4.04"
    assert server.code("read", "/2/0") == "2.05"


def test_a_bootstrap_server_writes_object_2(make_parts):
    parts = make_parts(kind="energy", objects=OTHER | {"/3306/5": {}}, client={"bootstrap": "request"})
    server = Server(parts)
    server.take(parts.client.connected(parts.clock.now))
    server.send("ack/bootstrap", {"code": "2.04"})
    entry = {"/2/0/0": 3306, "/2/0/1": 5, "/2/0/2/1": WRITE, "/2/0/3": 65535}
    assert server.code("bootstrap-write", "/", values=entry | {"/1/0/0": 1}) == "2.04"
    assert server.code("bootstrap-write", "/2/1/2/1", value=32) == "4.00"
    assert server.command("bootstrap-read", "/2/0")["values"] == entry
    assert server.code("bootstrap-finish") == "2.04"
    server.send("ack/reg", {"code": "2.01"})
    assert server.code("read", "/3306/5/5850") == "4.01"
    assert server.code("write", "/3306/5/5850", value=True) == "2.04"
    assert server.code("write", "/2/0/2", value={"1": 31}) == "4.01"
