"""STATE: how a host application says whether it is online (specification 3.0, sections 5.4 and 6.4.26)."""

from typing import Final, NamedTuple

import orjson

from iiot.budgets import BudgetError
from iiot.errors import DecodeError
from iiot.sparkplug.topic import NAMESPACE, StateTopic

_LATEST: Final = 2**63 - 1
_LARGEST: Final = 4096
"""Bytes; a STATE needs 50."""


class State(NamedTuple):
    """Content of a STATE message; `timestamp` in UTC ms since 1970."""

    online: bool
    timestamp: int


def encode_state(state: State) -> bytes:
    """Serialize a STATE message."""
    return orjson.dumps({"online": state.online, "timestamp": state.timestamp})


def decode_state(data: bytes) -> State:
    """Read a STATE message.

    Raises:
        BudgetError: more than 4 KiB.
        DecodeError: not a JSON object with a Boolean `online` and an integer `timestamp` from 0 to 2^63 - 1.
    """
    if len(data) > _LARGEST:
        raise BudgetError("bytes", _LARGEST, "STATE")
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise DecodeError(f"STATE is not JSON: {exc}") from None
    if not isinstance(content, dict):
        content = {}
    online, timestamp = content.get("online"), content.get("timestamp")
    if type(online) is not bool or type(timestamp) is not int or not 0 <= timestamp <= _LATEST:
        raise DecodeError("STATE lacks a Boolean `online` or an integer `timestamp`")
    return State(online, timestamp)


class HostPresence:
    """The STATE messages of a host application over its MQTT sessions.

    All of them are published with QoS 1 and retain; each method returns a payload for `topic`.

    Edge nodes ignore what is older than the STATE they know. A clock that was set back must not make
    the host invisible to them, so a session's time is never before what was published on the topic.
    """

    __slots__ = ("_answered", "_connected_at", "_foreign", "topic")

    def __init__(self, host_id: str) -> None:
        self.topic = str(StateTopic(host_id))
        self._connected_at = self._foreign = -1
        self._answered: bytes | None = None

    def will(self, now: int) -> bytes:
        """The will of a CONNECT that is sent `now` (UTC ms); one call per CONNECT."""
        self._connected_at = max(now, self._connected_at + 1, self._foreign + 1)
        self._answered = None
        return encode_state(State(online=False, timestamp=self._connected_at))

    def birth(self) -> bytes:
        """The birth of the session: the same timestamp as its will."""
        return encode_state(State(online=True, timestamp=self._connected_at))

    def death(self, now: int) -> bytes:
        """What is published before a clean DISCONNECT, `now` in UTC ms."""
        return encode_state(State(online=False, timestamp=max(now, self._connected_at)))

    def is_outranked(self) -> bool:
        """Whether edge nodes ignore this session, for they know a later STATE: a new CONNECT is needed."""
        return self._foreign >= self._connected_at

    @property
    def legacy_topic(self) -> str:
        """Where Sparkplug 2.2 looks for STATE: the text ONLINE or OFFLINE, without a timestamp."""
        return self.topic.removeprefix(f"{NAMESPACE}/")

    def on_own_state(self, data: bytes, *, retained: bool = False) -> bytes | None:
        """Answer a message on the own topic: the birth again, if it says offline; else None.

        The late will of an earlier session is what this repairs. Two filters of the host match its topic, so
        that a broker may send one message twice; it is answered once. When that will, or the STATE that was
        `retained`, is later than this session, the clock was set back: then `is_outranked`.
        """
        try:
            state = decode_state(data)
        except DecodeError:
            return self._answer(data, retained=retained)
        if state.timestamp > self._connected_at and (retained or not state.online):
            self._foreign = max(self._foreign, state.timestamp)
        if state.online:
            self._answered = None
            return None
        return self._answer(data, retained=retained)

    def _answer(self, data: bytes, *, retained: bool) -> bytes | None:
        if data == self._answered:
            return None
        self._answered = self._answered if retained else data
        return self.birth()


class PrimaryHost:
    """An edge node's view of the host application it depends on.

    Attributes:
        online: whether births and data may be sent; None while the host was not heard in this session.
    """

    __slots__ = ("_latest", "_server", "online", "topic")

    def __init__(self, host_id: str) -> None:
        self.topic = str(StateTopic(host_id))
        self.online: bool | None = None
        self._server = ""
        self._latest: dict[str, int] = {}

    def connecting(self, server: str) -> None:
        """A new session begins, on an MQTT server of this name: the host has to be heard again.

        Older STATE messages of the same server stay void. Others do not count: a host has a session, and
        so a time, on each server of its own.
        """
        self.online = None
        self._server = server

    def on_state(self, state: State) -> bool | None:
        """Take in a STATE message; return the new `online` when it changed, else None.

        A message older than the latest one is ignored: it comes from an earlier session.
        """
        if state.timestamp < self._latest.get(self._server, 0):
            return None
        self._latest[self._server] = state.timestamp
        if state.online == self.online:
            return None
        self.online = state.online
        return state.online
