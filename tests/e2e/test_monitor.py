"""The monitor on the whole testbed: as text, and in a terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

CHECKS = (
    "MQTT broker",
    "Kafka",
    "LwM2M server",
    "Sparkplug host",
    "Bridge",
    "Simulators",
    "Redpanda Connect",
    "HTTP source",
    "Bridge to MQTT",
    "Bridge to Kafka",
    "WebSocket",
)


def test_one_look_as_text(testbed):
    result = testbed.run("monitor", "--once")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    for check in CHECKS:
        assert any(line.startswith(f"up      {check}") for line in lines), result.stdout
    [topic] = [line.split() for line in lines if line.startswith("iot.telemetry.sparkplug.data ")]
    assert float(topic[2].replace(",", "")) > 100, topic


def test_text_goes_on_until_the_reader_has_enough(testbed):
    process = testbed.popen("monitor", "--interval=0.3")
    try:
        looks = 0
        while looks < 3:
            looks += "records/s into Kafka" in process.stdout.readline()
        process.stdout.close()
        process.wait(10)
    finally:
        process.kill()
        process.wait()


def test_in_a_terminal(testbed):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        (sys.executable, "-m", "testbed", "monitor"),
        env={**testbed.environment, "TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        read_until(master, "sparkplug.data")
        os.write(master, b"m")
        read_until(master, "Sensors/")
        os.write(master, b"q")
        read_until(master, "\x1b[?1049l")  # the terminal is given back
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def read_until(master, text, seconds=20):
    """Read what the terminal is sent until `text` is in it."""
    seen, deadline = "", time.monotonic() + seconds
    while text not in seen:
        ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"{text!r} not within {seconds} s in {seen[-2000:]!r}"
        seen += os.read(master, 65536).decode(errors="replace")
