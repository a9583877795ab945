"""The supervisor's door: a socket in the state directory by which a part can be killed, stopped or frozen.

Who may open it is a matter of the file system: the socket belongs to the supervisor's user, and others are
turned away by the user id that the kernel vouches for. One JSON line asks, one answers when it is over; a
fault ends with the connection, so whoever asked cannot leave one behind.
"""

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from iiot.errors import IiotError

FAULTS: Final = ("kill", "stop", "pause")
LONGEST: Final = 600.0
"""s that a part may be kept away at most."""
_NAME: Final = "control.sock"
_CREDENTIALS: Final = struct.Struct("3i")

Fault = Callable[[str, str, float], Awaitable[None]]
"""Called with the kind of fault, the part and seconds; returns when it is over, cancelled to end it early."""


class ControlError(IiotError):
    """The supervisor refuses, or does not answer."""


@asynccontextmanager
async def listening(directory: Path, fault: Fault) -> AsyncIterator[None]:
    """Take requests inside the block."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        try:
            answer = await _answer(reader, writer, fault)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            return  # cancelled by `listening` alone, when the supervisor ends
        finally:
            writer.close()

    with _short(directory) as path:
        _forget(path)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(serve, path)
        finally:
            os.umask(before)
        try:
            yield
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            _forget(path)


async def ask(directory: Path, request: Mapping[str, Any]) -> None:
    """Have the supervisor do something, and wait until it is over; being cancelled ends it.

    Raises:
        ControlError: it refuses, or nothing answers.
    """
    try:
        with _short(directory) as path:
            reader, writer = await asyncio.open_unix_connection(path)
    except OSError as exc:
        raise ControlError(f"the supervisor of {directory} does not answer: {exc.strerror}") from exc
    try:
        writer.write(json.dumps(dict(request)).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    except ConnectionError as exc:
        raise ControlError(f"the supervisor went away: {exc}") from exc
    finally:
        writer.close()
    if not line:
        raise ControlError("the supervisor went away")
    error = json.loads(line).get("error")
    if error:
        raise ControlError(error)


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault
) -> dict[str, str | None]:
    if _user_of(writer) not in (os.getuid(), 0):
        return {"error": "another user may not do this"}
    try:
        request = json.loads(await reader.readline())
        kind, part, seconds = request["do"], request["part"], float(request["seconds"])
    except (ValueError, KeyError, TypeError) as exc:
        return {"error": f"needs a JSON line with do, part and seconds: {exc}"}
    if kind not in FAULTS:
        return {"error": f"do={kind!r}: must be one of {', '.join(FAULTS)}"}
    if not 0 <= seconds <= LONGEST:
        return {"error": f"seconds={seconds!r}: must be 0 to {LONGEST:g}"}
    return {"error": await _while_connected(reader, fault(kind, part, seconds))}


async def _while_connected(reader: asyncio.StreamReader, doing: Awaitable[None]) -> str | None:
    task = asyncio.ensure_future(doing)
    gone = asyncio.create_task(reader.read())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in (task, gone):
            one.cancel()
        result, _ = await asyncio.gather(task, gone, return_exceptions=True)
    return str(result) if isinstance(result, Exception) else None


def _forget(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _user_of(writer: asyncio.StreamWriter) -> int:
    connection = writer.get_extra_info("socket")
    _, user, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return int(user)


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A path to the socket that is short: an address holds 107 bytes, and a directory may lie deep."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)
