"""Firmware packages: read as they come in, so that a fleet that updates at once holds none in memory.

Any bytes are a package, whose version is then the start of its SHA-256. A first line of JSON says more:

    {"name": "app", "version": "1.1.0", "model": "SimDevice-energy_meter", "sha256": "<of what follows>"}
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson

MAX_HEADER: Final = 4096
"""Bytes within which the first line must end to count as a header."""


@dataclass(frozen=True, slots=True)
class Package:
    """What is known of a complete package.

    Attributes:
        size: bytes, with the header.
        model: /3/0/1 of the devices that it is for; empty when it does not say.
        intact: its content has the SHA-256 that its header tells.
    """

    name: str
    version: str
    size: int
    model: str = ""
    intact: bool = True


class PackageReader:
    """Takes a package in pieces of any size."""

    def __init__(self) -> None:
        self.size = 0
        self._head = bytearray()
        self._in_head = True
        self._header: dict[str, Any] = {}
        self._digest = hashlib.sha256()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        if not piece:
            return
        self.size += len(piece)
        if not self._in_head:
            self._digest.update(piece)
            return
        self._head += piece
        if b"\n" in self._head or len(self._head) > MAX_HEADER or self._head[:1] != b"{":
            self._end_head()

    def finish(self) -> Package:
        """The package, all of which has been fed."""
        if self._in_head:
            self._end_head()
        digest = self._digest.hexdigest()
        told = {name: str(self._header.get(name, "")) for name in ("name", "version", "model", "sha256")}
        return Package(
            name=told["name"][:255] or "firmware",
            version=told["version"][:255] or digest[:8],
            size=self.size,
            model=told["model"],
            intact=told["sha256"].lower() in ("", digest),
        )

    def _end_head(self) -> None:
        self._in_head = False
        line, _, rest = bytes(self._head).partition(b"\n")
        try:
            header = orjson.loads(line)
        except orjson.JSONDecodeError:
            header = None
        if isinstance(header, dict):
            self._header = header
            self._digest.update(rest)
        else:
            self._digest.update(self._head)
        self._head.clear()


def read_package(data: bytes) -> Package:
    """A package that is there in one piece."""
    reader = PackageReader()
    reader.feed(data)
    return reader.finish()
