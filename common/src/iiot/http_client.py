"""HTTP towards other programs: answers are read as they come over the wire, and nothing inflates."""

from collections.abc import Mapping
from typing import Any

import aiohttp


def open_session(*, headers: Mapping[str, str] | None = None, **options: Any) -> aiohttp.ClientSession:
    """A client session that asks for plain answers and refuses compressed ones.

    Args:
        headers: sent with every request.
        options: as `aiohttp.ClientSession` takes them.
    """
    return aiohttp.ClientSession(
        headers={**(headers or {}), "Accept-Encoding": "identity"},
        auto_decompress=False,
        middlewares=(_plain_answers,),
        **options,
    )


async def _plain_answers(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    answer = await handler(request)
    coding = answer.headers.get("Content-Encoding", "identity").lower()
    if coding in ("", "identity"):
        return answer
    answer.close()
    raise aiohttp.ClientPayloadError(f"the answer is compressed, {coding[:50]}, though nobody asked for it")
