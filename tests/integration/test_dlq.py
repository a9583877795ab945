"""`./testbed dlq` with the bridge, Kafka and Mosquitto that run: list, show, replay."""

import asyncio
import json
import re
import urllib.error
import urllib.request

import pytest
from typer.testing import CliRunner

from bridge_rig import Device, Reader, running_bridge
from iiot import dead_letters
from iiot.kafka import KafkaSink
from iiot.topics import LWM2M_UPDATES, dlq
from support import free_port
from testbed.app import app

LETTERS = dlq(LWM2M_UPDATES)


@pytest.fixture
def dlq_command(bridge, kafka, monkeypatch):
    """Runs `./testbed dlq`; gives exit status, standard output and standard error."""
    monkeypatch.setenv("KAFKA_BROKERS", kafka)
    monkeypatch.setenv("BRIDGE_URL", f"http://127.0.0.1:{bridge.http_port}")
    return run_dlq


def run_dlq(*arguments):
    result = CliRunner().invoke(app, ["dlq", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def poisoned(mosquitto, bridge, kafka, unique):
    """A device whose message became a dead letter, and where that is."""
    device = Device(mosquitto, unique("device"))
    reader = Reader(kafka, [LETTERS])
    device.publish("lwm2m/{name}/send", b"not json")
    (record,) = reader.wait_for(1)
    yield device, f"{LETTERS}:{record.partition}:{record.offset}"
    reader.close()
    device.close()


def write_letters(kafka, device, *payloads):
    """Dead letters of ordinary messages, as if Kafka had refused their records."""
    topic, reason = f"lwm2m/{device}/send", "MSG_SIZE_TOO_LARGE: by hand"

    async def write():
        async with KafkaSink(kafka, "test") as sink:
            for payload in payloads:
                letter = dead_letters.write(topic, payload, reason)
                headers = [("ce_source", f"/{topic}"), ("error", reason)]
                sink.produce(LETTERS, device.encode(), letter, headers, lambda error: None)

    asyncio.run(write())


def place_of(dlq_command, device):
    status, output, _ = dlq_command("list", "--each", "--device", device, "--json")
    assert status == 0
    (letter,) = json.loads(output)
    return letter["letter"]


def test_letters_are_counted_and_shown(dlq_command, poisoned):
    device, place = poisoned
    status, output, _ = dlq_command("list", "--device", device.name, "--since", "5m")
    assert status == 0
    assert f"1  {LETTERS}" in output
    assert "undecodable: not JSON" in output
    assert max(map(len, output.splitlines())) <= 80
    status, output, _ = dlq_command("list", "--each", "--topic", LWM2M_UPDATES, "--device", device.name)
    assert place in output
    status, output, _ = dlq_command("list", "--device", device.name, "--json")
    (group,) = json.loads(output)
    assert (group["topic"], group["letters"], group["newest"]["letter"]) == (LETTERS, 1, place)
    status, output, _ = dlq_command("show", place)
    assert status == 0
    assert "the message: not json" in output
    assert "error: undecodable: not JSON" in output


def test_a_letter_is_replayed_once_to_its_topic(dlq_command, kafka, unique):
    device, payload = unique("replayed"), b'{"values":{"/3303/0/5700":1.5},"seq":3}'
    write_letters(kafka, device, payload)
    place, reader = place_of(dlq_command, device), Reader(kafka, [LWM2M_UPDATES])
    status, output, _ = dlq_command("replay", "--dry-run", place)
    assert (status, "would write" in output) == (0, True)
    status, output, error = dlq_command("replay", place)
    assert (status, error) == (0, "")
    (record,) = reader.wait_for(1)
    reader.close()
    assert record.key.decode() == device
    assert json.loads(record.value)["payload"] == json.loads(payload)
    assert dict(record.headers)["replayed_from"].decode() == place
    status, _, error = dlq_command("replay", place)
    assert status == 1
    assert f"{place}: replayed at" in error
    assert dlq_command("replay", "--all", "--device", device)[:2] == (0, "")
    assert "replayed" in dlq_command("list", "--each", "--device", device)[1]


def test_all_of_a_device_are_replayed_in_their_order(dlq_command, kafka, unique):
    device = unique("several")
    write_letters(kafka, device, *(b'{"seq":%d}' % seq for seq in range(5)))
    reader = Reader(kafka, [LWM2M_UPDATES])
    assert dlq_command("replay", "--all", "--device", device, "--topic", LETTERS)[0] == 0
    records = reader.wait_for(5)
    reader.close()
    assert [json.loads(record.value)["payload"]["seq"] for record in records] == list(range(5))


def test_a_bridge_that_wants_a_token_refuses_all_letters_at_once(
    mosquitto, kafka, tmp_path, unique, monkeypatch
):
    token, device = tmp_path / "token", unique("guarded")
    token.write_text("t" * 40)
    token.chmod(0o600)
    write_letters(kafka, device, *(b'{"seq":%d}' % seq for seq in range(3)))
    with running_bridge(mosquitto, kafka, tmp_path, API_TOKEN_FILE=str(token)) as bridge:
        monkeypatch.setenv("KAFKA_BROKERS", kafka)
        monkeypatch.setenv("BRIDGE_URL", f"http://127.0.0.1:{bridge.http_port}")
        replay = ("replay", "--all", "--device", device)
        status, output, error = run_dlq(*replay)
        assert (status, output, error.count("API_TOKEN_FILE")) == (2, "", 1)
        monkeypatch.setenv("API_TOKEN_FILE", str(token))
        status, output, error = run_dlq(*replay)
        assert (status, output.count("replayed to"), error) == (0, 3, "")


def test_what_would_become_a_letter_again_is_told(dlq_command, poisoned):
    status, output, error = dlq_command("replay", poisoned[1])
    assert (status, output) == (1, "")
    assert "undecodable: not JSON" in error


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["show", "x"], "letter: got 'x', allowed: topic:partition:offset"),
        (["show", f"{LWM2M_UPDATES}:0:1"], "allowed: topic:partition:offset of a dead letter"),
        (["replay", "a.dlq:0:-1"], "letter: got 'a.dlq:0:-1'"),
        (["list", "--since", "soon"], "since: got 'soon', allowed: an age"),
        (["list", "--topic", "nothing"], "--topic nothing: allowed: "),
        (["list", "--limit", "0"], "'--limit': Input should be greater than or equal to 1"),
        (["replay"], "name letters, or take --all"),
        (["replay", "--all", "a.dlq:0:1"], "name letters, or take --all"),
    ],
)
def test_wrong_usage_names_what_is_allowed(kafka, monkeypatch, arguments, reason):
    monkeypatch.setenv("KAFKA_BROKERS", kafka)
    monkeypatch.setenv("BRIDGE_URL", f"http://127.0.0.1:{free_port()}")
    status, _, error = run_dlq(*arguments)
    assert status == 2
    assert reason in " ".join(re.sub("[^ -~]", " ", error).split())


def test_what_is_gone_and_who_is_away(dlq_command, poisoned, monkeypatch):
    assert dlq_command("show", f"{LETTERS}:0:999999")[0] == 1
    assert dlq_command("show", "absent.dlq:0:0")[0] == 1
    status, _, error = dlq_command("replay", f"{LETTERS}:0:999999")
    assert (status, "no such record" in error) == (1, True)
    monkeypatch.setenv("BRIDGE_URL", f"http://127.0.0.1:{free_port()}")
    status, _, error = dlq_command("replay", poisoned[1])
    assert status == 3
    assert "./testbed up" in error


def test_pages_of_other_sites_and_bad_bodies_are_refused(bridge, poisoned):
    def post(body, **headers):
        request = urllib.request.Request(
            f"http://127.0.0.1:{bridge.http_port}/api/dead-letters/replay", body.encode(),
            {"Content-Type": "application/json", **headers},
        )  # fmt: skip
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310 - a http URL of this test
        return caught.value.code, json.load(caught.value)

    assert post(json.dumps({"letter": poisoned[1]}), Origin="http://evil.example")[0] == 403
    code, body = post('{"letter":"x"}')
    assert (code, body["field"], body["value"]) == (400, "letter", "x")
    assert post('{"letter":"x","payload":"y"}')[0] == 400
    assert post("[]")[0] == 400
