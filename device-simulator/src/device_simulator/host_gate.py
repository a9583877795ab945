"""Waiting for the primary host (Sparkplug 3.0 §5.4): nothing is sent while it is not online."""

import asyncio
from contextlib import suppress

from iiot.errors import DecodeError
from iiot.sparkplug.edge import EdgeNode


class HostGate:
    """Tells a device's connection when it may speak, and when it has to leave."""

    def __init__(self, edge: EdgeNode) -> None:
        self._edge = edge
        self._online = asyncio.Event()

    def shut(self) -> None:
        """A new connection: the host's STATE has to be heard again."""
        self._online.clear()

    async def wait(self, leaving: asyncio.Event) -> bool:
        """Wait for the primary host, if there is one; False when the device has to leave before."""
        if self._edge.primary_host is None:
            return True
        waits = [asyncio.create_task(event.wait()) for event in (self._online, leaving)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self._online.is_set()

    def hear(self, topic: str, payload: bytes) -> bool | None:
        """Take in a message; whether the host is online, None when it is not about the host."""
        host = self._edge.primary_host
        if host is None or topic != host.topic:
            return None
        with suppress(DecodeError):
            self._edge.receive(topic, payload)
        if host.online:
            self._online.set()
        return host.online
