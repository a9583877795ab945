"""What the supervisor writes down about the running parts, for `status`, `logs` and a second `up`."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed.engines.base import PartStatus
from testbed.engines.native.process import ProcessId


@dataclass(slots=True)
class RunState:
    """One run of the testbed."""

    supervisor: ProcessId
    started_ms: int
    devices: int
    parts: dict[str, PartStatus] = field(default_factory=dict)
    processes: dict[str, ProcessId] = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Replace the file in one step, so that a reader never sees half of it."""
        text = json.dumps(
            {
                "supervisor": asdict(self.supervisor),
                "started_ms": self.started_ms,
                "devices": self.devices,
                "parts": [asdict(part) for part in self.parts.values()],
                "processes": {name: asdict(process) for name, process in self.processes.items()},
            },
            indent=1,
        )
        temporary = _file(directory).with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(_file(directory))

    @classmethod
    def load(cls, directory: Path) -> "RunState | None":
        """The last run that was written down; None when there is none or the file is damaged."""
        try:
            document: dict[str, Any] = json.loads(_file(directory).read_text())
            return cls(
                supervisor=ProcessId(**document["supervisor"]),
                started_ms=document["started_ms"],
                devices=document["devices"],
                parts={part["name"]: PartStatus(**part) for part in document["parts"]},
                processes={name: ProcessId(**process) for name, process in document["processes"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    @staticmethod
    def forget(directory: Path) -> None:
        """Nothing runs any more."""
        _file(directory).unlink(missing_ok=True)


def _file(directory: Path) -> Path:
    return directory / "run.json"
