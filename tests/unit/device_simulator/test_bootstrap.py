import pytest

from iiot.errors import DecodeError
from lwm2m_peer import EP, Server


@pytest.fixture
def server(make_parts):
    return Server(make_parts(client={"bootstrap": "request"}))


def begin(server):
    server.take(server.parts.client.connected(server.parts.clock.now))
    server.send("ack/bootstrap", {"code": "2.04"})
    return server


def test_a_device_registers_only_after_its_bootstrap_and_with_the_account_it_got(server):
    begin(server)
    assert [kind for kind, *_ in server.inbox] == ["bootstrap"]
    assert server.parts.client.report(server.parts.clock.now) is None
    assert server.command("read", "/3/0/0") is None
    account = {
        "/0/1/0": "mqtts://broker:8883",
        "/0/1/1": False,
        "/0/1/10": 101,
        "/1/0/0": 101,
        "/1/0/1": 777,
        "/1/0/7": "U",
        "/24/0/6": "device-x-001",
    }
    assert server.code("bootstrap-write", "/", values=account) == "2.04"
    assert server.code("bootstrap-finish") == "2.04"
    (register,) = server.of("reg")
    assert (register["lifetime"], register["bindingMode"]) == (777, "U")
    assert not {"0", "24"} & register["objects"].keys()
    server.send("ack/reg", {"code": "2.01"})
    assert server.parts.client.registered
    assert server.read("/1/0/0") == 101
    assert server.code("read", "/0/1") == "4.01"
    assert server.code("bootstrap-write", "/1/0/1", value=5) == "4.05"


def test_bootstrap_discover_and_read_show_the_account(server):
    begin(server)
    values = {"/0/0/0": "mqtt://bs", "/0/0/1": True, "/0/1/0": "mqtt://b", "/0/1/1": False, "/0/1/10": 7}
    server.command("bootstrap-write", "/0", values=values)
    links = {link.pop("path"): link for link in server.command("bootstrap-discover", "/")["links"]}
    assert links["/"] == {"lwm2m": "1.2"}
    assert links["/0/0"] == {}
    assert links["/0/1"] == {"ssid": 7, "uri": "mqtt://b"}
    assert links["/1/0"] == {"ssid": 1}
    assert server.command("bootstrap-read", "/1/0")["values"]["/1/0/1"] == 3600
    assert server.code("bootstrap-read", "/3/0") == "4.05"
    assert server.code("bootstrap-discover", "/77") == "4.04"


def test_delete_spares_the_bootstrap_servers_own_account_and_finish_wants_one(server):
    begin(server)
    values = {"/0/0/1": True, "/0/1/1": False, "/0/1/10": 7, "/1/0/1": 99}
    server.command("bootstrap-write", "/", values=values)
    assert server.code("bootstrap-delete", "/") == "2.02"
    paths = [link["path"] for link in server.command("bootstrap-discover", "/")["links"]]
    assert "/0/0" in paths
    assert not {"/0/1", "/1/0"} & set(paths)
    assert server.code("bootstrap-finish") == "4.06"
    assert server.code("bootstrap-write", "/1/0", value={"1": 50}) == "2.04"
    assert server.code("bootstrap-finish") == "2.04"
    assert server.of("reg")[0]["lifetime"] == 50


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/1/1/1", "value": 60},
        {"path": "/1/0/1", "value": "long"},
        {"path": "/0/0/2", "value": 9},
        {"path": "/1/0"},
    ],
)
def test_a_wrong_bootstrap_write_is_refused(server, fields):
    begin(server)
    assert server.code("bootstrap-write", **fields) == "4.00"


def test_an_unanswered_bootstrap_request_is_repeated(server):
    server.take(server.parts.client.connected(1000.0))
    again = [
        t for t in range(1001, 1100) if (p := server.parts.client.report(float(t))) and p.kind == "bootstrap"
    ]
    assert len(again) >= 2
    assert 8 <= again[0] - 1000 <= 12


def test_a_pack_holds_the_whole_account(make_parts):
    server = Server(make_parts(client={"bootstrap": "pack"}))
    server.take(server.parts.client.connected(1000.0))
    assert server.inbox[0][1:] == (f"{EP}bootstrap", {"pack": True})
    server.send("ack/bootstrap", {"code": "2.05", "values": {"/1/0/1": 321, "/0/1/10": 5}})
    assert server.of("reg")[0]["lifetime"] == 321


@pytest.mark.parametrize(
    "answer", [{"code": "5.01"}, {"code": "2.05"}, {"code": "2.05", "values": {"/1/0/7": "Q"}}]
)
def test_a_pack_that_fails_is_asked_for_step_by_step(make_parts, answer):
    server = Server(make_parts(client={"bootstrap": "pack"}))
    server.take(server.parts.client.connected(1000.0))
    server.send("ack/bootstrap", answer)
    assert server.of("bootstrap") == [{"pack": True}, {}]
    assert server.code("bootstrap-write", "/1/0/1", value=50) == "2.04"
    assert server.code("bootstrap-finish") == "2.04"
    assert server.of("reg")[0]["lifetime"] == 50
    server.send("ack/reg", {"code": "2.01"})
    server.command("execute", "/1/0/9")
    assert server.of("bootstrap")[-1] == {"pack": True}
    server.run(6)
    assert server.of("bootstrap")[-1] == {}
    server.run(6)
    assert server.of("reg")[-1]["lifetime"] == 50


@pytest.mark.parametrize("answer", [None, b"{", b'{"code":"2.05","values":{"/1/0/1":[]}}'])
def test_a_pack_without_an_answer_that_is_understood_is_asked_for_step_by_step(make_parts, answer):
    server = Server(make_parts(client={"bootstrap": "pack"}))
    server.take(server.parts.client.connected(1000.0))
    if answer is not None:
        with pytest.raises(DecodeError):
            server.parts.client.receive(f"{EP}ack/bootstrap", answer, 1000.0)
    server.take([server.parts.client.report(1013.0)])
    assert server.of("bootstrap") == [{"pack": True}, {}]


def test_the_trigger_bootstraps_a_registered_device_again(make_parts):
    server = Server(make_parts()).register()
    assert server.code("execute", "/1/0/9") == "2.04"
    assert [kind for kind, *_ in server.inbox[-2:]] == ["resp", "bootstrap"]
    assert server.code("bootstrap-finish") == "2.04"
    assert server.inbox[-1][0] == "reg"


@pytest.fixture
def working(make_parts):
    """A registered device that was told to bootstrap again, and a server that has no account for it."""
    server = Server(make_parts(update_every=10**6)).register()
    server.command("write", "/1/0/1", value=900)
    server.command("create", "/3306", value={"5850": True})
    assert server.code("execute", "/1/0/9") == "2.04"
    assert server.inbox[-1][0] == "bootstrap"
    return server


def refuses(server):
    server.send("ack/bootstrap", {"code": "4.00", "error": "no bootstrap configuration is stored"})
    return 0


def is_silent(_):
    return 6


def agrees_and_is_silent(server):
    server.send("ack/bootstrap", {"code": "2.04"})
    return 11


def writes_half_an_account(server):
    server.send("ack/bootstrap", {"code": "2.04"})
    assert server.code("bootstrap-delete", "/") == "2.02"
    assert server.code("bootstrap-write", "/1/0", value={"1": 5, "17": 1, "18": 80_000}) == "2.04"
    return 11


def finishes_without_an_account(server):
    server.send("ack/bootstrap", {"code": "2.04"})
    server.command("bootstrap-delete", "/")
    assert server.code("bootstrap-finish") == "4.06"
    return 11


def writes_without_end(server):
    server.send("ack/bootstrap", {"code": "2.04"})
    for _ in range(11):
        server.command("bootstrap-write", "/1/0/1", value=5)
        server.run(5)
    return 6


def packs_nothing(server):
    server.send("ack/bootstrap", {"code": "2.05", "values": {}})
    return 0


def packs_nonsense(server):
    server.send("ack/bootstrap", {"code": "2.05", "values": {"/1/0/1": 60, "/1/0/7": "Q"}})
    return 0


def gives_an_account_and_refuses_its_register(server):
    assert server.code("bootstrap-write", "/1/0", value={"1": 5, "7": "U"}) == "2.04"
    assert server.code("bootstrap-finish") == "2.04"
    server.send("ack/reg", {"code": "4.00"})
    return 0


def gives_an_account_and_does_not_answer_its_register(server):
    assert server.code("bootstrap-write", "/1/0", value={"1": 5, "17": 1, "18": 80_000}) == "2.04"
    assert server.code("bootstrap-finish") == "2.04"
    return 11


@pytest.mark.parametrize(
    "fails",
    [
        refuses,
        is_silent,
        agrees_and_is_silent,
        writes_half_an_account,
        finishes_without_an_account,
        writes_without_end,
        packs_nothing,
        packs_nonsense,
        gives_an_account_and_refuses_its_register,
        gives_an_account_and_does_not_answer_its_register,
    ],
)
def test_a_bootstrap_that_fails_leaves_a_device_with_the_account_that_worked(working, fails):
    working.run(fails(working))
    register = working.of("reg")[-1]
    assert (working.inbox[-1][0], register["lifetime"], register["bindingMode"]) == ("reg", 900, "UQ")
    assert "0" in register["objects"]["3306"]
    working.send("ack/reg", {"code": "2.01"})
    client, clock = working.parts.client, working.parts.clock
    assert (client.registered, client.bootstraps_failed) == (True, 1)
    assert client.report(clock.now + 0.1).kind == "send"
    assert working.read("/1/0/18") == 10
    assert working.code("bootstrap-write", "/1/0/1", value=5) == "4.05"
    before = len(working.inbox)
    working.run(100)
    assert working.of("bootstrap", since=before) == working.of("reg", since=before) == []


def test_a_failed_bootstrap_is_noticed_by_reports_alone(working):
    client, clock = working.parts.client, working.parts.clock
    assert client.report(clock.now + 4.9) is None
    assert client.report(clock.now + 5.1).kind == "reg"


def test_a_bootstrap_cut_off_by_the_connection_ends_with_the_account_that_worked(working):
    working.command("bootstrap-delete", "/")
    working.run(30, online=False)
    working.take(working.parts.client.connected(working.parts.clock.now))
    assert working.inbox[-1][0] == "bootstrap"
    working.run(6)
    assert working.of("reg")[-1]["lifetime"] == 900


def test_a_bootstrap_that_succeeds_replaces_the_account_for_good(working):
    assert working.code("bootstrap-write", "/1/0/1", value=50) == "2.04"
    assert working.code("bootstrap-finish") == "2.04"
    working.send("ack/reg", {"code": "2.01"})
    working.run(100)
    assert working.read("/1/0/1") == 50
    assert working.parts.client.bootstraps_failed == 0
    assert len(working.of("reg")) == 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/0/1/0", "broker"),
        ("/0/1/0", "coap://broker"),
        ("/0/1/0", "mqtts://"),
        ("/0/1/0", "mqtt://broker:99999"),
        ("/1/0/1", -1),
        ("/1/0/7", "Q"),
        ("/1/0/5", 10**9),
        ("/1/0/17", 0),
        ("/1/0/19", 10**9),
    ],
)
def test_an_account_that_could_not_be_used_is_refused_by_its_resource(server, path, value):
    begin(server)
    answer = server.command("bootstrap-write", path, value=value)
    assert answer["code"] == "4.00"
    assert answer["error"]["value"] == value
