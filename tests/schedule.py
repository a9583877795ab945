"""Which of the processes of a run gets which tests."""

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController


class Schedule(LoadScopeScheduling):
    """A module of tests to whichever process is free; what shares the whole testbed, or its ports, to one."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "whole testbed" if module.startswith(("tests/e2e/", "tests/compose/")) else module

    def remove_node(self, node: WorkerController) -> str | None:
        """Hand what a process that died has not run to another, without the modules that it has.

        A process that is given nothing to run has nothing to report, and would not be given more.
        """
        given = self.assigned_work[node]
        self.assigned_work[node] = {scope: unit for scope, unit in given.items() if not all(unit.values())}
        return super().remove_node(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Schedule(config, log)
