"""Every exception that the testbed's own code raises."""


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
    """A field of a request or message holds a value that is not allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: got {value!r}, allowed: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


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
