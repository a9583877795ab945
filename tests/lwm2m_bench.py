"""The LwM2M server's parts without broker, disk and HTTP: what unit tests of several of them share."""

import asyncio
from typing import Any

import cbor2

from iiot.errors import MqttError
from iiot.lwm2m import model
from iiot.lwm2m.message import (
    Command,
    Deregister,
    Link,
    Notify,
    Operation,
    Record,
    Register,
    Response,
    Send,
    Update,
)
from iiot.lwm2m.path import Path
from lwm2m_rig import Clock
from lwm2m_server.bootstrap import Bootstrap
from lwm2m_server.duplicates import Duplicates
from lwm2m_server.models import Models
from lwm2m_server.observations import Observations
from lwm2m_server.oma_channel import OmaChannel
from lwm2m_server.operations import Operations
from lwm2m_server.registry import Registry
from lwm2m_server.uplink import Uplink
from lwm2m_server.values import Values
from support import eventually

TEMPERATURE = Record(Path.of(3303, 0, 5700), 23.5)
READ = Command(operation=Operation.READ, path=Path.of(3, 0, 9))


class Log:
    """An event log whose events become durable when the test says so."""

    def __init__(self):
        self.events, self.documents, self.waiting = [], {}, []

    def append(
        self, kind, endpoint, data, *, seq=None, registration=None, deregistered=False, on_durable=None
    ):
        self.events.append((kind, endpoint, data, seq, registration is not None, deregistered))
        self.waiting.append(on_durable)
        return len(self.events)

    def put(self, kind, name, body, on_durable=None):
        if body is None:
            self.documents.pop((kind, name), None)
        else:
            self.documents[kind, name] = body
        self.waiting.append(on_durable)

    async def stored(self, kind, name, body):
        self.put(kind, name, body)

    def settle(self):
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            if callback is not None:
                callback()
        if self.waiting:
            self.settle()

    @property
    def kinds(self):
        return [event[0] for event in self.events]


class Counts(list):
    """What was counted, in order."""

    def message(self, operation, outcome):
        self.append((operation, outcome))

    def foreign(self, reason):
        self.append(reason)

    def command(self, operation, outcome, seconds):
        assert seconds >= 0
        self.append((operation, outcome))

    def unmatched_response(self):
        self.append("unmatched")

    def unfit(self, operation):
        self.append(("unfit", operation))

    def records_refused(self, operation, count):
        self.append(("records refused", operation, count))

    def budget_exceeded(self, budget):
        self.append(("budget", budget))


class Message:
    """A message from the broker."""

    def __init__(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.topic, self.payload, self.retain, self.duplicate = topic, payload, retain, False
        self.acked = 0

    def ack(self) -> None:
        self.acked += 1


class Bench:
    """Registry, requests, observations, values and uplink; `sent` holds what would go to devices."""

    def __init__(self, definitions: model.Definitions | None = None) -> None:
        self.clock, self.log, self.counts = Clock(), Log(), Counts()
        self.sent: list[Command] = []
        self.broker_away = False
        self.registry = Registry(self.clock)
        self.definitions = definitions or model.built_in()
        self.models = Models(self.definitions, self.registry)
        self.operations = Operations(
            self.registry, self.models, self.send, lambda *_: None, self.log, self.counts,
            self.clock.wall_ms, 3600.0,
        )  # fmt: skip
        self.observations = Observations(self.operations, self.log, self.clock.wall_ms)
        self.values = Values(100, 10_000)
        self.bootstrap = Bootstrap(self.operations, self.log, self.definitions, self.clock.wall_ms)
        self.uplink = Uplink(
            self.registry, self.log, Duplicates(), self.models, self.operations, self.observations,
            self.values, self.clock, self.bootstrap, self.counts,
        )  # fmt: skip
        self.replies: list[Response] = []
        self.done = 0

    def send(self, _endpoint: str, _profile: str, command: Command) -> None:
        if self.broker_away:
            raise MqttError("not connected")
        self.sent.append(command)

    def finish(self) -> None:
        self.done += 1

    def hears(self, message: Register | Update | Deregister | Send | Notify, endpoint: str = "d1") -> None:
        """A device says something that is not durable yet."""
        self.uplink.handle(endpoint, message, "json", self.replies.append, self.finish)

    def registers(self, **changes: Any) -> None:
        """The device d1 registers."""
        links = (Link(Path.of(3, 0)),)
        self.hears(Register(**{"endpoint": "d1", "lifetime": 60, "links": links} | changes))
        self.log.settle()

    def answers(self, **response: Any) -> None:
        """The device answers the newest command."""
        self.uplink.heard("d1")
        self.operations.handle("d1", Response(**{"token": self.sent[-1].token} | response))
        self.log.settle()


class OmaBench(Bench):
    """The same behind the OMA channel."""

    def __init__(
        self, extensions: bool = True, prefix: str = "", definitions: model.Definitions | None = None
    ) -> None:
        super().__init__(definitions)
        self.published: list[tuple[str, bytes]] = []
        self.channel = OmaChannel(
            prefix, extensions, self.models, self.uplink, self.operations, self.observations.path,
            self.registry.get,
            lambda topic, payload: self.published.append((topic, payload)), self.counts, self.clock.monotonic,
        )  # fmt: skip

    def send(self, endpoint: str, _profile: str, command: Command) -> None:
        topic, payload = self.channel.encode(endpoint, command)
        self.channel.sent(topic, payload)
        self.published.append((topic, payload))

    def says(self, payload: bytes | str, topic: str = "lwm2m/rd/d1") -> Message:
        """Hand over a message and let it become durable."""
        message = Message(topic, bytes.fromhex(payload) if isinstance(payload, str) else payload)
        self.channel.handle(message)
        self.log.settle()
        return message

    def take(self) -> list[dict[int, Any]]:
        """What was published since the last call, as CBOR maps."""
        published, self.published = self.published, []
        return [cbor2.loads(payload) for _, payload in published]


async def asking(bench, command=READ, seconds=5):
    """A request under way, whose command has left."""
    before = len(bench.sent)
    task = asyncio.create_task(bench.operations.request("d1", command, seconds))
    await eventually(lambda: len(bench.sent) > before, "the command is sent")
    return task
