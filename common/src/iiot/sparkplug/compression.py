"""Compressed payloads: no part of the specification, but in the reference implementations of Eclipse Tahu.

The envelope has the uuid `SPBV1.0_COMPRESSED`; its body is the payload, compressed by DEFLATE (zlib) or
GZIP, which the bytes themselves tell. The metric `algorithm` that Tahu puts beside it is not needed.
"""

import zlib
from typing import Final

from iiot.budgets import INFLATED_BYTES, BudgetError
from iiot.errors import DecodeError

ENVELOPE: Final = "SPBV1.0_COMPRESSED"
_MARK: Final = ENVELOPE.encode()
_ZLIB_OR_GZIP: Final = 32 + zlib.MAX_WBITS
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MEMBERS: Final = 16
_WHAT: Final = "compressed payload"


def most_bytes(payload: bytes) -> int:
    """How large a payload may be when it is decoded, at a glance."""
    return max(len(payload), INFLATED_BYTES) if _MARK in payload else len(payload)


def decompress(body: bytes, limit: int = INFLATED_BYTES) -> bytes:
    """Return the bytes of the payload in an envelope; nothing beyond `limit` bytes is inflated.

    A GZIP body may have several members (RFC 1952, section 2.2).

    Raises:
        BudgetError: larger than `limit`, or of more than 16 members.
        DecodeError: neither zlib nor gzip, or cut short.
    """
    content = b""
    for _ in range(_MEMBERS):
        part, rest = _inflate(body, limit - len(content))
        content += part
        if len(content) > limit:
            raise BudgetError("inflated bytes", limit, _WHAT)
        if not (body.startswith(_GZIP_MAGIC) and rest.startswith(_GZIP_MAGIC)):
            return content
        body = rest
    raise BudgetError("gzip members", _MEMBERS, _WHAT)


def _inflate(body: bytes, limit: int) -> tuple[bytes, bytes]:
    """At most one byte more than `limit`, and what follows the compressed data."""
    stream = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error as exc:
        raise DecodeError(f"the compressed payload cannot be read: {exc}") from None
    if not stream.eof and len(content) <= limit:
        raise DecodeError("the compressed payload is cut short")
    return content, stream.unused_data
