"""The registered devices: lifetimes on a monotonic clock, online or not (Core 6.2)."""

import heapq
import math
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol

import orjson

from iiot.lwm2m import alternate_path
from iiot.lwm2m.message import Link, Register, Update
from iiot.lwm2m.path import Path
from lwm2m_server.profile_ids import ProfileIds

Versions = tuple[tuple[int, str | None], ...]
"""Objects of a registration by id, with the version that it tells."""


def told_versions(links: Iterable[Link]) -> Versions:
    """The objects of a list with their `ver`, which an object's or an instance's link may tell."""
    told: dict[int, str | None] = {}
    for link in links:
        if link.path.ids:
            version = link.attributes.get("ver")
            told[link.path.ids[0]] = told.get(link.path.ids[0]) if version is None else str(version)
    return tuple(sorted(told.items()))


class Clock(Protocol):
    """Where time comes from."""

    def monotonic(self) -> float:
        """Seconds that never jump."""

    def wall_ms(self) -> int:
        """Ms since 1970, UTC."""


@dataclass(slots=True)
class Registration:
    """One registered device.

    Attributes:
        id: names this registration; a new Register makes a new one.
        lifetime: s after which it ends without an Update; 0 never ends.
        profile: `json` or `oma`, the language to answer in.
        registered_ms: ms since 1970 of the Register.
        updated_ms: ms since 1970 of the last Register or Update.
        deadline: monotonic time of its end.
        online: the device is connected, as far as births, deaths and messages tell.
        sleeping: in queue mode, nothing was heard of it for a while (Core 6.5).
        ready: its Register has been answered, so that it takes requests.
        heard: monotonic time of its last message.
        root: the alternate path of its objects; `links` are without it.
        formats: content formats that it says it speaks; none when it does not say.
        profile_id: what it sent in place of an object list, or with one.
        versions: its objects with the versions that `links` tell.
    """

    id: str
    endpoint: str
    lifetime: int
    version: str
    binding: str
    sms: str | None
    links: tuple[Link, ...]
    profile: str
    registered_ms: int
    updated_ms: int
    deadline: float
    online: bool = True
    sleeping: bool = False
    ready: bool = True
    heard: float = 0.0
    root: str = alternate_path.NONE
    formats: tuple[int, ...] = ()
    profile_id: str | None = None
    versions: Versions = ()

    @property
    def queue_mode(self) -> bool:
        """The device said that it does not listen all the time."""
        return "Q" in self.binding

    @property
    def reachable(self) -> bool:
        """A request that is sent now can be expected to arrive."""
        return self.online and not self.sleeping

    def dump(self) -> bytes:
        """The registration as it is stored."""
        kept = {name: getattr(self, name) for name in _STORED}
        kept["links"] = [[str(link.path), dict(link.attributes)] for link in self.links]
        return orjson.dumps(kept)


_OF_THE_MOMENT = ("links", "versions", "deadline", "sleeping", "ready", "heard")
_STORED = [field.name for field in fields(Registration) if field.name not in _OF_THE_MOMENT]


class Registry:
    """All registrations by endpoint.

    Args:
        clock: monotonic and wall time.
        awake: s for which a device in queue mode listens after each of its messages.
        new_id: makes registration ids.

    Attributes:
        on_sleep: told of each device that fell asleep.
        profile_ids: object lists that came with a Profile ID.
    """

    def __init__(
        self,
        clock: Clock,
        awake: float = 93.0,
        new_id: Callable[[], str] = lambda: secrets.token_hex(5),
    ) -> None:
        self.on_sleep: Callable[[Registration], None] = lambda registration: None
        self._clock = clock
        self._awake = awake
        self._new_id = new_id
        self._all: dict[str, Registration] = {}
        self._ends: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._online = 0
        self.profile_ids = ProfileIds()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Registration]:
        return iter(self._all.values())

    @property
    def online(self) -> int:
        """Registered devices that are connected."""
        return self._online

    def get(self, endpoint: str) -> Registration | None:
        """The registration of a device, None when it has none."""
        return self._all.get(endpoint)

    def register(self, message: Register, profile: str) -> Registration:
        """Take in a device, its Register was checked; it replaces an earlier registration."""
        now = self._clock.wall_ms()
        self.remove(message.endpoint)
        registration = Registration(
            id=self._new_id(),
            endpoint=message.endpoint,
            lifetime=message.lifetime,
            version=message.version,
            binding=message.binding,
            sms=message.sms,
            links=message.links,
            versions=told_versions(message.links),
            profile=profile,
            registered_ms=now,
            updated_ms=now,
            deadline=math.inf,
            ready=False,
            heard=self._clock.monotonic(),
            root=message.root,
            formats=message.formats,
            profile_id=message.profile_id,
        )
        self._add(registration)
        self._learn(registration)
        self._extend(registration, registration.lifetime or math.inf)
        return registration

    def update(self, endpoint: str, message: Update) -> Registration | None:
        """Refresh a registration and change what the message names; None when there is none (4.04)."""
        registration = self._all.get(endpoint)
        if registration is None:
            return None
        registration.updated_ms = self._clock.wall_ms()
        if message.lifetime is not None:
            registration.lifetime = message.lifetime
        if message.binding is not None:
            registration.binding = message.binding
        if message.sms is not None:
            registration.sms = message.sms
        if message.links is not None:
            # Without a Profile ID of its own, the one of before stands for another list.
            registration.links, registration.profile_id = message.links, message.profile_id
            registration.versions = told_versions(message.links)
        if message.root is not None:
            registration.root = message.root
        if message.formats is not None:
            registration.formats = message.formats
        self._learn(registration)
        self._extend(registration, registration.lifetime or math.inf)
        return registration

    def remove(self, endpoint: str) -> Registration | None:
        """Forget a device; None when it was not registered."""
        registration = self._all.pop(endpoint, None)
        if registration is not None and registration.online:
            self._online -= 1
        return registration

    def set_online(self, endpoint: str, online: bool) -> Registration | None:
        """Note a birth, a message or a death; the registration if that changed anything, else None."""
        registration = self._all.get(endpoint)
        if registration is None or registration.online is online:
            return None
        registration.online = online
        self._online += 1 if online else -1
        return registration

    def heard(self, endpoint: str) -> list[str]:
        """Note a message of a device; what that changed: `online`, `awake`, both or nothing."""
        registration = self._all.get(endpoint)
        if registration is None:
            return []
        registration.heard = self._clock.monotonic()
        changed = ["online"] if self.set_online(endpoint, True) is not None else []
        if registration.sleeping:
            registration.sleeping = False
            changed.append("awake")
        return changed

    def sleep(self, endpoint: str) -> None:
        """A device did not answer: if it is in queue mode, it sleeps."""
        registration = self._all.get(endpoint)
        if registration is not None and registration.queue_mode and not registration.sleeping:
            registration.sleeping = True
            self.on_sleep(registration)

    def find_sleepers(self) -> None:
        """Note which devices in queue mode have been silent long enough to sleep."""
        before = self._clock.monotonic() - self._awake
        for registration in [r for r in self._all.values() if r.heard < before]:
            self.sleep(registration.endpoint)

    def expire(self) -> list[Registration]:
        """Remove and return the registrations whose lifetime has passed."""
        now = self._clock.monotonic()
        ended: list[Registration] = []
        while self._ends and self._ends[0][0] <= now:
            due, endpoint = heapq.heappop(self._ends)
            if self._due.get(endpoint) != due:
                continue  # overtaken by an earlier entry
            del self._due[endpoint]
            registration = self._all.get(endpoint)
            if registration is None:
                continue
            if registration.deadline <= now:
                self.remove(endpoint)
                ended.append(registration)
            else:
                self._schedule(registration)
        return ended

    def restore(self, stored: bytes, grace: float) -> Registration:
        """Take back a stored registration.

        Args:
            stored: what `Registration.dump` gave.
            grace: s that it lives at least, since its Updates may still wait in the broker.
        """
        kept: dict[str, Any] = orjson.loads(stored)
        links = tuple(Link(Path.parse(path), attributes) for path, attributes in kept.pop("links"))
        heard, kept["formats"] = self._clock.monotonic(), tuple(kept.get("formats", ()))
        registration = Registration(
            links=links, versions=told_versions(links), deadline=math.inf, heard=heard, **kept
        )
        self._learn(registration)
        age = max(0.0, (self._clock.wall_ms() - registration.updated_ms) / 1000)
        self._add(registration)
        self._extend(
            registration, max(registration.lifetime - age, grace) if registration.lifetime else math.inf
        )
        return registration

    def _learn(self, known: Registration) -> None:
        self.profile_ids.learn(known.endpoint, known.profile_id, known.links, known.root, known.formats)

    def _add(self, registration: Registration) -> None:
        self._all[registration.endpoint] = registration
        self._online += registration.online

    def _extend(self, registration: Registration, seconds: float) -> None:
        registration.deadline = self._clock.monotonic() + seconds
        self._schedule(registration)

    def _schedule(self, registration: Registration) -> None:
        # The heap has an entry at or before each deadline; one that comes too early is moved when it is due,
        # so that an Update costs nothing here.
        endpoint, deadline = registration.endpoint, registration.deadline
        if deadline < self._due.get(endpoint, math.inf):
            self._due[endpoint] = deadline
            heapq.heappush(self._ends, (deadline, endpoint))
            if len(self._ends) > 2 * len(self._due) + 64:
                self._ends = [(due, name) for name, due in self._due.items()]
                heapq.heapify(self._ends)
