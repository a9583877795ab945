"""The state of one device, which both protocols show: readings, supply, uptime, what was written to it."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Final

from device_simulator.battery import STATUS_LOW, Battery
from device_simulator.firmware import Firmware, FirmwarePlan
from device_simulator.profile import DevicePlan
from device_simulator.sensors import Sensors
from device_simulator.tree import Created
from device_simulator.waveform import key_of, uniform
from iiot.lwm2m.observe import AttributeStore

if TYPE_CHECKING:
    from iiot.lwm2m.message import Value
    from iiot.lwm2m.path import Path

RUN_START: Final = 1_780_293_600.0
"""2026-06-01 06:00 UTC in s since 1970: where the simulated world of every seeded run begins."""
SLOWEST_SAMPLING: Final = 1.0
"""s; a device that reports rarely still samples this often."""

FACTORY_FIRMWARE: Final = "1.0.0"
ERROR_NONE, ERROR_LOW_BATTERY, ERROR_PERIPHERAL = 0, 1, 8


@dataclass(frozen=True, slots=True)
class World:
    """The simulated world that the devices of a fleet stand in.

    Attributes:
        seed: None makes values follow UTC, so that a restarted device goes on where it was.
        time_scale: simulated s per s.
        monotonic: clock in s for everything that is paced.
        wall: clock in s since 1970, UTC, for timestamps on messages.
    """

    seed: int | None
    time_scale: float
    monotonic: Callable[[], float]
    wall: Callable[[], float]

    def key(self, device_id: str) -> int:
        """The key from which everything random about a device follows."""
        return key_of(self.seed or 0, device_id)

    def timestamp(self) -> int:
        """UTC now, in ms since 1970."""
        return int(self.wall() * 1000)


class DeviceState:
    """Readings are taken on a grid of instants, so both protocols see the same one at the same time.

    Attributes:
        sensors: the channels, in the order of the kind.
        battery: the power supply.
        values: the last sample, None where a sensor did not answer.
        battery_level: per cent, at the last sample.
        uptime: whole s since boot, at the last sample.
        time: s since 1970 of the simulated world, at the last sample.
        lifetime: s of the LwM2M registration (resource /1/0/1).
        binding: the LwM2M binding while no server wrote another one (/1/0/7).
        written: values that a server wrote to resources which only store them.
        created: object instances that a server created, or the profile gave.
        presets: those that the profile gave, as they were at first.
        attributes: notification attributes that a server attached.
        firmware: the running version, and its update.
        reboot_wanted: set by a command; the connection acts on it.
        update_wanted: set by a command that the server must hear of in an Update.
        disable_wanted: set by Execute /1/0/4; the LwM2M client acts on it.
        bootstrap_wanted: set by Execute /1/0/9; the LwM2M client acts on it.
        phase: this device's place (0 ... 1) within an interval, so that a fleet does not send in step.
    """

    __slots__ = (
        "_booted",
        "_clock_offset",
        "_default_lifetime",
        "_first_index",
        "_grid",
        "_origin",
        "_second",
        "_start",
        "_step",
        "_world",
        "attributes",
        "battery",
        "battery_level",
        "binding",
        "bootstrap_wanted",
        "created",
        "disable_wanted",
        "firmware",
        "lifetime",
        "phase",
        "plan",
        "presets",
        "reboot_wanted",
        "sensors",
        "time",
        "update_wanted",
        "uptime",
        "values",
        "written",
    )

    def __init__(
        self,
        plan: DevicePlan,
        world: World,
        interval: float,
        lifetime: int,
        binding: str = "UQ",
        firmware: FirmwarePlan | None = None,
    ) -> None:
        key = world.key(plan.id)
        self.plan = plan
        self.sensors = Sensors(plan.kind, key, plan.group.faults)
        self.battery = Battery(plan.kind.battery, key)
        self.phase = uniform(key, 7)
        self.lifetime = lifetime
        self.binding = binding
        self.written: dict[Path, Value] = {}
        self.created: Created = {}
        self.presets: Created = {}
        self.attributes = AttributeStore()
        self.firmware = Firmware(FACTORY_FIRMWARE, plan.kind.model_number, firmware or FirmwarePlan())
        self.reboot_wanted = self.update_wanted = self.disable_wanted = self.bootstrap_wanted = False
        self._default_lifetime = lifetime
        self._world = world
        fastest = interval / (plan.group.burst.factor if plan.group.burst else 1.0)
        self._step = fastest / ceil(fastest / SLOWEST_SAMPLING)
        self._origin: float | None = None
        self._grid = self._booted = self._start = 0.0
        self._first_index = 0
        self._second = -1
        self._clock_offset = 0
        self.values: list[float | None] = []
        self.battery_level = 0
        self.uptime = 0
        self.time = 0.0

    def boot(self, now: float) -> None:
        """Start the device's clocks at `now` (monotonic s); the first time also the simulated world's."""
        self._booted = now
        if self._origin is None:
            self._origin = now
            # Half a step early, so that a message's deadline falls into the middle of a sample.
            self._grid = now + self.phase * self._step - self._step / 2
            self._start = self._world.wall() if self._world.seed is None else RUN_START
            self._first_index = int(self._start)

    def sample(self, now: float) -> list[float | None]:
        """Read the sensors as they stand at `now` (monotonic s)."""
        step = max(0, int((now - self._grid) / self._step))
        time = self._start + step * self._step * self._world.time_scale
        self.values = self.sensors.read(time, self._first_index + step)
        self.time = time
        self.uptime = max(0, int(now - self._booted))
        second = int(time)
        if second != self._second:
            self._second = second
            self.battery_level = self.battery.level(time)
        return self.values

    def sample_now(self) -> None:
        """Take a sample at this instant; for reads from outside the schedule."""
        self.sample(self._world.monotonic())

    def switch(self, on: bool) -> None:
        """Turn the switched output on or off now."""
        self.sample_now()
        self.sensors.switch(on, self.time)

    @property
    def errors(self) -> list[int]:
        """Object 3, resource 11: what is wrong now, or one 0."""
        found = []
        if self.battery.status(self.time) == STATUS_LOW:
            found.append(ERROR_LOW_BATTERY)
        if None in self.values:
            found.append(ERROR_PERIPHERAL)
        return found or [ERROR_NONE]

    def next_deadline(self, interval: float, place: float, now: float) -> float:
        """The first deadline after `now` (monotonic s) of a stream that repeats every `interval` s.

        Args:
            interval: s.
            place: 0 ... 1, where in the interval this device's deadlines lie, counted from its first boot.
            now: monotonic s.
        """
        first = self._grid + self._step / 2 + int(place * interval / self._step) * self._step
        return first + max(0, floor((now - first) / interval) + 1) * interval

    def now(self) -> float:
        """This instant in monotonic s."""
        return self._world.monotonic()

    def wall_at(self, instant: float) -> int:
        """UTC in s since 1970 at an instant in monotonic s."""
        return int(self._world.wall() - (self._world.monotonic() - instant))

    def current_time(self) -> int:
        """UTC in s since 1970, as the device's clock shows it."""
        return int(self._world.wall()) + self._clock_offset

    def set_time(self, seconds: int) -> None:
        """Set the clock that `current_time` shows; timestamps on messages stay right."""
        self._clock_offset = seconds - int(self._world.wall())

    def preset(self, instances: Created) -> None:
        """Give the device these instances, now and after a factory reset."""
        self.presets = instances
        self.created |= deepcopy(instances)

    def factory_reset(self) -> None:
        """Undo everything that was written or switched."""
        self.written.clear()
        self.created.clear()
        self.created |= deepcopy(self.presets)
        self.attributes.clear()
        self._clock_offset = 0
        self.lifetime = self._default_lifetime
        self.reboot_wanted = True
        self.switch(False)
        for channel in range(len(self.values)):
            self.sensors.reset_extremes(channel)
