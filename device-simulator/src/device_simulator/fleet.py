"""All devices of a process: built from the settings, run on one schedule, shown over HTTP."""

import asyncio
import gc
import socket
import time
from contextlib import suppress
from typing import Final

from aiohttp import web

from device_simulator import ledger
from device_simulator.bdseq import BdSeqStore
from device_simulator.device import Device
from device_simulator.identities import mqtt_settings_of
from device_simulator.kind import load_kinds
from device_simulator.metrics import Stats, StatsCollector
from device_simulator.objects import build_tree
from device_simulator.presets import preset_instances
from device_simulator.profile import DevicePlan, load_profile, plan_devices
from device_simulator.schedule import Schedule
from device_simulator.settings import SimulatorSettings
from device_simulator.state import DeviceState, World
from device_simulator.tree import Tree
from iiot import telemetry
from iiot.errors import InvalidValueError, SettingsError
from iiot.lwm2m.model import load as load_definitions
from iiot.mqtt import keep_connected
from iiot.service import Service
from iiot.settings import MqttSettings

STEP: Final = 0.005
"""Shortest s between two looks at the schedule."""
LONGEST_SLEEP: Final = 0.05
"""Longest s, since a device that connects adds streams that are due soon."""
HEALTHY_SHARE: Final = 0.95
"""Share of the devices that must be connected for the fleet to count as healthy."""
SUMMARY_EVERY: Final = 2.0
STOP_TIMEOUT: Final = 6.0
"""s after which devices that cannot say farewell, or are still connecting, are cut off."""


class Fleet:
    """The devices of this process.

    Raises:
        SettingsError: definitions cannot be used.
    """

    def __init__(
        self, plans: list[DevicePlan], settings: SimulatorSettings, service: Service, bd_seqs: BdSeqStore
    ) -> None:
        self.name = settings.fleet_id or socket.gethostname()
        self.stats = Stats()
        self._settings = settings
        self._service = service
        self._schedule = Schedule(self.stats.observe_lag)
        self._last_reason = ""
        trees = build_trees(plans, settings)
        world = World(settings.seed, settings.time_scale, time.monotonic, time.time)
        self._bd_seqs = bd_seqs
        first = bd_seqs.first_number(time.time_ns() // 1000)
        self.devices = [
            Device(plan, settings, world, trees[plan.kind.name], self._schedule, self.stats, bd_seqs, first)
            for plan in plans
        ]
        self.stats.devices = len(self.devices)
        service.registry.register(StatsCollector(self.stats, self.name, self._refresh))

    async def run(self) -> None:
        """Connect all devices and keep them going until the service stops.

        Raises:
            SettingsError: certificates cannot be had.
        """
        ids = [device.id for device in self.devices]
        identities = await asyncio.to_thread(mqtt_settings_of, ids, self._settings)
        gc.freeze()  # what was built lives as long as the process: not worth looking at again
        stopping = self._service.stopping
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._keep_pace(), name="schedule"),
                group.create_task(self._summarise(), name="summary"),
            ]
            lives = [
                group.create_task(self._live(device, mqtt, number), name=device.id)
                for number, (device, mqtt) in enumerate(zip(self.devices, identities, strict=True))
            ]
            await stopping.wait()
            for device in self.devices:
                device.stop()
            _, late = await asyncio.wait(lives, timeout=STOP_TIMEOUT)
            for task in (*late, *helpers):
                task.cancel()

    def health(self) -> telemetry.HealthReport:
        """Healthy while nearly all devices are connected."""
        self._refresh()
        stats = self.stats
        return telemetry.HealthReport(
            stats.connected >= HEALTHY_SHARE * stats.devices,
            {
                "active_devices": stats.connected,
                "devices": stats.devices,
                "registered_devices": stats.registered,
                "fleet": self.name,
            },
        )

    def ledger(self) -> dict[str, object]:
        """Answer of `/api/ledger`."""
        return ledger.as_json(self.name, (stream for device in self.devices for stream in device.streams))

    async def _live(self, device: Device, mqtt: MqttSettings, number: int) -> None:
        stopping = self._service.stopping
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), number / self._settings.connect_rate)
        await keep_connected(
            lambda: device.options(mqtt),
            device.receive,
            device.session,
            stopping=stopping,
            on_state=self._note_state,
        )

    def _note_state(self, connected: bool, reason: str) -> None:
        if not connected:
            self.stats.disconnects += 1
            self._last_reason = reason

    async def _keep_pace(self) -> None:
        schedule = self._schedule
        while True:
            if not schedule.run_due(time.monotonic()):
                await asyncio.sleep(0)
                continue
            due = schedule.next_deadline
            pause = LONGEST_SLEEP if due is None else due - time.monotonic()
            await asyncio.sleep(min(max(pause, STEP), LONGEST_SLEEP))

    async def _summarise(self) -> None:
        # One line now and then for the whole fleet: a line for each device would bury everything else.
        shown: tuple[int, int, int] | None = None
        while True:
            self._refresh()
            with suppress(OSError):  # the disk is full: half of the reserve is left, and it is tried again
                last = max(stream.last for device in self.devices for stream in device.streams)
                self._bd_seqs.keep_ahead(last)
            stats = self.stats
            now = (stats.connected, stats.registered, stats.disconnects)
            if now != shown:
                shown = now
                self._service.log.info(
                    "fleet",
                    devices=stats.devices,
                    connected=stats.connected,
                    registered=stats.registered,
                    disconnects=stats.disconnects,
                    last_reason=self._last_reason,
                )
            await asyncio.sleep(SUMMARY_EVERY)

    def _refresh(self) -> None:
        stats = self.stats
        connections = [device.connection for device in self.devices if device.connection is not None]
        stats.connected = len(connections)
        stats.registered = sum(device.client.registered for device in self.devices)
        stats.refused = sum(device.client.refused for device in self.devices)
        stats.bootstraps_failed = sum(device.client.bootstraps_failed for device in self.devices)
        stats.backlog = self._schedule.deferred + sum(connection.in_flight for connection in connections)
        stats.skipped = self._schedule.skipped
        stores = [device.node.store for device in self.devices if device.node.store is not None]
        stats.stored = sum(map(len, stores))
        stats.dropped = sum(store.dropped for store in stores)


def make_plans(settings: SimulatorSettings) -> list[DevicePlan]:
    """The devices that the settings ask for.

    Raises:
        SettingsError: profile or kinds cannot be used, or there is no device at all.
    """
    kinds = load_kinds(settings.kinds_dir)
    plans = plan_devices(
        load_profile(settings.profile, kinds), kinds, settings.device_count, settings.fleet_id
    )
    if not plans:
        raise SettingsError([f"PROFILE={settings.profile!r}: must describe at least one device"])
    return plans


def build_trees(plans: list[DevicePlan], settings: SimulatorSettings) -> dict[str, Tree[DeviceState]]:
    """The LwM2M object tree of each kind in use, by the kind's name.

    Raises:
        SettingsError: a definition file is wrong, or a kind or the profile asks for what no definition has.
    """
    definitions = load_definitions(settings.objects_dir, settings.models_dir)
    trees = {}
    for kind in {plan.kind.name: plan.kind for plan in plans}.values():
        try:
            trees[kind.name] = build_tree(kind, definitions)
        except InvalidValueError as exc:
            raise SettingsError([f"kind {kind.name}: {exc}"]) from exc
    for plan in {id(plan.group): plan for plan in plans}.values():
        try:
            preset_instances(trees[plan.kind.name], plan.group.objects)
        except InvalidValueError as exc:
            raise SettingsError(
                [f"PROFILE={settings.profile!r}: devices of kind {plan.kind.name}: {exc}"]
            ) from exc
    return trees


async def simulate(settings: SimulatorSettings, service: Service) -> None:
    """Run the simulator until the service stops.

    Raises:
        SettingsError: what is set cannot be used.
    """
    path = settings.state_dir / f"bdseq-{settings.fleet_id or 'default'}.jsonl"
    plans = make_plans(settings)
    try:
        store = BdSeqStore(path)
    except OSError as exc:
        raise SettingsError([f"STATE_DIR={str(settings.state_dir)!r}: must be writable; {exc}"]) from exc
    try:
        fleet = Fleet(plans, settings, service, store)
        app = telemetry.make_app(service.registry, fleet.health)

        async def show_ledger(_: web.Request) -> web.Response:
            return telemetry.json_response(fleet.ledger())

        app.router.add_get("/api/ledger", show_ledger)
        async with telemetry.serve(app, settings.http_host, settings.http_port, settings.http_names):
            await fleet.run()
    finally:
        store.close()
