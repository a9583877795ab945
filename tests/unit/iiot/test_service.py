import os
import re
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import pytest

PROGRAM = textwrap.dedent(
    """
    import asyncio, sys
    from pydantic import Field
    from prometheus_client.exposition import generate_latest
    from iiot.service import run
    from iiot.settings import ServiceSettings

    class Settings(ServiceSettings):
        device_count: int = Field(default=2, ge=1)

    async def main(settings, service):
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        print(generate_latest(service.registry).decode(), flush=True)
        print("ready", flush=True)
        await service.stopping.wait()
        print("orderly end", flush=True)

    run("example-service", Settings, main)
    """
)


@contextmanager
def started(**environment):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_in_good_order(signum):
    with started(DEVICE_COUNT="7") as process:
        shown = "".join(iter(process.stdout.readline, "ready\n"))
        process.send_signal(signum)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert out == "orderly end\n"
    assert re.search(r'^example_service_info{.*device_count="7"', shown, re.MULTILINE)
    assert 'iiot_build_info{python_version="3.' in shown
    assert 'revision="source",service="example-service",version="' in shown
    assert "process_resident_memory_bytes" in shown
    assert '"DEVICE_COUNT":"7"' in err
    assert '"event":"stopped"' in err


def test_bad_settings_end_with_status_2_and_a_line_each():
    with started(DEVICE_COUNT="0", HTTP_PORT="http") as process:
        out, err = process.communicate(timeout=10)
    assert process.returncode == 2
    assert out == ""
    assert sorted(line.split("=")[0] for line in err.splitlines()) == [
        "example-service: DEVICE_COUNT",
        "example-service: HTTP_PORT",
    ]
