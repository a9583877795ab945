"""The docker engine against a stand-in for the docker program that answers as Compose does."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from testbed.app import app
from testbed.engines import choose, docker
from testbed.engines.base import EngineError, UpOptions

CONTAINERS = [
    {"Name": "lwm2m-mosquitto", "Service": "mosquitto", "State": "running", "Health": "healthy"},
    {"Name": "iot-testbed-certs-1", "Service": "certs", "State": "exited", "ExitCode": 0},
]


FILES = {"ca": "ca.crt", "cert": "tls.crt", "key": "tls.key"}


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    monkeypatch.delenv("CERTS_DIR", raising=False)
    return tmp_path / "state"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Install a `docker` whose `compose ps` lists CONTAINERS and whose `tools` makes certificates."""
    (tmp_path / "ps.json").write_text("\n".join(json.dumps(container) for container in CONTAINERS))
    (tmp_path / "issued.json").write_text(
        json.dumps({name: f"/certs/devices/mine/{file}" for name, file in FILES.items()})
    )
    script = tmp_path / "bin" / "docker"
    script.parent.mkdir()
    script.write_text(
        f"""#!/bin/sh
case "$*" in
  "compose version") ;;
  "compose ps "*) cat {tmp_path}/ps.json ;;
  "compose run "*"--entrypoint cat tools /certs/devices/mine/"*) echo "content of $*" ;;
  "compose run "*"tools certs issue --json mine") cat {tmp_path}/issued.json ;;
  "compose logs "*) echo "$*" >{tmp_path}/logs; cat {tmp_path}/lines ;;
  "compose up "*) echo "$*" >{tmp_path}/up ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return tmp_path


def test_containers_that_compose_started_are_found(program, state):
    engine = choose.in_use()
    assert isinstance(engine, docker.DockerEngine)
    assert [(part.name, part.state) for part in engine.status()] == [
        ("iot-testbed-certs-1", "done"),
        ("lwm2m-mosquitto", "healthy"),
    ]


def test_a_start_keeps_the_replicas_that_run(program, state):
    replicas = [{**CONTAINERS[0], "Name": f"simulator-{n}", "Service": "device-simulator"} for n in range(3)]
    (program / "ps.json").write_text(json.dumps([*CONTAINERS, *replicas]))
    assert docker.DockerEngine().start(UpOptions(), lambda step: None) is False
    assert (program / "up").read_text() == "compose up -d --scale=device-simulator=3\n"


def test_without_docker_nothing_is_in_use(state, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert choose.in_use() is None


def test_a_device_certificate_comes_out_of_the_containers(program, state):
    result = CliRunner().invoke(app, ["certs", "issue", "mine", "--json"])
    assert result.exit_code == 0, result.output
    files = json.loads(result.stdout)
    assert files == {name: str(state / "docker-certs/mine" / file) for name, file in FILES.items()}
    key = state / "docker-certs/mine/tls.key"
    assert key.read_text().endswith("/certs/devices/mine/tls.key\n")
    assert key.stat().st_mode & 0o077 == 0


def test_an_illegal_id_never_reaches_the_containers(program, state):
    result = CliRunner().invoke(app, ["certs", "issue", "../x"])
    assert result.exit_code == 2
    assert "device id" in result.output


def test_a_daemon_that_does_not_answer_is_one_line(program, state):
    (program / "ps.json").unlink()
    with pytest.raises(EngineError, match="docker compose ps"):
        docker.DockerEngine().status()


LINES = """\
lwm2m-mosquitto     | 2026-11-25T09:00:02.000000002Z 2026-11-25T09:00:02: New client | with a bar
device-simulator-1  | 2026-11-25T09:00:01.5Z {"event":"ready"}
device-simulator-2  | 2026-11-25T09:00:03Z
what Compose says itself
"""


def logs(program, part=None, **options):
    (program / "lines").write_text(LINES)
    replicas = [
        {**CONTAINERS[0], "Name": f"iot-testbed-device-simulator-{n}", "Service": "device-simulator"}
        for n in (1, 2)
    ]
    (program / "ps.json").write_text(json.dumps([*CONTAINERS, *replicas]))
    chosen = {"follow": False, "lines": None, "since": None} | options
    return [(line.part, line.text) for line in docker.DockerEngine().logs(part, **chosen)]


def test_logs_of_containers_come_in_the_order_of_their_times(program, state):
    assert logs(program) == [
        ("", "what Compose says itself"),
        ("device-simulator-1", '{"event":"ready"}'),
        ("lwm2m-mosquitto", "2026-11-25T09:00:02: New client | with a bar"),
        ("device-simulator-2", ""),
    ]
    assert (program / "logs").read_text() == "compose logs --no-color --timestamps --tail=all\n"


def test_what_is_wanted_of_the_logs_is_asked_of_compose(program, state):
    since = datetime(2026, 11, 25, 9, tzinfo=UTC)
    logs(program, "device-simulator", follow=True, lines=5, since=since)
    assert (program / "logs").read_text() == (
        "compose logs --no-color --timestamps --tail=5 --since=2026-11-25T09:00:00+00:00 --follow"
        " device-simulator\n"
    )


@pytest.mark.parametrize(
    ("part", "service"),
    [("lwm2m-mosquitto", "mosquitto"), ("mosquitto", "mosquitto"), ("device-simulator", "device-simulator")],
)
def test_a_part_is_named_by_its_service_or_its_container(program, state, part, service):
    assert logs(program, part)
    assert (program / "logs").read_text().endswith(f" {service}\n")


def test_one_of_several_containers_can_be_named(program, state):
    assert logs(program, "iot-testbed-device-simulator-1") == [
        ("", "what Compose says itself"),
        ("device-simulator-1", '{"event":"ready"}'),
    ]


def test_an_unknown_part_is_refused_with_those_that_there_are(program, state):
    with pytest.raises(EngineError, match=r"no log of nothing; logs: .*lwm2m-mosquitto, mosquitto"):
        logs(program, "nothing")
