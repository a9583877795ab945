"""What a person types behind `/`: words that a row must contain. Pure."""

import re
from dataclasses import dataclass
from typing import Final

FIELDS: Final = ("device", "topic")
_WORD: Final = re.compile(r'(?:(\w+):)?(?:"([^"]*)"?|(\S+))')


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all must hold; letters' case does not matter.

    Attributes:
        device: parts of the device's name.
        topic: parts of the topic's name.
        words: found anywhere in the row.
    """

    device: tuple[str, ...] = ()
    topic: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """`device:temp topic:lwm2m word "two words"`; any text is a filter."""
        found: dict[str, list[str]] = {"device": [], "topic": [], "words": []}
        for field, quoted, bare in _WORD.findall(text.lower()):
            word = quoted or bare
            if field and field not in FIELDS:
                found["words"].append(f"{field}:{word}")
            elif word:
                found[field or "words"].append(word)
        return cls(**{name: tuple(words) for name, words in found.items()})

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.device or self.topic or self.words)

    def matches(self, *texts: str, device: str | None = None, topic: str | None = None) -> bool:
        """Whether a row is shown.

        Args:
            texts: what the row says.
            device: whom it is about; None where rows are about no device.
            topic: which topic it is about; None where rows are about no topic.
        """
        everything = "\n".join(filter(None, (*texts, device, topic))).lower()
        return (
            all(word in everything for word in self.words)
            and (device is None or all(word in device.lower() for word in self.device))
            and (topic is None or all(word in topic.lower() for word in self.topic))
        )
