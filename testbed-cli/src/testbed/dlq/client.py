"""Asks the bridge to replay a dead letter."""

import asyncio
from pathlib import Path
from typing import Any, Final

import aiohttp

from iiot.errors import IiotError, SettingsError
from iiot.http_client import open_session
from iiot.replays import Place

TIMEOUT: Final = aiohttp.ClientTimeout(total=60)


class BridgeAwayError(IiotError):
    """The bridge does not answer."""


class RefusedError(IiotError):
    """The bridge did not replay the letter; the text says why."""


def token_of(file: Path | None) -> str | None:
    """The bearer token in a file.

    Raises:
        SettingsError: it cannot be read.
    """
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError([f"API_TOKEN_FILE={str(file)!r}: cannot be read: {exc}"]) from exc


def replay(url: str, token: str | None, place: Place, *, dry_run: bool, again: bool) -> dict[str, Any]:
    """What the bridge wrote, or would write.

    Raises:
        BridgeAwayError: no bridge answers at `url`.
        RefusedError: it refused.
        SettingsError: it takes no letter from whoever has this token, or none.
    """
    body = {"letter": str(place), "dry_run": dry_run, "again": again}
    return asyncio.run(_post(f"{url.rstrip('/')}/api/dead-letters/replay", token, body))


async def _post(url: str, token: str | None, body: dict[str, object]) -> dict[str, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        async with (
            open_session(timeout=TIMEOUT, headers=headers) as session,
            session.post(url, json=body) as response,
        ):
            answer: dict[str, Any] = await response.json(content_type=None)
            if response.status == 200:
                return answer
            reason = str(answer.get("detail", response.status))
            if response.status == 401:
                raise SettingsError([f"API_TOKEN_FILE: {reason}"])
            raise RefusedError(reason)
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as exc:
        raise BridgeAwayError(f"{url}: {exc or type(exc).__name__}") from exc
