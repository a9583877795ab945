"""The device id: one name for LwM2M endpoint, MQTT client, certificate CN and Sparkplug edge node."""

from iiot.errors import InvalidValueError

SERVICES = ("lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "console", "testbed")
"""Identities of the testbed's own MQTT clients."""

_LWM2M_LEVELS = ("bs", "rd", "reg", "update", "dereg", "send", "bootstrap")
_RESERVED = frozenset({*_LWM2M_LEVELS, *SERVICES})
_SEPARATORS = frozenset("/+#")
_NAMES = ", ".join(sorted(_RESERVED))
_ALLOWED = f"1 to 64 bytes of printable UTF-8 without / + #, no $ in front, not {_NAMES}"


def is_reserved(text: str) -> bool:
    """Whether `text` means something else than a device wherever device ids stand."""
    return text in _RESERVED


def check_device_id(text: str) -> str:
    """Return `text` when it may name a device.

    An id is one MQTT topic level and a certificate's common name, so wildcards, separators and
    control characters are refused. So are levels of LwM2M topics: `lwm2m/rd/reg` would be of two devices,
    `reg` in the OMA profile and `rd` in the JSON profile.

    Raises:
        InvalidValueError: `text` is not a legal device id.
    """
    legal = (
        text.isprintable()
        and 1 <= len(text.encode()) <= 64
        and not text.startswith("$")
        and _SEPARATORS.isdisjoint(text)
        and text not in _RESERVED
    )
    if not legal:
        raise InvalidValueError("device id", text, _ALLOWED)
    return text
