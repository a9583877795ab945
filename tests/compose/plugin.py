"""Docker Compose v2, built from its Go module, for machines whose distribution has only v1."""

import tempfile
from pathlib import Path

from compose.shell import cache, run

VERSION = "v2.40.3"
_MODULE = "github.com/docker/compose/v2"


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
    run("go", "get", f"{_MODULE}/cmd@{VERSION}", cwd=work)
    flags = f"-s -w -X {_MODULE}/internal.Version={VERSION}"
    run("go", "build", "-trimpath", "-ldflags", flags, "-o", "docker-compose", f"{_MODULE}/cmd", cwd=work)
    return work / "docker-compose"
