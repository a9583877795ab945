"""Mosquitto as a process, from the repository's own configuration."""

import getpass
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from testbed.engines.native.process import Command

# Debian installs it where the PATH of ordinary users does not look.
_FALLBACK = "/usr/sbin/mosquitto"


@dataclass(frozen=True, slots=True)
class BrokerPorts:
    """Listeners; the last two carry no TLS."""

    tls: int = 8883
    plain: int = 1883
    websocket: int = 9001


def render(config: str, ports: BrokerPorts, bind: str, user: str) -> str:
    """The shipped configuration for other ports, each listener bound to an address.

    Args:
        config: text of `mosquitto/mosquitto.conf`.
        ports: where to listen.
        bind: address of the TLS listener; the plain listeners never leave this host.
        user: the broker keeps running as this user, who can read the keys.
    """
    listeners = {
        "8883": f"listener {ports.tls} {bind}",
        "1883": f"listener {ports.plain} 127.0.0.1",
        # Without a domain Mosquitto 2.0 ignores a WebSocket listener's address and binds all of them.
        "9001": f"listener {ports.websocket} 127.0.0.1\nsocket_domain ipv4",
    }
    text = re.sub(r"^listener (\d+)$", lambda match: listeners[match[1]], config, flags=re.MULTILINE)
    return f"{text}\nuser {user}\n"


def prepare(
    directory: Path, config: Path, certs: Path, ports: BrokerPorts | None = None, bind: str = "127.0.0.1"
) -> Command:
    """Lay out a working directory for the broker and return how to start it there.

    Args:
        directory: working directory; keeps the broker's data over restarts.
        config: the repository's `mosquitto/` directory.
        certs: directory made by `iiot.certs.create_authority`.
        ports: where to listen; the defaults when not given.
        bind: address of the TLS listener.
    """
    (directory / "data").mkdir(parents=True, exist_ok=True)
    for name, target in (("config", config), ("certs", certs / "broker")):
        link = directory / name
        link.unlink(missing_ok=True)
        link.symlink_to(target.resolve(), target_is_directory=True)
    text = (config / "mosquitto.conf").read_text()
    rendered = directory / "mosquitto.conf"
    rendered.write_text(render(text, ports or BrokerPorts(), bind, getpass.getuser()))
    return Command((shutil.which("mosquitto") or _FALLBACK, "-c", str(rendered.resolve())), cwd=directory)
