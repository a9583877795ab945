import threading

import pytest

from testbed.engines.base import EngineError, PartStatus
from testbed.engines.native import logs
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


def test_logs_show_the_last_lines_of_each_part(tmp_path):
    for name in ("a", "bc"):
        (tmp_path / f"{name}.log").write_text("".join(f"{n}\n" for n in range(5)))
    files = sorted(tmp_path.glob("*.log"))
    assert list(logs.read(files, follow=False, lines=2)) == ["a  | 3", "a  | 4", "bc | 3", "bc | 4"]
    assert list(logs.read(files[:1], follow=False, lines=1)) == ["4"]


def test_following_goes_on_after_a_log_was_set_aside(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("old line that is long\n")
    seen = []
    lines = logs.read([log], follow=True, lines=1)
    seen.append(next(lines))
    timer = threading.Timer(0.2, lambda: log.write_text("new\n"))
    timer.start()
    seen.append(next(lines))
    timer.join()
    assert seen == ["old line that is long", "new"]
