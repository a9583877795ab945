"""CoRE link format, content format 40 (RFC 6690), for Register and Discover (Core 6.2.1, 6.3.2, 7.4.2)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from iiot.budgets import LINKS, BudgetError
from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m import alternate_path
from iiot.lwm2m.message import Link
from iiot.lwm2m.path import Path

Attribute = str | int | float | bool | None
ROOT_TYPE = "oma.lwm2m"
"""The `rt` of the link that says where the objects are."""
_LONGEST_KNOWN = 2048
_TARGET = re.compile(r"\s*<([^<>]{0,255})>")
_ATTRIBUTE = re.compile(
    r"""\s*;\s*([A-Za-z0-9!#$&+.^_`|~-]+\*?)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^"\s,;<>]*)))?""", re.ASCII
)
_COMMA = re.compile(r"\s*,")
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Links:
    """Links of a payload.

    Attributes:
        links: to objects, instances and resources, without the alternate path before them.
        root: the alternate path (`/` when there is none).
        attributes: of the link to the root, such as `ct`.
    """

    links: tuple[Link, ...]
    root: str = alternate_path.NONE
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def formats(self) -> tuple[int, ...]:
        """The content formats that the device says it speaks (`ct`), in its order; none when it does not say.

        Raises:
            InvalidValueError: the attribute holds something else than their numbers.
        """
        given = self.attributes.get("ct")
        numbers = str(given).split() if given is not None else []
        if not all(
            number.isascii() and number.isdigit() and len(number) <= 5 and int(number) < 65536
            for number in numbers
        ):
            raise InvalidValueError("ct", given, "numbers of content formats, separated by blanks")
        return tuple(dict.fromkeys(map(int, numbers)))


def root_link(root: str, formats: Iterable[int]) -> str:
    """The link that says where the objects are, and which content formats their device speaks."""
    numbers = " ".join(str(int(form)) for form in formats)
    return f'<{root}>;rt="{ROOT_TYPE}"' + (f';ct="{numbers}"' if numbers else "")


def encode(links: Iterable[Link], root: str = alternate_path.NONE) -> str:
    """Links as text, below the alternate path `root`; strings are quoted, except `ver`.

    Raises:
        InvalidValueError: an attribute that cannot stand in a link.
    """
    return ",".join(f"<{alternate_path.joined(root, link.path)}>" + "".join(_parts(link)) for link in links)


def decode(text: str, root: str = alternate_path.NONE) -> Links:
    """Links from text; blanks, a trailing slash and unknown attributes are tolerated.

    Devices of a kind register the same text: they share one result.

    Args:
        text: what a device sent.
        root: the alternate path that the device is known to have; a Register tells it by itself.

    Raises:
        DecodeError: not link format.
        InvalidValueError: a link to what is no node of the tree, or an alternate path that is none.
    """
    return _decode_again(text, root) if len(text) <= _LONGEST_KNOWN else _decode(text, root)


def _decode(text: str, root: str) -> Links:
    found = list(islice(_scan(text), LINKS + 1))
    if len(found) > LINKS:
        raise BudgetError("links", LINKS, "link format")
    root, attributes = _root(found) or (root, {})
    links = []
    for target, attached in found:
        full = "/" + target.strip("/")
        node = alternate_path.without(full, root)
        if node == alternate_path.NONE:
            attributes = attributes or attached
        elif node != full or root == alternate_path.NONE or _is_path(node):
            links.append(Link(Path.parse(node), attached))
        # The rest is something else that the device has beside its objects.
    return Links(tuple(links), root, attributes)


def _root(found: Iterable[tuple[str, dict[str, Attribute]]]) -> tuple[str, dict[str, Attribute]] | None:
    roots = [
        (alternate_path.check(target), given)
        for target, given in found
        if ROOT_TYPE in str(given.get("rt", "")).split()
    ]
    if len({root for root, _ in roots}) > 1:
        raise DecodeError(f"not LwM2M links: objects below {roots[0][0]} and below {roots[1][0]}")
    return roots[0] if roots else None


_decode_again = lru_cache(maxsize=512)(_decode)


def _parts(link: Link) -> Iterable[str]:
    for name, value in link.attributes.items():
        if value is None:
            yield f";{name}"
        elif isinstance(value, str) and name != "ver":
            if '"' in value or "\\" in value:
                raise InvalidValueError(name, value, "text without quotes and backslashes")
            yield f';{name}="{value}"'
        else:
            yield f";{name}={int(value) if isinstance(value, bool) else value}"


def _scan(text: str) -> Iterable[tuple[str, dict[str, Attribute]]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TARGET.match(text, at)
        if match is None:
            raise DecodeError(f"not links: {text[at : at + 40]!r}")
        target, at = match[1], match.end()
        attributes: dict[str, Attribute] = {}
        while attribute := _ATTRIBUTE.match(text, at):
            name, quoted, bare = attribute.groups()
            attributes[name] = _value(name, quoted, bare)
            at = attribute.end()
        yield target, attributes
        comma = _COMMA.match(text, at)
        if comma is None:
            if at < end:
                raise DecodeError(f"not links: expected a comma before {text[at : at + 40].lstrip()!r}")
            return
        at = comma.end()
        if at == end:
            raise DecodeError("not links: ends with a comma")


def _value(name: str, quoted: str | None, bare: str | None) -> Attribute:
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted)
    if bare is None or name == "ver":
        return bare
    if _INTEGER.fullmatch(bare):
        return int(bare)
    return float(bare) if _NUMBER.fullmatch(bare) else bare


def _is_path(target: str) -> bool:
    return target.lstrip("/").split("/")[0].isdigit()
