"""The compose project on a real Docker daemon, started once for all tests of this directory."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from compose import plugin, standins
from compose.daemon import running_daemon
from compose.shell import ROOT, ToolError, run
from compose.stack import Stack

PORTS = (8883, 1883, 9001, 8080, 8081, 9092, 8084, 8085, 8087, 8088, 9090, 9093)
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


FIGURES: list[str] = []


@pytest.fixture(scope="session")
def measured() -> list[str]:
    """Lines about sizes and times, shown at the end of the run."""
    return FIGURES


def pytest_sessionfinish(session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes: the first one shows them
        session.config.workeroutput["measured"] = FIGURES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    FIGURES.extend(getattr(node, "workeroutput", {}).get("measured", ()))


def pytest_terminal_summary(terminalreporter) -> None:
    if FIGURES:
        terminalreporter.section("compose")
        for line in FIGURES:
            terminalreporter.line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed and "stack" in getattr(item, "funcargs", {}):
        logs = item.funcargs["stack"].compose("logs", "--no-color", "--tail", "12")
        report.sections.append(("logs of the containers", logs))
    return report


@pytest.fixture(scope="session")
def engine(tmp_path_factory) -> Iterator[Mapping[str, str]]:
    """Environment in which `docker`, `docker compose` and `docker-compose` reach a daemon."""
    directory = tmp_path_factory.mktemp("engine")
    with running_daemon() as address:
        env = {**os.environ, "DOCKER_HOST": address, "COMPOSE_ANSI": "never", "COMPOSE_BAKE": "false"}
        if "v2" not in version(env) and "v5" not in version(env):
            env["DOCKER_CONFIG"] = str(plugin.docker_config())
            # People type it with a hyphen as well.
            (directory / "docker-compose").symlink_to(plugin.docker_config() / "cli-plugins/docker-compose")
            env["PATH"] = f"{directory}:{env['PATH']}"
        # How this machine reaches package indexes: build secrets, so nothing of it gets into an image.
        if CA_BUNDLE.exists():
            env["BUILD_CA"] = str(CA_BUNDLE)
        env["BUILD_PIP_CONF"] = str(pip_configuration(directory))
        yield env


def version(env: Mapping[str, str]) -> str:
    """What `docker compose` says of itself; empty when there is none."""
    command = ["docker", "compose", "version", "--short"]
    words = subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout.strip()
    return words if words.startswith("v") or not words else f"v{words}"


def pip_configuration(directory: Path) -> Path:
    """A pip.conf with this machine's index, from its environment or its own pip.conf."""
    file = directory / "pip.conf"
    names = ("index-url", "extra-index-url", "trusted-host")
    values = {name: os.environ.get(f"PIP_{name.replace('-', '_').upper()}") for name in names}
    lines = [f"{name} = {value}\n" for name, value in values.items() if value]
    system = Path("/etc/pip.conf")
    own = system.read_text() if not lines and system.exists() else ""
    file.write_text(own or "[global]\n" + "".join(lines))
    return file


@pytest.fixture(scope="session")
def images(engine) -> Mapping[str, str]:
    """The stand-ins, and the testbed's own images built by its Dockerfile."""
    standins.build(engine)
    run("docker", "compose", "build", "--quiet", env=engine)
    return engine


@pytest.fixture(scope="session")
def stack(images, measured, tmp_path_factory) -> Iterator[Stack]:
    """All services but Grafana, up and healthy, run from a copy of the clone that tests may edit."""
    measured.append(f"left out, having no stand-in: {standins.LEFT_OUT}")
    taken = [port for port in PORTS if accepts(port)]
    if taken:
        raise ToolError(f"ports {taken} are in use: stop what runs there, e.g. with ./testbed down")
    directory = tmp_path_factory.mktemp("clone") / "testbed"
    copy_clone(directory)
    env = {**images, "COMPOSE_FILE": "docker-compose.yml:tests/compose/without-grafana.yml"}
    before = run("docker", "volume", "ls", "--quiet", env=env).split()
    stack = Stack(directory, env, frozenset(before))
    try:
        start(stack)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")


def start(stack: Stack) -> None:
    """Start everything; what the containers said is part of the error."""
    try:
        stack.compose("up", "--detach", "--wait", "--wait-timeout", "180")
    except ToolError as exc:
        raise ToolError(f"{exc}\n{stack.compose('logs', '--no-color', '--tail', '25')}") from exc


def accepts(port: int) -> bool:
    """Whether something listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def copy_clone(directory: Path) -> None:
    """Copy the files that a clone has, and those that are about to be added."""
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in names:
        source = ROOT / name
        if name and source.is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, directory / name)
    # Containers read these files as another user.
    for path in (directory, *directory.parents):
        if path.is_relative_to(directory.parent.parent):
            path.chmod(0o755)
