"""How a group's devices speak Sparkplug, beyond what the specification asks of everyone."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from iiot.errors import InvalidValueError
from iiot.sparkplug.store import DropPolicy
from iiot.sparkplug.topic import check_id
from iiot.yamlfile import StrictModel


def _host_id(text: str) -> str:
    try:
        return check_id("primary_host", text)
    except InvalidValueError as exc:
        raise ValueError(exc.allowed) from exc


class StorePlan(StrictModel):
    """Store and forward: samples taken while the connection is lost are sent after the next births."""

    capacity: int = Field(default=10_000, ge=1, le=10_000_000)
    """Samples of one device that are kept."""
    drop: DropPolicy = DropPolicy.OLDEST
    """Which sample gives way when there is no room."""
    drain_rate: float = Field(default=100.0, gt=0, le=10_000)
    """Stored messages that a device sends in one second, beside its live ones."""


class SparkplugPlan(StrictModel):
    """The Sparkplug side of a group of devices."""

    aliases: bool = False
    """Data carries numbers in place of names."""
    devices: Literal["one", "per_channel"] = "one"
    """All measured values belong to the device `asset`, or each channel to a device of its own; then one
    device after the other reports at TELEMETRY_INTERVAL."""
    datatypes: bool = False
    """One more device, `datatypes`, with a writable metric of every datatype; its template's definition is
    in the NBIRTH."""
    failures: bool = False
    """A device whose sensor does not answer dies (DDEATH) and is born again; else its value is null."""
    store: StorePlan | None = None
    """Nothing is stored when not given: values of a lost connection are lost."""
    primary_host: Annotated[str, AfterValidator(_host_id)] | None = None
    """Id of the host application without which nothing is sent, LwM2M included: they share the connection."""
