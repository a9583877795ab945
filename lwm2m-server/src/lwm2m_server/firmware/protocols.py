"""By which protocols a device can fetch a package: its resource /5/0/8, and the scheme of a URI."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Record
from iiot.lwm2m.path import Path

SUPPORTED: Final = Path.of(5, 0, 8)
SCHEMES: Final = ("coap", "coaps", "http", "https", "coap+tcp", "coaps+tcp")
"""By their numbers in /5/0/8."""
LONGEST_URI: Final = 255


def check_uri(uri: str) -> str:
    """A Package URI that some device may be able to fetch.

    Raises:
        InvalidValueError: it is none.
    """
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(uri) > LONGEST_URI:
        raise InvalidValueError(
            "uri", uri, f"{', '.join(SCHEMES)} with a host, at most {LONGEST_URI} characters"
        )
    return uri


def unsupported(uri: str, told: Iterable[Record]) -> str | None:
    """Why a device cannot fetch a URI; None when it can, or does not say.

    Args:
        uri: checked before.
        told: its answer to a Read of /5/0/8.
    """
    numbers = {record.value for record in told if record.path.parent == SUPPORTED}
    if not numbers:
        return None
    known = [scheme for number, scheme in enumerate(SCHEMES) if number in numbers]
    scheme = urlsplit(uri).scheme
    return (
        None
        if scheme in known
        else f"the device fetches {', '.join(known) or 'nothing'} (/5/0/8), not {scheme}"
    )
