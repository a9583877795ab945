"""The MQTT servers that a device may use, one at a time (Sparkplug 3.0 §5.4 and §5.10)."""

from collections.abc import Sequence
from typing import NamedTuple

from iiot.settings import MqttSettings


class Server(NamedTuple):
    """Where an MQTT server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_servers(text: str, port: int) -> tuple[Server, ...]:
    """Read `host[:port]` separated by commas; `port` is for those without one.

    Raises:
        ValueError: an entry is not of this form; the text says what is allowed.
    """
    return tuple(_parse(entry.strip(), port) for entry in text.split(",") if entry.strip())


def _parse(entry: str, port: int) -> Server:
    host, separator, number = entry.rpartition(":")
    if not separator or entry.endswith("]"):  # no port, or the end of an IPv6 address
        host, number = entry, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or " " in host or not (number.isascii() and number.isdigit() and 0 < int(number) < 65_536):
        raise ValueError(f"host or host:port, separated by commas, with ports 1 to 65535; not {entry!r}")
    return Server(host, int(number))


class ServerList:
    """The servers of one device and the one it uses now; after the last comes the first again.

    Args:
        servers: in the order in which they are used, at least one.
    """

    __slots__ = ("_asked", "_at", "_servers")

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._at = 0
        self._asked = False

    @property
    def current(self) -> Server:
        """The server in use."""
        return self._servers[self._at]

    @property
    def has_others(self) -> bool:
        """Whether there is another server to go to."""
        return len(self._servers) > 1

    def take(self, settings: MqttSettings) -> MqttSettings:
        """The settings for a CONNECT: to the server in use, or to the next one when that did not answer."""
        if self._asked:
            self.move_on()
        self._asked = True
        if not self.has_others:
            return settings
        host, port = self.current
        return settings.model_copy(update={"mqtt_host": host, "mqtt_port": port})

    def answered(self) -> None:
        """The server in use took the device in."""
        self._asked = False

    def move_on(self) -> None:
        """Use the next server from now on."""
        self._at = (self._at + 1) % len(self._servers)
        self._asked = False
