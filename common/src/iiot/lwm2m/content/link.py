"""CoRE link format, content format 40 (RFC 6690), for Register and Discover (Core 6.2.1, 6.3.2, 7.4.2)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from iiot.errors import DecodeError, InvalidValueError
from iiot.lwm2m.message import Link
from iiot.lwm2m.path import ROOT, Path

Attribute = str | int | float | bool | None
_LONGEST_KNOWN = 2048
_TARGET = re.compile(r"\s*<([^<>]{0,255})>")
_ATTRIBUTE = re.compile(
    r"""\s*;\s*([A-Za-z0-9!#$&+.^_`|~-]+\*?)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^"\s,;<>]*)))?""", re.ASCII
)
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
    root: str = "/"
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def encode(links: Iterable[Link]) -> str:
    """Links as text; strings are quoted, except `ver`.

    Raises:
        InvalidValueError: an attribute that cannot stand in a link.
    """
    return ",".join(f"<{link.path}>" + "".join(_parts(link)) for link in links)


def decode(text: str) -> Links:
    """Links from text; blanks, a trailing slash and unknown attributes are tolerated.

    Devices of a kind register the same text: they share one result.

    Raises:
        DecodeError: not link format.
        InvalidValueError: a link to what is no node of the tree.
    """
    return _decode_again(text) if len(text) <= _LONGEST_KNOWN else _decode(text)


def _decode(text: str) -> Links:
    found = list(_scan(text))
    root: str = "/"
    attributes: Mapping[str, Attribute] = {}
    for target, given in found:
        if given.get("rt") == "oma.lwm2m":
            root, attributes = target, given
        elif target == "/":
            attributes = given
    if root != "/" and _is_path(root):
        raise DecodeError(f"not LwM2M links: {root} cannot be the alternate path")
    links = tuple(
        Link(_path(target, root), given) for target, given in found if target != root and target != "/"
    )
    return Links(links, root, attributes)


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
        rest = text[at:end].lstrip()
        if not rest:
            return
        if rest[0] != ",":
            raise DecodeError(f"not links: expected a comma before {rest[:40]!r}")
        at = end - len(rest) + 1
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


def _path(target: str, root: str) -> Path:
    if root != "/" and target.startswith(root + "/"):
        target = target[len(root) :]
    path = Path.parse(target)
    if path == ROOT:
        raise DecodeError(f"not LwM2M links: {target!r}")
    return path


def _is_path(target: str) -> bool:
    return target.lstrip("/").split("/")[0].isdigit()
