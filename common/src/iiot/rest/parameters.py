"""Checked parameters and bodies, and errors that name field, value and what is allowed."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, get_origin

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from iiot import budgets
from iiot.errors import InvalidValueError
from iiot.rest.allowed import allowed_text
from iiot.rest.route import Route
from iiot.telemetry import problem

PARAMETERS: Final = ConfigDict(
    frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False
)
"""Configuration of models of parameters: unknown ones are ignored, docstrings of fields describe them."""
BODY: Final = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True)
"""Configuration of models of JSON bodies: the types of JSON are taken as they are."""

_SHOWN: Final = 100
_MAX_KNOWN: Final = 256
_LONGEST_KNOWN: Final = 100
"""Query strings remembered of each route, and characters of the longest of them."""


def parameter_reader(route: Route) -> Callable[[web.Request], BaseModel] | None:
    """A function that checks the parameters of a request; None when the route has none.

    The function raises InvalidValueError.
    """
    model = route.parameters
    if model is None:
        return None
    check = _checker(route, model)
    return check if route.path_names else _recalling(check)


def _checker(route: Route, model: type[BaseModel]) -> Callable[[web.Request], BaseModel]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    lists = tuple(name for name, field in fields.items() if get_origin(field.annotation) in (list, tuple))
    single = tuple(fields.keys() - set(lists) - route.path_names)
    validate = model.__pydantic_validator__.validate_python
    has_path = bool(route.path_names)

    def check(request: web.Request) -> BaseModel:
        query = request.query
        # Faster than dict(query), and the first of repeated values counts, as in `query.get`.
        values: dict[str, Any] = {name: value for name in single if (value := query.get(name)) is not None}
        for name in lists:
            if name in query:
                values[name] = query.getall(name)
        if has_path:
            values.update(request.match_info)
        try:
            checked: BaseModel = validate(values)
        except ValidationError as error:
            raise invalid_value(error, model, values, "") from None
        return checked

    return check


def _recalling(check: Callable[[web.Request], BaseModel]) -> Callable[[web.Request], BaseModel]:
    """`check` with a memory: who polls asks the same again and again. The models are frozen, so shareable."""
    known: dict[str, BaseModel] = {}

    def recall(request: web.Request) -> BaseModel:
        text = request.rel_url.raw_query_string
        checked = known.get(text)
        if checked is None:
            checked = check(request)
            if len(text) <= _LONGEST_KNOWN:
                if len(known) >= _MAX_KNOWN:
                    known.clear()
                known[text] = checked
        return checked

    return recall


async def read_json(request: web.Request) -> object:
    """The body as JSON, whatever its content type says.

    Raises:
        HTTPException: problem 400, not JSON, or too many values; 413, too large.
    """
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise problem(400, f"the body is not JSON: {error}", field="body") from error
    if has_more_values(body, budgets.BODY_VALUES):
        allowed = f"at most {budgets.BODY_VALUES} values"
        raise problem(400, f"body: more values than allowed: {allowed}", field="body", allowed=allowed)
    return body


def has_more_values(document: object, limit: int) -> bool:
    """Whether a JSON document holds more than `limit` values, at any depth."""
    left, count = [document], 0
    while left:
        value = left.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        count += len(inner)
        if count > limit:
            return True
        left.extend(inner)
    return False


def check_body(model: type[BaseModel], body: object) -> BaseModel:
    """A JSON body as the model.

    Raises:
        InvalidValueError: it does not fit; the field is `body` when it is not an object at all.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise invalid_value(error, model, body, "body") from None


def invalid_value(
    error: ValidationError, model: type[BaseModel], data: object, whole: str
) -> InvalidValueError:
    """The first of pydantic's errors in the project's terms.

    Args:
        error: what the model says of `data`.
        model: the model.
        data: what was checked.
        whole: name of the model itself.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    schema = model.model_json_schema()
    location = first["loc"]
    if not location:
        return InvalidValueError(whole, shortened(first["input"]), allowed_text(schema, schema))
    name = ".".join(_field_names(location, data, missing=first["type"] == "missing")) or whole
    if first["type"] == "extra_forbidden":
        return InvalidValueError(name, shortened(first["input"]), f"one of {', '.join(schema['properties'])}")
    allowed = allowed_text(schema["properties"].get(str(location[0]), {}), schema)
    if first["type"] == "value_error" and len(location) == 1:
        allowed = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return InvalidValueError(name, None, f"{allowed}; required")
    return InvalidValueError(name, shortened(first["input"]), allowed)


def _field_names(location: Sequence[int | str], data: object, *, missing: bool) -> Iterator[str]:
    """The members on the way to an error: pydantic puts the kinds of a union among them."""
    for position, part in enumerate(location):
        members = dict(enumerate(data)) if isinstance(data, list) else data
        if isinstance(members, dict) and part in members:
            data = members[part]
        elif not (missing and position == len(location) - 1):
            continue
        yield str(part)


def shortened(value: object) -> object:
    """A value as an error shows it: what JSON has as it is, all else as text that is cut."""
    if isinstance(value, int) and value.bit_length() <= 64:
        return value
    if value is None or (isinstance(value, float) and math.isfinite(value)):
        return value
    try:
        return str(value)[:_SHOWN]
    except (ValueError, RecursionError):  # an integer of 5,000 digits in a list; lists in lists in lists
        return None
