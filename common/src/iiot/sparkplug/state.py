"""STATE: how a host application says whether it is online (specification 3.0, sections 5.4 and 6.4.26)."""

from typing import NamedTuple

import orjson

from iiot.errors import DecodeError
from iiot.sparkplug.topic import NAMESPACE, StateTopic


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
        DecodeError: not a JSON object with a Boolean `online` and an integer `timestamp`.
    """
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise DecodeError(f"STATE is not JSON: {exc}") from None
    if not isinstance(content, dict):
        content = {}
    online, timestamp = content.get("online"), content.get("timestamp")
    if type(online) is not bool or type(timestamp) is not int:
        raise DecodeError("STATE lacks a Boolean `online` or an integer `timestamp`")
    return State(online, timestamp)


class HostPresence:
    """The STATE messages of a host application over its MQTT sessions.

    All of them are published with QoS 1 and retain; each method returns a payload for `topic`.
    """

    __slots__ = ("_connected_at", "topic")

    def __init__(self, host_id: str) -> None:
        self.topic = str(StateTopic(host_id))
        self._connected_at = 0

    def will(self, now: int) -> bytes:
        """The will of a CONNECT that is sent `now` (UTC ms); one call per CONNECT."""
        self._connected_at = now
        return encode_state(State(online=False, timestamp=now))

    def birth(self) -> bytes:
        """The birth of the session: the same timestamp as its will."""
        return encode_state(State(online=True, timestamp=self._connected_at))

    def death(self, now: int) -> bytes:
        """What is published before a clean DISCONNECT."""
        return encode_state(State(online=False, timestamp=now))

    @property
    def legacy_topic(self) -> str:
        """Where Sparkplug 2.2 looks for STATE: the text ONLINE or OFFLINE, without a timestamp."""
        return self.topic.removeprefix(f"{NAMESPACE}/")

    def on_own_state(self, data: bytes) -> bytes | None:
        """Answer a message on the own topic: the birth again, if it says offline; else None.

        The late will of an earlier session is what this repairs.
        """
        try:
            online = decode_state(data).online
        except DecodeError:
            online = False
        return None if online else self.birth()


class PrimaryHost:
    """An edge node's view of the host application it depends on.

    Attributes:
        online: whether births and data may be sent.
    """

    __slots__ = ("_latest", "online", "topic")

    def __init__(self, host_id: str) -> None:
        self.topic = str(StateTopic(host_id))
        self.online = False
        self._latest: int | None = None

    def disconnected(self) -> None:
        """Nothing is known any more of whether the host is there; older STATE messages stay void."""
        self.online = False

    def on_state(self, state: State) -> bool | None:
        """Take in a STATE message; return the new `online` when it changed, else None.

        A message older than the latest one is ignored: it comes from an earlier session.
        """
        if self._latest is not None and state.timestamp < self._latest:
            return None
        self._latest = state.timestamp
        if state.online == self.online:
            return None
        self.online = state.online
        return state.online
