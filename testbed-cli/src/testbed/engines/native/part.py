"""A part as the supervisor sees it, and ways to tell whether one is healthy."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException

from testbed.engines.native.ports import listening
from testbed.engines.native.process import Command

Probe = Callable[[], str | None]
"""Returns None when the part is healthy, else what is wrong. May block for a second or two."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process to keep running."""

    name: str
    prepare: Callable[[], Command]
    """Called before each start; may block and may raise PartError."""
    probe: Probe
    needs: tuple[str, ...] = ()
    """Parts that must be healthy (or done) before this one starts for the first time."""
    ports: dict[str, int] = field(default_factory=dict)
    once: bool = False
    """A set-up step that ends by itself with status 0."""
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""


def accepts(port: int) -> Probe:
    """Healthy when something listens on this port of the loopback interface."""
    return lambda: None if listening(port) else f"nothing listens on port {port} yet"


def answers(url: str) -> Probe:
    """Healthy when a GET of this address is answered with 200."""

    def probe() -> str | None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own http address
                return None
        except urllib.error.HTTPError as exc:
            with exc:
                return _problem_of(exc.code, exc.read(4096))
        except (OSError, HTTPException) as exc:
            return f"no answer from {url}: {getattr(exc, 'reason', exc)}"

    return probe


def _problem_of(status: int, body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return f"answers with status {status}"
    details = {key: value for key, value in document.items() if key != "timestamp"}
    return f"answers with status {status}: {json.dumps(details)[:200]}"
