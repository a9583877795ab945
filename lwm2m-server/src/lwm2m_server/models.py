"""Object definitions in the versions that a device registered."""

from collections.abc import Iterable

from iiot.lwm2m.message import Link
from iiot.lwm2m.model import Definitions
from lwm2m_server.registry import Registry


def told_versions(links: Iterable[Link]) -> dict[int, str | None]:
    """The objects of a registration with their `ver`, which an object's or an instance's link may tell."""
    told: dict[int, str | None] = {}
    for link in links:
        if link.path.ids:
            version = link.attributes.get("ver")
            told[link.path.ids[0]] = told.get(link.path.ids[0]) if version is None else str(version)
    return told


class Models:
    """Definitions by device.

    Args:
        definitions: those that count for a device that tells no versions.
        registry: the devices.
    """

    def __init__(self, definitions: Definitions, registry: Registry) -> None:
        self._definitions = definitions
        self._registry = registry

    def of(self, endpoint: str) -> Definitions:
        """Definitions as the device uses them; the general ones of a device that is not registered."""
        registration = self._registry.get(endpoint)
        if registration is None:
            return self._definitions
        return self._definitions.with_versions(told_versions(registration.links))
