"""A TCP proxy that stalls and resets connections on demand."""

import socket
import struct
import threading
from contextlib import suppress

RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards to `127.0.0.1:target`; listens on `host:port` while used as a context."""

    def __init__(self, target, host="127.0.0.1", port=0):
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._sockets = set()
        self._threads = []
        self._listener = socket.create_server((host, port))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        self._spawn(self._accept)
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.resume()
        self.reset()
        for thread in self._threads:
            thread.join(5)

    def stall(self):
        """Let nothing through, with all connections open."""
        self._flowing.clear()

    def resume(self):
        self._flowing.set()

    def reset(self):
        """End all connections with RST."""
        for one in list(self._sockets):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.shutdown(socket.SHUT_RDWR)

    def _spawn(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._sockets |= {client, server}
            self._spawn(self._forward, client, server)
            self._spawn(self._forward, server, client)

    def _forward(self, source, sink):
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flowing.wait()
                sink.sendall(data)
        for one in (source, sink):
            self._sockets.discard(one)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()
