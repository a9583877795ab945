"""Settings of the Sparkplug host."""

from typing import Literal

from pydantic import Field, field_validator

from iiot.budgets import METRICS
from iiot.errors import InvalidValueError
from iiot.rest import ApiSettings
from iiot.settings import MqttSettings, ServiceSettings
from iiot.sparkplug.host_policy import MIB, HostPolicy
from iiot.sparkplug.rebirth import RebirthPolicy
from iiot.sparkplug.topic import check_id
from iiot.sparkplug.wire import PayloadBudget


class Settings(ServiceSettings, MqttSettings, ApiSettings):
    """Environment variables of the host, beside those of every service and of MQTT."""

    http_port: int = Field(default=8081, ge=0, le=65535)
    mqtt_client_id: str = Field(default="sparkplug-host", min_length=1)
    sparkplug_group: str = "IIoT"
    """The group whose edge nodes are watched; `+` for all groups."""
    sparkplug_host_id: str = "sparkplug-host"
    """Names the STATE topic on which edge nodes see this host."""
    sparkplug_short_form: bool = True
    """Read `spBv1.0/{group}/DBIRTH/{device}` of older devices as well; counted as non-conformant."""
    sparkplug_legacy_state: bool = False
    """Publish `STATE/{host id}` with ONLINE or OFFLINE as well, for edge nodes of Sparkplug 2.2."""
    sparkplug_certificates: bool = True
    """Read stored births that a Sparkplug-aware broker offers below `$sparkplug/certificates`."""
    bdseq_validation: bool = True
    """Ignore an NDEATH whose bdSeq is not that of the session."""
    command_datatypes: bool = True
    """Put datatypes into commands, which the specification advises against: many edge nodes need them."""
    commands_without_datatypes: str = ""
    """Edge nodes whose commands carry none: `edge node` or `group/edge node`, separated by commas."""
    reorder_timeout: float = Field(default=2.0, ge=0, le=60)
    """s to wait for missing messages before they count as lost."""
    rebirth_mode: Literal["active", "observe"] = "active"
    """`observe`: never ask for a rebirth, only count the need."""
    rebirth_debounce: float = Field(default=30.0, ge=0, le=86_400)
    """s between two rebirth requests to the same edge node."""
    rebirth_jitter: float = Field(default=1.0, ge=0, le=60)
    """Each request is delayed by a random part of this, in s."""
    rebirth_rate: float = Field(default=20.0, gt=0, le=10_000)
    """Rebirth requests a second to all edge nodes together."""
    max_metrics: int = Field(default=METRICS, ge=1, le=1_000_000)
    """Metrics of one message at most; a message with more cannot be read."""
    max_nodes: int = Field(default=100_000, ge=1, le=10_000_000)
    """Edge nodes kept in memory at most."""
    max_devices_per_node: int = Field(default=10_000, ge=1, le=10_000_000)
    """Devices of one edge node kept in memory at most."""
    max_bytes_per_node: int = Field(default=32 * MIB, ge=1_000, le=1_000_000 * MIB)
    """Bytes of values that are no numbers, properties and long names of one edge node and its devices."""
    max_metrics_per_node: int = Field(default=200_000, ge=1, le=100_000_000)
    """Metrics of one edge node and its devices kept in memory at most."""

    @field_validator("sparkplug_group", "sparkplug_host_id")
    @classmethod
    def _legal_ids(cls, text: str, info: object) -> str:
        name = getattr(info, "field_name", "")
        if name == "sparkplug_group" and text == "+":
            return text
        try:
            return check_id("group" if name == "sparkplug_group" else name, text)
        except InvalidValueError as exc:
            raise ValueError(f"must be {exc.allowed}") from None

    @field_validator("commands_without_datatypes")
    @classmethod
    def _legal_edge_nodes(cls, text: str) -> str:
        try:
            for name in _listed(text):
                group, _, edge_node = name.rpartition("/")
                check_id("edge node", edge_node)
                if "/" in name:
                    check_id("group", group)
        except InvalidValueError as exc:
            raise ValueError(f"must be ids of edge nodes separated by commas: {exc}") from None
        return text

    def has_datatypes(self, group: str, edge_node: str) -> bool:
        """Whether commands to this edge node carry datatypes."""
        without = _listed(self.commands_without_datatypes)
        return self.command_datatypes and not {edge_node, f"{group}/{edge_node}"} & without

    def budget(self) -> PayloadBudget:
        """What one message may hold."""
        return PayloadBudget(metrics=self.max_metrics)

    def policy(self) -> HostPolicy:
        """The settings as the state machine takes them, in ms."""
        return HostPolicy(
            reorder_timeout=round(self.reorder_timeout * 1000),
            validate_bd_seq=self.bdseq_validation,
            max_nodes=self.max_nodes,
            max_devices=self.max_devices_per_node,
            max_metrics=self.max_metrics_per_node,
            max_bytes=self.max_bytes_per_node,
            rebirth=RebirthPolicy(
                debounce=round(self.rebirth_debounce * 1000),
                jitter=round(self.rebirth_jitter * 1000),
                per_second=self.rebirth_rate,
                observe_only=self.rebirth_mode == "observe",
            ),
        )


def _listed(text: str) -> set[str]:
    return {name.strip() for name in text.split(",") if name.strip()}
