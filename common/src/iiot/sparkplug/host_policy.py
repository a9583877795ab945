"""How a host application treats disorder."""

from dataclasses import dataclass, field
from typing import Final

from iiot.sparkplug.rebirth import RebirthPolicy

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """How the host treats disorder; times in ms.

    Attributes:
        reorder_timeout: how long to wait for missing messages; 0 when the broker keeps the order
            across topics.
        reorder_capacity: messages that may wait, over all edge nodes.
        reorder_metrics: metrics in the messages of one edge node that wait.
        reorder_bytes: bytes that these messages take; all edge nodes together four times that.
        validate_bd_seq: ignore an NDEATH whose bdSeq is not that of the session. Off for edge nodes that
            get their bdSeq wrong: then a late will takes a living edge node offline.
        trailing_birth_window: when the NDEATH of a session comes first and its NBIRTH this soon after, then
            the NBIRTH was overtaken. It tells the metrics; whether the edge node lives, the next message
            tells, or the rebirth that is asked for. A session whose NBIRTH was seen before its NDEATH cannot
            be overtaken: the next NBIRTH is of a new one, whatever its bdSeq.
        max_nodes: edge nodes kept in memory; messages of more are counted and ignored.
        max_devices: devices of one edge node, likewise.
        max_metrics: metrics of one edge node and all its devices, likewise.
        max_bytes: bytes of values that are no numbers, of properties and of long names, likewise.
        rebirth: limits of rebirth requests.
    """

    reorder_timeout: int = 2_000
    reorder_capacity: int = 100_000
    reorder_metrics: int = 50_000
    reorder_bytes: int = 16 * MIB
    validate_bd_seq: bool = True
    trailing_birth_window: int = 250
    max_nodes: int = 100_000
    max_devices: int = 10_000
    max_metrics: int = 200_000
    max_bytes: int = 32 * MIB
    rebirth: RebirthPolicy = field(default_factory=RebirthPolicy)
