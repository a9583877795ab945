"""What an experiment is: its name, what it does and expects, its parameters with their bounds. Pure."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from iiot.budgets import DIGITS
from iiot.errors import InvalidValueError

if TYPE_CHECKING:
    from testbed.experiments.lab import Lab

Kind = Literal["load", "fault", "comparison"]
Value = int | str
Values = Mapping[str, Value]

PHASES: Final = ("before", "during", "after")
PARTS: Final = (
    *("mosquitto", "kafka", "lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "redpanda-connect"),
    "device-simulator",
)
"""Parts that an experiment may break."""


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from `low` to `high`."""

    name: str
    text: str
    default: int
    low: int
    high: int
    unit: str = ""

    def check(self, value: object) -> int:
        """The value; text is taken from a command line.

        Raises:
            InvalidValueError: it is no such number.
        """
        if isinstance(value, str) and value.strip().isdecimal() and len(value) <= DIGITS:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        raise InvalidValueError(self.name, value, f"a whole number from {self.low} to {self.high}")

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        bounds = {"low": self.low, "high": self.high, "unit": self.unit}
        return {"name": self.name, "text": self.text, "default": self.default, **bounds}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    name: str
    text: str
    default: str
    choices: tuple[str, ...]

    def check(self, value: object) -> str:
        """The value.

        Raises:
            InvalidValueError: it is none of the words.
        """
        if isinstance(value, str) and value in self.choices:
            return value
        raise InvalidValueError(self.name, value, ", ".join(self.choices))

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        return {"name": self.name, "text": self.text, "default": self.default, "choices": self.choices}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to hold for the verdict `passed`, beside what the experiment checks itself.

    Attributes:
        lost: messages that may be missing from Kafka, as seconds of what arrived before.
        duplicated: whether messages may be in Kafka twice.
        recovers_within: s from the end of the disturbance until traffic is as before; None does not ask.
    """

    lost: float = 0.0
    duplicated: bool = False
    recovers_within: float | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment.

    Attributes:
        does: one sentence for a person.
        expects: what should come of it.
        act: what happens in the middle phase.
        expectation: what the ledger is held to, from the values of the parameters.
        breaks_parts: it needs somebody who may stop processes or containers.
    """

    name: str
    title: str
    kind: Kind
    does: str
    expects: str
    parameters: tuple[Number | Choice, ...]
    act: Callable[["Lab", Values], Awaitable[None]]
    expectation: Callable[[Values], Expectation] = field(default=lambda _: Expectation())
    breaks_parts: bool = False

    def check(self, given: Mapping[str, object]) -> dict[str, Value]:
        """All parameters, the given ones checked, the others as they are by default.

        Raises:
            InvalidValueError: a parameter is unknown or out of bounds.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise InvalidValueError(name, given[name], f"one of {', '.join(known) or 'none'}")
        return {name: known[name].check(given.get(name, known[name].default)) for name in known}

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        texts = {"name": self.name, "title": self.title, "kind": self.kind}
        texts |= {"does": self.does, "expects": self.expects}
        parameters = [parameter.as_json() for parameter in self.parameters]
        return {**texts, "parameters": parameters, "breaks_parts": self.breaks_parts}
