import json

import pytest

from iiot.errors import DecodeError

EP = "lwm2m/device-x-001/"


def body(publication, kind=None):
    topic, payload, _ = publication
    if kind:
        assert topic == EP + kind
    return json.loads(payload)


def command(parts, **fields):
    """The answer to one command, and what else it made the device publish."""
    answer, *more = parts.client.receive(f"{EP}cmd/t1", json.dumps(fields).encode(), parts.clock.now)
    return body(answer, "resp/t1"), more


def test_register_has_the_form_of_the_readme(make_parts):
    parts = make_parts()
    register = body(parts.client.register(1000.0), "reg")
    assert register["endpoint"] == "device-x-001"
    assert (register["lifetime"], register["version"], register["bindingMode"]) == (3600, "1.2", "UQ")
    assert register["objects"]["3"]["0"]["0"] == "IoT Testing Corp"
    assert register["objects"]["3"]["0"]["1"] == "SimDevice-temperature_sensor"
    assert register["objects"]["3303"] == {"ver": "1.1", "0": {}}
    assert register["seq"] == 5000
    assert register["timestamp"] == 1_790_001_000_000


def test_each_nth_report_is_an_update_and_all_are_numbered(make_parts):
    parts = make_parts(update_every=5)
    parts.client.register(1000.0)
    reports = [parts.client.report(1000.0 + i * 0.2) for i in range(10)]
    assert [topic.rpartition("/")[2] for topic, *_ in reports] == (["send"] * 4 + ["update"]) * 2
    assert [body(report)["seq"] for report in reports] == list(range(5001, 5011))
    assert body(reports[0])["values"].keys() == {"/3303/0/5700", "/3/0/9"}


def test_a_device_that_reports_rarely_still_updates_within_its_lifetime(make_parts):
    client = make_parts(update_every=1000).client
    client.register(1000.0)
    client.receive(f"{EP}ack/reg", b'{"code":"2.01"}', 1000.1)
    kinds = [client.report(1000.0 + i * 600)[0].rpartition("/")[2] for i in range(1, 7)]
    assert kinds == ["send", "send", "update"] * 2


def test_a_lifetime_shorter_than_the_time_between_reports_is_kept_alive(make_parts):
    parts = make_parts(update_every=10**6)
    parts.client.register(1000.0)
    parts.client.receive(f"{EP}ack/reg", b'{"code":"2.01"}', 1000.1)
    assert command(parts, operation="write", path="/1/0/1", value=10)[0]["code"] == "2.04"
    assert parts.client.needs_ticks
    sent = [m.kind for second in range(1, 21) for m in parts.client.tick(1000.0 + second, online=True)]
    assert sent == ["update"] * 4


def test_pauses_that_double_end_at_a_day(make_parts):
    parts = make_parts(update_every=10**6)
    command(parts, operation="write", path="/1/0/17", value=40)
    parts.client.connected(0.0)
    for _ in range(39):
        at = parts.client._retry.at
        assert parts.client.report(at).kind == "reg"
        assert parts.client._retry.at - at <= 1.2 * 86_400


def test_an_endless_registration_needs_no_updates(make_parts):
    parts = make_parts(update_every=10**6)
    parts.client.register(1000.0)
    parts.client.receive(f"{EP}ack/reg", b'{"code":"2.01"}', 1000.1)
    assert command(parts, operation="write", path="/1/0/1", value=0)[0]["code"] == "2.04"
    assert parts.client.report(1e9).kind == "send"


def test_a_forgotten_registration_is_made_again_once(make_parts):
    parts = make_parts()
    parts.client.register(1000.0)
    parts.client.receive(f"{EP}ack/reg", b'{"code":"2.01"}', 1000.1)
    assert parts.client.registered
    for _ in range(3):
        assert parts.client.receive(f"{EP}ack/send", b'{"code":"4.04"}', 1001.0) == []
    kinds = [parts.client.report(1001.2 + i)[0].rpartition("/")[2] for i in range(3)]
    assert kinds == ["reg", "send", "send"]


def attempts(client, seconds):
    """Seconds between the Registers that nobody answers, the first of them at 0."""
    client.connected(0.0)
    reports = ((second, client.report(float(second))) for second in range(1, seconds))
    times = [second for second, report in reports if report is not None and report.kind == "reg"]
    return [b - a for a, b in zip([0, *times], times, strict=False)]


def test_an_unanswered_register_is_repeated_ever_more_rarely(make_parts):
    gaps = attempts(make_parts(update_every=10**6).client, 1500)
    for gap, pause in zip(gaps, [10, 20, 40, 80, 300] * 2, strict=False):
        assert pause <= gap <= pause * 1.2 + 1, gaps
    assert len(gaps) >= 9


def test_resources_17_to_20_of_object_1_say_how_often_a_device_tries(make_parts):
    parts = make_parts(update_every=10**6)
    for resource, value in ((17, 3), (18, 4), (19, 100), (20, 2)):
        path = f"/1/0/{resource}"
        assert command(parts, operation="write", path=path, value=value)[0]["code"] == "2.04"
        assert command(parts, operation="read", path=path)[0]["values"] == {path: value}
    gaps = attempts(parts.client, 10_000)
    for gap, pause in zip(gaps, [4, 8, 100, 4, 8], strict=True):
        assert pause <= gap <= pause * 1.2 + 1, gaps
    assert parts.client.report(200_000.0) is None  # all sequences were in vain
    (again,) = parts.client.connected(200_001.0)
    assert again.kind == "reg"


def test_after_all_attempts_a_device_with_a_bootstrap_server_asks_that(make_parts):
    parts = make_parts(client={"bootstrap": "request"})
    (request,) = parts.client.connected(0.0)
    assert request.kind == "bootstrap"
    for fields in (
        {
            "operation": "bootstrap-write",
            "path": "/1/0",
            "value": {"0": 101, "1": 60, "17": 1, "18": 2, "20": 1},
        },
        {"operation": "bootstrap-finish"},
    ):
        answer, more = command(parts, **fields)
        assert answer["code"] == "2.04"
    assert [message.kind for message in more] == ["reg"]
    assert parts.client.report(parts.clock.now + 5).kind == "bootstrap"


@pytest.mark.parametrize(("resource", "value"), [(17, 0), (20, 0), (18, -1), (19, "soon")])
def test_a_device_tries_at_least_once(make_parts, resource, value):
    path = f"/1/0/{resource}"
    assert command(make_parts(), operation="write", path=path, value=value)[0]["code"] == "4.00"


def test_a_refused_register_keeps_its_retry(make_parts):
    client = make_parts().client
    client.register(0.0)
    client.receive(f"{EP}ack/reg", b'{"code":"4.00","error":{"field":"x","value":1,"allowed":"y"}}', 0.1)
    assert (client.registered, client.refused) == (False, 1)
    assert client.report(0.2)[0].endswith("/send")
    assert client.report(12.5)[0].endswith("/reg")
    assert (client.registered, client.refused) == (False, 1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"operation": "read", "path": "/3/0/0"}, "2.05"),
        ({"operation": "read", "path": "/3303"}, "2.05"),
        ({"operation": "read", "path": "/3/0/99"}, "4.04"),
        ({"operation": "read", "path": "/3/1"}, "4.04"),
        ({"operation": "read", "path": "/9999/0"}, "4.04"),
        ({"operation": "read", "path": "/3/0/4"}, "4.05"),
        ({"operation": "read", "path": "/0/0"}, "4.01"),
        ({"operation": "read", "path": "/3/0/6/7"}, "4.04"),
        ({"operation": "read", "path": "/"}, "4.00"),
        ({"operation": "read", "path": "/3/x"}, "4.00"),
        ({"operation": "read"}, "4.00"),
        ({"operation": "fly", "path": "/3/0/0"}, "4.00"),
        ({"operation": "write", "path": "/3/0/0", "value": "x"}, "4.05"),
        ({"operation": "write", "path": "/1/0/1", "value": "soon"}, "4.00"),
        ({"operation": "write", "path": "/1/0/1", "value": -5}, "4.00"),
        ({"operation": "write", "path": "/1/0/1"}, "4.00"),
        ({"operation": "write", "path": "/1/0/5", "value": 10**9}, "4.00"),
        ({"operation": "write", "path": "/1/0/18", "value": 10**9}, "4.00"),
        ({"operation": "write", "path": "/1/0/19", "value": 10**9}, "4.00"),
        ({"operation": "write", "path": "/1/0/7", "value": "Q"}, "4.00"),
        ({"operation": "write", "path": "/1/0/7", "value": "T"}, "4.00"),
        ({"operation": "write", "path": "/1/0/7", "value": "UU"}, "4.00"),
        ({"operation": "write", "path": "/1/0/7", "value": ""}, "4.00"),
        ({"operation": "write", "path": "/1/0/7", "value": "MQ"}, "2.04"),
        ({"operation": "write", "path": "/1/0/77", "value": 1}, "4.04"),
        ({"operation": "write", "path": "/3303/0/5750", "value": "cellar"}, "2.04"),
        ({"operation": "execute", "path": "/3/0/0"}, "4.05"),
        ({"operation": "execute", "path": "/3/0"}, "4.05"),
        ({"operation": "execute", "path": "/3303/0/5605"}, "2.04"),
        ({"operation": "execute", "path": "/3303/0/5605", "arguments": "now!"}, "4.00"),
        ({"operation": "execute", "path": "/3303/0/5605", "arguments": "0='a',1"}, "2.04"),
        ({"operation": "create", "path": "/3303"}, "2.01"),
    ],
)
def test_commands_are_answered_with_the_right_code(make_parts, fields, code):
    assert command(make_parts(), **fields)[0]["code"] == code


def test_an_undecodable_command_is_answered_and_a_strange_topic_refused(make_parts):
    client = make_parts().client
    (answer,) = client.receive(f"{EP}cmd/t9", b"{nonsense", 0.0)
    assert body(answer, "resp/t9")["code"] == "4.00"
    for topic in ("lwm2m/another/cmd/t1", f"{EP}reg", "lwm2m/rd/cmd/1", "x"):
        with pytest.raises(DecodeError):
            client.receive(topic, b"{}", 0.0)


def test_reads_give_values_of_resources_instances_and_resource_instances(make_parts):
    parts = make_parts()
    assert command(parts, operation="read", path="/3/0/6")[0]["values"] == {"/3/0/6/0": 1}
    assert command(parts, operation="read", path="/3/0/6/0")[0]["values"] == {"/3/0/6/0": 1}
    instance = command(parts, operation="read", path="/3303/0")[0]["values"]
    assert instance["/3303/0/5701"] == "Cel"
    assert instance["/3303/0/5601"] <= instance["/3303/0/5700"] <= instance["/3303/0/5602"]
    assert "/3303/0/5605" not in instance
    links = command(parts, operation="discover", path="/3303")[0]["links"]
    assert [link["path"] for link in links][:3] == ["/3303", "/3303/0", "/3303/0/5601"]


def test_a_written_lifetime_takes_effect_and_the_server_hears_of_it(make_parts):
    parts = make_parts()
    parts.client.register(parts.clock.now)
    answer, (update,) = command(parts, operation="write", path="/1/0/1", value=120)
    assert answer["code"] == "2.04"
    assert body(update, "update")["lifetime"] == 120
    assert command(parts, operation="read", path="/1/0/1")[0]["values"] == {"/1/0/1": 120}
    assert "lifetime" not in body(parts.client.update(parts.clock.now))
    parts.state.factory_reset()
    assert body(parts.client.update(parts.clock.now))["lifetime"] == 3600


def test_the_update_trigger_makes_an_update(make_parts):
    answer, (update,) = command(make_parts(), operation="execute", path="/1/0/8")
    assert answer["code"] == "2.04"
    assert update[0] == EP + "update"


def test_a_write_of_an_instance_is_all_or_nothing(make_parts):
    parts = make_parts()
    values = {"1": 500, "2": 3, "0": 7}
    assert command(parts, operation="write", path="/1/0", value=values)[0]["code"] == "4.05"
    assert parts.state.lifetime == 3600
    del values["0"]
    assert command(parts, operation="write", path="/1/0", value=values)[0]["code"] == "2.04"
    assert parts.state.lifetime == 500


def test_a_muted_device_updates_in_place_of_its_sends(make_parts):
    parts = make_parts()
    parts.client.register(1000.0)
    command(parts, operation="write", path="/1/0/23", value=True)
    assert {parts.client.report(1000.2 + i)[0] for i in range(4)} == {EP + "update"}


def test_a_sensor_that_does_not_answer_is_left_out_and_read_as_unavailable(make_parts):
    parts = make_parts(faults=100)
    parts.client.register(parts.clock.now)
    parts.client.receive(f"{EP}ack/reg", b'{"code":"2.01"}', parts.clock.now)
    while parts.state.values[0] is not None:
        parts.clock.now += 2
        parts.state.sample(parts.clock.now)
    answer, _ = command(parts, operation="read", path="/3303/0/5700")
    assert answer["code"] == "5.03"
    assert command(parts, operation="read", path="/3/0/11")[0]["values"] == {"/3/0/11/0": 8}
    assert body(parts.client.report(parts.clock.now))["values"].keys() == {"/3/0/9"}


def test_the_switch_works_from_lwm2m(make_parts):
    parts = make_parts(kind="energy")
    before = command(parts, operation="read", path="/3328/0/5700")[0]["values"]["/3328/0/5700"]
    command(parts, operation="write", path="/3312/0/5850", value=True)
    after = command(parts, operation="read", path="/3328/0/5700")[0]["values"]["/3328/0/5700"]
    assert after == pytest.approx(before + 400)


def test_a_profile_id_stands_for_the_object_list_that_was_sent_before(make_parts):
    parts = make_parts(client={"profile_id": True})

    def registers(now, answer=b'{"code":"2.01"}'):
        registered = body(parts.client.register(now), "reg")
        return registered, [body(m, "reg") for m in parts.client.receive(f"{EP}ack/reg", answer, now)]

    first, _ = registers(1000.0)
    assert first["pid"].startswith("5:")
    assert first["objects"]["3303"] == {"ver": "1.1", "0": {}}
    second, _ = registers(1010.0)
    assert (second["pid"], second["objects"]) == (first["pid"], {})
    _, again = registers(1020.0, b'{"code":"4.09"}')
    assert [(m["pid"], "3303" in m["objects"]) for m in again] == [(first["pid"], True)]
    assert registers(1030.0)[0]["objects"] == {}
    command(parts, operation="create", path="/3306", value={"5850": True})
    changed, more = registers(1040.0, b'{"code":"4.09"}')
    assert changed["pid"] != first["pid"]
    assert "3306" in changed["objects"]
    assert more == [], "a list that is refused in full is repeated in its time"
