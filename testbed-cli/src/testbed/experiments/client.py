"""A client of the experiments' API, through the console of a running testbed. Blocking calls."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from iiot.errors import IiotError

ROOT: Final = "/api/experiments"
PATIENCE: Final = 10.0
SILENCE: Final = 60.0


class RefusedError(IiotError):
    """The API refuses, or does not answer."""


class Client:
    """Starts and follows runs.

    Args:
        url: of the console.
        token: the API's token; None where it is open.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> dict[str, Any]:
        """What `path` below the API's root answers.

        Raises:
            RefusedError: nothing good.
        """
        return self._call("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a write.

        Raises:
            RefusedError: nothing good.
        """
        return self._call("POST", path, None if body is None else orjson.dumps(body))

    def text(self, path: str) -> str:
        """An answer that is no JSON.

        Raises:
            RefusedError: nothing good.
        """
        with self._open("GET", path) as answer:
            found: str = answer.read().decode()
            return found

    def events(self, run: str, after: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """What happens in a run, from its first event to its last.

        Raises:
            RefusedError: the stream ends early.
        """
        name = ""
        with self._open("GET", f"/stream?endpoint={run}&after={after}", SILENCE) as answer:
            try:
                for line in answer:
                    if line.startswith(b"event: "):
                        name = line[7:].decode().strip()
                    elif line.startswith(b"data: ") and name == "event":
                        event = orjson.loads(line[6:])
                        yield event["type"], event["data"]
                        if event["type"] == "ended":
                            return
            except (OSError, http.client.HTTPException) as exc:
                raise RefusedError(f"{self._url} went away: {exc}") from exc
        raise RefusedError(f"{self._url} ended the stream")

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        with self._open(method, path, body=body) as answer:
            found: dict[str, Any] = orjson.loads(answer.read())
            return found

    def _open(self, method: str, path: str, patience: float = PATIENCE, body: bytes | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own http address
            self._url + ROOT + path, body, self._headers, method=method
        )
        try:
            return urllib.request.urlopen(request, timeout=patience)  # noqa: S310
        except urllib.error.HTTPError as exc:
            with exc:
                raise RefusedError(_detail(exc.code, exc.read())) from exc
        except (OSError, http.client.HTTPException) as exc:
            raise RefusedError(f"{self._url} does not answer: {getattr(exc, 'reason', exc)}") from exc


def _detail(status: int, body: bytes) -> str:
    try:
        detail = orjson.loads(body)["detail"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"status {status}"
    return str(detail) + (", set API_TOKEN_FILE" if status == 401 else "")
