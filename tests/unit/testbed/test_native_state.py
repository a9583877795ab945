import pytest

from testbed.engines.base import EngineError, PartStatus
from testbed.engines.native.lock import starting
from testbed.engines.native.process import ProcessId
from testbed.engines.native.state import RunState


def test_the_state_survives_being_written(tmp_path):
    state = RunState(ProcessId(1, 2), started_ms=3, devices=4)
    state.parts["kafka"] = PartStatus("kafka", "healthy", pid=5, restarts=6, ports={"kafka": 9092})
    state.processes["kafka"] = ProcessId(5, 7)
    state.save(tmp_path)
    assert RunState.load(tmp_path) == state


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": {}}', "null"])
def test_a_damaged_state_counts_as_none(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert RunState.load(tmp_path) is None


def test_two_starts_at_once_are_refused(tmp_path):
    refused = pytest.raises(EngineError, match="another up is at work")
    with starting(tmp_path), refused, starting(tmp_path):
        pass
    with starting(tmp_path):
        pass
