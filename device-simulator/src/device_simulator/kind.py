"""Kinds of devices: what they measure and where that stands in LwM2M and Sparkplug. One YAML file each."""

from functools import cache
from pathlib import Path as File
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from device_simulator.battery import BatterySpec
from device_simulator.waveform import Shape
from iiot.errors import InvalidValueError, SettingsError
from iiot.lwm2m.path import Path
from iiot.yamlfile import StrictModel, load_yaml

BUILT_IN = File(__file__).parent / "kinds"


def _resource_path(text: str) -> str:
    try:
        path = Path.parse(text)
    except InvalidValueError as exc:
        raise ValueError(exc.allowed) from exc
    if path.level != "resource":
        raise ValueError("/object/instance/resource")
    return text


ResourcePath = Annotated[str, AfterValidator(_resource_path)]
MetricName = Annotated[str, Field(min_length=1, max_length=128)]


class Channel(StrictModel):
    """One measured value: a signal of its own, an integral over time, or a quotient of two others."""

    metric: MetricName
    """Name as Sparkplug device metric."""
    path: ResourcePath
    """The same value's place in the LwM2M object tree."""
    unit: str = ""
    """SenML unit."""
    decimals: int = Field(default=2, ge=0, le=9)
    range: tuple[float, float]
    """What the sensor can report at all."""
    signal: Shape | None = None
    integral_of: str | None = None
    """Metric that is integrated over time, in its unit times s."""
    quotient_of: tuple[str, str] | None = None
    """Metrics divided by each other."""
    scale: float = 1.0
    """Factor from the integral or the quotient to this channel's unit."""

    @model_validator(mode="after")
    def _one_source(self) -> "Channel":
        if sum(source is not None for source in (self.signal, self.integral_of, self.quotient_of)) != 1:
            raise ValueError("exactly one of signal, integral_of, quotient_of")
        if self.range[0] >= self.range[1]:
            raise ValueError("range: [low, high]")
        return self


class Switch(StrictModel):
    """An output that can be switched from both protocols and shows in a measured value."""

    metric: MetricName
    path: ResourcePath
    adds: dict[str, float]
    """What each metric grows by while the output is on."""


class Kind(StrictModel):
    """One kind of device."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,31}$")
    """As profiles call it."""
    id: str = Field(pattern=r"^[a-z][a-z0-9]{0,15}$")
    """As in device ids: `device-<id>-001`."""
    model: str
    """Resource /3/0/1 is `SimDevice-<model>`."""
    battery: BatterySpec
    faults_per_hour: float = Field(default=0.0, ge=0, le=6)
    """Mean number of sensor faults of one device."""
    channels: list[Channel] = Field(min_length=1)
    switch: Switch | None = None

    @property
    def model_number(self) -> str:
        """Resource /3/0/1."""
        return f"SimDevice-{self.model}"

    @model_validator(mode="after")
    def _references(self) -> "Kind":
        signals = {c.metric: c.signal for c in self.channels if c.signal}
        for channel in self.channels:
            sources = channel.quotient_of or (() if channel.integral_of is None else (channel.integral_of,))
            for source in sources:
                if source not in signals:
                    raise ValueError(f"{channel.metric} is made of {source!r}: one of {', '.join(signals)}")
            summed = signals[channel.integral_of] if channel.integral_of else None
            if summed and (summed.lowest < 0 or summed.duty < 1):
                raise ValueError(
                    f"{channel.integral_of} without duty and never below 0, since {channel.metric} sums it up"
                )
        if self.switch and not self.switch.adds.keys() <= signals.keys():
            raise ValueError(f"switch adds to one of {', '.join(signals)}")
        names = [c.metric for c in self.channels]
        paths = [Path.parse(c.path) for c in self.channels]
        if len(set(names)) < len(names) or len(set(paths)) < len(paths):
            raise ValueError("each metric and each path once")
        return self


@cache
def load_kinds(extra: File | None = None) -> dict[str, Kind]:
    """All kinds by name: the built-in ones and those of a user's directory, which win.

    Raises:
        SettingsError: a file is wrong, two kinds share an id, or `extra` is no directory.
    """
    kinds: dict[str, Kind] = {}
    for directory in (BUILT_IN, extra):
        if directory is None:
            continue
        if not directory.is_dir():
            raise SettingsError([f"KINDS_DIR={str(directory)!r}: must be a directory"])
        for file in sorted(directory.glob("*.yaml")):
            kind = load_yaml(file, Kind)
            kinds[kind.name] = kind
    ids = [kind.id for kind in kinds.values()]
    if len(set(ids)) < len(ids):
        raise SettingsError([f"kinds of devices: ids must differ, got {', '.join(ids)}"])
    return kinds
