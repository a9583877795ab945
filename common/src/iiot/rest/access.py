"""Who may call an API: one bearer token (RFC 6750), and pages of other sites never."""

import hmac
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from pydantic_settings import BaseSettings

from iiot.errors import SettingsError
from iiot.settings import OptionalPath
from iiot.telemetry import problem
from iiot.token_file import read_token

_INVALID: Final = ', error="invalid_token"'


class ApiSettings(BaseSettings):
    """Who may use the HTTP API. Mix into a service's settings."""

    api_token_file: OptionalPath = None
    """File that holds the bearer token; without it everyone who reaches the port may write."""
    api_reads_open: bool = True
    """Whether reads need no token."""


class Access:
    """Guards routes.

    Args:
        token: what clients must present; None leaves the API open.
        reads_open: whether reads need no token.
    """

    def __init__(self, token: str | None = None, *, reads_open: bool = True) -> None:
        self._token = None if token is None else token.encode()
        self._reads_open = reads_open or token is None

    @classmethod
    def of(cls, settings: ApiSettings) -> "Access":
        """Access as the settings say.

        Raises:
            SettingsError: the token's file cannot be read or holds no token, or there is none to close
                reads with.
        """
        file = settings.api_token_file
        if file is None:
            if not settings.api_reads_open:
                raise SettingsError(["API_READS_OPEN=False: needs a token: set API_TOKEN_FILE"])
            return cls()
        return cls(read_token("API_TOKEN_FILE", file), reads_open=settings.api_reads_open)

    @property
    def details(self) -> dict[str, str]:
        """What `/api/health` says about it."""
        writes = "open" if self._token is None else "token"
        return {"api_writes": writes, "api_reads": "open" if self._reads_open else "token"}

    def needs_token(self, *, writes: bool) -> bool:
        """Whether such a route needs the token."""
        return self._token is not None and (writes or not self._reads_open)

    def check_token(self, request: web.Request, *, streams: bool) -> None:
        """Let a request pass that carries the token.

        Raises:
            HTTPException: problem 401 with `WWW-Authenticate`.
        """
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.query.get("access_token", "") if streams else ""
        # Compared as bytes: compare_digest refuses text beyond ASCII, of which no token has any.
        if self._token is None or hmac.compare_digest(given.strip().encode("ascii", "replace"), self._token):
            return
        detail = "the token is wrong" if given else "this request needs the header `Authorization: Bearer …`"
        error = problem(401, detail)
        error.headers["WWW-Authenticate"] = 'Bearer realm="api"' + (
            ', error="invalid_token"' if given else ""
        )
        raise error


def check_origin(request: web.Request) -> None:
    """Refuse a page of another site: browsers send its POST, and open its WebSocket, without asking.

    Raises:
        HTTPException: problem 403.
    """
    origin = request.headers.get("Origin")
    if origin is not None and _place_of(origin) != request.host.lower():
        raise problem(403, f"pages of {origin[:100]} may not do this", field="Origin", value=origin[:100])


def _place_of(origin: str) -> str:
    """Name and port; empty when it has none, such as `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as `http://[`
        return ""
