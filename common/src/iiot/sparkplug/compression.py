"""Compressed payloads: no part of the specification, but in the reference implementations of Eclipse Tahu.

The envelope has the uuid `SPBV1.0_COMPRESSED`; its body is the payload, compressed by DEFLATE (zlib) or
GZIP, which the bytes themselves tell.
"""

import zlib
from typing import Final

from iiot.errors import DecodeError

ENVELOPE: Final = "SPBV1.0_COMPRESSED"
_LARGEST: Final = 16 * 1024 * 1024
_ZLIB_OR_GZIP: Final = 32 + zlib.MAX_WBITS


def decompress(body: bytes) -> bytes:
    """Return the bytes of the payload in an envelope.

    Raises:
        DecodeError: neither zlib nor gzip, cut short, or larger than 16 MiB.
    """
    stream = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        content = stream.decompress(body, _LARGEST)
    except zlib.error as exc:
        raise DecodeError(f"the compressed payload cannot be read: {exc}") from None
    if not stream.eof:
        raise DecodeError(f"the compressed payload is cut short, or larger than {_LARGEST} bytes")
    return content
