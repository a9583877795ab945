"""The LwM2M objects of a simulated device, built from its kind; values are those of the device's state."""

from typing import TYPE_CHECKING, Final

from device_simulator.kind import Channel, Kind
from device_simulator.state import DeviceState
from device_simulator.tree import Reading, Tree
from device_simulator.waveform import key_of, noise
from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Value
from iiot.lwm2m.model import Definitions
from iiot.lwm2m.path import Path

if TYPE_CHECKING:
    from collections.abc import Callable

MANUFACTURER: Final = "IoT Testing Corp"
FIRMWARE: Final = "1.0.0"
BATTERY_LEVEL: Final = Path.of(3, 0, 9)
LIFETIME: Final = Path.of(1, 0, 1)
BINDING: Final = Path.of(1, 0, 7)
MUTE_SEND: Final = Path.of(1, 0, 23)
DEFAULT_BINDING: Final = "UQ"

_SENSOR_VALUE = 5700
_UNITS, _MIN, _MAX, _LOW, _HIGH, _RESET, _APPLICATION = 5701, 5601, 5602, 5603, 5604, 5605, 5750
_WLAN = 21


def build_tree(kind: Kind, definitions: Definitions) -> Tree[DeviceState]:
    """The object tree of all devices of one kind.

    Raises:
        InvalidValueError: the kind puts a value where no definition has a readable resource.
    """
    tree: Tree[DeviceState] = Tree(definitions)
    _add_server(tree)
    _add_device(tree, kind)
    _add_connectivity(tree)
    for number, channel in enumerate(kind.channels):
        _add_channel(tree, number, channel)
    if kind.switch:
        path = Path.parse(kind.switch.path)
        tree.add(path, lambda d: d.sensors.is_on, lambda d, value: d.switch(bool(value)))
    return tree


def serial_number(device_id: str) -> str:
    """A serial number that stays with the device id."""
    return f"SN{key_of('serial', device_id) % 10**10:010}"


def model_number(kind: Kind) -> str:
    """Resource /3/0/1."""
    return f"SimDevice-{kind.model}"


def _stored(tree: Tree[DeviceState], path: Path, default: Value) -> None:
    def write(device: DeviceState, value: Value) -> None:
        device.written[path] = value

    tree.add(path, lambda device: device.written.get(path, default), write)


def _add_server(tree: Tree[DeviceState]) -> None:
    server = Path.of(1, 0)
    tree.add(server / 0, lambda _: 1)
    tree.add(LIFETIME, lambda device: device.lifetime, _write_lifetime)
    _stored(tree, server / 2, 0)
    _stored(tree, server / 3, 3600)
    _stored(tree, server / 6, False)
    tree.add(BINDING, lambda device: device.written.get(BINDING, DEFAULT_BINDING), _write_binding)
    tree.add(server / 8, execute=_trigger_update)
    _stored(tree, MUTE_SEND, False)


def _add_device(tree: Tree[DeviceState], kind: Kind) -> None:
    device = Path.of(3, 0)
    readings: dict[int, Callable[[DeviceState], Reading]] = {
        0: lambda _: MANUFACTURER,
        1: lambda _: model_number(kind),
        2: lambda d: serial_number(d.plan.id),
        3: lambda _: FIRMWARE,
        6: lambda d: {0: d.battery.power_source},
        7: lambda d: {0: d.battery.millivolts(d.time)},
        9: lambda d: d.battery_level,
        11: lambda d: dict(enumerate(d.errors)),
        16: lambda _: DEFAULT_BINDING,
        17: lambda _: kind.name,
        18: lambda _: "1.0",
        19: lambda _: FIRMWARE,
        20: lambda d: d.battery.status(d.time),
    }
    for number, read in readings.items():
        tree.add(device / number, read)
    tree.add(device / 4, execute=_reboot)
    tree.add(device / 5, execute=lambda d, _: d.factory_reset())
    tree.add(device / 13, lambda d: d.current_time(), lambda d, value: d.set_time(int(str(value))))
    _stored(tree, device / 14, "+00:00")
    _stored(tree, device / 15, "Etc/UTC")


def _add_connectivity(tree: Tree[DeviceState]) -> None:
    connectivity = Path.of(4, 0)
    tree.add(connectivity / 0, lambda _: _WLAN)
    tree.add(connectivity / 1, lambda _: {0: _WLAN})
    tree.add(connectivity / 2, _signal_strength)
    tree.add(connectivity / 4, _address)


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
    if tree.defines(instance / _APPLICATION):
        _stored(tree, instance / _APPLICATION, "")


def _write_lifetime(device: DeviceState, value: Value) -> None:
    seconds = int(str(value))
    if not 1 <= seconds <= 2**31:
        raise InvalidValueError(str(LIFETIME), value, "1 to 2147483648 s")
    device.lifetime = seconds
    device.update_wanted = True


def _write_binding(device: DeviceState, value: Value) -> None:
    binding = str(value)
    if not binding or not set(binding) <= set("UMHTSNQ"):
        raise InvalidValueError(str(BINDING), value, "letters of UMHTSNQ")
    device.written[BINDING] = binding
    device.update_wanted = True


def _trigger_update(device: DeviceState, _: str) -> None:
    device.update_wanted = True


def _reboot(device: DeviceState, _: str) -> None:
    device.reboot_wanted = True


def _signal_strength(device: DeviceState) -> Reading:
    key = key_of("rssi", device.plan.id)
    return round(-62 + 3 * noise(key, 0) + 2 * noise(key, int(device.time // 10)))


def _address(device: DeviceState) -> Reading:
    number = key_of("address", device.plan.id)
    return {0: f"10.{number % 256}.{number // 256 % 256}.{1 + number // 65536 % 254}"}
