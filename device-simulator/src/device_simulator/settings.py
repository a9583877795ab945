"""Settings of the simulator, all from environment variables."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from device_simulator.firmware import FirmwarePlan, Outcome
from device_simulator.servers import Server, parse_servers
from device_simulator.sleep import SleepPlan
from iiot.errors import InvalidValueError
from iiot.lwm2m import alternate_path
from iiot.settings import Directory, MqttSettings, OptionalPath, ServiceSettings, TopicPrefix, empty_is_none
from iiot.sparkplug.topic import check_id


def legal_root(text: str) -> str:
    """An alternate path as it is used.

    Raises:
        ValueError: it is none.
    """
    try:
        return alternate_path.check(text)
    except InvalidValueError as exc:
        raise ValueError(exc.allowed) from exc


def _group(text: str) -> str:
    try:
        return check_id("group", text)
    except InvalidValueError as error:
        raise ValueError(f"allowed: {error.allowed}") from None


class SimulatorSettings(ServiceSettings, MqttSettings):
    """What can be set; a field `device_count` is the variable `DEVICE_COUNT`."""

    http_port: int = Field(default=8083, ge=0, le=65535)

    mqtt_servers: str = ""
    """More MQTT servers, `host[:port]` separated by commas; the first is always MQTT_HOST:MQTT_PORT."""

    device_count: int = Field(default=2, ge=1, le=100_000)
    telemetry_interval: float = Field(default=0.0105, ge=0.0005, le=86_400)
    """s between two Sparkplug messages of a device."""
    lwm2m_interval: float = Field(default=0.2, ge=0.0005, le=86_400)
    """s between two LwM2M messages of a device."""
    lwm2m_update_every: int = Field(default=25, ge=1)
    """Each n-th LwM2M message is an Update, the others are Sends."""
    lwm2m_lifetime: int = Field(default=3600, ge=1, le=31_536_000)
    """s for which a registration holds without an Update."""
    lwm2m_profile: Literal["json", "oma"] = "json"
    """How LwM2M goes over MQTT: the JSON profile, or the OMA binding."""
    lwm2m_prefix: TopicPrefix = ""
    """Topic level before `lwm2m`, which separates tenants."""
    lwm2m_extensions: bool = True
    """Fill the holes of the OMA binding, also with the ledger's numbers; without, strictly its text."""
    lwm2m_root: Annotated[str, AfterValidator(legal_root)] = alternate_path.NONE
    """With the OMA binding: the alternate path below which devices have their objects, such as `/lwm2m`."""
    lwm2m_profile_id: bool = False
    """Register with a Profile ID in place of an object list that the server had before."""
    lwm2m_bootstrap: Literal["off", "request", "pack"] = "off"
    """Ask a bootstrap server for the account before the first registration."""
    lwm2m_asleep: float = Field(default=0.0, ge=0, le=86_400)
    """s that a device in queue mode sleeps at a time; 0 keeps it awake."""
    lwm2m_awake: float = Field(default=20.0, gt=0, le=86_400)
    """s for which it listens after waking up, and after each command."""
    firmware_result: Outcome = "success"
    """What firmware updates end in."""
    profile: str = Field(default="default", min_length=1)
    """Name of a shipped profile, or the path of a YAML file."""
    kinds_dir: OptionalPath = None
    """Directory with more kinds of devices."""
    objects_dir: Directory = None
    """Directory with more definitions of LwM2M objects, YAML or OMA's XML."""
    models_dir: Directory = None
    """Another one, which counts before it; the LwM2M server has a setting of the same name."""

    seed: Annotated[int | None, BeforeValidator(empty_is_none)] = None
    """With a seed every run starts at the same simulated instant and gives the same values."""
    time_scale: float = Field(default=1.0, gt=0, le=100_000)
    """Simulated s per s of the measured world; 144 shows a day in ten minutes."""

    fleet_id: str = Field(default="", max_length=40)
    """Part of the device ids, so that several simulators can share a broker."""
    sparkplug_group: Annotated[str, AfterValidator(_group)] = "IIoT"
    device_ca_dir: OptionalPath = None
    """Directory of the device authority (`ca.crt`, `ca.key`); needed with TLS unless MQTT_CERT is given."""
    state_dir: Path = Path(".testbed/simulator")
    """Where certificates and bdSeq numbers are kept."""
    connect_rate: float = Field(default=200.0, gt=0)
    """Devices that connect in one second at the start."""

    @field_validator("mqtt_servers")
    @classmethod
    def _legal_servers(cls, text: str) -> str:
        parse_servers(text, 1)
        return text

    @property
    def servers(self) -> tuple[Server, ...]:
        """The MQTT servers that a device may use, in this order."""
        first = Server(self.mqtt_host, self.mqtt_port)
        return (first, *parse_servers(self.mqtt_servers, self.mqtt_port))

    @property
    def sleep(self) -> SleepPlan | None:
        """How devices sleep, None never."""
        return SleepPlan(asleep=self.lwm2m_asleep, awake=self.lwm2m_awake) if self.lwm2m_asleep else None

    @property
    def firmware(self) -> FirmwarePlan:
        """How firmware updates go."""
        return FirmwarePlan(result=self.firmware_result)
