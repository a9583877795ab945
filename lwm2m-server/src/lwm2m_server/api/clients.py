"""Registrations and what is known about them without asking: values, sends, queue, models."""

from typing import Any, Final

from aiohttp import web

from iiot.lwm2m.path import ROOT, Path
from iiot.rest import Answer, Route
from iiot.telemetry import json_response, problem
from lwm2m_server.api import parameters as p
from lwm2m_server.api.schemas import REGISTRATION, listing
from lwm2m_server.descriptions import date, describe, describe_object
from lwm2m_server.events import EventLog
from lwm2m_server.models import Models
from lwm2m_server.nodes import shown
from lwm2m_server.observations import Observations
from lwm2m_server.operations import Operations
from lwm2m_server.registry import Registration, Registry
from lwm2m_server.request_queue import Job
from lwm2m_server.values import Point, Values

_UNKNOWN: Final = {404: "No device of that name is registered"}
_LIST: Final = {200: Answer("The list", listing({"type": "object"}))}
_SORTED: Final = {
    "endpoint": lambda r: r.endpoint,
    "registrationDate": lambda r: r.registered_ms,
    "lastUpdate": lambda r: r.updated_ms,
    "lifetime": lambda r: r.lifetime,
}


class Clients:
    """Handlers."""

    def __init__(
        self,
        registry: Registry,
        operations: Operations,
        observations: Observations,
        values: Values,
        events: EventLog,
        models: Models,
        *,
        secure: bool,
    ) -> None:
        self._registry = registry
        self._operations = operations
        self._observations = observations
        self._values = values
        self._events = events
        self._models = models
        self._secure = secure

    def routes(self) -> list[Route]:
        """The routes; those with a word in place of an id come before those with ids."""
        clients, device = "/api/clients", "/api/clients/{endpoint}"
        return [
            Route(
                "GET", clients, self.clients, "Registrations", tag="Devices", parameters=p.Clients,
                answers={200: Answer("A page; the header `X-Total-Count` counts all", listing(REGISTRATION))},
            ),
            Route(
                "GET", device, self.client, "One registration", tag="Devices", parameters=p.Device,
                answers={200: Answer("The registration", REGISTRATION)}, errors=_UNKNOWN,
            ),
            Route(
                "GET", f"{device}/values", self.latest, "Latest value of each resource",
                tag="Values", parameters=p.Device, answers=_LIST, errors=_UNKNOWN,
            ),
            Route(
                "GET", f"{device}/sends", self.sends, "The newest Sends of a device", tag="Values",
                parameters=p.Newest, answers=_LIST, errors=_UNKNOWN,
            ),
            Route(
                "GET", f"{device}/observations", self.observations, "Observations of a device",
                tag="Observations", parameters=p.Device, answers=_LIST,
            ),
            Route(
                "GET", f"{device}/queue", self.queue, "Requests that wait for a device, or for its answer",
                tag="Queue", parameters=p.Device, answers=_LIST,
            ),
            Route(
                "DELETE", f"{device}/queue", self.cancel_all, "Take all requests out of the queue",
                tag="Queue", parameters=p.Device, answers={204: Answer("Done")},
            ),
            Route(
                "GET", f"{device}/queue/{{request}}", self.queued, "One request in the queue", tag="Queue",
                parameters=p.Queued, answers={200: Answer("The request", {"type": "object"})},
                errors={404: "No such request waits"},
            ),
            Route(
                "DELETE", f"{device}/queue/{{request}}", self.cancel, "Take a request out of the queue",
                tag="Queue", parameters=p.Queued, answers={204: Answer("Done")},
                errors={404: "No such request waits"},
            ),
            *(
                Route(
                    "GET", p.template(depth, "/history"), self.history, "Values kept of a node",
                    tag="Values", parameters=p.at_level(p.History, depth), answers=_LIST, errors=_UNKNOWN,
                )
                for depth in (1, 2, 3, 4)
            ),
            Route(
                "GET", "/api/objectspecs", self.all_models, "All known object definitions", tag="Models",
                answers=_LIST,
            ),
            Route(
                "GET", "/api/objectspecs/{endpoint}", self.models, "Definitions of the objects of a device",
                tag="Models", parameters=p.Device, answers=_LIST, errors=_UNKNOWN,
            ),
        ]  # fmt: skip

    async def clients(self, request: web.Request, wanted: p.Clients) -> web.Response:
        """Registrations that match, sorted, one page of them."""
        found = [registration for registration in self._registry if _matches(registration, wanted)]
        if wanted.sort is not None:
            found.sort(key=_SORTED[wanted.sort.lstrip("-")], reverse=wanted.sort.startswith("-"))
        end = len(found) if wanted.limit is None else wanted.offset + wanted.limit
        page = found[wanted.offset : end]
        response = json_response([describe(known, secure=self._secure) for known in page])
        response.headers["X-Total-Count"] = str(len(found))
        if end < len(found):
            following = request.url.update_query(offset=str(end))
            response.headers["Link"] = f'<{following.relative()}>; rel="next"'
        return response

    async def client(self, _: web.Request, wanted: p.Device) -> web.Response:
        """One registration."""
        registered = self._operations.check_registered(wanted.endpoint)
        return json_response(describe(registered, secure=self._secure))

    async def latest(self, _: web.Request, wanted: p.Device) -> web.Response:
        """Latest values."""
        self._operations.check_registered(wanted.endpoint)
        found = self._values.latest(wanted.endpoint, ROOT)
        return json_response(
            [{"path": str(path), **self._point(wanted.endpoint, path, at)} for path, at in found.items()]
        )

    async def history(self, _: web.Request, wanted: p.History) -> web.Response:
        """Values of a node, oldest first."""
        self._operations.check_registered(wanted.endpoint)
        found = self._values.history(wanted.endpoint, wanted.node, wanted.since, wanted.limit)
        return json_response(
            [
                {"path": str(path), "values": [self._point(wanted.endpoint, path, point) for point in points]}
                for path, points in found.items()
            ]
        )

    async def sends(self, _: web.Request, wanted: p.Newest) -> web.Response:
        """The newest Sends, newest first, as their events."""
        self._operations.check_registered(wanted.endpoint)
        bodies = await self._events.bodies(self._values.sends(wanted.endpoint)[: wanted.limit])
        return web.Response(body=b"[" + b",".join(bodies) + b"]", content_type="application/json")

    async def observations(self, _: web.Request, wanted: p.Device) -> web.Response:
        """Observations."""
        return json_response([known.describe() for known in self._observations.of(wanted.endpoint)])

    async def queue(self, _: web.Request, wanted: p.Device) -> web.Response:
        """Requests that wait."""
        return json_response([_job(job) for job in self._operations.queue(wanted.endpoint)])

    async def queued(self, _: web.Request, wanted: p.Queued) -> web.Response:
        """One request that waits."""
        for job in self._operations.queue(wanted.endpoint):
            if job.id == wanted.request:
                return json_response(_job(job))
        raise problem(404, f"no request {wanted.request} waits for {wanted.endpoint[:64]}")

    async def cancel(self, _: web.Request, wanted: p.Queued) -> web.Response:
        """Take out one request."""
        if not self._operations.cancel(wanted.endpoint, wanted.request):
            raise problem(404, f"no request {wanted.request} waits for {wanted.endpoint[:64]}")
        return web.Response(status=204)

    async def cancel_all(self, _: web.Request, wanted: p.Device) -> web.Response:
        """Take out all requests."""
        self._operations.cancel(wanted.endpoint)
        return web.Response(status=204)

    async def all_models(self, _: web.Request) -> web.Response:
        """All definitions, each version."""
        return json_response([*map(describe_object, self._models.general.versions)])

    async def models(self, _: web.Request, wanted: p.Device) -> web.Response:
        """Definitions of the objects that a device registered."""
        registered = self._operations.check_registered(wanted.endpoint)
        known = (self._models.general.version(number, told) for number, told in registered.versions)
        return json_response([describe_object(found) for found in known if found is not None])

    def _point(self, endpoint: str, path: Path, point: Point) -> dict[str, Any]:
        resource = self._models.of(endpoint).resource(path)
        return {"timestamp": point[0], "value": shown(point[1], resource.type if resource else None)}


def _matches(registration: Registration, wanted: p.Clients) -> bool:
    return (
        wanted.filter in registration.endpoint
        and wanted.online in (None, registration.online)
        and wanted.sleeping in (None, registration.sleeping)
        and wanted.profile in (None, registration.profile)
        and (wanted.object is None or any(link.path.ids[0] == wanted.object for link in registration.links))
    )


def _job(job: Job) -> dict[str, Any]:
    command = job.command
    return {
        "requestId": job.id,
        "operation": command.operation.value,
        "path": None if command.path is None else str(command.path),
        "paths": [*map(str, command.paths)],
        "state": "sent" if job.deadline else "waiting",
        "attempts": job.attempts,
        "delayed": job.delayed,
        "created": date(job.created),
        "expires": date(job.expires),
    }
