"""What scripts for Leshan's demo server ask for beside devices: events, credentials, the server itself."""

import base64
from collections.abc import Callable
from typing import Annotated, Any, Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, Field

from iiot.rest import Answer, Event, EventStreams, RawBody, Route, Selection
from iiot.rest.parameters import read_json
from iiot.settings import MqttSettings
from iiot.telemetry import json_response, problem
from lwm2m_server.api.schemas import listing
from lwm2m_server.credentials import IN_FORCE, MAX_KNOWN, Credentials, FullError
from lwm2m_server.leshan_events import NAMELESS
from lwm2m_server.registry import Registry

_KEYS: Final = {200: Answer("`certificate` of the broker, empty where it has none", {"type": "object"})}
_NOT_IN_FORCE: Final = (
    "kept for scripts, and not in force: devices come in by the certificate of their MQTT connection,"
    " which ./testbed certs issue makes"
)
_FULL: Final = {409: f"{MAX_KNOWN} endpoints are kept already"}
_CLIENTS, _CLIENT = "/api/security/clients", "/api/security/clients/{endpoint}"


class Streaming(Selection):
    """Which events a client wants."""

    ep: Annotated[str, Field(max_length=64)] | None = None
    """Only events of this device."""

    def wants(self, event: Event) -> bool:
        """Whether the filter lets the event pass, and Leshan has a name for it."""
        return event.type != NAMELESS and self.ep in (None, event.endpoint)


class Named(BaseModel):
    """A device."""

    endpoint: str
    """Name of the device."""


class LeshanApi:
    """Handlers.

    Args:
        streams: the events under Leshan's names.
        registry: the devices.
        mqtt: where devices and this server meet.
        broker_certificate: the broker's certificate as DER, None while there is no TLS connection.
    """

    def __init__(
        self,
        streams: EventStreams,
        registry: Registry,
        mqtt: MqttSettings,
        broker_certificate: Callable[[], bytes | None],
    ) -> None:
        self._streams = streams
        self._registry = registry
        self._mqtt = mqtt
        self._broker_certificate = broker_certificate
        self._credentials = Credentials()

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(
                "GET", "/api/event", self._streams.stream_events, "Server-sent events as Leshan names them",
                tag="Events", answers={200: Answer("Events", str, "text/event-stream")},
                parameters=Streaming, streams=True, errors={503: "Too many streams are open"},
            ),
            Route(
                "GET", _CLIENTS, self.clients, "How registered devices prove who they are", tag="Security",
                answers={200: Answer("By device", listing({"type": "object"}))},
            ),
            Route(
                "PUT", _CLIENTS, self.put, "Keep credentials, which are not in force here", tag="Security",
                answers={200: Answer("As kept, without secrets", {"type": "object"})}, errors=_FULL,
                body=RawBody({"application/json": {"type": "object"}}),
            ),
            Route(
                "DELETE", _CLIENT, self.remove, "Forget credentials", tag="Security",
                answers={200: Answer("Done; a message when there were none", {"type": "object"})},
                parameters=Named,
            ),
            *(
                Route(
                    "GET", path, self.certificate, "What a device checks when it connects", tag="Security",
                    answers=_KEYS,
                )
                for path in ("/api/security/server", "/api/server/security")
            ),
            Route(
                "GET", "/api/server/endpoint", self.endpoints, "Where devices reach the server",
                tag="Security", answers={200: Answer("URIs", listing({"type": "object"}))},
            ),
        ]  # fmt: skip

    async def clients(self, _: web.Request) -> web.Response:
        """What was put, and registered devices, which came in by certificates where the broker speaks TLS."""
        secure = self._registry if self._mqtt.mqtt_tls else ()
        return json_response(self._credentials.shown([known.endpoint for known in secure]))

    async def put(self, request: web.Request) -> web.Response:
        """Keep credentials."""
        try:
            shown = self._credentials.put(await read_json(request))
        except FullError as error:
            raise problem(409, str(error)) from error
        in_force = shown.get("tls") == {"mode": IN_FORCE}
        return json_response(shown if in_force else shown | {"detail": _NOT_IN_FORCE})

    async def remove(self, _: web.Request, wanted: Named) -> web.Response:
        """Forget credentials; Leshan answers 200 also when there are none."""
        known = self._credentials.remove(wanted.endpoint)
        return json_response({} if known else {"message": "not_found"})

    async def certificate(self, _: web.Request) -> web.Response:
        """The broker's certificate: TLS ends there, so that it is what devices see."""
        der = self._broker_certificate()
        return json_response({} if der is None else {"certificate": _certificate(der)})

    async def endpoints(self, _: web.Request) -> web.Response:
        """The broker's address, as this server knows it."""
        mqtt = self._mqtt
        scheme = "mqtts" if mqtt.mqtt_tls else "mqtt"
        host, port = mqtt.mqtt_host, mqtt.mqtt_port
        uri = {"full": f"{scheme}://{host}:{port}", "scheme": scheme, "host": host, "port": port}
        return json_response([{"uri": uri, "description": "LwM2M over MQTT 5 and 3.1.1"}])


def _certificate(der: bytes) -> dict[str, Any]:
    key = x509.load_der_x509_certificate(der).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public: dict[str, Any] = {"b64Der": base64.b64encode(info).decode()}
    if isinstance(key, ec.EllipticCurvePublicKey):
        numbers = key.public_numbers()
        public |= {"x": f"{numbers.x:064x}", "y": f"{numbers.y:064x}", "params": key.curve.name}
    return {"pubkey": public, "b64Der": base64.b64encode(der).decode()}
