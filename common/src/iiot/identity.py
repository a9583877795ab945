"""The device id: one name for LwM2M endpoint, MQTT client, certificate CN and Sparkplug edge node."""

from iiot.errors import InvalidValueError

SERVICES = ("lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "console", "testbed")
"""Identities of the testbed's own MQTT clients."""

_RESERVED = frozenset({"bs", "rd", *SERVICES})
_NAMES = ", ".join(sorted(_RESERVED))
_ALLOWED = f"1 to 64 bytes of printable UTF-8 without / + #, no $ in front, not {_NAMES}"


def check_device_id(text: str) -> str:
    """Return `text` when it may name a device.

    An id is one MQTT topic level and a certificate's common name, so wildcards, separators and
    control characters are refused; `bs` and `rd` are topic levels of the LwM2M MQTT binding.

    Raises:
        InvalidValueError: `text` is not a legal device id.
    """
    legal = (
        text.isprintable()
        and 1 <= len(text.encode()) <= 64
        and not text.startswith("$")
        and not any(c in "/+#" for c in text)
        and text not in _RESERVED
    )
    if not legal:
        raise InvalidValueError("device id", text, _ALLOWED)
    return text
