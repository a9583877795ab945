"""What a route of a REST API takes and answers, declared once."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from iiot.telemetry import MAX_BODY_BYTES

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1); all others are writes."""

Schema = Any
"""Any type that pydantic knows, or a JSON schema as a dict."""

_PATTERN = re.compile(r"{(\w+)(?::[^{}]+)?}")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with a body of this schema; None for an answer without a body."""

    description: str
    schema: Schema = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class RawBody:
    """A body that the handler reads and checks itself.

    Attributes:
        content: schema of the body by content type.
        description: what it means.
        required: whether a request without body is refused by the handler.
    """

    content: Mapping[str, Schema]
    description: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path.

    Attributes:
        method: HTTP method; GET also answers HEAD.
        path: as aiohttp takes it: `/api/nodes/{node}`, `{metric:.+}` for a rest with slashes.
        handler: called with the request, then the checked `parameters` and `body` where these are declared.
        summary: one line.
        answers: by status.
        parameters: model of path and query parameters; fields named as in `path` are of the path.
        body: model of a JSON body, or a body that the handler reads.
        errors: when the route answers with which status, beside those that follow from the declaration.
        description: more than the summary says, Markdown.
        tag: heading in the documentation.
        streams: the answer does not end (WebSocket, server-sent events): browsers may give the token as
            `access_token` in the query, since they cannot set a header.
        max_body: bytes of the largest accepted body.
        routine: machines call it all the time, so that a log line for each call would be noise.
    """

    method: str
    path: str
    handler: Callable[..., Awaitable[web.StreamResponse]]
    summary: str
    answers: Mapping[int, Answer]
    parameters: type[BaseModel] | None = None
    body: type[BaseModel] | RawBody | None = None
    errors: Mapping[int, str] = field(default_factory=dict)
    description: str = ""
    tag: str = ""
    streams: bool = False
    max_body: int = MAX_BODY_BYTES
    routine: bool = False

    @property
    def writes(self) -> bool:
        """Whether the route changes anything."""
        return self.method not in SAFE_METHODS

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it: names without patterns."""
        return _PATTERN.sub(r"{\1}", self.path)

    @property
    def path_names(self) -> frozenset[str]:
        """Names of the parameters in the path."""
        return frozenset(_PATTERN.findall(self.path))
