import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from rich.console import Console

from testbed import view
from testbed.engines.native.ports import Ports


class FakeEngine:
    def __init__(self, offset):
        self.offset = offset

    def port_offset(self):
        return self.offset

    def status(self):
        return []


def shown(offset):
    console = Console(width=200, record=True)
    with console.capture() as captured:
        console.print(view.addresses(FakeEngine(offset)))
    return next(line for line in captured.get().splitlines() if line.startswith("REST writes"))


@pytest.mark.parametrize(
    ("health", "told"),
    [
        ({"api_writes": "open"}, "open to everyone on this machine; set API_TOKEN_FILE"),
        ({"api_writes": "token"}, "with the token of API_TOKEN_FILE"),
        ({}, "unknown"),
    ],
)
def test_the_addresses_say_who_may_write(health, told):
    class Health(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(health).encode())

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert told in shown(server.server_address[1] - Ports(0).http("lwm2m-server"))
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_does_not_answer_is_no_error():
    assert "unknown" in shown(1 - Ports(0).http("lwm2m-server"))
