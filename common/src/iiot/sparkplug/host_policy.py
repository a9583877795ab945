"""How a host application treats disorder."""

from dataclasses import dataclass, field

from iiot.sparkplug.rebirth import RebirthPolicy


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """How the host treats disorder; times in ms.

    Attributes:
        reorder_timeout: how long to wait for missing messages; 0 when the broker keeps the order
            across topics.
        reorder_capacity: messages that may wait, over all edge nodes.
        validate_bd_seq: ignore an NDEATH whose bdSeq is not that of the session. Off for edge nodes that
            get their bdSeq wrong: then a late will takes a living edge node offline.
        trailing_birth_window: an NBIRTH that comes this soon after an NDEATH with the same bdSeq is
            taken for an earlier one that was overtaken; the rebirth that is asked for then tells.
        max_nodes: edge nodes kept in memory; messages of more are counted and ignored.
        rebirth: limits of rebirth requests.
    """

    reorder_timeout: int = 2_000
    reorder_capacity: int = 100_000
    validate_bd_seq: bool = True
    trailing_birth_window: int = 250
    max_nodes: int = 100_000
    rebirth: RebirthPolicy = field(default_factory=RebirthPolicy)
