"""Comparisons: the same thing done two ways, side by side."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m import content, json_profile, oma_profile
from iiot.lwm2m.content import Format
from iiot.lwm2m.message import Content, Deregister, Link, Record, Register, Response, Send, Update, Uplink
from iiot.lwm2m.model import built_in
from iiot.lwm2m.path import ROOT, Path
from iiot.mqtt import Connection, ConnectOptions, Message, Subscription
from testbed.experiments.guest import LIFETIME, LINKS
from testbed.experiments.lab import ExperimentError, Lab
from testbed.experiments.loads import SECONDS
from testbed.experiments.model import Experiment, Number, Values
from testbed.experiments.samples import Phases

PATIENCE: Final = 20.0
RECORDS: Final = (
    Record(Path.parse("/3303/0/5700"), 21.5),
    Record(Path.parse("/3303/0/5601"), 19.25),
    Record(Path.parse("/3303/0/5602"), 23.75),
)
"""What a Send carries: a temperature with its extremes."""


async def paths(lab: Lab, values: Values) -> None:
    """Let the fleet go on and compare the ways of its messages; `compare_paths` judges."""
    lab.tell("comparing the ways of the fleet's own messages")
    await asyncio.sleep(int(values["seconds"]))
    lab.calm()


def compare_paths(phases: Phases) -> list[dict[str, Any]]:
    """Latencies by path over the middle phase, in ms."""
    found = []
    for name, by_phase in phases.paths.items():
        latency = by_phase["during"]
        p50, p99 = latency.quantile(0.5), latency.quantile(0.99)
        found.append({"path": name, "messages": latency.count, "p50_ms": p50, "p99_ms": p99})
    return found


@dataclass(slots=True)
class _Tally:
    up: int = 0
    down: int = 0
    messages: int = 0
    answers: int = 0
    encode_us: float = 0.0


class _Speaker:
    """A device that speaks one profile and counts its bytes."""

    def __init__(self, name: str, oma: bool) -> None:
        self.name = name
        self.tally = _Tally()
        self._oma = oma
        self._token = 1
        self._definitions = built_in()
        self._topic = str(oma_profile.Topic(name, oma_profile.MANAGEMENT, ""))

    def subscriptions(self) -> Sequence[Subscription]:
        """Where the server's answers come."""
        if self._oma:
            return [Subscription(topic, no_local=True) for topic in oma_profile.device_filters(self.name)]
        return [Subscription(topic) for topic in json_profile.down_filters(self.name)]

    def encode(self, message: Uplink) -> tuple[str, bytes]:
        """Topic and payload."""
        if not self._oma:
            return json_profile.encode_uplink(self.name, message)
        return self._topic, oma_profile.encode_uplink(message)

    def message(self, make: Callable[[str, Content | None], Uplink], records: tuple[Record, ...]) -> Uplink:
        """A message with the next token, its records encoded as the profile has it."""
        self._token += 2
        if not (self._oma and records):
            return make(str(self._token), None)
        form = Format.SENML_CBOR
        return make(str(self._token), Content(form, content.encode(form, records, ROOT, self._definitions)))

    def hear(self, message: Message) -> None:
        """Count an answer of the server."""
        message.ack()
        self.tally.down += len(message.topic.encode()) + len(message.payload)
        try:
            if self._oma:
                found = oma_profile.decode_downlink(oma_profile.parse_topic(message.topic), message.payload)
            else:
                where = json_profile.parse_topic(message.topic)
                found = json_profile.decode_downlink(where, message.payload)
        except (DecodeError, InvalidValueError):
            return
        self.tally.answers += isinstance(found, Response) and found.code.is_success


async def profiles(lab: Lab, values: Values) -> None:
    """The same registration, reports and farewell in both LwM2M profiles, counted in bytes."""
    reports = int(values["reports"])
    found = {}
    for name, oma in (("json", False), ("oma", True)):
        speaker = _Speaker(f"experiment-{name}", oma)
        settings = await asyncio.to_thread(lab.identities, speaker.name)
        connection = await Connection.open(ConnectOptions(speaker.name, settings), speaker.hear)
        try:
            await connection.subscribe(*speaker.subscriptions())
            await _speak(speaker, connection, reports)
        finally:
            await connection.disconnect()
        found[name] = speaker.tally
        lab.tell(f"{name}: {speaker.tally.up} bytes up, {speaker.tally.down} bytes down")
    lab.calm()
    lab.figures["profiles"] = [
        {
            "profile": name,
            "messages": tally.messages,
            "bytes_up": tally.up,
            "bytes_down": tally.down,
            "bytes_per_message": round((tally.up + tally.down) / tally.messages, 1),
            "encode_us": round(tally.encode_us / tally.messages, 1),
        }
        for name, tally in found.items()
    ]
    json, oma_tally = found["json"], found["oma"]
    for name, tally in found.items():
        lab.check(
            f"{name}: every message is acknowledged",
            f"{tally.messages}",
            tally.answers,
            good=tally.answers == tally.messages,
        )
    share = (oma_tally.up + oma_tally.down) / (json.up + json.down)
    lab.check("OMA needs fewer bytes", "less than JSON", f"{share:.0%} of JSON", good=share < 1)


async def _speak(speaker: _Speaker, connection: Connection, reports: int) -> None:
    links = LINKS if not speaker._oma else (Link(ROOT, {"rt": "oma.lwm2m"}), *LINKS)  # noqa: SLF001 - same file

    def register(token: str, _: Content | None) -> Uplink:
        return Register(endpoint=speaker.name, lifetime=LIFETIME, token=token, links=links)

    def send(token: str, encoded: Content | None) -> Uplink:
        return Send(token=token, records=RECORDS if encoded is None else (), content=encoded)

    await _say(speaker, connection, register, ())
    for _ in range(reports):
        await _say(speaker, connection, send, RECORDS)
    await _say(speaker, connection, lambda token, _: Update(token=token), ())
    await _say(speaker, connection, lambda token, _: Deregister(token=token), ())


async def _say(
    speaker: _Speaker,
    connection: Connection,
    make: Callable[[str, Content | None], Uplink],
    records: tuple[Record, ...],
) -> None:
    began = time.thread_time()
    topic, payload = speaker.encode(speaker.message(make, records))
    speaker.tally.encode_us += (time.thread_time() - began) * 1e6
    speaker.tally.messages += 1
    speaker.tally.up += len(topic.encode()) + len(payload)
    connection.publish(topic, payload, qos=1)
    deadline = time.monotonic() + PATIENCE
    while speaker.tally.answers < speaker.tally.messages:
        if time.monotonic() > deadline or not connection.is_open:
            raise ExperimentError(f"{speaker.name}: no answer to message {speaker.tally.messages}")
        await asyncio.sleep(0.002)


COMPARISONS: Final = (
    Experiment(
        "paths",
        "Three ways into Kafka",
        "comparison",
        "Measures the same LwM2M messages on their way through the HTTP feed, the WebSocket and the bridge, "
        "and Sparkplug through the bridge.",
        "All paths deliver everything; the HTTP feed is polled and the slowest.",
        (SECONDS,),
        paths,
    ),
    Experiment(
        "profiles",
        "OMA binding and JSON profile",
        "comparison",
        "Registers, reports, updates and de-registers with the same values in both LwM2M profiles, and "
        "counts the bytes of topics and payloads.",
        "Both are acknowledged in full; the OMA binding needs fewer bytes.",
        (Number("reports", "reports with three values each", 200, 1, 5000),),
        profiles,
    ),
)
