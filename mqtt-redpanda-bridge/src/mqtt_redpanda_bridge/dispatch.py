"""Who delivers what in a group of bridges: each device has one member, so its messages keep their order.

One member, the receiver, has the MQTT session. It delivers a share of the devices itself and hands the
messages of the others to their members; a message is acknowledged to the broker when the member that has it
reports that Kafka does. Members change only while nothing is in flight, so no device has two at a time.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from iiot.budgets import TOPIC_CHARS
from iiot.errors import DecodeError
from iiot.sparkplug.topic import BIRTHS, Topic, parse_topic
from mqtt_redpanda_bridge.pump import MAX_LANES, Incoming, Pump
from mqtt_redpanda_bridge.routes import Format, Route, RouteTable

Birth = tuple[str, bytes]
"""MQTT topic and payload of a birth."""


class Member(Protocol):
    """Another bridge of the group, as `link.MemberLink`.

    Attributes:
        unsettled: messages handed to it of which it has not reported that Kafka has them, oldest first.
    """

    unsettled: deque[Incoming]

    def send(self, message: Incoming) -> None:
        """Hand over a message to deliver; it is already in `unsettled`."""

    def teach(self, topic: str, payload: bytes) -> None:
        """Tell of a birth, whoever delivers it."""

    def prepare(self, change: int) -> None:
        """Ask to get ready for other devices; `Dispatcher.ready` is called when it is."""

    def dismiss(self) -> None:
        """Let it go: nothing more comes."""


@dataclass(frozen=True, slots=True)
class _Way:
    """Where the messages of an MQTT topic go; no member means here."""

    member: Member | None
    is_birth: bool


class Dispatcher:
    """Hands messages to the pump or to other members. Alone it passes everything to the pump.

    Args:
        table: the routes.
        pump: delivers what is this bridge's own.
        births: all births known, each node's own before those of its devices.
        learn: told of births that another member delivers.
        prepare: told of each change; calls `ready` once the device states are up to date.
        max_bytes: payload bytes at other members beyond which nothing more should be read.

    Attributes:
        handed_over: messages given to other members.
        settled: of these, those that Kafka has.
        taken_back: of these, those that came back because a member was lost.
        on_idle: nothing is in flight any more, here or elsewhere.
        on_pressure: told when too many bytes are in flight, and when no longer.
    """

    def __init__(
        self,
        table: RouteTable,
        pump: Pump,
        *,
        births: Callable[[], Iterable[Birth]],
        learn: Callable[[str, bytes], None],
        prepare: Callable[[int], None],
        max_bytes: int,
    ) -> None:
        self.handed_over = 0
        self.settled = 0
        self.taken_back = 0
        self.on_idle: Callable[[], None] = _ignore
        self.on_pressure: Callable[[bool], None] = _ignore
        self._table = table
        self._pump = pump
        self._births = births
        self._learn = learn
        self._prepare = prepare
        self._max_bytes = max_bytes
        self._bytes = 0
        self._is_full = False
        self._was_under_pressure = False
        self._is_started = False
        self._members: list[Member | None] = [None]
        self._wanted: list[Member] = []
        self._leaving: list[Member] = []
        self._ways: dict[str, _Way] = {}
        self._change = 0
        self._held: list[Incoming] | None = None
        """Messages that wait for a change of members; None: there is none under way."""
        self._unready: set[Member | None] | None = None
        """Members that a change waits for; None: it waits until nothing is in flight."""
        self._taken: list[Incoming] = []
        pump.on_idle = self._step
        pump.on_pressure = self._weigh

    @property
    def members(self) -> int:
        """Bridges that deliver, this one included."""
        return len(self._members)

    @property
    def handed_in_flight(self) -> int:
        """Messages that other members have not settled."""
        return sum(len(member.unsettled) for member in self._others())

    @property
    def in_flight(self) -> int:
        """Messages from the broker that are not settled, wherever they are."""
        waiting = len(self._taken) + len(self._held or ())
        return self._pump.in_flight + self.handed_in_flight + waiting

    @property
    def under_pressure(self) -> bool:
        """Whether too many bytes are in flight, here or at other members."""
        return self._pump.under_pressure or self._is_full

    def handle(self, message: Incoming) -> None:
        """Take one message from the broker."""
        if not self._is_started:
            return
        if self._held is not None:
            self._held.append(message)
        elif len(self._members) == 1:
            self._pump.handle(message)
        else:
            self._pass_on(message)

    def settle(self, member: Member, count: int) -> None:
        """`member` reports that Kafka has the oldest `count` messages that it was given."""
        count = min(count, len(member.unsettled))
        for _ in range(count):
            message = member.unsettled.popleft()
            self._bytes -= len(message.payload)
            message.ack()
        self.settled += count
        if self._is_full:
            self._weigh()
        self._step()

    def join(self, member: Member) -> None:
        """A bridge offers to deliver a share."""
        self._wanted.append(member)
        self._begin()

    def leave(self, member: Member) -> None:
        """A member wants to go; `dismiss` tells it when it may."""
        if member in self._wanted:
            self._wanted.remove(member)
            self._leaving.append(member)
            self._begin()

    def lost(self, member: Member) -> None:
        """A member is gone: what it had is delivered by the others, before anything newer."""
        if member not in (*self._wanted, *self._leaving):
            return
        for group in (self._wanted, self._leaving):
            if member in group:
                group.remove(member)
        self._members = [one for one in self._members if one is not member]
        self._take_back(member)
        self._begin()

    def ready(self, member: Member | None, change: int) -> None:
        """A member, or this bridge (None), is ready for the devices that a change gives it."""
        if self._unready is not None and change == self._change:
            self._unready.discard(member)
            self._step()

    def start(self) -> None:
        """Messages come from a new connection to the broker."""
        self._is_started = True

    def stop(self) -> None:
        """No more come from this one. What nobody has begun to deliver, the broker sends again."""
        self._is_started = False
        self._taken.clear()
        if self._held is not None:
            self._held.clear()

    def disband(self) -> None:
        """Forget the members and what they have: the broker sends it to the next receiver."""
        self.stop()
        for member in self._others():
            member.unsettled.clear()
        self._members, self._wanted, self._leaving = [None], [], []
        self._held = self._unready = None
        self._ways.clear()
        self._bytes = 0
        self._weigh()

    def _pass_on(self, message: Incoming) -> None:
        way = self._ways.get(message.topic) or self._find(message.topic)
        if way.is_birth:
            self._spread(way.member, message)
        if way.member is None:
            self._pump.handle(message)
            return
        self.handed_over += 1
        self._bytes += len(message.payload)
        way.member.unsettled.append(message)
        way.member.send(message)
        if self._bytes > self._max_bytes:
            self._weigh()

    def _find(self, topic: str) -> _Way:
        route = self._table.match(topic)
        if route is None:
            return _Way(None, is_birth=False)
        if len(self._ways) >= MAX_LANES:
            self._ways.clear()
        device, is_birth = device_of(route, topic)
        member = self._members[crc32(device.encode()) % len(self._members)]
        way = _Way(member, is_birth)
        if len(topic) <= TOPIC_CHARS:
            self._ways[topic] = way
        return way

    def _spread(self, owner: Member | None, message: Incoming) -> None:
        # Everyone knows all births: any member may get the device next, or become the receiver.
        for member in self._members:
            if member is not None and member is not owner:
                member.teach(message.topic, message.payload)
        if owner is not None:
            self._learn(message.topic, message.payload)

    def _take_back(self, member: Member) -> None:
        for message in member.unsettled:
            message.duplicate = True
            self._bytes -= len(message.payload)
        self.taken_back += len(member.unsettled)
        if self._is_started:
            self._taken.extend(member.unsettled)
        member.unsettled.clear()
        self._weigh()

    def _begin(self) -> None:
        if self._held is None:
            self._held = []
        self._unready = None
        self._step()

    def _step(self) -> None:
        if self._held is not None:
            if self._unready is None and not self._pump.in_flight and not self.handed_in_flight:
                self._apply()
            if self._unready is not None and not self._unready:
                self._release()
        if not self.in_flight:
            self.on_idle()

    def _apply(self) -> None:
        joined = [member for member in self._wanted if member not in self._members]
        births = list(self._births()) if joined else []
        self._members = [None, *self._wanted]
        self._ways.clear()
        self._change += 1
        self._unready = set(self._members)
        for member in self._leaving:
            member.dismiss()
        self._leaving.clear()
        for member in joined:
            for topic, payload in births:
                member.teach(topic, payload)
        for member in self._wanted:
            member.prepare(self._change)
        self._prepare(self._change)

    def _release(self) -> None:
        waiting = [*self._taken, *(self._held or ())]
        self._taken, self._held, self._unready = [], None, None
        for message in waiting:
            self.handle(message)

    def _weigh(self, _: bool = False) -> None:
        limit = self._max_bytes // 2 if self._is_full else self._max_bytes
        self._is_full = self._bytes > limit
        if self.under_pressure != self._was_under_pressure:
            self._was_under_pressure = not self._was_under_pressure
            self.on_pressure(self._was_under_pressure)

    def _others(self) -> list[Member]:
        return [member for member in self._members if member is not None]


def device_of(route: Route, topic: str) -> tuple[str, bool]:
    """The device whose order a message on `topic` belongs to, and whether it is a birth.

    Of topics that are not of the route's format, and of format `raw` with key `topic`, each is its own.
    """
    match route.format:
        case Format.SPARKPLUG_JSON | Format.SPARKPLUG_PROTOBUF:
            try:
                parsed = parse_topic(topic, accept_short_form=True)
            except DecodeError:
                return topic, False
            if isinstance(parsed, Topic):
                return parsed.edge_node, parsed.message_type in BIRTHS
            return topic, False
        case Format.LWM2M_JSON | Format.LWM2M_OMA:
            levels = topic.split("/")
            at = levels.index("lwm2m") + 1 if "lwm2m" in levels else len(levels)
            if route.format is Format.LWM2M_OMA:
                at += 1
            return (levels[at] if at < len(levels) else topic), False
        case Format.RAW:
            return route.key_of(topic), False


def _ignore(*_: object) -> None:
    pass
