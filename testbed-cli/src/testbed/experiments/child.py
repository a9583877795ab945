"""The process of one run: `python -m testbed.experiments.child`, started by the desk.

The job comes as JSON in the first line of standard input; what happens goes out as one JSON object per line,
the report last. A fault is asked for in the same way, and answered in a line of standard input. When that
ends, or SIGTERM comes, the run cleans up and ends as aborted.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from itertools import count
from typing import Any, BinaryIO

import orjson

from iiot.errors import InvalidValueError, SettingsError
from iiot.settings import load
from iiot.telemetry import configure_logging
from testbed.experiments.conduct import conduct
from testbed.experiments.lab import ExperimentError, FaultKind
from testbed.experiments.places import Places

LONGEST_LINE = 1 << 20


class Desk:
    """The other end: the desk that started this process."""

    def __init__(self, reader: asyncio.StreamReader, out: BinaryIO) -> None:
        self._reader = reader
        self._out = out
        self._faults: dict[int, asyncio.Future[None]] = {}
        self._numbers = count(1)

    def emit(self, event: Mapping[str, Any]) -> None:
        """Tell something."""
        self._out.write(orjson.dumps(event) + b"\n")
        self._out.flush()

    async def read(self) -> dict[str, Any] | None:
        """The next line; None at the end."""
        line = await self._reader.readline()
        found: dict[str, Any] | None = orjson.loads(line) if line.strip() else None
        return found

    async def listen(self) -> None:
        """Take answers until the desk is gone."""
        while (answer := await self.read()) is not None:
            waiting = self._faults.pop(answer["fault"], None)
            if waiting is None or waiting.done():
                continue
            if answer.get("error"):
                waiting.set_exception(ExperimentError(str(answer["error"])))
            else:
                waiting.set_result(None)

    async def fault(self, kind: FaultKind, part: str, seconds: float) -> None:
        """Have something done to a part, and wait until it is over.

        Raises:
            ExperimentError: it cannot be done.
        """
        number = next(self._numbers)
        self._faults[number] = asyncio.get_running_loop().create_future()
        self.emit({"type": "fault", "fault": number, "kind": kind, "part": part, "seconds": seconds})
        await self._faults[number]


async def main() -> None:
    """Carry out the job."""
    # Whatever else writes to standard output must not come between the lines of the desk.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    configure_logging("experiment", "WARNING", "auto")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    desk = Desk(reader, out)
    job = await desk.read()
    if job is None:
        return
    running = asyncio.create_task(_report(job, desk))
    loop.add_signal_handler(signal.SIGTERM, running.cancel)
    listening = asyncio.create_task(desk.listen())
    await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        running.cancel()
    desk.emit({"type": "report", "report": await running})
    listening.cancel()


async def _report(job: Mapping[str, Any], desk: Desk) -> dict[str, Any]:
    try:
        places = load(Places)
        return await conduct(job["id"], job["name"], job["parameters"], places, desk.fault, desk.emit)
    except (SettingsError, InvalidValueError) as exc:
        return {"id": job["id"], "name": job["name"], "verdict": "error", "reason": str(exc)}


if __name__ == "__main__":
    asyncio.run(main())
