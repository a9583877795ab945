"""The commands of `./testbed` by name, so that help needs no more than this and a command no other's code."""

import shutil
import textwrap
from typing import Final, NamedTuple

PROGRAM: Final = "./testbed"
ABOUT: Final = "LwM2M and Sparkplug B on one MQTT connection per device: start it, watch it, check it."


class Entry(NamedTuple):
    """A command, or a group of commands.

    Attributes:
        module: where it is.
        attribute: a function, or a Typer for a group.
        summary: as `--help` shows it; a test holds it against the docstring.
        group: whether it is a group.
        hidden: whether `--help` leaves it out.
    """

    module: str
    attribute: str
    summary: str
    group: bool = False
    hidden: bool = False


COMMANDS: Final = {
    "up": Entry(
        "testbed.up",
        "up",
        "Start the testbed; return when all parts are healthy and messages arrive in all Kafka topics.",
    ),
    "status": Entry(
        "testbed.operate",
        "status",
        "Show every part and how many records each Kafka topic has received.",
    ),
    "logs": Entry(
        "testbed.logs.command", "logs", "Show what the parts write, in the order in which it happened."
    ),
    "down": Entry(
        "testbed.operate",
        "down",
        "Stop everything; data, logs and certificates stay in the state directory.",
    ),
    "monitor": Entry(
        "testbed.monitor.command",
        "monitor",
        "Watch connections, rates, topics and the newest messages.",
    ),
    "verify": Entry(
        "testbed.verify.command",
        "verify",
        "Account in Kafka for every message that every device sends during a window.",
    ),
    "sparkplug-lint": Entry(
        "testbed.sparkplug_lint.command",
        "sparkplug_lint",
        "Watch a broker and report what breaks the Sparkplug 3.0 specification.",
    ),
    "test": Entry(
        "testbed.check",
        "run",
        "Run lint, format, types, layers, and the unit, integration, end-to-end, interop and compose tests.",
    ),
    "lock": Entry(
        "testbed.lock",
        "lock",
        "Write requirements/*.txt anew: dev.txt first, the others with its versions.",
    ),
    "certs": Entry("testbed.certificates", "app", "Certificates of the testbed.", group=True),
    "dlq": Entry(
        "testbed.dlq.command",
        "app",
        "What could not be delivered: list it, look at it, replay it.",
        group=True,
    ),
    "bench": Entry(
        "testbed.bench.command",
        "app",
        "Measure a part under load, with everything on this machine.",
        group=True,
    ),
    "experiment": Entry(
        "testbed.experiments.command",
        "app",
        "Loads, faults and comparisons with a verdict, on the running testbed.",
        group=True,
    ),
    "topics": Entry("testbed.topics", "topics", "", hidden=True),
}


def overview() -> str:
    """What `--help` prints: every command with its summary, as wide as the terminal."""
    shown = {name: entry for name, entry in COMMANDS.items() if not entry.hidden}
    column = max(map(len, shown)) + 4
    width = min(max(shutil.get_terminal_size().columns, 60), 120)
    lines = [f"Usage: {PROGRAM} COMMAND [OPTIONS]", "", *textwrap.wrap(ABOUT, width), "", "Commands:"]
    for name, entry in shown.items():
        first, *rest = textwrap.wrap(entry.summary, width - column)
        lines.append(f"  {name:<{column - 2}}{first}")
        lines += [" " * column + line for line in rest]
    return "\n".join([*lines, "", f"{PROGRAM} COMMAND --help shows the options of one."])
