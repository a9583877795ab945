"""The LwM2M objects of a simulated device, built from its kind; values are those of the device's state."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from device_simulator import retry
from device_simulator.firmware import SCHEMES, NotAllowedError
from device_simulator.kind import Channel, Kind
from device_simulator.state import DeviceState
from device_simulator.tree import Check, OperationError, Reading, Tree
from device_simulator.waveform import key_of, noise
from iiot.errors import InvalidValueError
from iiot.lwm2m.datatypes import CALENDAR
from iiot.lwm2m.message import Code, Value
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path

if TYPE_CHECKING:
    from collections.abc import Callable

MANUFACTURER: Final = "IoT Testing Corp"
BATTERY_LEVEL: Final = Path.of(3, 0, 9)
LIFETIME: Final = Path.of(1, 0, 1)
BINDING: Final = Path.of(1, 0, 7)
MUTE_SEND: Final = Path.of(1, 0, 23)
MIN_PERIOD: Final = Path.of(1, 0, 2)
MAX_PERIOD: Final = Path.of(1, 0, 3)
DISABLE_TIMEOUT: Final = Path.of(1, 0, 5)
DISABLED_FOR: Final = 86_400
"""Resource /1/0/5 until a server writes it, s."""
PMAX: Final = 3600
"""Resource /1/0/3 until a server writes it, s."""
_CURRENT_TIME: Final = Path.of(3, 0, 13)
STORING: Final = Path.of(1, 0, 6)
CREATABLE: Final = (3306, 3311)
"""Objects of which servers may create instances on any device, beside those of its sensors."""

_SENSOR_VALUE = 5700
_UNITS, _MIN, _MAX, _LOW, _HIGH, _RESET, _APPLICATION = 5701, 5601, 5602, 5603, 5604, 5605, 5750
_RESET_TOTAL = 5822
_WLAN = 21
_AT_LEAST_ONE: Final = (retry.ATTEMPTS, retry.SEQUENCES)
_PUSH_AND_PULL = 2


def build_tree(kind: Kind, definitions: Definitions) -> Tree[DeviceState]:
    """The object tree of all devices of one kind.

    Raises:
        InvalidValueError: the kind puts a value where no definition has a readable resource.
    """
    tree: Tree[DeviceState] = Tree(definitions)
    _add_server(tree)
    _add_device(tree, kind)
    _add_connectivity(tree)
    _add_firmware(tree)
    for number, channel in enumerate(kind.channels):
        _add_channel(tree, number, channel)
    if kind.switch:
        path = Path.parse(kind.switch.path)
        tree.add(path, lambda d: d.sensors.is_on, lambda d, value: d.switch(bool(value)))
        tree.allow_create(path.ids[0])
    for object_id in (*CREATABLE, *(Path.parse(channel.path).ids[0] for channel in kind.channels)):
        tree.allow_create(object_id)
    return tree


def serial_number(device_id: str) -> str:
    """A serial number that stays with the device id."""
    return f"SN{key_of('serial', device_id) % 10**10:010}"


def binding(device: DeviceState) -> str:
    """Resource /1/0/7."""
    return str(device.written.get(BINDING, device.binding))


def _stored(
    tree: Tree[DeviceState], path: Path, default: Value, check: Check[DeviceState] | None = None
) -> None:
    def write(device: DeviceState, value: Value) -> None:
        device.written[path] = value

    tree.add(path, lambda device: device.written.get(path, default), write, check=check)


def _add_server(tree: Tree[DeviceState]) -> None:
    server = Path.of(1, 0)
    tree.add(server / 0, lambda device: device.written.get(server / 0, 1))
    tree.add(LIFETIME, lambda device: device.lifetime, _write_lifetime, check=_check_lifetime)
    _stored(tree, MIN_PERIOD, 0, _check_seconds)
    _stored(tree, MAX_PERIOD, PMAX, _check_seconds)
    tree.add(server / 4, execute=_disable)
    _stored(tree, DISABLE_TIMEOUT, DISABLED_FOR, _check_pause)
    _stored(tree, STORING, False)
    tree.add(BINDING, binding, _write_binding, check=_check_binding)
    tree.add(server / 8, execute=_trigger_update)
    tree.add(server / 9, execute=_trigger_bootstrap)
    for path, preset in retry.PRESETS.items():
        _stored(tree, path, preset, _check_attempts if path in _AT_LEAST_ONE else _check_pause)
    _stored(tree, MUTE_SEND, False)


def _add_device(tree: Tree[DeviceState], kind: Kind) -> None:
    device = Path.of(3, 0)
    readings: dict[int, Callable[[DeviceState], Reading]] = {
        0: lambda _: MANUFACTURER,
        1: lambda _: kind.model_number,
        2: lambda d: serial_number(d.plan.id),
        3: lambda d: d.firmware.version,
        6: lambda d: {0: d.battery.power_source},
        7: lambda d: {0: d.battery.millivolts(d.time)},
        9: lambda d: d.battery_level,
        11: lambda d: dict(enumerate(d.errors)),
        16: lambda d: d.binding,
        17: lambda _: kind.name,
        18: lambda _: "1.0",
        19: lambda d: d.firmware.version,
        20: lambda d: d.battery.status(d.time),
    }
    for number, read in readings.items():
        tree.add(device / number, read)
    tree.add(device / 4, execute=_reboot)
    tree.add(device / 5, execute=lambda d, _: d.factory_reset())
    tree.add(_CURRENT_TIME, lambda d: d.current_time(), _write_time, check=_check_time)
    _stored(tree, device / 14, "+00:00")
    _stored(tree, device / 15, "Etc/UTC")


def _add_connectivity(tree: Tree[DeviceState]) -> None:
    connectivity = Path.of(4, 0)
    tree.add(connectivity / 0, lambda _: _WLAN)
    tree.add(connectivity / 1, lambda _: {0: _WLAN})
    tree.add(connectivity / 2, _signal_strength)
    tree.add(connectivity / 4, _address)


def _add_firmware(tree: Tree[DeviceState]) -> None:
    update = Path.of(5, 0)
    tree.add(update / 0, write=_write_package, check=_check_package)
    tree.add(update / 1, lambda d: d.firmware.uri, _write_uri, check=_check_uri)
    tree.exclusive.append((update / 0, update / 1))
    tree.add(update / 2, execute=_execute_update)
    tree.add(update / 3, lambda d: int(d.firmware.state))
    tree.add(update / 5, lambda d: int(d.firmware.result))
    tree.add(update / 6, lambda d: d.firmware.package_name)
    tree.add(update / 7, lambda d: d.firmware.package_version)
    tree.add(update / 8, lambda _: dict(enumerate(SCHEMES.values())))
    tree.add(update / 9, lambda _: _PUSH_AND_PULL)
    tree.add(update / 10, execute=_cancel_update)
    for number, name in ((11, "severity"), (13, "max_defer"), (14, "automatic")):
        _add_firmware_setting(tree, update / number, name)
    tree.add(update / 12, lambda d: d.wall_at(changed) if (changed := d.firmware.changed_at) else 0)


def _add_firmware_setting(tree: Tree[DeviceState], path: Path, name: str) -> None:
    tree.add(
        path,
        lambda device: getattr(device.firmware, name),
        lambda device, value: setattr(device.firmware, name, value),
    )


def _add_channel(tree: Tree[DeviceState], number: int, channel: Channel) -> None:
    path = Path.parse(channel.path)
    tree.add(path, lambda device: device.values[number])
    instance = path.parent
    low, high = channel.range
    if tree.defines(instance / _UNITS) and channel.unit:
        tree.add(instance / _UNITS, lambda _: channel.unit)
    if tree.defines(instance / _LOW) and path.ids[2] == _SENSOR_VALUE:
        tree.add(instance / _LOW, lambda _: low)
        tree.add(instance / _HIGH, lambda _: high)
    if tree.defines(instance / _MIN) and path.ids[2] == _SENSOR_VALUE:
        tree.add(instance / _MIN, lambda device: device.sensors.minimum[number])
        tree.add(instance / _MAX, lambda device: device.sensors.maximum[number])
        tree.add(instance / _RESET, execute=lambda device, _: device.sensors.reset_extremes(number))
    if tree.defines(instance / _RESET_TOTAL) and channel.integral_of:
        tree.add(instance / _RESET_TOTAL, execute=lambda device, _: device.sensors.reset_total(number))
    if tree.defines(instance / _APPLICATION):
        _stored(tree, instance / _APPLICATION, "")


def _check_lifetime(_: DeviceState, value: Value) -> None:
    if not 0 <= int(str(value)) < 2**32:
        raise InvalidValueError(str(LIFETIME), value, "0, which never ends, to 4294967295 s")


def _write_lifetime(device: DeviceState, value: Value) -> None:
    device.lifetime = int(str(value))
    device.update_wanted = True


def _check_seconds(_: DeviceState, value: Value) -> None:
    if int(str(value)) < 0:
        raise InvalidValueError("value", value, "0 s or more")


def _check_pause(_: DeviceState, value: Value) -> None:
    if not 0 <= int(str(value)) <= retry.LONGEST_PAUSE:
        allowed = f"0 to {retry.LONGEST_PAUSE} s: for longer the device would not be heard of"
        raise InvalidValueError("value", value, allowed)


def _check_attempts(_: DeviceState, value: Value) -> None:
    if int(str(value)) < 1:
        raise InvalidValueError("value", value, "1 or more")


def _check_binding(_: DeviceState, value: Value) -> None:
    letters = sorted(str(value))
    if letters != sorted({*letters}) or not {*letters} <= {*"UMQ"} or not {*letters} & {*"UM"}:
        raise InvalidValueError(str(BINDING), value, "U, M or both, and Q for queue mode")


def _write_binding(device: DeviceState, value: Value) -> None:
    device.written[BINDING] = value
    device.update_wanted = True


def _trigger_update(device: DeviceState, _: str) -> None:
    device.update_wanted = True


def _trigger_bootstrap(device: DeviceState, _: str) -> None:
    device.bootstrap_wanted = True


def _disable(device: DeviceState, _: str) -> None:
    device.disable_wanted = True


def _check_time(_: DeviceState, value: Value) -> None:
    # From the largest value that a resource holds the clock could not go on.
    if value not in CALENDAR:
        raise InvalidValueError(str(_CURRENT_TIME), value, "a time in the years 1 to 9999")


def _write_time(device: DeviceState, value: Value) -> None:
    device.set_time(int(str(value)))


def _check_package(device: DeviceState, value: Value) -> None:
    with _allowed():
        device.firmware.check_write(empty=value in (b"", b"\0"))


def _write_package(device: DeviceState, value: Value) -> None:
    if isinstance(value, bytes):
        device.firmware.write_package(value, device.now())


def _check_uri(device: DeviceState, value: Value) -> None:
    with _allowed():
        device.firmware.check_write(empty=not value)


def _write_uri(device: DeviceState, value: Value) -> None:
    device.firmware.write_uri(str(value), device.now())


def _execute_update(device: DeviceState, _: str) -> None:
    with _allowed():
        device.firmware.execute_update(device.now())


def _cancel_update(device: DeviceState, _: str) -> None:
    with _allowed():
        device.firmware.cancel(device.now())


@contextmanager
def _allowed() -> Iterator[None]:
    try:
        yield
    except NotAllowedError as exc:
        raise OperationError(Code.METHOD_NOT_ALLOWED, str(exc)) from exc


def _reboot(device: DeviceState, _: str) -> None:
    device.reboot_wanted = True


def _signal_strength(device: DeviceState) -> Reading:
    key = key_of("rssi", device.plan.id)
    return round(-62 + 3 * noise(key, 0) + 2 * noise(key, int(device.time // 10)))


def _address(device: DeviceState) -> Reading:
    number = key_of("address", device.plan.id)
    return {0: f"10.{number % 256}.{number // 256 % 256}.{1 + number // 65536 % 254}"}
