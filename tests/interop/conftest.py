"""Foreign Sparkplug implementations in environments of their own, and a broker that lets everybody in."""

import fcntl
import hashlib
import json
import queue
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import running
from support import accepts_connections, free_port, wait_until
from testbed.engines.native import mosquitto as mosquitto_process
from testbed.engines.native import packages, paths
from testbed.engines.native.process import Command

PEERS = Path(__file__).parent / "peers"
INSTALL_SECONDS = 300
LOCKS = {
    "pysparkplug": ("pysparkplug.txt",),
    "mqtt-spb-wrapper": ("mqtt-spb-wrapper.txt",),
    "sparkplug-client": ("package.json", "package-lock.json"),
    "tahu": ("tahu-pom.xml", "TahuPeer.java"),
}


def environment(name):
    """Directory with the peer's packages, built once for each content of its lock."""
    files = [PEERS / file for file in LOCKS[name]]
    content = b"".join(file.read_bytes() for file in files) + sys.version.encode()
    directory = paths.cache() / "peers" / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            {"sparkplug-client": build_node, "tahu": build_java}.get(name, build_python)(directory, files)
            (directory / "complete").touch()
    return directory


def build_python(directory, files):
    uv = (sys.executable, "-m", "uv")
    install(*uv, "venv", "--quiet", "--clear", "--python", sys.executable, directory / "venv")
    python = directory / "venv" / "bin" / "python"
    install(*uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", files[0])


def build_node(directory, files):
    for file in files:
        shutil.copy(file, directory)
    install("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", directory)


def build_java(directory, files):
    pom, source = files
    shutil.copy(pom, directory / "pom.xml")
    fetch = ("dependency:copy-dependencies", f"-DoutputDirectory={directory / 'libs'}")
    # -C: a file whose checksum does not match is an error.
    install("mvn", "-B", "-q", "-C", "-f", directory / "pom.xml", *fetch)
    jars = ":".join(str(jar) for jar in sorted((directory / "libs").glob("*.jar")))
    compiler = ("org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-nowarn", "-cp", jars)
    install("java", "-cp", jars, *compiler, "-d", directory / "classes", source)


def install(*command):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    assert done.returncode == 0, f"{command[0]} failed; is the network there?\n{done.stdout}{done.stderr}"


def command_of(name, directory):
    """The command that runs a peer, whose packages are in the directory."""
    if name == "tahu":
        return ["java", "-cp", f"{directory / 'classes'}:{directory / 'libs' / '*'}", "TahuPeer"]
    if name == "sparkplug-client":
        # Node looks for packages beside the script.
        return ["node", shutil.copy(PEERS / "sparkplug_client_peer.js", directory)]
    script = {"pysparkplug": "pysparkplug_peer.py", "mqtt-spb-wrapper": "spb_wrapper_peer.py"}[name]
    return [str(directory / "venv" / "bin" / "python"), str(PEERS / script)]


class Peer:
    """A running peer; `said` is what it told so far."""

    def __init__(self, process):
        self.process = process
        self.said = []
        self._lines = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)

    def tell(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def heard(self, key):
        """What the peer said under this key."""
        while not self._lines.empty():
            line = self._lines.get()
            if line.startswith("{"):
                self.said.append(json.loads(line))
        assert self.process.poll() is None, "the peer ended"
        return [entry[key] for entry in self.said if key in entry]

    def end(self, *, cleanly=True):
        if cleanly:
            self.tell(stop=True)
        else:
            self.process.kill()
        self.process.wait(15)
        self._thread.join(5)


@pytest.fixture
def start_peer(open_broker):
    """`start_peer(name, role, group, node)` gives a `Peer`; all are gone when the test ends."""
    peers = []

    def start(name, role, group, node, *more):
        process = subprocess.Popen(
            [*command_of(name, environment(name)), role, str(open_broker), group, node, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        peers.append(Peer(process))
        return peers[-1]

    yield start
    for peer in peers:
        if peer.process.poll() is None:
            peer.end(cleanly=False)
        peer.process.stdin.close()
        peer.process.stdout.close()


@pytest.fixture(scope="session")
def open_broker(tmp_path_factory):
    """Port of a Mosquitto without access control that hands messages on with the publisher's QoS."""
    directory = tmp_path_factory.mktemp("open-broker")
    port = free_port()
    config = directory / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stdout\n")
    program = shutil.which("mosquitto") or mosquitto_process._FALLBACK
    with running("open broker", Command((program, "-c", str(config)), cwd=directory), directory / "log.txt"):
        wait_until(lambda: accepts_connections(port), f"Mosquitto listens on {port}")
        yield port


@pytest.fixture(scope="session", autouse=True)
def programs():
    """Programs that no package index has."""
    wanted = ("node", "npm", "java", "mvn")
    if missing := [program for program in wanted if not shutil.which(program)]:
        pytest.fail(f"install {' and '.join(missing)}: the tests run clients from npm and Maven Central")
    assert packages.missing(["mosquitto"]) == []
