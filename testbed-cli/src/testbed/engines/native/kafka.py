"""Apache Kafka in KRaft mode as a process: one node that is broker and controller."""

import base64
import fcntl
import hashlib
import shutil
import subprocess
import tempfile
import uuid
from importlib import resources
from pathlib import Path

from iiot.budgets import BATCH_BYTES
from testbed.engines.native.errors import PartError
from testbed.engines.native.process import Command

_POM = resources.files("testbed.engines.native") / "kafka-pom.xml"

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://{bind}:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://{advertised}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
# When a record was stored is the broker's own knowledge; the device's time is in the value.
log.message.timestamp.type=LogAppendTime
# What the producers send, the broker takes, and replicas can fetch.
message.max.bytes={batch_bytes}
replica.fetch.max.bytes={batch_bytes}
# One node: internal topics cannot have more than one replica.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def libraries(cache: Path) -> Path:
    """Directory of Kafka's jars, fetched from Maven Central at first use.

    Args:
        cache: the testbed's cache directory; one subdirectory per version of the pom.

    Raises:
        PartError: Maven could not fetch them.
    """
    target = _target(cache)
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another testbed may be fetching them
        if not target.is_dir():
            _fetch(target)
    return target


def _fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".kafka-") as work:
        (Path(work) / "pom.xml").write_text(_POM.read_text())
        # -C: a file whose checksum does not match is an error.
        maven = ("mvn", "-B", "-q", "-C", "dependency:copy-dependencies", "-DoutputDirectory=libs")
        result = subprocess.run(maven, cwd=work, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            reason = next(
                (line for line in result.stdout.splitlines() if "[ERROR]" in line), result.stderr.strip()
            )
            raise PartError(
                "kafka", f"Maven could not fetch the jars (is the network there?): {reason[:300]}"
            )
        (Path(work) / "libs").rename(target)


def is_cached(cache: Path) -> bool:
    """Whether `libraries` has nothing to fetch."""
    return _target(cache).is_dir()


def _target(cache: Path) -> Path:
    return cache / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"


def prepare(
    directory: Path,
    jars: Path,
    *,
    port: int = 9092,
    controller_port: int = 9095,
    bind: str = "127.0.0.1",
    advertised: str = "127.0.0.1",
) -> Command:
    """Write the node's configuration, format its storage when new, and return how to start it.

    Args:
        directory: working directory; keeps the data over restarts.
        jars: what `libraries` returned.
        port: the Kafka API.
        controller_port: the KRaft controller, on loopback only.
        bind: address to listen on.
        advertised: host name that clients are told to use.

    Raises:
        PartError: the storage could not be formatted.
    """
    directory.mkdir(parents=True, exist_ok=True)
    data = directory.resolve() / "data"
    properties = directory / "server.properties"
    properties.write_text(
        _PROPERTIES.format(
            port=port,
            controller_port=controller_port,
            bind=bind,
            advertised=advertised,
            data=data,
            batch_bytes=BATCH_BYTES,
        )
    )
    classpath = f"{jars.resolve()}/*"
    if not (data / "meta.properties").exists():
        _format(directory, classpath)
    return Command(
        (
            "java",
            "-Xms128m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
            "-cp",
            classpath,
            "kafka.Kafka",
            "server.properties",
        ),
        cwd=directory,
    )


def _format(directory: Path, classpath: str) -> None:
    shutil.rmtree(directory / "data", ignore_errors=True)
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = ("java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "kafka.tools.StorageTool")
    result = subprocess.run(
        (*tool, "format", f"--cluster-id={cluster}", "-c", "server.properties"),
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise PartError("kafka", f"the storage could not be formatted: {result.stderr.strip()[-300:]}")
