"""What goes into CONNECT and SUBSCRIBE."""

from collections.abc import Callable
from dataclasses import dataclass, field

from iiot.settings import MqttSettings


@dataclass(frozen=True, slots=True)
class Will:
    """Message that the broker publishes when the connection ends without a normal DISCONNECT."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """Everything that goes into one CONNECT.

    Attributes:
        session_expiry: seconds that the broker keeps the session after the socket closed (MQTT 5).
        receive_maximum: QoS 1 messages that the broker may send ahead of our acknowledgements (MQTT 5).
        will: a function is asked when the CONNECT is about to leave, so that an attempt which reaches
            no broker takes no bdSeq.
    """

    client_id: str
    settings: MqttSettings
    clean_start: bool = True
    session_expiry: int = 0
    receive_maximum: int | None = None
    will: Will | Callable[[], Will] | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter and its subscription options (MQTT 5 §3.8.3.1)."""

    topic_filter: str
    qos: int = 1
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    """Retained messages: 0 at each SUBSCRIBE, 1 when the subscription is new, 2 never."""
