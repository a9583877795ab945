"""Programs that native mode takes from the system, installed by apt when they are missing."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable

from testbed.engines.native import paths
from testbed.engines.native.errors import PackageError
from testbed.engines.native.process import OWNER_VARIABLE

PACKAGES = {
    "mosquitto": "mosquitto",
    "java": "default-jre-headless",
    "mvn": "maven",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
JAVA_NEEDED = 17


def missing(programs: Iterable[str]) -> list[str]:
    """Those of the programs that are neither on PATH nor in the system's own directories."""
    return [program for program in programs if not _find(program)]


def install(programs: Iterable[str]) -> None:
    """Install the packages of these programs; no daemon is started.

    Raises:
        PackageError: without apt or without root, or apt failed; names the packages.
    """
    wanted = [PACKAGES[program] for program in programs]
    hint = f"install: {' '.join(wanted)}"
    if not shutil.which("apt-get"):
        raise PackageError(f"missing programs and no apt-get here; {hint}")
    prefix = _as_root()
    if prefix is None:
        raise PackageError(f"missing programs and neither root nor sudo without password; {hint}")
    script = paths.root() / "scripts" / "install-packages.sh"
    # apt is not ours to interrupt, so what it starts does not carry the testbed's mark.
    environment = {key: value for key, value in os.environ.items() if key != OWNER_VARIABLE}
    result = subprocess.run(
        (*prefix, str(script), *wanted), env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise PackageError(f"apt-get failed ({lines[-1] if lines else 'no message'}); {hint}")


def check_java() -> None:
    """Make sure that the Java on PATH can run Kafka.

    Raises:
        PackageError: it is too old.
    """
    result = subprocess.run(("java", "-version"), capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', result.stderr)
    if not version or int(version[1]) < JAVA_NEEDED:
        found = version[1] if version else "none"
        raise PackageError(
            f"Kafka needs Java {JAVA_NEEDED} or later, `java` is {found}; install: openjdk-17-jre-headless"
        )


def _find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def _as_root() -> tuple[str, ...] | None:
    if os.geteuid() == 0:
        return ()
    if (
        shutil.which("sudo")
        and subprocess.run(("sudo", "-n", "true"), capture_output=True, check=False).returncode == 0
    ):
        return ("sudo", "-n")
    return None
