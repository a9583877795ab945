"""What can run the configuration: Redpanda Connect's own program, or its parts from PyPI wheels."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from testbed.connect.config import Document

RPK_PLUGIN: Final = ".rpk.managed-connect"
"""What `rpk connect` starts; without it rpk would download one."""
MAX_BATCH: Final = 10_000
"""Messages taken at once; above every batch that the file can make, so that none is split."""


@dataclass(frozen=True, slots=True)
class Message:
    """An event after its processors: payload, and metadata that says where it goes."""

    payload: bytes
    metadata: Mapping[str, str]


class Consumer(Protocol):
    """A running input. Blocking: call it in a thread."""

    def poll(self) -> Sequence[Message]:
        """The next batch; empty when none came for about a second."""

    def acknowledge(self) -> None:
        """The batch is delivered: let the input go on."""


Commit = Callable[[Message], None]
"""Stores the position behind a delivered batch, given its last message. Blocking."""


def find_program(search_path: str | None = None) -> list[str] | None:
    """Command that runs a configuration file, when Redpanda Connect is installed."""
    if program := shutil.which("redpanda-connect", path=search_path):
        return [program, "run"]
    places = os.pathsep.join([search_path or os.environ.get("PATH", ""), str(Path.home() / ".local/bin")])
    rpk = shutil.which("rpk", path=search_path)
    return [rpk, "connect", "run"] if rpk and shutil.which(RPK_PLUGIN, path=places) else None


def open_consumer(document: Document) -> Consumer:
    """Start the input of `document`."""
    return _Embedded(_library().Consumer.from_config(_endpoint(document)))


def open_commit(document: Document) -> Commit:
    """Start the output of `document`."""
    library = _library()
    publisher = library.Publisher.from_config(_endpoint(document))
    return lambda message: publisher.send(library.Message(message.payload, dict(message.metadata)))


class _Embedded:
    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def poll(self) -> Sequence[Message]:
        # Never with `timeout_ms`: when it ends a poll, mq-bridge 1.2 drops the batch that comes next, and the
        # input waits for its acknowledgement for ever. Without it the engine's own second ends the poll.
        batch = self._consumer.poll(max=MAX_BATCH)
        return [Message(message.payload, message.metadata) for message in batch]

    def acknowledge(self) -> None:
        self._consumer.commit()


def _endpoint(document: Document) -> Document:
    return {"custom": {"name": "connect", "config": {"yaml": yaml.safe_dump(document)}}}


def _library() -> Any:
    # 290 MB of Go code: only for a process that runs it.
    import mq_bridge
    import mq_bridge_connect

    mq_bridge_connect.register()
    return mq_bridge
