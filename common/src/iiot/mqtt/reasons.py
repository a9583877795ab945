"""Reason codes in words (MQTT 5 §2.4)."""

from typing import Final

FAILURE: Final = 0x80
"""Codes from here on say that something failed."""
REASON_WITH_WILL: Final = 0x04
"""In DISCONNECT: close in good order, and publish the will all the same."""

_TEXTS: Final = {
    0x00: "closed by the broker",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x87: "not authorised",
    0x8B: "broker shutting down",
    0x8D: "keep-alive timeout",
    0x8E: "session taken over by another connection with this client id",
    0x93: "receive maximum exceeded",
    0x95: "packet too large",
}


def reason_text(code: int) -> str:
    """What a reason code of DISCONNECT or PUBACK means, for a person."""
    return _TEXTS.get(code, f"reason code 0x{code:02x}")
