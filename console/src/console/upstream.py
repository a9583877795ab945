"""HTTP towards the other parts: JSON answers for ourselves, and requests passed on for the page."""

import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Self

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from iiot import correlation
from iiot.errors import IiotError
from iiot.http_client import open_session
from iiot.telemetry import problem

MAX_ANSWER: Final = 64 << 20
"""Bytes of an answer that is passed on at most."""
LONGEST: Final = 600.0
"""Seconds that a request may ask for with `timeout`."""
SILENCE: Final = 40.0
"""Seconds after which a stream without a sign of life counts as dead."""
_SENT_ON: Final = ("Authorization", "Content-Type", "X-Correlation-Id", "X-Request-Id")
_SENT_BACK: Final = ("Content-Type", "WWW-Authenticate", "Retry-After", "Location", "X-Correlation-Id")


class UnavailableError(IiotError):
    """A part does not answer, or answers with an error; the text says which and why."""


class Upstreams:
    """The other parts by name, with one pool of connections.

    Args:
        urls: base URL of each part.
        timeout: s to wait for an answer.
    """

    def __init__(self, urls: Mapping[str, str], timeout: float) -> None:
        self.urls = dict(urls)
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool."""
        self._session = open_session(
            timeout=aiohttp.ClientTimeout(total=self._timeout), connector=aiohttp.TCPConnector(limit=64)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def text(
        self,
        part: str,
        path: str,
        *,
        authorization: str | None = None,
        accept: tuple[int, ...] = (200,),
        patience: float | None = None,
    ) -> str:
        """The answer of a part, or of one of its addresses.

        Args:
            part: name of the part, or a base URL.
            path: what is asked for, with its query.
            authorization: the header of the person who asks.
            accept: HTTP status that is an answer.
            patience: s to wait, when it is not to be the usual time.

        Raises:
            UnavailableError: no such answer.
        """
        url = self.urls.get(part, part) + path
        headers = {} if authorization is None else {"Authorization": authorization}
        try:
            timeout = aiohttp.ClientTimeout(total=self._timeout if patience is None else patience)
            async with self._pool.get(url, headers=headers, timeout=timeout) as answer:
                body = await answer.text()
                if answer.status in accept:
                    return body
                raise UnavailableError(f"{part} answers {answer.status}: {_detail(body)}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise UnavailableError(f"{part} does not answer: {_reason(exc)}") from exc

    async def json(
        self, part: str, path: str, *, authorization: str | None = None, accept: tuple[int, ...] = (200,)
    ) -> Any:
        """The answer of a part as JSON; arguments and errors as for `text`."""
        return parse(part, await self.text(part, path, authorization=authorization, accept=accept))

    async def lines(self, part: str, path: str, *, authorization: str | None = None) -> AsyncGenerator[bytes]:
        """The lines of an answer that does not end, such as server-sent events.

        Raises:
            UnavailableError: no such answer, silence for `SILENCE` seconds, or the end.
        """
        headers = {} if authorization is None else {"Authorization": authorization}
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeout, sock_read=SILENCE)
        try:
            async with self._pool.get(self.urls[part] + path, headers=headers, timeout=timeout) as answer:
                if answer.status != 200:
                    raise UnavailableError(f"{part} answers {answer.status}: {_detail(await answer.text())}")
                async for line in answer.content:
                    yield line
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise UnavailableError(f"{part} does not answer: {_reason(exc)}") from exc
        raise UnavailableError(f"{part} ended its stream")

    async def pass_on(self, request: web.Request, part: str, path: str) -> web.Response:
        """Do the request at a part and give its answer back, whatever it is.

        Args:
            request: the page's request.
            part: name of the part.
            path: where it goes there, escaped; the query is that of the request.

        Raises:
            HTTPException: problem 502 when the part does not answer.
        """
        url = URL(f"{self.urls[part]}{path}?{request.rel_url.raw_query_string}", encoded=True)
        headers = {name: request.headers[name] for name in _SENT_ON if name in request.headers}
        headers[correlation.HEADER] = correlation.current()
        timeout = aiohttp.ClientTimeout(total=_wanted_timeout(request, self._timeout))
        try:
            async with self._pool.request(
                request.method,
                url,
                data=await request.read(),
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                body = await _read(answer, part)
                back = {name: answer.headers[name] for name in _SENT_BACK if name in answer.headers}
                return web.Response(body=body, status=answer.status, headers=back)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise problem(502, f"{part} does not answer: {_reason(exc)}", part=part) from exc

    @property
    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise UnavailableError("the console is starting")
        return self._session


async def _read(answer: aiohttp.ClientResponse, part: str) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise problem(502, f"{part} answers more than {MAX_ANSWER >> 20} MiB", part=part)
    return bytes(body)


def parse(part: str, body: str) -> Any:
    """The JSON that a part has answered.

    Raises:
        UnavailableError: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise UnavailableError(f"{part} answers no JSON: {exc}") from exc


def _wanted_timeout(request: web.Request, default: float) -> float:
    """A read of a sleeping device may take longer: the upstream's own `timeout`, and time for the way."""
    try:
        wanted = float(request.query.get("timeout", default))
    except ValueError:
        return default
    # Of `nan` aiohttp would make no time limit at all.
    return min(max(default, wanted), LONGEST) + 1


def _detail(body: str) -> str:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    text = answer.get("detail", body) if isinstance(answer, dict) else body
    return str(text)[:200]


def _reason(exc: BaseException) -> str:
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, aiohttp.ClientConnectorError):
        code = exc.os_error.errno  # asyncio writes the address into strerror once more
        return f"{exc.host}:{exc.port}: {os.strerror(code) if code and code > 0 else exc.os_error}"
    return str(exc)[:200] or type(exc).__name__
