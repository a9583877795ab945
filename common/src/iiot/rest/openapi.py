"""The OpenAPI 3.1 document of a table of routes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, Field, TypeAdapter

from iiot.rest.access import Access
from iiot.rest.route import Answer, RawBody, Route, Schema

_PROBLEM: Final = "application/problem+json"
_REFERENCE: Final = "#/components/schemas/{model}"
_DESCRIPTIONS: Final = {
    400: "A parameter or the body is not allowed; `field`, `value` and `allowed` say which and why",
    401: "The token is missing or wrong",
    403: "A page of another site may not do this",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The body is compressed (`Content-Encoding`)",
    421: "The request is for another name (`Host`)",
}


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str = Field(description="The status in words")
    status: int
    detail: str = Field(description="What is wrong with this request")
    field: str | None = Field(default=None, description="The parameter or member of the body that is wrong")
    value: Any = Field(default=None, description="What it held")
    allowed: Any = Field(default=None, description="What it may hold")
    correlation_id: str | None = Field(default=None, description="Names the request in the logs")


class Health(BaseModel):
    """State of the service; more members follow from what it does."""

    status: str = Field(json_schema_extra={"enum": ["healthy", "unhealthy"]})
    timestamp: str = Field(description="UTC", examples=["2024-01-01T12:00:00"])
    active_devices: int | None = None
    api_writes: str = Field(json_schema_extra={"enum": ["open", "token"]})
    api_reads: str = Field(json_schema_extra={"enum": ["open", "token"]})


async def _health(_: object) -> Any:
    """Stands for the handler in `iiot.telemetry`, as `_metrics` does."""


async def _metrics(_: object) -> Any: ...


_COMMON: Final = (
    Route(
        "GET", "/api/health", _health, "Whether the service does its job now", tag="Service",
        answers={200: Answer("Healthy", Health), 503: Answer("Not healthy", Health)},
    ),
    Route(
        "GET", "/metrics", _metrics, "Figures for Prometheus", tag="Service",
        answers={200: Answer("Text exposition format", str, "text/plain")},
    ),
)  # fmt: skip


def document(title: str, description: str, routes: Sequence[Route], access: Access) -> bytes:
    """The document as JSON; which operations need the token follows from `access`."""
    schemas = _Schemas((*routes, *_COMMON))
    guarded = [(route, access.needs_token(writes=route.writes)) for route in routes]
    paths: dict[str, dict[str, Any]] = {}
    used: Counter[str] = Counter()
    for route, needs_token in [*guarded, *((route, False) for route in _COMMON)]:
        operation = _operation(route, schemas, needs_token=needs_token)
        name = getattr(route.handler, "__name__", "operation").strip("_")
        used[name] += 1
        operation["operationId"] = name if used[name] == 1 else f"{name}_{used[name]}"
        paths.setdefault(route.template, {})[route.method.lower()] = operation
    tags = dict.fromkeys(route.tag for route in (*routes, *_COMMON) if route.tag)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": title, "version": "1", "description": description},
            "tags": [{"name": tag} for tag in tags],
            "paths": paths,
            "components": {
                "schemas": schemas.definitions,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


class _Schemas:
    """JSON schemas of all types in the table, and the definitions that they share."""

    def __init__(self, routes: Iterable[Route]) -> None:
        types: set[Any] = {Problem}
        for route in routes:
            bodies = route.body.content.values() if isinstance(route.body, RawBody) else (route.body,)
            answers = (answer.schema for answer in route.answers.values())
            types |= {
                kind for kind in (*bodies, *answers) if kind is not None and not isinstance(kind, Mapping)
            }
        # As input, so that members with a default are optional: answers leave them out.
        mode: Literal["validation"] = "validation"
        inputs = [(kind, mode, TypeAdapter(kind)) for kind in sorted(types, key=repr)]
        found, shared = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
        self._found = {kind: schema for (kind, _), schema in found.items()}
        self.definitions: dict[str, Any] = shared.get("$defs", {})

    def of(self, schema: Schema) -> Any:
        """The JSON schema of a type, or the schema itself."""
        return schema if isinstance(schema, Mapping) else self._found[schema]

    def parameters(self, route: Route) -> list[dict[str, Any]]:
        """The route's parameters as OpenAPI lists them."""
        if route.parameters is None:
            return []
        model = route.parameters.model_json_schema(ref_template=_REFERENCE)
        self.definitions |= model.pop("$defs", {})
        required = model.get("required", ())
        return [
            _parameter(name, schema, in_path=name in route.path_names, required=name in required)
            for name, schema in model["properties"].items()
        ]


def _parameter(name: str, schema: dict[str, Any], *, in_path: bool, required: bool) -> dict[str, Any]:
    schema.pop("title", None)
    shown: dict[str, Any] = {"name": name, "in": "path" if in_path else "query"}
    if in_path or required:
        shown["required"] = True
    if "description" in schema:
        shown["description"] = schema.pop("description")
    # Absent and null are the same in a query; text cannot say null.
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind.get("type") != "null"]
    if kinds:
        schema = {**schema, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}
    if schema.get("default", ...) is None:
        del schema["default"]
    return {**shown, "schema": schema}


def _operation(route: Route, schemas: _Schemas, *, needs_token: bool) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": route.summary}
    if route.description:
        operation["description"] = route.description
    if route.tag:
        operation["tags"] = [route.tag]
    parameters = schemas.parameters(route)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _body(route.body, schemas)
    answers = {status: _answer(answer, schemas) for status, answer in route.answers.items()}
    problem = Answer("", Problem, _PROBLEM)
    for status, description in _errors(route, needs_token=needs_token).items():
        answers[status] = _answer(replace(problem, description=description), schemas)
    operation["responses"] = {str(status): answers[status] for status in sorted(answers)}
    if needs_token:
        operation["security"] = [{"token": []}]
    return operation


def _body(body: type[BaseModel] | RawBody, schemas: _Schemas) -> dict[str, Any]:
    if not isinstance(body, RawBody):
        return {"required": True, "content": {"application/json": {"schema": schemas.of(body)}}}
    content = {kind: {"schema": schemas.of(schema)} for kind, schema in body.content.items()}
    return {"required": body.required, "content": content, "description": body.description}


def _answer(answer: Answer, schemas: _Schemas) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": answer.description}
    if answer.schema is not None:
        shown["content"] = {answer.content_type: {"schema": schemas.of(answer.schema)}}
    return shown


def _errors(route: Route, *, needs_token: bool) -> dict[int, str]:
    checked = route.parameters is not None or route.body is not None
    follow = {
        400: checked,
        401: needs_token,
        403: not needs_token and (route.writes or route.streams),
        408: route.body is not None,
        413: route.body is not None,
        415: route.body is not None,
        421: True,
    }
    implied = {status: _DESCRIPTIONS[status] for status, holds in follow.items() if holds}
    return {**implied, **route.errors}
