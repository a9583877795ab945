"""The event feed of the API: pages, the positions of named consumers, server-sent events, the WebSocket."""

import asyncio
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, Field

from iiot.errors import InvalidValueError
from iiot.rest import BODY, PARAMETERS, Answer, EventStreams, Route, StreamParameters
from iiot.telemetry import json_response, problem
from lwm2m_server.api.schemas import listing
from lwm2m_server.events import MAX_LIMIT, EventLog, Page
from lwm2m_server.ws import Feed, Live

DEFAULT_LIMIT: Final = 100
_CONSUMER: Final = {"type": "object"}


class Consumer(BaseModel):
    """A named consumer."""

    model_config = PARAMETERS

    consumer: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    """Its name: letters, digits, dots, dashes, underscores."""


class Paging(BaseModel):
    """Which events."""

    model_config = PARAMETERS

    after: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    """Only events behind this id; without it the newest ones."""
    limit: Annotated[int, Field(ge=1, le=2**53)] = DEFAULT_LIMIT
    """Events at most; a page has 1000 and 8 MB at most in any case."""
    consumer: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    """Note `after` as the position of this consumer."""


class Position(BaseModel):
    """Where a consumer is."""

    model_config = BODY

    position: Annotated[int, Field(ge=0, le=2**53 - 1)]
    """Id of the last event that it has taken."""


class EventFeed:
    """Handlers."""

    def __init__(self, events: EventLog, live: Feed, streams: EventStreams) -> None:
        self._events = events
        self._live = live
        self._streams = streams

    def routes(self) -> list[Route]:
        """The routes."""
        page = Answer("A page", {"type": "object"})
        one, unknown = {200: Answer("The consumer", _CONSUMER)}, {404: "No such consumer is known"}
        consumers, named = "/api/events/consumers", "/api/events/consumers/{consumer}"
        return [
            Route(
                "GET", "/api/events", self.events, "A page of the event feed", tag="Events",
                answers={200: page}, parameters=Paging, errors={503: "The database cannot be read"},
            ),
            Route(
                "GET", consumers, self.consumers, "Who takes the feed, and how far behind", tag="Events",
                answers={200: Answer("All consumers", listing(_CONSUMER))},
            ),
            Route(
                "GET", named, self.consumer, "One consumer", tag="Events", answers=one,
                parameters=Consumer, errors=unknown,
            ),
            Route(
                "PUT", named, self.move_consumer, "Store how far a consumer is", tag="Events",
                answers=one, parameters=Consumer, body=Position, routine=True,
            ),
            Route(
                "DELETE", named, self.forget_consumer, "Forget a consumer", tag="Events",
                answers={204: Answer("Forgotten")}, parameters=Consumer, errors=unknown,
            ),
            Route(
                "GET", "/api/events/stream", self._streams.stream_events, "The feed as server-sent events",
                tag="Events", answers={200: Answer("Events", str, "text/event-stream")},
                parameters=StreamParameters, streams=True, errors={503: "Too many streams are open"},
            ),
            Route(
                "GET", "/ws/events", self._live.handle, "The feed as a WebSocket", tag="Events",
                answers={101: Answer("One event per text message")}, parameters=Live, streams=True,
                errors={503: "Too many clients are connected"},
            ),
        ]  # fmt: skip

    async def events(self, _: web.Request, wanted: Paging) -> web.Response:
        """A page of the event feed."""
        events, after = self._events, wanted.after
        page = await events.read(after, min(wanted.limit, MAX_LIMIT))
        is_reset = after is not None and after > events.latest
        if wanted.consumer is not None and after is not None and not is_reset:
            events.move(wanted.consumer, after)
        return web.Response(body=_page(page, events, is_reset), content_type="application/json")

    async def consumers(self, _: web.Request) -> web.Response:
        """Who takes the feed, up to where, and how far that is behind."""
        return json_response([self._consumer(name) for name in sorted(self._events.positions)])

    async def consumer(self, _: web.Request, wanted: Consumer) -> web.Response:
        """One consumer of the feed."""
        return json_response(self._consumer(self._known(wanted)))

    async def move_consumer(self, _: web.Request, wanted: Consumer, body: Position) -> web.Response:
        """Store the position of a consumer; answered when it is durable."""
        if body.position > self._events.latest:
            raise InvalidValueError("position", body.position, f"an integer from 0 to {self._events.latest}")
        durable = asyncio.Event()
        self._events.move(wanted.consumer, body.position, durable.set)
        await durable.wait()
        return json_response(self._consumer(wanted.consumer))

    async def forget_consumer(self, _: web.Request, wanted: Consumer) -> web.Response:
        """Forget a consumer."""
        durable = asyncio.Event()
        self._events.move(self._known(wanted), None, durable.set)
        await durable.wait()
        return web.Response(status=204)

    def _known(self, wanted: Consumer) -> str:
        if wanted.consumer not in self._events.positions:
            raise problem(404, f"no consumer {wanted.consumer!r} is known")
        return wanted.consumer

    def _consumer(self, name: str) -> dict[str, Any]:
        position = self._events.positions.get(name, 0)
        return {"consumer": name, "position": position, "lag": self._events.lag(name)}


def _page(page: Page, events: EventLog, is_reset: bool) -> bytes:
    next_id, signal = page.next, b""
    if is_reset:
        next_id, signal = events.oldest - 1, b',"reset":true'
    elif page.gap is not None:
        signal = b',"gap":{"from":%d,"to":%d}' % page.gap
    numbers = b'],"next":%d,"oldest":%d,"latest":%d' % (next_id, events.oldest, events.latest)
    return b'{"events":[' + b",".join(page.bodies) + numbers + signal + b"}"
