"""A Docker daemon for the tests: the machine's own when one answers, else one that ends with them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compose.shell import ToolError, cache, run

START_SECONDS = 60
STOP_SECONDS = 60


@contextmanager
def running_daemon() -> Iterator[str]:
    """Yield the address of a Docker daemon that answers; stop it afterwards when it was started here.

    Its data stays in the user's cache, which is what makes the next run's images quick.

    Raises:
        ToolError: there is none and none can be started.
    """
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if _answers(address):
        yield address
        return
    if os.geteuid() != 0:
        raise ToolError("no Docker daemon answers, and only root can start one")
    _install()
    home = cache() / "docker"
    home.mkdir(parents=True, exist_ok=True)
    # Socket and run files on a short path: a socket's name may have no more than 108 bytes.
    run_directory = Path("/run/iiot-testbed-docker")
    address = f"unix://{run_directory}/docker.sock"
    pid_file = run_directory / "docker.pid"
    # One that answers here was left by an interrupted run: it is ours, and ends with this run.
    process = None if _answers(address) else _start(home, run_directory, address, pid_file)
    try:
        yield address
    finally:
        _stop(pid_file)
        if process:
            process.wait(10)


def _answers(address: str) -> bool:
    command = ["docker", "--host", address, "version", "--format", "{{.Server.Version}}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _install() -> None:
    if not (shutil.which("dockerd") and shutil.which("docker")):
        run("scripts/install-packages.sh", "docker.io", "iptables")


def _start(home: Path, run_directory: Path, address: str, pid_file: Path) -> subprocess.Popen[bytes]:
    run_directory.mkdir(parents=True, exist_ok=True)
    log = home / "dockerd.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *("dockerd", "--host", address, "--pidfile", str(pid_file), "--log-level", "warn"),
                *("--data-root", str(home / "data"), "--exec-root", str(run_directory)),
                *("--storage-driver", "overlay2"),
            ],
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise ToolError(f"dockerd did not start; its last words:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)
    return process


def _stop(pid_file: Path) -> None:
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    # The file goes last; the process itself may stay as a zombie until this one reaps it.
    while pid_file.exists():
        if time.monotonic() > deadline:
            raise ToolError(f"dockerd (pid {pid}) did not end within {STOP_SECONDS} s of SIGTERM")
        time.sleep(0.2)
