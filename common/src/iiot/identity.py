"""What may name a device, and what may stand in front of LwM2M topics: the one rule for both.

One name is LwM2M endpoint, MQTT client and user, common name of the certificate and Sparkplug edge node. So
the rule is held where certificates are made and where LwM2M messages arrive. Edge nodes and devices of other
plants follow the freer rule of Sparkplug, `iiot.sparkplug.topic.check_id`.
"""

import unicodedata

from iiot.errors import InvalidValueError

SERVICES = ("lwm2m-server", "sparkplug-host", "mqtt-redpanda-bridge", "console", "testbed")
"""Identities of the testbed's own MQTT clients."""

_LWM2M_LEVELS = ("bs", "rd", "reg", "update", "dereg", "send", "bootstrap", "cmd", "ack", "notify", "resp")
_SPARKPLUG_LEVELS = ("nbirth", "ndeath", "ndata", "ncmd", "dbirth", "ddeath", "ddata", "dcmd", "state")
_ROOTS = ("lwm2m", "spbv1.0", "test", "mosquitto")
_RESERVED = frozenset({*_LWM2M_LEVELS, *_SPARKPLUG_LEVELS, *_ROOTS, *SERVICES, ".", ".."})
_REFUSED = frozenset("/+#{}")
_NAMES = ", ".join(sorted(_RESERVED))
_ALLOWED = (
    "1 to 64 bytes of printable UTF-8 in normal form (NFKC) without / + # { }, no $ or mark in front, no"
    f" space at an end, not {_NAMES}"
)


def is_reserved(text: str) -> bool:
    """Whether `text` means something else than a device wherever device ids stand."""
    return text.casefold() in _RESERVED


def check_device_id(text: str) -> str:
    """Return `text` when it may name a device.

    An id is one MQTT topic level and a certificate's common name, so wildcards, separators and
    control characters are refused. So are levels of topics: `lwm2m/rd/reg` would be of two devices, `reg` in
    the OMA profile and `rd` in the JSON profile. Of texts that look alike only the normal form is one.

    Raises:
        InvalidValueError: `text` is not a legal device id.
    """
    return _check("device id", text)


def check_prefix(text: str) -> str:
    """Return `text` when it may be the level in front of LwM2M topics (`LWM2M_PREFIX`); empty is none.

    What anonymous clients may write (`test/…`) and what has a meaning of its own is no prefix.

    Raises:
        InvalidValueError: it may not.
    """
    return _check("prefix", text) if text else text


def _check(what: str, text: str) -> str:
    if not (_is_short_text(text) and _is_plain(text) and not is_reserved(text)):
        raise InvalidValueError(what, text, _ALLOWED)
    return text


def _is_short_text(text: str) -> bool:
    # The length first: what follows takes time that grows with it, and half a surrogate pair has no bytes.
    return 1 <= len(text) <= 64 and text.isprintable() and len(text.encode()) <= 64


def _is_plain(text: str) -> bool:
    return (
        not text.startswith("$")
        and _REFUSED.isdisjoint(text)
        and text == text.strip()
        and not unicodedata.category(text[0]).startswith("M")
        and unicodedata.is_normalized("NFKC", text)
    )
