"""Topic filters: matching, and how two filters relate (MQTT 5 §4.7)."""

from iiot.errors import InvalidValueError

MAX_BYTES = 65_535


def check_filter(text: str) -> str:
    """Return `text` when it is a topic filter.

    Raises:
        InvalidValueError: empty, too long, no UTF-8 or NUL inside, a wildcard that shares its level, or `#`
            not last.
    """
    levels = text.split("/")
    encoded = text.encode(errors="replace")
    if not 1 <= len(encoded) <= MAX_BYTES or b"\0" in encoded or encoded.decode() != text:
        raise InvalidValueError("filter", text, f"1 to {MAX_BYTES} bytes of UTF-8 without NUL")
    if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels):
        raise InvalidValueError("filter", text, "+ and # each alone in their level")
    if "#" in levels[:-1]:
        raise InvalidValueError("filter", text, "# as the last level only")
    if levels[0] == "$share":
        raise InvalidValueError("filter", text, "no $share: order per device would be lost")
    return text


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message on `topic` belongs to a subscription of `topic_filter`."""
    return covers(topic_filter, topic)


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that matches `narrow` also matches `wide`. A plain topic is a filter, too."""
    if _hides_dollar(wide, narrow):
        return False
    wide_levels, narrow_levels = wide.split("/"), narrow.split("/")
    for at, level in enumerate(wide_levels):
        if level == "#":
            return True
        if at == len(narrow_levels) or narrow_levels[at] == "#" or level not in ("+", narrow_levels[at]):
            return False
    return len(wide_levels) == len(narrow_levels)


def overlap(one: str, other: str) -> bool:
    """Whether some topic matches both filters."""
    if _hides_dollar(one, other) or _hides_dollar(other, one):
        return False
    a, b = one.split("/"), other.split("/")
    for x, y in zip(a, b, strict=False):
        if "#" in (x, y):
            return True
        if x != y and "+" not in (x, y):
            return False
    # `a/#` matches `a` itself: a filter may be longer by just this level.
    return len(a) == len(b) or (a[len(b) :] or b[len(a) :]) == ["#"]


def common_topic(one: str, other: str) -> str | None:
    """The only topic that matches both filters, which must `overlap`; None when they share several."""
    if "#" in one or "#" in other:
        return None
    levels = [y if x == "+" else x for x, y in zip(one.split("/"), other.split("/"), strict=True)]
    return None if "+" in levels else "/".join(levels)


def _hides_dollar(one: str, other: str) -> bool:
    return one[0] in "+#" and other.startswith("$")
