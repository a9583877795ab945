"""All experiments by name."""

from typing import Final

from iiot.errors import InvalidValueError
from testbed.experiments.comparisons import COMPARISONS
from testbed.experiments.loads import LOADS
from testbed.experiments.model import Experiment
from testbed.experiments.part_faults import PART_FAULTS
from testbed.experiments.wire_faults import WIRE_FAULTS

EXPERIMENTS: Final = {one.name: one for one in (*LOADS, *WIRE_FAULTS, *PART_FAULTS, *COMPARISONS)}


def find(name: str) -> Experiment:
    """The experiment of this name.

    Raises:
        InvalidValueError: there is none.
    """
    found = EXPERIMENTS.get(name)
    if found is None:
        raise InvalidValueError("name", name, ", ".join(EXPERIMENTS))
    return found
