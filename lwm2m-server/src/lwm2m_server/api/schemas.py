"""What the API answers, as JSON schemas for its documentation."""

from typing import Any, Final

from iiot.rest import Answer


def _object(**members: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: _TYPES[kind] for name, kind in members.items()}}


_TYPES: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "object": {"type": "object"},
    "list": {"type": "array", "items": {}},
    "any": {},
    "text?": {"type": ["string", "null"]},
}

REGISTRATION: Final = _object(
    endpoint="text", registrationId="text", registrationDate="text", lastUpdate="text", lifetime="integer",
    lwM2mVersion="text", bindingMode="text", objectLinks="list", availableInstances="object", profile="text",
    online="flag", queuemode="flag", sleeping="flag", rootPath="text", contentFormats="list",
)  # fmt: skip
RESULT: Final = _object(
    status="text", valid="flag", success="flag", failure="flag", content="object", objectLinks="list",
    location="text",
)  # fmt: skip
DELAYED: Final = _object(ep="text", path="text?", requestId="text", response="any", delayed="flag")
ANSWER: Final = Answer(
    "The device's answer, or `delayed: true` when it sleeps or is offline: then the answer will be an event "
    "of type `response`",
    {"anyOf": [RESULT, DELAYED]},
)
REQUEST_ERRORS: Final = {
    403: "The device refuses access (4.01, 4.03), or a page of another site may not do this",
    404: "No such device, or the device has no such node (4.04)",
    405: "The device does not offer this on the node (4.05)",
    406: "The device cannot answer in this format (4.06)",
    409: "The device is in the wrong state (4.09)",
    412: "A precondition failed (4.12)",
    413: "Too large for the device (4.13), or the body is too large",
    415: "The device does not read this format (4.15)",
    501: "The device does not implement this (5.01)",
    502: "The device failed (5.00), or its answer makes no sense",
    503: "The broker is away, too many requests wait, or the device is unavailable (5.03)",
    504: "The device did not answer in time",
}


def listing(schema: dict[str, Any]) -> dict[str, Any]:
    """A list of these."""
    return {"type": "array", "items": schema}
