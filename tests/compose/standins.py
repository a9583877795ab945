"""Local stand-ins under the very image names of .env, for machines that reach no image registry.

Grafana has none: it is in neither Debian nor a package index, so the tests leave that one service out.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from compose.shell import ROOT, ToolError, cache, run
from testbed.engines.native import kafka

DEBIAN = "iiot-standin/debian:bookworm"
LEFT_OUT = "grafana"
_IMAGES = Path(__file__).parent / "images"
_COMPOSE = """\
services:
  python:
    image: ${PYTHON_IMAGE}
    build: {context: python, args: {DEBIAN: %(debian)s}}
  mosquitto:
    image: ${MOSQUITTO_IMAGE}
    build: {context: mosquitto, args: {DEBIAN: %(debian)s}}
  prometheus:
    image: ${PROMETHEUS_IMAGE}
    build: {context: prometheus, args: {DEBIAN: %(debian)s}}
  alertmanager:
    image: ${ALERTMANAGER_IMAGE}
    build: {context: alertmanager, args: {DEBIAN: %(debian)s}}
  redpanda:
    image: ${REDPANDA_IMAGE}
    build: {context: redpanda, args: {PYTHON: "${PYTHON_IMAGE}"}, secrets: [ca, pip_conf]}
  redpanda-connect:
    image: ${CONNECT_IMAGE}
    build: {context: connect, args: {PYTHON: "${PYTHON_IMAGE}"}, secrets: [ca, pip_conf]}
secrets:
  ca: {file: "${BUILD_CA:-/dev/null}"}
  pip_conf: {file: "${BUILD_PIP_CONF:-/dev/null}"}
"""


def build(env: Mapping[str, str]) -> None:
    """Build every stand-in; quick when the daemon still has the layers.

    Args:
        env: environment with DOCKER_HOST and a `docker compose` of version 2.

    Raises:
        ToolError: a tool is missing or a build failed.
    """
    if not run("docker", "images", "--quiet", DEBIAN, env=env).strip():
        _debian(env)
    with tempfile.TemporaryDirectory(prefix="iiot-standins-") as directory:
        context = Path(directory)
        shutil.copytree(_IMAGES, context, dirs_exist_ok=True)
        shutil.copytree(kafka.libraries(cache()), context / "redpanda" / "jars")
        (context / "redpanda" / "requirements.txt").write_text(_locked("kafka-python"))
        (context / "connect" / "requirements.txt").write_text(
            (ROOT / "requirements" / "native.txt").read_text()
        )
        for package, member in (("iiot", "common"), ("testbed", "testbed-cli")):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / member / "src" / package, context / "connect" / package, ignore=ignore)
        (context / "compose.yml").write_text(_COMPOSE % {"debian": DEBIAN})
        compose = (
            "docker",
            "compose",
            "--env-file",
            ROOT / ".env",
            "-f",
            context / "compose.yml",
            "build",
            "-q",
        )
        run(*compose, "python", env=env)
        run(*compose, "mosquitto", "prometheus", "alertmanager", "redpanda", "redpanda-connect", env=env)


def _debian(env: Mapping[str, str]) -> None:
    """A minimal Debian 12 from the package mirror that this machine is set up for."""
    if not shutil.which("debootstrap"):
        run("scripts/install-packages.sh", "debootstrap")
    mirrors = run(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)", "Created-By: Packages"
    )
    debian = [line.split() for line in mirrors.splitlines() if line.endswith(" Debian")]
    mirror = next((uri for uri, suite, _ in debian if suite == "bookworm"), None)
    if mirror is None:
        raise ToolError("the stand-ins need a machine whose apt knows Debian 12 (bookworm)")
    with tempfile.TemporaryDirectory(prefix="iiot-debian-") as directory:
        root = Path(directory) / "root"
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", root, mirror)
        sources = sorted({f"deb {uri} {suite} main\n" for uri, suite, _ in debian})
        (root / "etc/apt/sources.list").write_text("".join(sources))
        archive = Path(directory) / "root.tar"
        skip = ("--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./var/log/*")
        run("tar", "-C", root, "--numeric-owner", *skip, "-cf", archive, ".")
        run("docker", "import", archive, DEBIAN, env=env)


def _locked(package: str) -> str:
    """The lines of a package, with its hashes, from the development lock."""
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    found = re.search(rf"^{re.escape(package)}==.*(?:\n +--hash.*)+", lock, flags=re.MULTILINE)
    if found is None:
        raise ToolError(f"{package} is not in requirements/dev.txt")
    return found[0] + "\n"
