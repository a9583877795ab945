"""What a rule is, and its table: what breaks the specification, by which assertion, and what helps."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

PREFIX: Final = "tck-id-"


class Level(StrEnum):
    """How strong the specification's word is."""

    MUST = "must"
    SHOULD = "should"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong.

    Attributes:
        key: the project's own short name.
        advice: what to do about it.
        assertions: identifiers of Sparkplug 3.0, without their prefix `tck-id-`. Those under the empty
            variant hold always, the others for one message type (or another variant) alone.
        needs_qos: can be judged only when the broker hands messages on with the publisher's QoS.
    """

    key: str
    level: Level
    advice: str
    assertions: dict[str, tuple[str, ...]] = field(hash=False)
    needs_qos: bool = False

    def identifiers(self, variant: str = "") -> tuple[str, ...]:
        """Full identifiers of the assertions that a violation of this variant breaks.

        All of the rule where the specification has none for it: it does not foresee values in a DDEATH.
        """
        own = self.assertions.get("", ()) + (self.assertions.get(variant, ()) if variant else ())
        return tuple(PREFIX + name for name in own) or tuple(sorted(self.all_identifiers()))

    def all_identifiers(self) -> set[str]:
        """Full identifiers over all variants."""
        return {PREFIX + name for names in self.assertions.values() for name in names}


def must(key: str, advice: str, always: str = "", *, needs_qos: bool = False, **variants: str) -> Rule:
    """A rule whose violation is an error; assertions are written as one text, separated by blanks."""
    return _rule(key, Level.MUST, advice, always, variants, needs_qos=needs_qos)


def should(key: str, advice: str, always: str = "", **variants: str) -> Rule:
    """A rule of the specification that allows exceptions; its violation is a warning."""
    return _rule(key, Level.SHOULD, advice, always, variants, needs_qos=False)


def _rule(
    key: str, level: Level, advice: str, always: str, variants: dict[str, str], *, needs_qos: bool
) -> Rule:
    assertions = {"": tuple(always.split())}
    assertions |= {variant: tuple(names.split()) for variant, names in variants.items()}
    return Rule(key, level, advice, assertions, needs_qos)
