"""Observations as intents: they outlive restarts of both sides and are made anew after each Register."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from iiot.lwm2m.message import Attributes, Command, Operation, Response
from iiot.lwm2m.observe import given
from iiot.lwm2m.path import ROOT, Path
from lwm2m_server.operations import Operations
from lwm2m_server.request_queue import Outcome

OBSERVATION: Final = "observation"
"""Kind of the stored documents."""
MAX_PER_DEVICE: Final = 100
_OBSERVE: Final = (Operation.OBSERVE, Operation.OBSERVE_COMPOSITE)


@dataclass(slots=True, eq=False)
class Observation:
    """An intent to be told of changes.

    Attributes:
        token: carried by its notifications; it stays the same for ever.
        paths: one path, or those of a composite observation.
        state: `pending` until the device agreed, `active`, or `failed`.
        error: why it failed.
        created: ms since 1970.
        attributes: what its Observe gives for this observation alone, None for nothing.
        notified: ms since 1970 of the newest notification, None when there was none since the start.
        notifications: how many came since the start.
    """

    endpoint: str
    token: str
    paths: tuple[Path, ...]
    composite: bool
    created: int
    attributes: Attributes | None = None
    state: str = "pending"
    error: str | None = None
    notified: int | None = None
    notifications: int = 0

    @property
    def command(self) -> Command:
        """The request that starts it."""
        operation = Operation.OBSERVE_COMPOSITE if self.composite else Operation.OBSERVE
        return Command(
            token=self.token,
            operation=operation,
            path=None if self.composite else self.paths[0],
            paths=self.paths if self.composite else (),
            attributes=self.attributes,
        )

    def describe(self) -> dict[str, Any]:
        """The observation as JSON."""
        shown: dict[str, Any] = {"token": self.token, "kind": "composite" if self.composite else "single"}
        shown |= {"paths": [*map(str, self.paths)]} if self.composite else {"path": str(self.paths[0])}
        return shown | {
            "attributes": given(self.attributes),
            "state": self.state,
            "error": self.error,
            "created": self.created,
            "notified": self.notified,
            "notifications": self.notifications,
        }


class Storage(Protocol):
    """Where intents are kept."""

    def put(self, kind: str, name: str, body: bytes | None) -> None:
        """Store or remove a document."""


class Observations:
    """All observations by endpoint and token.

    Args:
        operations: sends requests.
        storage: keeps the intents.
        wall_ms: ms since 1970.
    """

    def __init__(self, operations: Operations, storage: Storage, wall_ms: Callable[[], int]) -> None:
        self._operations = operations
        self._storage = storage
        self._wall_ms = wall_ms
        self._all: dict[str, dict[str, Observation]] = {}
        self._cancelling: set[tuple[str, str]] = set()
        operations.listeners.append(self._ended)

    def __len__(self) -> int:
        return sum(map(len, self._all.values()))

    def of(self, endpoint: str) -> list[Observation]:
        """A device's observations."""
        return [*self._all.get(endpoint, {}).values()]

    def find(self, endpoint: str, paths: tuple[Path, ...], composite: bool) -> Observation | None:
        """The observation of just these paths."""
        for known in self.of(endpoint):
            if known.composite is composite and known.paths == paths:
                return known
        return None

    def path(self, endpoint: str, token: str) -> Path | None:
        """What a notification is about; `/` for a composite one, None for an unknown token."""
        known = self.known(endpoint, token)
        if known is None:
            return None
        return ROOT if known.composite else known.paths[0]

    def intend(
        self, endpoint: str, paths: tuple[Path, ...], composite: bool, attributes: Attributes | None = None
    ) -> Observation:
        """The observation of these paths, stored; an existing one is kept, with its token."""
        known = self.find(endpoint, paths, composite)
        if known is None:
            token = self._operations.next_token()
            known = Observation(endpoint, token, paths, composite, self._wall_ms(), attributes)
            self._all.setdefault(endpoint, {})[token] = known
            self._store(known)
        return known

    def agreed(self, known: Observation, attributes: Attributes | None) -> None:
        """The device observes with these attributes from now on."""
        if known.attributes != attributes:
            known.attributes = attributes
            self._store(known)

    def forget(self, observation: Observation) -> None:
        """End an observation here; the device learns it by an answer to its next notification, or is told."""
        known = self._all.get(observation.endpoint, {})
        if known.pop(observation.token, None) is None:
            return
        if not known:
            self._all.pop(observation.endpoint, None)
        self._storage.put(OBSERVATION, observation.token, None)

    def known(self, endpoint: str, token: str) -> Observation | None:
        """The observation with this token."""
        return self._all.get(endpoint, {}).get(token)

    def notified(self, observation: Observation) -> None:
        """Note a notification."""
        observation.notified, observation.notifications = self._wall_ms(), observation.notifications + 1
        if observation.state != "active":
            observation.state, observation.error = "active", None
            self._store(observation)

    def refuse(self, endpoint: str, token: str) -> None:
        """Tell a device that notifies with an unknown token to end that observation."""
        if (endpoint, token) not in self._cancelling and len(self._cancelling) < MAX_PER_DEVICE:
            self._cancelling.add((endpoint, token))
            # A device that does not answer this must not hold up what others ask of it.
            self._operations.tell(endpoint, Command(token=token, operation=Operation.CANCEL_OBSERVE))

    def registered(self, endpoint: str) -> None:
        """Make a device's observations anew: a Register ended them (Core 6.2.1)."""
        waiting = {job.command.token for job in self._operations.queue(endpoint)}
        for known in self.of(endpoint):
            known.state = "pending"
            if known.token not in waiting:
                self._operations.submit(endpoint, known.command)

    def restore(self, bodies: Iterable[bytes]) -> None:
        """Take back stored intents."""
        for body in bodies:
            kept = orjson.loads(body)
            kept["paths"] = tuple(map(Path.parse, kept["paths"]))
            attributes = kept.get("attributes")
            kept["attributes"] = Attributes.parse(attributes) if attributes else None
            self._all.setdefault(kept["endpoint"], {})[kept["token"]] = Observation(**kept)

    def _store(self, known: Observation) -> None:
        kept = {name: getattr(known, name) for name in ("endpoint", "token", "composite", "created", "state")}
        kept["paths"] = [*map(str, known.paths)]
        kept["attributes"] = given(known.attributes)
        self._storage.put(OBSERVATION, known.token, orjson.dumps(kept))

    def _ended(self, endpoint: str, command: Command, outcome: Outcome) -> None:
        if command.operation is Operation.CANCEL_OBSERVE:
            self._cancelling.discard((endpoint, command.token))
            return
        known = self.known(endpoint, command.token)
        if command.operation not in _OBSERVE or known is None:
            return
        if isinstance(outcome, Response):
            known.state = "active" if outcome.code.is_success else "failed"
            known.error = None if outcome.code.is_success else str(outcome.error or outcome.code.dotted)
        else:
            known.state, known.error = "pending", outcome.value
        self._store(known)
