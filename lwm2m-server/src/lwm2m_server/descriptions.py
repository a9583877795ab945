"""Registrations and object definitions as the API shows them, with the names of Leshan's demo server."""

from datetime import UTC, datetime
from typing import Any, Final

from iiot.lwm2m.definition import ranges_text
from iiot.lwm2m.model import Object
from lwm2m_server.answers import links
from lwm2m_server.nodes import TYPES
from lwm2m_server.registry import Registration

_URNS: Final = ((1024, "oma"), (10_241, "ext"), (32_769, "x"))
"""Object ids below each number are of this class (OMA Naming Authority)."""


def describe(registration: Registration, *, secure: bool) -> dict[str, Any]:
    """A registration; `secure` when devices come over TLS."""
    instances: dict[str, list[int]] = {}
    for link in registration.links:
        found = instances.setdefault(str(link.path.object_id), [])
        if link.path.instance_id is not None:
            found.append(link.path.instance_id)
    profile_id = registration.profile_id
    told = {
        "endpoint": registration.endpoint,
        "registrationId": registration.id,
        "registrationDate": date(registration.registered_ms),
        "lastUpdate": date(registration.updated_ms),
        "lifetime": registration.lifetime,
        "lwM2mVersion": registration.version,
        "bindingMode": registration.binding,
        "smsNumber": registration.sms,
        "rootPath": registration.root,
        "contentFormats": list(registration.formats),
        "objectLinks": links(registration.links),
        "availableInstances": instances,
        "secure": secure,
        "additionalRegistrationAttributes": {} if profile_id is None else {"pid": profile_id},
        "profile": registration.profile,
        "online": registration.online,
        "queuemode": registration.queue_mode,
    }
    return told | {"sleeping": registration.sleeping} if registration.queue_mode else told


def describe_object(definition: Object) -> dict[str, Any]:
    """An object's definition, with Leshan's members; descriptions are not kept."""
    return {
        "id": definition.id,
        "name": definition.name,
        "urn": _urn(definition),
        "version": definition.version,
        "instancetype": "multiple" if definition.multiple else "single",
        "mandatory": definition.mandatory,
        "description": "",
        "resourcedefs": [
            {
                "id": resource.id,
                "name": resource.name,
                "operations": resource.operations or "NONE",
                "instancetype": "multiple" if resource.multiple else "single",
                "mandatory": resource.mandatory,
                "type": TYPES[resource.type].lower(),
                "range": ranges_text(resource.ranges, ".."),
                "units": resource.unit or "",
                "description": "",
            }
            for resource in definition.resources.values()
        ],
    }


def date(ms: int) -> str:
    """Ms since 1970 as ISO 8601."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _urn(definition: Object) -> str:
    kind = next((name for end, name in _URNS if definition.id < end), "x")
    version = "" if definition.version == "1.0" else f":{definition.version}"
    return f"urn:oma:lwm2m:{kind}:{definition.id}{version}"
