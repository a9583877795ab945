"""CloudEvents headers, prepared once per MQTT topic so that a message costs only its id and time."""

import time
from functools import lru_cache
from itertools import count
from urllib.parse import quote

from iiot.kafka import Headers, cloud_event_headers

_unique = count(time.time_ns() // 1000)
_VARYING = ("ce_id", "ce_time", "content-type")


class EventHeaders:
    """Headers of the events of one MQTT topic.

    Args:
        topic: the MQTT topic; becomes `ce_source`, a URI reference.
        event_type: `ce_type`.
        subject: `ce_subject`, the device id.
        content_type: of the record's value.
        schema: `ce_dataschema`, a URI; none where values have no schema.
    """

    __slots__ = ("_fixed",)

    def __init__(
        self, topic: str, event_type: str, subject: str, content_type: str, schema: str | None = None
    ) -> None:
        headers = cloud_event_headers("", "/" + quote(topic), event_type, subject, 0)
        self._fixed: Headers = [header for header in headers if header[0] not in _VARYING]
        self._fixed.append(("content-type", content_type))
        if schema is not None:
            self._fixed.append(("ce_dataschema", schema))

    def at(self, event_id: str | None, time_ms: int) -> Headers:
        """The headers of one event.

        Args:
            event_id: unique within the topic and equal when the message is delivered again, so that
                consumers can drop duplicates; None when the message carries nothing of that kind.
            time_ms: UTC ms; values outside the years 1970 to 9999 become 1970.
        """
        identity = event_id or f"bridge-{next(_unique)}"
        return [*self._fixed, ("ce_id", identity), ("ce_time", _rfc3339(time_ms))]


_LAST_MS = 253_402_300_799_999


@lru_cache(maxsize=1024)
def _rfc3339(time_ms: int) -> bytes:
    seconds, ms = divmod(time_ms if 0 <= time_ms <= _LAST_MS else 0, 1000)
    return b"%s.%03dZ" % (_second(seconds), ms)


@lru_cache(maxsize=64)
def _second(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()
