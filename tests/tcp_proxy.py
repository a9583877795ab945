"""A TCP proxy that stalls, slows and resets connections on demand."""

import asyncio
import socket
import struct
import threading
from contextlib import suppress

RESET = struct.pack("ii", 1, 0)
CHUNK = 16_384
PIPELINE = 64
"""Chunks of a connection that may be on their way in each direction."""


class TcpProxy:
    """Forwards to `127.0.0.1:target`; listens on `host:port` while used as a context.

    An event loop in a thread of its own does the work; the methods may be called from any other thread.
    """

    def __init__(self, target, host="127.0.0.1", port=0):
        self._target = target
        self._listener = socket.create_server((host, port))
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._writers = set()
        self._connections = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bytes_per_second = 0
        self._delay = 0.0

    def __enter__(self):
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._connected, sock=self._listener))
        return self

    def __exit__(self, *_):
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def stall(self):
        """Let nothing through, with all connections open."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self):
        """Let everything through at full speed."""
        self.slow(0, 0.0)
        self._loop.call_soon_threadsafe(self._flowing.set)

    def slow(self, bytes_per_second, delay):
        """Let at most so many bytes through per connection and direction, each `delay` seconds later."""
        self._bytes_per_second, self._delay = bytes_per_second, delay

    def reset(self):
        """End all connections with RST."""
        self._call(self._reset())

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(5)

    async def _stop(self):
        self._server.close()
        await self._reset()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _reset(self):
        for writer in self._writers:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _connected(self, reader, writer):
        self._connections.add(asyncio.current_task())
        writers = {writer}
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            writers.add(far_writer)
            self._writers |= writers
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forward(reader, far_writer))
                tasks.create_task(self._forward(far_reader, writer))
        except (OSError, ExceptionGroup):
            pass  # one end is gone, and so the other goes
        finally:
            self._writers -= writers
            for one in writers:
                one.close()
            self._connections.discard(asyncio.current_task())

    async def _forward(self, reader, writer):
        on_the_way = asyncio.Queue(PIPELINE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(on_the_way, writer))
            data = b"-"
            while data:
                data = await reader.read(CHUNK)
                await on_the_way.put((self._loop.time() + self._delay, data))

    async def _send(self, on_the_way, writer):
        while True:
            due, data = await on_the_way.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await self._flowing.wait()
            if not data:
                raise ConnectionResetError("the other end has closed")
            writer.write(data)
            await writer.drain()
            if self._bytes_per_second:
                await asyncio.sleep(len(data) / self._bytes_per_second)
