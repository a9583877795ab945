"""The REST API under /api: one table of routes. `docs/rest.md` describes it."""

from typing import Final

from lwm2m_server.bootstrap import NoSessionError
from lwm2m_server.request_queue import NoAnswerError, UnavailableError, UnknownEndpointError
from lwm2m_server.store import StoreError

ERRORS: Final[dict[type[Exception], int]] = {
    UnknownEndpointError: 404,
    NoSessionError: 409,
    UnavailableError: 503,
    StoreError: 503,
    NoAnswerError: 504,
}
"""HTTP status of the errors that handlers let pass."""
DESCRIPTION: Final = """
Devices of LwM2M 1.2 over MQTT. Paths and answers follow Eclipse Leshan's demo server, with one difference:
every error is problem+json (RFC 9457), also a device's refusal, whose LwM2M code stands in `code`.
"""
