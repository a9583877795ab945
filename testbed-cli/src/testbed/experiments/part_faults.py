"""Faults on parts: killed, stopped for a while, frozen for a while."""

import asyncio
from typing import Final

from testbed.experiments.lab import FaultKind, Lab
from testbed.experiments.model import PARTS, Choice, Expectation, Experiment, Number, Values

BROKER: Final = "mosquitto"
SIMULATOR: Final = "device-simulator"
SNAPSHOT: Final = 12.0
"""s of traffic that the broker forgets when it is killed: its snapshots are 10 s apart."""
AFTERMATH: Final = 5.0
"""s after a kill that still count as during it: in the kill itself there is no time to send anything."""
START: Final = 60.0
"""s in which a part has to be back: Kafka reads its log first, devices come back with back-off."""

PART = Choice("part", "which part", "mqtt-redpanda-bridge", PARTS)
HOLD = Number("seconds", "how long", 10, 1, 120, "s")


async def kill(lab: Lab, values: Values) -> None:
    """The part ends at once, without a chance to say anything, and is started again."""
    await _do(lab, "kill", values, 0)


async def stop(lab: Lab, values: Values) -> None:
    """The part ends in good order and stays away."""
    await _do(lab, "stop", values, int(values["seconds"]))


async def pause(lab: Lab, values: Values) -> None:
    """The part is frozen: its connections stay open and nothing answers."""
    await _do(lab, "pause", values, int(values["seconds"]))


async def _do(lab: Lab, kind: FaultKind, values: Values, seconds: float) -> None:
    part = str(values["part"])
    words = {"kill": "kill -9", "stop": f"stopped for {seconds:g} s", "pause": f"frozen for {seconds:g} s"}
    lab.tell(f"{part}: {words[kind]}")
    await lab.fault(kind, part, seconds)
    lab.calm()
    lab.tell(f"{part}: left alone again")
    if kind == "kill":
        await asyncio.sleep(AFTERMATH)


def _killed(values: Values) -> Expectation:
    lost = {BROKER: SNAPSHOT, SIMULATOR: 0.5}.get(str(values["part"]), 0.0)
    return Expectation(lost=lost, duplicated=True, recovers_within=START)


def _away(values: Values) -> Expectation:
    # Devices send QoS 0: what is on the wire when the broker goes, or freezes, is nobody's.
    seconds = int(values["seconds"])
    lost = {BROKER: 1.0, SIMULATOR: 0.5}.get(str(values["part"]), 0.0)
    return Expectation(lost=lost, duplicated=True, recovers_within=START + seconds)


_NOTE: Final = (
    "What was acknowledged is not lost. The broker alone may forget what came since its last snapshot."
)

PART_FAULTS: Final = (
    Experiment(
        "part-kill",
        "kill -9",
        "fault",
        "Kills a part without warning; it is started again at once.",
        f"Traffic is as before within a minute. {_NOTE}",
        (PART,),
        kill,
        _killed,
        breaks_parts=True,
    ),
    Experiment(
        "part-stop",
        "A part is away",
        "fault",
        "Stops a part in good order and starts it again after some seconds.",
        "What came meanwhile waits before it and arrives afterwards, in order.",
        (PART, HOLD),
        stop,
        _away,
        breaks_parts=True,
    ),
    Experiment(
        "part-pause",
        "A part hangs",
        "fault",
        "Freezes a part for some seconds: connections stay open, nothing answers.",
        "Others notice and wait; afterwards everything arrives, in order.",
        (PART, HOLD),
        pause,
        _away,
        breaks_parts=True,
    ),
)
