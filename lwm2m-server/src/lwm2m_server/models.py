"""Object definitions in the versions that a device registered."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from iiot.lwm2m.message import Link
from iiot.lwm2m.model import Definitions
from lwm2m_server.registry import Registry, Versions, told_versions

_KEPT: Final = 256
"""Choices of versions that are remembered; devices of a kind share one."""


class Models:
    """Definitions by device.

    Args:
        general: those that count for a device that is not registered.
        registry: the devices.
    """

    def __init__(self, general: Definitions, registry: Registry) -> None:
        self.general = general
        self._registry = registry
        self._chosen = lru_cache(maxsize=_KEPT)(self._choose)

    def of(self, endpoint: str) -> Definitions:
        """Definitions as the device uses them; the general ones of a device that is not registered."""
        registration = self._registry.get(endpoint)
        return self.general if registration is None else self._chosen(registration.versions)

    def told(self, links: Iterable[Link]) -> Definitions:
        """Definitions as a device with this object list uses them."""
        return self._chosen(told_versions(links))

    def _choose(self, versions: Versions) -> Definitions:
        told: Mapping[int, str | None] = dict(versions)
        return self.general.with_versions(told)
