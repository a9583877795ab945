"""`./testbed dlq` without a testbed: where it runs, what it lists, how it ends."""

from datetime import UTC, datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from iiot import dead_letters
from iiot.errors import InvalidValueError
from iiot.kafka_reader import Record
from iiot.replays import Place
from testbed.app import app
from testbed.dlq import command, show
from testbed.dlq.letters import Filter, Found, grouped, kind_of
from testbed.engines.docker import DockerEngine

NOW = datetime(2026, 11, 30, 15, tzinfo=UTC)
TOPIC = "iot.telemetry.lwm2m.registration.dlq"


class Containers(DockerEngine):
    """Containers that run, and note what they are asked to run."""

    def __init__(self, answer=0, running=True):
        self.answer, self.is_running, self.asked = answer, running, []

    def status(self):
        return ["a part"] if self.is_running else []

    def run_tool(self, *arguments, stdout=None):
        self.asked.append(arguments)
        return self.answer


@pytest.fixture
def run(monkeypatch):
    for name in ("KAFKA_BROKERS", "BRIDGE_URL"):
        monkeypatch.delenv(name, raising=False)

    def invoke(engine, *arguments):
        monkeypatch.setattr(command.choose, "in_use", lambda: engine)
        return CliRunner().invoke(app, ["dlq", *arguments])

    return invoke


@pytest.mark.parametrize(
    ("arguments", "inside"),
    [
        (["list", "--since", "1h", "--each"], ("dlq", "list", "--since=1h", "--limit=1000", "--each")),
        (["show", f"{TOPIC}:0:1", "--json"], ("dlq", "show", f"{TOPIC}:0:1", "--json")),
        (["replay", "a.dlq:0:1", "--dry-run"], ("dlq", "replay", "a.dlq:0:1", "--limit=1000", "--dry-run")),
        (["replay", "--all", "--device=d", "--again", "--json"],
         ("dlq", "replay", "--device=d", "--limit=1000", "--all", "--again", "--json")),
    ],
)  # fmt: skip
def test_with_containers_it_runs_in_their_network(run, arguments, inside):
    engine = Containers(answer=1)
    assert run(engine, *arguments).exit_code == 1
    assert engine.asked == [inside]


def test_containers_that_do_not_run_are_told(run):
    result = run(Containers(running=False), "list")
    assert result.exit_code == 3
    assert "Start it with ./testbed up" in result.stderr


def test_an_interruption_ends_with_its_own_status(run, monkeypatch):
    monkeypatch.setattr(command.letters, "read", interrupt)
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("BRIDGE_URL", "http://127.0.0.1:1")
    assert run(None, "list").exit_code == 130


def interrupt(*_):
    raise KeyboardInterrupt


def found(reason, offset=0, key=b"device", replayed=None):
    value = dead_letters.write("lwm2m/device/reg", b"x" * 100, reason)
    record = Record(TOPIC, 0, offset, NOW, key, value, ())
    return Found(record, dead_letters.read(value), replayed, True)


def test_lists_fit_80_columns_and_show_nothing_that_moves_the_cursor(capsys):
    letters = [found(f"undecodable: \x1b[2J{'long ' * 40}", 10**9, b"k" * 100, 5), found("short")]
    show.print_groups(Console(width=200), letters)
    show.print_each(Console(width=200), letters)
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert max(map(len, output.splitlines())) <= 80
    assert f"{TOPIC}:0:1000000000" in output


def test_reasons_of_one_kind_are_counted_together():
    sizes = [found(f"oversize: {size} bytes, at most 5") for size in (6, 7, 8)]
    groups = grouped([*sizes, found("undecodable: not JSON: at 5")])
    assert [(group.kind, len(group.letters)) for group in groups] == [
        ("oversize: N bytes, at most N", 3),
        ("undecodable: not JSON", 1),
    ]
    assert len(kind_of("x" * 1000)) == 60


def test_filters():
    record = found("why").record
    assert Filter().takes(record)
    assert Filter(device="device", since=NOW).takes(record)
    assert not Filter(device="other").takes(record)
    assert not Filter(since=NOW.replace(hour=16)).takes(record)


@pytest.mark.parametrize("text", ["a.dlq:0:1", "iot.telemetry.lwm2m.http.dlq:12:999999999999"])
def test_places_are_read_as_they_are_written(text):
    assert str(Place.parse(text)) == text


@pytest.mark.parametrize("text", ["", "a.dlq", "a.dlq:0", "a:0:1", "a.dlq:0:1:2", "a.dlq:-1:0", "a.dlq:x:0",
                                  "a.dlq:٣:0", "a.dlq: 1:0", "a.dlq:1:" + "9" * 30])  # fmt: skip
def test_other_places_are_refused(text):
    with pytest.raises(InvalidValueError, match="allowed: topic:partition:offset"):
        Place.parse(text)
