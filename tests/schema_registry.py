"""A schema registry in memory, as far as the testbed speaks to one."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Registry:
    """What was registered: subject -> (schemaType, schema), and the compatibility asked for."""

    def __init__(self, port):
        self.subjects, self.compatibility, self.refuse = {}, {}, None
        self.url = f"http://127.0.0.1:{port}"

    def answer(self, method, path, body):
        if self.refuse:
            return self.refuse
        match method, path.strip("/").split("/"):
            case "PUT", ["config", subject]:
                self.compatibility[subject] = body["compatibility"]
                return 200, body
            case "POST", ["subjects", subject, "versions"]:
                self.subjects[subject] = body["schemaType"], body["schema"]
                return 200, {"id": 1000 + list(self.subjects).index(subject)}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}


@contextmanager
def running_registry(port=0):
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = registry.answer(self.command, self.path, body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_PUT  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        registry = Registry(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
