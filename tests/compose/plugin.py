"""Docker Compose v2, built from its Go module, for machines whose distribution has only v1."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from compose.shell import cache, run

VERSION = "v2.40.3"
_MODULE = "github.com/docker/compose/v2"
_GO = (1, 24)
"""Oldest Go that builds it; Debian 12 has 1.19."""


def docker_config() -> Path:
    """A directory for DOCKER_CONFIG whose `docker compose` is v2; built at first use, then cached."""
    config = cache() / f"compose-{VERSION}"
    plugin = config / "cli-plugins" / "docker-compose"
    if not plugin.exists():
        plugin.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=config) as work:
            _build(Path(work)).rename(plugin)
    return config


def _build(work: Path) -> Path:
    # A module of our own, since `go install` refuses one with exclude directives.
    (work / "go.mod").write_text("module build\ngo 1.24\n")
    go = _go()
    run(go, "get", f"{_MODULE}/cmd@{VERSION}", cwd=work)
    flags = f"-s -w -X {_MODULE}/internal.Version={VERSION}"
    run(go, "build", "-trimpath", "-ldflags", flags, "-o", "docker-compose", f"{_MODULE}/cmd", cwd=work)
    return work / "docker-compose"


def _go() -> str:
    """A Go that is new enough: the machine's own, else the one that a Python wheel carries."""
    own = shutil.which("go")
    if own:
        # Where it runs, lest a go.mod there asks for another toolchain.
        words = subprocess.run((own, "version"), cwd="/", capture_output=True, text=True, check=False).stdout
        found = re.search(r"go(\d+)\.(\d+)", words)
        if found and (int(found[1]), int(found[2])) >= _GO:
            return own
    venv = cache() / "go"
    if not (venv / "bin" / "go").exists():
        run(sys.executable, "-m", "venv", "--clear", venv)
        pip = (
            venv / "bin" / "python",
            "-m",
            "pip",
            "install",
            "-q",
            "--require-hashes",
            "--only-binary=:all:",
        )
        run(*pip, "-r", Path(__file__).with_name("go.txt"))
    return str(venv / "bin" / "go")
