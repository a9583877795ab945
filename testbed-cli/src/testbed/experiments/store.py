"""Reports on disk: JSON and Markdown side by side, the newest `KEEP`."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from testbed.experiments.report import as_markdown

KEEP: Final = 200
_ID: Final = re.compile(r"\d{8}-\d{6}-[a-z0-9-]{1,40}", re.ASCII)
_SHORT: Final = ("id", "name", "title", "kind", "verdict", "started", "ended", "parameters", "reason")


class Reports:
    """The reports in a directory.

    Args:
        directory: created when the first report is kept; None: one that goes when the process goes.
    """

    def __init__(self, directory: Path | None) -> None:
        self._temporary = tempfile.TemporaryDirectory("-reports") if directory is None else None
        self._directory = Path(self._temporary.name) if self._temporary is not None else directory or Path()
        self._known: dict[str, dict[str, Any]] | None = None

    def keep(self, report: Mapping[str, Any]) -> None:
        """Write a report down, and forget the oldest beyond `KEEP`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._write(f"{report['id']}.md", as_markdown(report).encode())
        self._write(f"{report['id']}.json", orjson.dumps(report, option=orjson.OPT_INDENT_2))
        known = self._index()
        known[report["id"]] = _short(report)
        for old in self._files()[KEEP:]:
            old.unlink(missing_ok=True)
            old.with_suffix(".md").unlink(missing_ok=True)
            known.pop(old.stem, None)

    def summaries(self) -> list[dict[str, Any]]:
        """The essence of every report, the newest first; files that cannot be read are left out."""
        return [one for _, one in sorted(self._index().items(), reverse=True)]

    def get(self, run_id: str) -> dict[str, Any] | None:
        """A report; None when there is none of this id."""
        return self._read(self._directory / f"{run_id}.json") if _ID.fullmatch(run_id) else None

    def text(self, run_id: str) -> str | None:
        """A report as Markdown; None when there is none of this id."""
        file = self._directory / f"{run_id}.md"
        return file.read_text() if _ID.fullmatch(run_id) and file.is_file() else None

    def _index(self) -> dict[str, dict[str, Any]]:
        # Read once: a page asks for the list again and again, and each report holds all of its seconds.
        if self._known is None:
            found = ((file.stem, self._read(file)) for file in self._files())
            self._known = {name: _short(one) for name, one in found if one is not None}
        return self._known

    def _files(self) -> list[Path]:
        files = self._directory.glob("*.json")
        return sorted((file for file in files if _ID.fullmatch(file.stem)), reverse=True)

    def _read(self, file: Path) -> dict[str, Any] | None:
        try:
            found = orjson.loads(file.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return found if isinstance(found, dict) else None

    def _write(self, name: str, content: bytes) -> None:
        temporary = self._directory / f".{name}.new"
        temporary.write_bytes(content)
        temporary.replace(self._directory / name)


def _short(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: report.get(name) for name in _SHORT}
