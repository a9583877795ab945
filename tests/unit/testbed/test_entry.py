"""The command line from outside: help, names, Ctrl-C, numbers."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from testbed.app import make_app
from testbed.commands import COMMANDS, overview
from testbed.up import profile_names

ROOT = Path(__file__).parents[3]
LEAN = ("typer", "rich", "aiohttp", "pydantic", "yaml", "confluent_kafka", "cryptography", "textual")


def run(*arguments, **options):
    command = [sys.executable, "-m", "testbed", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def test_help_lists_every_command_and_loads_next_to_nothing():
    code = f"import sys, testbed.entry as e; e.main(['--help']); print(set({LEAN}) & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    *lines, loaded = shown.splitlines()
    assert loaded == "set()"
    assert lines[0] == "Usage: ./testbed COMMAND [OPTIONS]"
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert listed == [name for name, entry in COMMANDS.items() if not entry.hidden]


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["-h"], 0), (["help"], 0), ([], 2)])
def test_help_by_every_name(arguments, status):
    done = run(*arguments)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (status, overview_of(80), "")


def overview_of(columns):
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        return overview().strip()
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


@pytest.mark.parametrize("columns", [40, 80, 500])
def test_help_fits_the_terminal(columns):
    assert max(map(len, overview_of(columns).splitlines())) <= max(60, min(columns, 120))


@pytest.mark.parametrize("entry", COMMANDS.values(), ids=COMMANDS)
def test_summaries_are_those_of_the_commands(entry):
    found = getattr(import_module(entry.module), entry.attribute)
    if entry.group:
        assert found.info.help == entry.summary
    elif not entry.hidden:
        assert found.__doc__.split("\n\n")[0].replace("\n    ", " ") == entry.summary


def test_a_misspelt_command_is_told_with_what_was_meant():
    done = run("verfy")
    assert done.returncode == 2
    assert "Did you mean 'verify'?" in done.stderr
    assert "Usage: ./testbed" in done.stderr


def test_usage_is_that_of_the_program():
    assert "Usage: ./testbed certs issue" in run("certs", "issue", "--help").stdout


def commands(command, path=()):
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))
    else:
        yield path, command


FLOATS = [
    (path, option.opts[-1])
    for path, command in commands(get_command(make_app(COMMANDS)))
    for option in command.params
    if option.type_descriptor.annotation is float
]


@pytest.mark.parametrize(
    ("path", "option"), FLOATS, ids=lambda value: " ".join(value) if isinstance(value, tuple) else value
)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "-1", "1e300", "x"])
def test_a_number_that_is_none_is_refused(path, option, value):
    done = CliRunner().invoke(make_app(path[:1]), [*path, f"{option}={value}"])
    assert done.exit_code == 2, done.output
    assert option in done.output


def test_there_are_such_numbers():
    assert len(FLOATS) > 15


def test_defaults_and_profiles_are_shown():
    shown = " ".join(run("up", "--help", env=os.environ | {"COLUMNS": "200"}).stdout.split())
    assert "[default: (2, or DEVICE_COUNT)]" in shown
    assert profile_names() == [
        "burst",
        "default",
        "faulty",
        "mixed",
        "report-on-change",
        "sparkplug-features",
    ]
    assert ", ".join(profile_names()) in shown
    lines = " ".join(run("logs", "--help", env=os.environ | {"COLUMNS": "200"}).stdout.split())
    assert "[default: (100; with --since or --grep all)]" in lines


def test_no_help_is_eaten_as_markup():
    """Rich takes `[default: 2]` in a text for a style, and shows nothing."""
    for path, command in commands(get_command(make_app(COMMANDS))):
        texts = [command.help or "", *(getattr(option, "help", None) or "" for option in command.params)]
        assert not any("[default" in text for text in texts), path


INTERRUPTED = """
import runpy, sys, time
import testbed.engines.choose as choose
def wait():
    print("ready", flush=True)
    time.sleep(60)
choose.in_use = wait
sys.argv[1:] = [COMMAND]
runpy.run_module("testbed", run_name="__main__")
"""


@pytest.mark.parametrize("command", ["status", "down", "verify", "monitor"])
def test_ctrl_c_ends_with_a_line_and_no_traceback(tmp_path, command):
    code = INTERRUPTED.replace("COMMAND", repr(command))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"TESTBED_STATE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() in ("interrupted", "")
    assert errors.strip() or command == "monitor"


def test_ctrl_c_while_the_code_is_loaded_prints_no_traceback(tmp_path):
    (tmp_path / "typer.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "testbed", "status"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (130, "interrupted")


@pytest.mark.parametrize("command", ["--help", "status"])
def test_ctrl_c_at_any_time_of_the_start_prints_no_traceback(tmp_path, command):
    for milliseconds in range(0, 200, 8):
        process = subprocess.Popen(
            [ROOT / "testbed", command],
            env=os.environ | {"TESTBED_STATE": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(milliseconds / 1000)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60)[1].strip() in ("", "interrupted")


def test_files_where_somebody_stands_are_not_run(tmp_path):
    for name in ("typing", "http", "testbed"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')")
    for arguments in (["--help"], ["dlq", "--help"]):
        done = subprocess.run(
            [ROOT / "testbed", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("to", "errors"), [("| true", ""), (">&-", ""), (">/dev/full", "help: ")])
def test_help_that_nobody_reads_is_no_traceback(to, errors):
    shell = f"{sys.executable} -m testbed --help {to}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.stderr.startswith(errors)
    assert len(done.stderr.splitlines()) == bool(errors)


def test_help_of_a_command_works_without_installed_packages(tmp_path):
    clone = tmp_path / "clone"
    for name in ("testbed", "testbed-cli"):
        (clone / name).parent.mkdir(exist_ok=True)
    (clone / "testbed").write_bytes((ROOT / "testbed").read_bytes())
    (clone / "testbed").chmod(0o755)
    (clone / "testbed-cli").symlink_to(ROOT / "testbed-cli")
    for arguments in (["--help"], ["test", "--help"], ["up", "-h"], ["help"], []):
        done = subprocess.run(
            [clone / "testbed", *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert "Usage: ./testbed" in done.stdout, done.stderr
    assert sorted(entry.name for entry in clone.iterdir()) == ["testbed", "testbed-cli"]


def test_an_unknown_experiment_is_wrong_usage():
    done = run("experiment", "run", "nosuch")
    assert done.returncode == 2
    assert "nosuch" in done.stderr


def test_the_app_has_the_hidden_command_too():
    assert isinstance(make_app(["topics"]), typer.Typer)


@pytest.mark.parametrize("command", [("dlq", "show"), ("experiment", "run")])
def test_names_with_colons_are_shown_as_they_are(command):
    """`:100:` is an emoji to rich, and the 100th partition to us."""
    assert "iot.x.dlq:100:-1" in run(*command, "iot.x.dlq:100:-1").stderr


def test_no_console_turns_names_into_emoji():
    sources = {path: path.read_text() for path in (ROOT / "testbed-cli/src").rglob("*.py")}
    consoles = [
        (path.name, call) for path, text in sources.items() for call in re.findall(r"\bConsole\(.*", text)
    ]
    assert len(consoles) > 10
    assert not [call for call in consoles if not call[1].startswith("Console(emoji=False")]
