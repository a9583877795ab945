"""Pulling a firmware package over HTTP or HTTPS."""

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Final

import aiohttp

from device_simulator.firmware import Result
from device_simulator.firmware_package import Package, PackageReader
from iiot.telemetry import get_logger

log = get_logger(__name__)

PIECE: Final = 65_536
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)


async def download(uri: str, largest: int, ca: Path | None) -> Package | Result:
    """Fetch a package, without holding it in memory.

    Args:
        uri: `http:` or `https:`.
        largest: bytes that fit into the device.
        ca: certificates trusted beside those of the system.

    Returns:
        The package, or the result of the update that failed: 2 too large, 4 connection lost or refused,
        7 no such file.
    """
    reader = PackageReader()
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(uri, ssl=_trust(ca), auto_decompress=False) as response,
        ):
            if response.status >= 400:
                return Result.INVALID_URI if response.status < 500 else Result.CONNECTION_LOST
            async for piece in response.content.iter_chunked(PIECE):
                reader.feed(piece)
                if reader.size > largest:
                    return Result.NO_FLASH
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        return Result.INVALID_URI
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        log.info("download_failed", uri=uri, reason=str(exc) or type(exc).__name__)
        return Result.CONNECTION_LOST
    return reader.finish()


@lru_cache(maxsize=8)
def _trust(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    return context
