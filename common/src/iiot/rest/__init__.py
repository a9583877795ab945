"""REST APIs of the services: a table of routes is served, validated, documented and guarded.

A service declares `Route`s; `make_api` turns them into an aiohttp application with problem+json errors
(RFC 9457), an OpenAPI 3.1 document at `/api/openapi.json`, its rendering at `/api/docs`, and bearer token
authentication (RFC 6750). `EventStreams` serves server-sent events.
"""

from iiot.rest.access import Access, ApiSettings
from iiot.rest.app import Api, make_api
from iiot.rest.events import Batch, Event, EventRing
from iiot.rest.parameters import BODY, PARAMETERS
from iiot.rest.route import Answer, RawBody, Route
from iiot.rest.sse import EventStreams, Selection, StreamParameters

__all__ = [
    "BODY",
    "PARAMETERS",
    "Access",
    "Answer",
    "Api",
    "ApiSettings",
    "Batch",
    "Event",
    "EventRing",
    "EventStreams",
    "RawBody",
    "Route",
    "Selection",
    "StreamParameters",
    "make_api",
]
