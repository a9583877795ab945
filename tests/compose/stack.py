"""The compose project under test."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compose.shell import run


@dataclass(frozen=True)
class Stack:
    """A copy of the clone, so that a test may edit it, and the environment in which to drive it."""

    directory: Path
    env: Mapping[str, str]
    volumes_before: frozenset[str] = frozenset()
    """Volumes of the daemon before the project was started."""

    def compose(self, *words: str, timeout: float = 300) -> str:
        """Run `docker compose` in the clone."""
        return run("docker", "compose", *words, cwd=self.directory, env=self.env, timeout=timeout)

    def docker(self, *words: str, timeout: float = 120) -> str:
        """Run `docker`."""
        return run("docker", *words, cwd=self.directory, env=self.env, timeout=timeout)

    def containers(self, service: str | None = None) -> list[Any]:
        """`docker inspect` of all containers of the project, or of one service, also ended ones."""
        label = f"label=com.docker.compose.project={self.project}"
        filters = ["--filter", label]
        if service:
            filters += ["--filter", f"label=com.docker.compose.service={service}"]
        ids = self.docker("ps", "--all", "--quiet", *filters).split()
        return list(json.loads(self.docker("inspect", *ids))) if ids else []

    @property
    def project(self) -> str:
        """Name of the compose project."""
        return str(json.loads(self.compose("config", "--format", "json"))["name"])

    def image(self, name: str) -> Any:
        """`docker inspect` of an image."""
        return json.loads(self.docker("image", "inspect", name))[0]


def service_of(container: Any) -> str:
    """Name of the compose service that a container belongs to."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def get(url: str) -> Any:
    """The JSON that an address answers with."""
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - addresses of this file's callers
        return json.load(response)
