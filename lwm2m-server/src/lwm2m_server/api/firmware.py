"""Firmware: packages, campaigns over many devices, and the download itself."""

from collections.abc import Callable
from typing import Annotated, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from iiot.errors import InvalidValueError
from iiot.rest import BODY, PARAMETERS, Answer, RawBody, Route
from iiot.telemetry import json_response, problem
from lwm2m_server.channel import MAX_DOWNLINK_BYTES
from lwm2m_server.firmware.campaign import Campaign
from lwm2m_server.firmware.campaigns import MAX_CAMPAIGNS, Campaigns
from lwm2m_server.firmware.packages import Package, Packages
from lwm2m_server.firmware.protocols import check_uri
from lwm2m_server.registry import Registry

MAX_DEVICES: Final = 20_000
_OBJECT: Final = {"type": "object"}
_TAG: Final = "Firmware"
_DATA: Final = RawBody({"application/octet-stream": {"type": "string", "format": "binary"}}, "The package")


class Upload(BaseModel):
    """A new package."""

    model_config = PARAMETERS

    name: Annotated[str, Field(max_length=255)] = ""
    """A name for people."""


class OnePackage(BaseModel):
    """A package."""

    model_config = PARAMETERS

    package: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Its SHA-256."""


class OneCampaign(BaseModel):
    """A campaign."""

    model_config = PARAMETERS

    campaign: Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
    """Its id."""


class NewCampaign(BaseModel):
    """A campaign to begin."""

    model_config = BODY

    package: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the package."""
    name: Annotated[str, Field(max_length=255)] = ""
    """A name for people."""
    method: Literal["push", "pull"] = "pull"
    """`pull`: the device fetches the package by HTTP(S); `push`: it is written to it."""
    endpoints: Annotated[list[str], Field(max_length=MAX_DEVICES)] = []
    """The devices; they need not be registered yet."""
    filter: Annotated[str, Field(max_length=64)] | None = None
    """In place of `endpoints`: all registered devices with object 5 whose name contains this."""
    uri: Annotated[str, Field(max_length=255)] = ""
    """Where to fetch the package, when it is not this server."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 20
    """Devices at a time."""
    timeout: Annotated[float, Field(gt=0, le=7 * 86400)] = 600.0
    """Seconds for each device."""


class FirmwareApi:
    """Handlers.

    Args:
        base_url: where devices reach this server, asked when a campaign begins.
        max_bytes: size of the largest package.
    """

    def __init__(
        self,
        packages: Packages,
        campaigns: Campaigns,
        registry: Registry,
        wall_ms: Callable[[], int],
        base_url: Callable[[], str],
        max_bytes: int,
    ) -> None:
        self._packages = packages
        self._campaigns = campaigns
        self._registry = registry
        self._wall_ms = wall_ms
        self._base_url = base_url
        self._max_bytes = max_bytes

    def routes(self) -> list[Route]:
        """The routes."""
        packages, package = "/api/firmware/packages", "/api/firmware/packages/{package}"
        campaigns, campaign = "/api/firmware/campaigns", "/api/firmware/campaigns/{campaign}"
        unknown = {404: "No such package or campaign"}
        listed = {200: Answer("The list, newest first", {"type": "array", "items": _OBJECT})}
        return [
            Route("GET", packages, self.packages, "Firmware packages", listed, tag=_TAG),
            Route(
                "POST", packages, self.upload, "Store a package", {201: Answer("The package", _OBJECT)},
                Upload, _DATA, tag=_TAG, max_body=self._max_bytes,
            ),
            Route(
                "GET", package, self.package, "One package", {200: Answer("The package", _OBJECT)},
                OnePackage, errors=unknown, tag=_TAG,
            ),
            Route(
                "DELETE", package, self.remove_package, "Remove a package", {204: Answer("Removed")},
                OnePackage, errors=unknown | {409: "A campaign needs it"}, tag=_TAG,
            ),
            Route("GET", campaigns, self.campaigns, "Firmware campaigns", listed, tag=_TAG),
            Route(
                "POST", campaigns, self.start, "Begin a campaign", {201: Answer("The campaign", _OBJECT)},
                body=NewCampaign, errors=unknown | {409: "A device is in another campaign"}, tag=_TAG,
            ),
            Route(
                "GET", campaign, self.campaign, "One campaign, with each device's progress",
                {200: Answer("The campaign", _OBJECT)}, OneCampaign, errors=unknown, tag=_TAG,
            ),
            Route(
                "POST", campaign + "/cancel", self.cancel, "Begin no more devices",
                {200: Answer("The campaign", _OBJECT)}, OneCampaign, errors=unknown, tag=_TAG,
            ),
            Route(
                "DELETE", campaign, self.remove, "Forget a campaign that is over", {204: Answer("Forgotten")},
                OneCampaign, errors=unknown | {409: "It still runs"}, tag=_TAG,
            ),
        ]  # fmt: skip

    async def packages(self, _: web.Request) -> web.Response:
        """All packages."""
        return json_response([package.describe() for package in self._packages.all()])

    async def upload(self, request: web.Request, wanted: Upload) -> web.Response:
        """Store a package."""
        package = await self._packages.add(wanted.name, await request.read(), self._wall_ms())
        return json_response(package.describe(), 201)

    async def package(self, _: web.Request, wanted: OnePackage) -> web.Response:
        """One package."""
        return json_response(self._package(wanted.package).describe())

    async def remove_package(self, _: web.Request, wanted: OnePackage) -> web.Response:
        """Remove a package."""
        package = self._package(wanted.package)
        if self._campaigns.uses(package):
            raise problem(409, "a campaign that runs needs this package")
        await self._packages.remove(package)
        return web.Response(status=204)

    async def campaigns(self, _: web.Request) -> web.Response:
        """All campaigns, without devices."""
        return json_response([campaign.describe(False) for campaign in self._campaigns.all()])

    async def campaign(self, _: web.Request, wanted: OneCampaign) -> web.Response:
        """One campaign."""
        return json_response(self._campaign(wanted.campaign).describe(True))

    async def start(self, _: web.Request, body: NewCampaign) -> web.Response:
        """Begin a campaign."""
        package, endpoints = self._package(body.package), self._endpoints(body)
        if len(self._campaigns.all()) >= MAX_CAMPAIGNS:
            raise problem(409, f"there are {MAX_CAMPAIGNS} campaigns; remove old ones")
        if body.method == "push" and package.size > MAX_DOWNLINK_BYTES * 3 // 4:
            allowed = f"pull, since a push holds at most {MAX_DOWNLINK_BYTES * 3 // 4} bytes"
            raise InvalidValueError("method", "push", allowed)
        for endpoint in endpoints:
            other = self._campaigns.busy(endpoint)
            if other is not None:
                raise problem(409, f"{endpoint} is in campaign {other.id}")
        uri = check_uri(body.uri) if body.uri else f"{self._base_url()}/firmware/{package.id}"
        campaign = await self._campaigns.start(
            endpoints, name=body.name, package=package.id, method=body.method, uri=uri,
            concurrency=body.concurrency, timeout=body.timeout,
        )  # fmt: skip
        return json_response(campaign.describe(True), 201)

    async def cancel(self, _: web.Request, wanted: OneCampaign) -> web.Response:
        """Cancel a campaign."""
        campaign = self._campaign(wanted.campaign)
        if campaign.state == "running":
            await self._campaigns.cancel(campaign)
        return json_response(campaign.describe(True))

    async def remove(self, _: web.Request, wanted: OneCampaign) -> web.Response:
        """Forget a campaign."""
        campaign = self._campaign(wanted.campaign)
        if campaign.state == "running":
            raise problem(409, "the campaign runs; cancel it first")
        await self._campaigns.remove(campaign)
        return web.Response(status=204)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a package, for devices; who has its SHA-256 may have them."""
        return web.FileResponse(self._packages.file(self._package(request.match_info["package"])))

    def _endpoints(self, body: NewCampaign) -> list[str]:
        if (body.filter is None) == (not body.endpoints):
            raise InvalidValueError("endpoints", body.endpoints[:3], "either endpoints or filter")
        if body.filter is None:
            return [*dict.fromkeys(body.endpoints)]
        found = [
            registration.endpoint
            for registration in self._registry
            if body.filter in registration.endpoint and any(r.path.ids[0] == 5 for r in registration.links)
        ]
        if not found:
            raise InvalidValueError("filter", body.filter, "a part of the name of devices with object 5")
        return found[:MAX_DEVICES]

    def _package(self, number: str) -> Package:
        package = self._packages.get(number)
        if package is None:
            raise problem(404, f"no package {number[:64]!r} is stored")
        return package

    def _campaign(self, number: str) -> Campaign:
        campaign = self._campaigns.get(number)
        if campaign is None:
            raise problem(404, f"no campaign {number!r} is known")
        return campaign
