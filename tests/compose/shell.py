"""Commands of the compose tests, their errors, and where their downloads are kept."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class ToolError(AssertionError):
    """A command failed; the text has its last output."""


def cache() -> Path:
    """Downloads and builds that outlive a clone."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iiot-testbed"


def run(
    *command: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
    stdin: str | None = None,
) -> str:
    """Run a command and return what it printed (both streams).

    Raises:
        ToolError: it ended with another status than 0, or not in time.
    """
    words = [str(word) for word in command]
    try:
        result = subprocess.run(
            words, cwd=cwd, env=env, timeout=timeout, input=stdin, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        output = exc.output.decode(errors="replace") if isinstance(exc.output, bytes) else exc.output or ""
        raise ToolError(f"{' '.join(words)}: not done after {timeout:.0f} s\n{output[-4000:]}") from exc
    if result.returncode != 0:
        raise ToolError(f"{' '.join(words)}: exit status {result.returncode}\n{result.stdout[-6000:]}")
    return result.stdout
