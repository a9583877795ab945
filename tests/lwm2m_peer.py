"""An LwM2M server as one simulated device meets it: the JSON profile, without a broker."""

import json

EP = "lwm2m/device-x-001/"


class Server:
    def __init__(self, parts):
        self.parts = parts
        self.inbox = []
        self._token = 0

    def take(self, publications):
        """Note what the device published; the bodies of its messages by kind."""
        self.inbox += [(p.kind, p.topic, json.loads(p.payload)) for p in publications]

    def send(self, topic, body):
        self.take(
            self.parts.client.receive(EP + topic, json.dumps(body).encode(), self.parts.clock.monotonic())
        )

    def register(self):
        self.take(self.parts.client.connected(self.parts.clock.now))
        self.send("ack/reg", {"code": "2.01"})
        return self

    def command(self, operation, path=None, token=None, **fields):
        """The answer to a command; None when the device is deaf."""
        if token is None:
            self._token += 1
            token = f"t{self._token}"
        before = len(self.inbox)
        body = {"operation": operation, **({"path": path} if path else {}), **fields}
        self.send(f"cmd/{token}", body)
        answers = [
            body
            for kind, topic, body in self.inbox[before:]
            if (kind, topic) == ("resp", f"{EP}resp/{token}")
        ]
        return answers[0] if answers else None

    def code(self, *args, **fields):
        return self.command(*args, **fields)["code"]

    def read(self, path):
        return self.command("read", path)["values"][path]

    def run(self, seconds, step=1.0, online=True):
        """Let time pass for the device."""
        end = self.parts.clock.now + seconds
        while self.parts.clock.now < end:
            self.parts.clock.now = min(end, self.parts.clock.now + step)
            self.take(self.parts.client.tick(self.parts.clock.now, online=online))

    def of(self, kind, since=0):
        return [body for seen, _, body in self.inbox[since:] if seen == kind]

    def notified(self, token):
        return [body for kind, topic, body in self.inbox if topic == f"{EP}notify/{token}"]
