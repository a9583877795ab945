"""A Kafka node of a test's own, which it may stop, kill and start again."""

from contextlib import contextmanager

from own_broker import Server
from support import free_port
from testbed.engines.native import kafka, paths


@contextmanager
def own_kafka(directory, advertised="127.0.0.1", disk=None):
    """Its bootstrap address and its process.

    Args:
        directory: to be made; holds its files.
        advertised: the address that it tells clients.
        disk: makes the file system of its data from the directory of that, see `SmallDisk`.
    """
    directory.mkdir()
    port = free_port()
    command = kafka.prepare(
        directory,
        kafka.libraries(paths.cache()),
        port=port,
        controller_port=free_port(),
        advertised=advertised,
    )
    if disk:
        command = disk(directory / "data").command(command)
    server = Server(command, directory, [port])
    server.start()
    try:
        yield f"127.0.0.1:{port}", server
    finally:
        server.stop()
