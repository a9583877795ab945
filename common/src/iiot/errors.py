"""Every exception that the testbed's own code raises."""

_SHOWN = 200
"""Characters of a field's name or of a value that a message repeats: peers choose their length."""


class IiotError(Exception):
    """Base of all errors raised by this project."""


class SettingsError(IiotError):
    """The environment holds values that a service cannot start with.

    Attributes:
        problems: one line per bad variable: its name, the value, what is allowed.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class InvalidValueError(IiotError):
    """A field of a request or message holds a value that is not allowed, or nothing (None)."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        field = field if len(field) <= _SHOWN else f"{field[:_SHOWN]}…"
        super().__init__(f"{field}: got {shown(value)}, allowed: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


def shown(value: object) -> str:
    """A value as a message shows it: cut where it is long."""
    if value is None:
        return "nothing"
    if isinstance(value, str | bytes | bytearray):
        return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}…"
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return "a longer integer"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a longer integer in a list; lists in lists in lists
        return "what cannot be shown"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class DecodeError(IiotError):
    """Bytes that are not a message of the expected kind."""


class SessionStateError(IiotError):
    """A message was asked for that the state of the session does not allow, such as data before birth."""


class MessageTooLargeError(IiotError):
    """A Sparkplug message is larger than the broker's Maximum Packet Size.

    Attributes:
        topic: of the message.
        size, limit: bytes of an MQTT packet.
    """

    def __init__(self, topic: str, size: int, limit: int) -> None:
        super().__init__(
            f"{topic}: {size} bytes, and the broker takes packets of {limit}; use fewer or shorter metrics,"
            " several devices, or raise the broker's maximum packet size"
        )
        self.topic, self.size, self.limit = topic, size, limit


class MqttError(IiotError):
    """An MQTT operation failed, or the connection is gone."""


class MqttConnectError(MqttError):
    """The broker could not be reached, or refused the CONNECT."""


class SubscribeRefusedError(MqttError):
    """The broker refused a topic filter (SUBACK reason code 0x80 or above)."""


class KafkaError(IiotError):
    """The Kafka cluster refused or failed an administrative request."""
