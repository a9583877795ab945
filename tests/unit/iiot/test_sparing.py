from iiot.sparing import LINES_PER_SECOND, SparingLog
from lwm2m_rig import Clock


class Lines(list):
    def warning(self, event, **fields):
        self.append((event, fields))


def test_a_flood_is_cut_and_told():
    lines, clock = Lines(), Clock()
    log = SparingLog(lines, clock.monotonic)
    for _ in range(LINES_PER_SECOND + 500):
        log.warning("refused", code="4.00")
    assert lines == [("refused", {"code": "4.00"})] * LINES_PER_SECOND
    clock.advance(1)
    log.warning("refused", code="4.04")
    log.warning("refused", code="4.00")
    assert lines[-2:] == [("refused", {"code": "4.04", "left_out": 500}), ("refused", {"code": "4.00"})]


class Told:
    def __init__(self):
        self.lines = []

    def info(self, event, **fields):
        self.lines.append(("info", event, fields))

    def warning(self, event, **fields):
        self.lines.append(("warning", event, fields))


def test_what_happened_and_what_is_wrong_share_the_bound():
    told, clock = Told(), Clock()
    log = SparingLog(told, clock.monotonic)
    for _ in range(LINES_PER_SECOND):
        log.info("registered", endpoint="a")
    log.warning("refused")
    clock.advance(1)
    log.info("registered", endpoint="b")
    assert told.lines[0] == ("info", "registered", {"endpoint": "a"})
    assert told.lines[LINES_PER_SECOND:] == [("info", "registered", {"endpoint": "b", "left_out": 1})]
