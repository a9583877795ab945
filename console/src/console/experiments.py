"""Experiments: requests and events passed on from their desk, which is part of the exporter."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import orjson
from aiohttp import web

from console.streams import Streams
from console.upstream import UnavailableError, Upstreams

DESK: Final = "testbed-exporter"
"""Name of the part that runs experiments."""
ROOT: Final = "/api/experiments"


class Experiments:
    """Passes on what the page asks of the desk."""

    def __init__(self, upstreams: Upstreams, streams: Streams) -> None:
        self._upstreams = upstreams
        self._streams = streams

    def add_routes(self, app: web.Application) -> None:
        """Add everything below `ROOT`."""
        app.router.add_get(f"{ROOT}/stream", self.stream)
        app.router.add_route("*", f"{ROOT}{{path:(?:/.+)?}}", self.pass_on)

    async def pass_on(self, request: web.Request) -> web.Response:
        """A request to the desk, as it was sent."""
        return await self._upstreams.pass_on(request, DESK, request.rel_url.raw_path)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """What happens in runs, as server-sent events named `event`."""
        query = request.rel_url.raw_query_string
        batches = desk_events(self._upstreams, query, request.headers.get("Authorization"))
        return await self._streams.serve(request, batches)


async def desk_events(
    upstreams: Upstreams, query: str, authorization: str | None
) -> AsyncGenerator[tuple[str, Any], None]:
    """Events of the desk; the end of its stream is told as a `state`, and ends this one."""
    path = f"{ROOT}/stream?{query}"
    try:
        async with aclosing(upstreams.lines(DESK, path, authorization=authorization)) as lines:
            async for line in lines:
                # Comments keep the connection alive on both sides.
                yield "event", orjson.loads(line[6:]) if line.startswith(b"data: ") else None
    except (UnavailableError, orjson.JSONDecodeError) as exc:
        yield "state", {"part": DESK, "connected": False, "detail": str(exc)}
