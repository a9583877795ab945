"""What to do next with one device, from its state (/5/0/3) and result (/5/0/5) (Core, object 5)."""

from enum import IntEnum, StrEnum
from typing import Final

RETRY_AFTER: Final = 10.0
"""s after which a command that shows no effect is sent again."""


class State(IntEnum):
    """Resource 3."""

    IDLE = 0
    DOWNLOADING = 1
    DOWNLOADED = 2
    UPDATING = 3


class Step(StrEnum):
    """How far a device is in a campaign."""

    PENDING = "pending"
    TRANSFERRING = "transferring"
    DOWNLOADING = "downloading"
    UPDATING = "updating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Nothing more happens."""
        return self in (Step.SUCCEEDED, Step.FAILED, Step.CANCELLED)


class Action(StrEnum):
    """What to do."""

    WAIT = "wait"
    RESET = "reset"
    TRANSFER = "transfer"
    UPDATE = "update"
    SUCCEED = "succeed"
    FAIL = "fail"


RESULTS: Final = {
    0: "no result yet", 1: "updated", 2: "not enough flash memory", 3: "out of RAM",
    4: "connection lost during the download", 5: "integrity check failed", 6: "unsupported package type",
    7: "invalid URI", 8: "the update failed", 9: "unsupported protocol", 10: "cancelled", 11: "deferred",
}  # fmt: skip
"""Resource 5."""
_NOTHING, _SUCCESS, _DEFERRED = 0, 1, 11


def decide(step: Step, state: int, result: int, since: float) -> Action:
    """The next action.

    Args:
        step: how far the device is in the campaign.
        state: its resource 3, 0 to 3.
        result: its resource 5.
        since: s since the last action on it.
    """
    if step is Step.PENDING:
        # Anything but idle is what another update left.
        return {State.IDLE: Action.TRANSFER, State.UPDATING: Action.WAIT}.get(State(state), Action.RESET)
    if state == State.IDLE:
        if step is Step.TRANSFERRING:
            return Action.TRANSFER
        # While downloading: a device may update by itself once it has the package (resource 14).
        ends = _end(result)
        forgotten = ends is Action.WAIT and result == _NOTHING and since >= RETRY_AFTER
        return Action.TRANSFER if forgotten else ends  # it restarted, and knows of no update
    if state == State.DOWNLOADED:
        if step is not Step.UPDATING:
            return Action.UPDATE
        again = Action.UPDATE if since >= RETRY_AFTER else Action.WAIT
        return Action.FAIL if _end(result) is Action.FAIL else again
    return Action.WAIT


def _end(result: int) -> Action:
    if result == _SUCCESS:
        return Action.SUCCEED
    return Action.FAIL if result > _SUCCESS and result != _DEFERRED else Action.WAIT
