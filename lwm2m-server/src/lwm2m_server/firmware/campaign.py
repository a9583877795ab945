"""Campaigns: a package, the devices that shall get it, and how far each is."""

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from lwm2m_server.firmware.plan import Step

CAMPAIGN: Final = "campaign"
CAMPAIGN_DEVICE: Final = "campaign-device"
"""Kinds of the stored documents."""


@dataclass(slots=True)
class Progress:
    """One device in a campaign; `state` and `result` are the newest of its resources 5/0/3 and 5/0/5."""

    step: Step = Step.PENDING
    detail: str = ""
    state: int | None = None
    result: int | None = None
    changed: int = 0

    def describe(self) -> dict[str, Any]:
        """The progress as JSON."""
        return {
            "step": self.step.value,
            "detail": self.detail,
            "state": self.state,
            "result": self.result,
            "changed": self.changed,
        }


@dataclass(slots=True)
class Campaign:
    """A campaign.

    Attributes:
        package: id of the package.
        method: `push` (Write of 5/0/0) or `pull` (the device fetches `uri`).
        uri: where devices fetch the package.
        concurrency: devices at a time.
        timeout: s for each device.
        created: ms since 1970.
        cancelled: no more devices are begun.
    """

    id: str
    name: str
    package: str
    method: str
    uri: str
    concurrency: int
    timeout: float
    created: int
    cancelled: bool = False
    devices: dict[str, Progress] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """`running`, `finished` or `cancelled`."""
        if all(progress.step.over for progress in self.devices.values()):
            return "cancelled" if self.cancelled else "finished"
        return "running"

    def describe(self, with_devices: bool) -> dict[str, Any]:
        """The campaign as JSON."""
        counts = dict.fromkeys((step.value for step in Step), 0)
        for progress in self.devices.values():
            counts[progress.step.value] += 1
        told: dict[str, Any] = {name: getattr(self, name) for name in _KEPT}
        told |= {"state": self.state, "total": len(self.devices), "progress": counts}
        if with_devices:
            told["devices"] = {name: progress.describe() for name, progress in self.devices.items()}
        return told

    def dump(self) -> bytes:
        """The campaign without its devices' progress, as it is stored."""
        return orjson.dumps({name: getattr(self, name) for name in _KEPT} | {"devices": [*self.devices]})

    @classmethod
    def load(cls, body: bytes, progress: dict[str, bytes]) -> "Campaign":
        """The inverse of `dump`; `progress` holds documents by `campaign/endpoint`."""
        kept = orjson.loads(body)
        devices: dict[str, Progress] = {}
        for endpoint in kept.pop("devices"):
            stored = progress.get(f"{kept['id']}/{endpoint}")
            fields = {} if stored is None else orjson.loads(stored)
            devices[endpoint] = Progress(**fields | {"step": Step(fields.get("step", "pending"))})
        return cls(devices=devices, **kept)


_KEPT: Final = (
    "id", "name", "package", "method", "uri", "concurrency", "timeout", "created", "cancelled",
)  # fmt: skip
