from lwm2m_rig import Clock
from lwm2m_server.sparing import LINES_PER_SECOND, SparingLog


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
