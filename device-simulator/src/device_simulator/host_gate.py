"""Waiting for the primary host (Sparkplug 3.0 §5.4): nothing is sent while it is not online."""

import asyncio
from contextlib import suppress
from typing import Final

from device_simulator.servers import ServerList
from iiot.errors import DecodeError
from iiot.sparkplug.edge import EdgeNode

SILENCE: Final = 10.0
"""s without any STATE of the host after which a device that has other servers tries the next one."""


class HostGate:
    """Tells a device's connection when it may speak, and when it has to leave."""

    def __init__(self, edge: EdgeNode, servers: ServerList) -> None:
        self._edge = edge
        self._servers = servers
        self._online = asyncio.Event()

    def shut(self) -> None:
        """A new connection: the host's STATE has to be heard again."""
        self._online.clear()

    async def wait(self, leaving: asyncio.Event) -> bool:
        """Wait for the primary host, if there is one; False when the device has to leave before."""
        host = self._edge.primary_host
        if host is None:
            return True
        while not self._online.is_set() and not leaving.is_set():
            await self._either(leaving)
            if host.online is None and not leaving.is_set():
                self._servers.move_on()
                return False
        return not leaving.is_set()

    async def _either(self, leaving: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._online, leaving)]
        patience = SILENCE if self._servers.has_others else None
        try:
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def hear(self, topic: str, payload: bytes, leaving: asyncio.Event, *, speaking: bool) -> bool:
        """Take in a message; whether it is about the host. `leaving` is set when the device has to go.

        Where the host is offline, a device does not stay that speaks, or has other servers to go to (§5.10).
        """
        host = self._edge.primary_host
        if host is None or topic != host.topic:
            return False
        with suppress(DecodeError):
            self._edge.receive(topic, payload)
        if host.online:
            self._online.set()
            return True
        self._online.clear()
        if host.online is False and (speaking or self._servers.has_others) and not leaving.is_set():
            self._servers.move_on()
            leaving.set()
        return True
