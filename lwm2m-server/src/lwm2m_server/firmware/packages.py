"""Firmware packages: bytes in files named by their SHA-256, what is known of them in the database."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from iiot.errors import InvalidValueError

PACKAGE: Final = "package"
"""Kind of the stored documents."""
MAX_PACKAGES: Final = 1000


@dataclass(frozen=True, slots=True)
class Package:
    """A package; `id` is its SHA-256, `created` ms since 1970, `size` in bytes."""

    id: str
    name: str
    size: int
    created: int

    def describe(self) -> dict[str, Any]:
        """The package as JSON."""
        return asdict(self)


class Storage(Protocol):
    """Where descriptions are kept."""

    async def stored(self, kind: str, name: str, body: bytes | None) -> None:
        """Store or remove a document, and wait until that is on disk."""


class Packages:
    """All packages.

    Args:
        directory: holds the files; made when missing.
        storage: keeps the descriptions.
    """

    def __init__(self, directory: Path, storage: Storage) -> None:
        self._directory = directory
        self._storage = storage
        self._all: dict[str, Package] = {}

    def all(self) -> list[Package]:
        """The packages, newest first."""
        return sorted(self._all.values(), key=lambda package: -package.created)

    def get(self, number: str) -> Package | None:
        """A package by its id."""
        return self._all.get(number)

    def file(self, package: Package) -> Path:
        """Where its bytes are."""
        return self._directory / package.id

    def read(self, package: Package) -> bytes:
        """Its bytes. Blocking."""
        return self.file(package).read_bytes()

    async def add(self, name: str, data: bytes, now: int) -> Package:
        """Store a package; the same bytes are the same package.

        Raises:
            InvalidValueError: it is empty, or there are too many.
        """
        if not data:
            raise InvalidValueError("body", 0, "the bytes of a package")
        package = Package(hashlib.sha256(data).hexdigest(), name, len(data), now)
        if package.id not in self._all and len(self._all) >= MAX_PACKAGES:
            raise InvalidValueError("packages", len(self._all), f"at most {MAX_PACKAGES}")
        await asyncio.to_thread(self._write, package, data)
        self._all[package.id] = package
        await self._storage.stored(PACKAGE, package.id, orjson.dumps(package.describe()))
        return package

    async def remove(self, package: Package) -> None:
        """Remove a package."""
        del self._all[package.id]
        await self._storage.stored(PACKAGE, package.id, None)
        await asyncio.to_thread(self.file(package).unlink, missing_ok=True)

    def restore(self, documents: Mapping[str, bytes]) -> None:
        """Take back what is stored, as far as its files are there."""
        found = [Package(**orjson.loads(body)) for body in documents.values()]
        self._all = {package.id: package for package in found if self.file(package).is_file()}

    def _write(self, package: Package, data: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        partial = self.file(package).with_suffix(".part")
        partial.write_bytes(data)
        partial.rename(self.file(package))
