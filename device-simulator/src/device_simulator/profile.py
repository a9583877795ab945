"""Profiles: what a fleet consists of and how it talks. One YAML file each."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from device_simulator.firmware import FirmwarePlan
from device_simulator.kind import Kind
from device_simulator.settings import legal_root
from device_simulator.sleep import SleepPlan
from device_simulator.sparkplug_plan import SparkplugPlan
from iiot.errors import InvalidValueError, SettingsError
from iiot.identity import check_device_id
from iiot.yamlfile import StrictModel, load_yaml

BUILT_IN = Path(__file__).parent / "profiles"

Seconds = Annotated[float, Field(ge=0.0005, le=86_400)]


class Burst(StrictModel):
    """Telemetry that comes faster from time to time."""

    every: float = Field(gt=0, le=86_400)
    """s from the start of one burst to the next."""
    seconds: float = Field(gt=0)
    """Length of a burst in s."""
    factor: float = Field(gt=1, le=100)
    """How many times faster telemetry comes in a burst."""
    together: bool = False
    """All devices burst at once, as after a power cut; else each at its own time."""

    @model_validator(mode="after")
    def _shorter_than_cycle(self) -> "Burst":
        if self.seconds >= self.every:
            raise ValueError("seconds less than every")
        return self

    def factor_at(self, now: float, phase: float) -> float:
        """How many times faster telemetry comes at `now` (monotonic s); `phase`: the device's, 0 to 1."""
        shift = 0.0 if self.together else phase * self.every
        return self.factor if (now + shift) % self.every < self.seconds else 1.0


class OnChange(StrictModel):
    """Report-on-change: a device samples as often, but sends only what moved."""

    deadband: float | dict[str, float] = 0.0
    """How far a value must move from the last one sent, in its unit; for all channels or by metric."""
    heartbeat: float = Field(default=60.0, gt=0, le=86_400)
    """s after which all values are sent again all the same."""


class Group(StrictModel):
    """Devices of one kind that behave alike."""

    kind: str
    count: int | None = Field(default=None, ge=0, le=100_000)
    """How many; or `weight`, a share of DEVICE_COUNT."""
    weight: float | None = Field(default=None, gt=0)
    telemetry_interval: Seconds | None = None
    """s; TELEMETRY_INTERVAL when not given."""
    lwm2m_interval: Seconds | None = None
    """s; LWM2M_INTERVAL when not given."""
    burst: Burst | None = None
    on_change: OnChange | None = None
    metrics: Literal["all", "changed"] = "all"
    """What a DDATA message holds: every metric, or those whose value changed since the last one."""
    sparkplug: SparkplugPlan = SparkplugPlan()
    """Aliases, several devices, failures, store and forward, primary host."""
    lwm2m_profile: Literal["json", "oma"] | None = None
    """LWM2M_PROFILE when not given."""
    lwm2m_root: Annotated[str, AfterValidator(legal_root)] | None = None
    """The alternate path; LWM2M_ROOT when not given."""
    firmware: FirmwarePlan | None = None
    """How firmware updates go; by FIRMWARE_RESULT when not given."""
    sleep: SleepPlan | None = None
    """How the devices sleep in queue mode; by LWM2M_ASLEEP when not given."""
    objects: dict[str, dict[int, Any]] = Field(default_factory=dict)
    """More LwM2M object instances, such as /10/0, with values of resources by id."""
    faults: float = Field(default=1.0, ge=0, le=1000)
    """Multiplies the kind's rate of sensor faults; 0 is none."""

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str, info: ValidationInfo) -> str:
        known: Iterable[str] = info.context or ()
        if kind not in known:
            raise ValueError(", ".join(known))
        return kind

    @model_validator(mode="after")
    def _count_or_weight(self) -> "Group":
        if (self.count is None) == (self.weight is None):
            raise ValueError("either count or weight")
        return self


class Profile(StrictModel):
    """A fleet."""

    description: str = ""
    devices: list[Group] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One device to be simulated."""

    id: str
    kind: Kind
    group: Group


def load_profile(name: str, kinds: dict[str, Kind]) -> Profile:
    """A shipped profile by name, or any by the path of its file.

    Raises:
        SettingsError: there is no such profile, or its file is wrong.
    """
    path = BUILT_IN / f"{name}.yaml"
    if Path(name).suffix in (".yaml", ".yml") or "/" in name:
        path = Path(name)
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in BUILT_IN.glob("*.yaml")))
        raise SettingsError([f"PROFILE={name!r}: must be one of {shipped}, or the path of a YAML file"])
    return load_yaml(path, Profile, kinds)


def plan_devices(profile: Profile, kinds: dict[str, Kind], total: int, fleet: str) -> list[DevicePlan]:
    """The devices of a fleet: counted groups first, then what is left of `total` shared out by weight.

    The shares are dealt out in turn, so a larger `total` adds devices and renames none.

    Raises:
        SettingsError: `fleet` makes device ids that are not legal.
    """
    numbers: Counter[str] = Counter()
    plans = []
    for group in _deal(profile.devices, total):
        kind = kinds[group.kind]
        numbers[kind.id] += 1
        parts = ("device", kind.id, *([fleet] if fleet else []), f"{numbers[kind.id]:03}")
        try:
            plans.append(DevicePlan(check_device_id("-".join(parts)), kind, group))
        except InvalidValueError as exc:
            raise SettingsError([f"FLEET_ID={fleet!r}: makes an illegal device id; {exc}"]) from exc
    return plans


def _deal(groups: list[Group], total: int) -> Iterator[Group]:
    for group in groups:
        yield from [group] * (group.count or 0)
    weighted = [group for group in groups if group.weight]
    left = total - sum(group.count or 0 for group in groups) if weighted else 0
    credit = [0.0] * len(weighted)
    whole = sum(group.weight or 0.0 for group in weighted)
    for _ in range(left):
        credit = [have + (group.weight or 0.0) for have, group in zip(credit, weighted, strict=True)]
        turn = credit.index(max(credit))
        credit[turn] -= whole
        yield weighted[turn]
