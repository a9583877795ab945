"""Health probes against scripted servers: only the right answer counts."""

import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from support import free_port
from testbed.engines.native.part import answers, speaks_kafka, speaks_mqtt


@contextmanager
def server(reply):
    """Answers one connection with `reply` after the first bytes; notes them."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                seen.append(connection.recv(4096))
                connection.sendall(reply)
                with suppress(ConnectionError):  # the probe may leave before it has read everything
                    connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], seen
        thread.join()


@pytest.mark.parametrize(
    ("reply", "healthy"), [(b"\x20\x02\x00\x00", True), (b"\x20\x02\x00\x05", False), (b"", False)]
)
def test_only_an_accepting_broker_is_healthy(reply, healthy):
    with server(reply) as (port, seen):
        assert (speaks_mqtt(port)() is None) == healthy
    assert seen[0][:2] == b"\x10\x0c"


def test_a_kafka_broker_answers_with_a_length():
    with server(b"\x00\x00\x01\x00\x00\x00\x00\x01") as (port, _):
        assert speaks_kafka(port)() is None


def test_the_reason_of_an_unhealthy_service_is_told():
    body = b'{"status":"unhealthy","mqtt_connected":false,"timestamp":"x"}'
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    with server(head + body) as (port, _):
        problem = answers(f"http://127.0.0.1:{port}/api/health")()
    assert problem == 'answers with status 503: {"status": "unhealthy", "mqtt_connected": false}'


@pytest.mark.parametrize(
    "probe", [speaks_mqtt, speaks_kafka, lambda port: answers(f"http://127.0.0.1:{port}/")]
)
def test_nobody_there_is_a_problem_with_the_port_in_it(probe):
    port = free_port()
    assert str(port) in probe(port)()
