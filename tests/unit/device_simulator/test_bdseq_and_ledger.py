import pytest

from device_simulator.bdseq import RESERVED, BdSeqStore
from device_simulator.ledger import Stream, as_json


@pytest.fixture
def reopen(tmp_path):
    stores = []

    def open_store():
        if stores:
            stores[-1].close()
        stores.append(BdSeqStore(tmp_path / "state" / "bdseq.jsonl"))
        return stores[-1]

    yield open_store
    stores[-1].close()


def test_the_first_number_is_0_and_each_record_moves_on(reopen):
    store = reopen()
    assert store.upcoming("a") == 0
    store.record("a", 0)
    assert (store.upcoming("a"), store.upcoming("b")) == (1, 0)


def test_numbers_survive_a_restart_and_wrap(reopen):
    store = reopen()
    for number in (*range(250, 256), 0):
        store.record("a", number)
    store.record("b", 255)
    for _ in range(2):
        store = reopen()
        assert (store.upcoming("a"), store.upcoming("b")) == (1, 0)


def test_a_line_torn_by_a_crash_costs_only_itself(reopen, tmp_path):
    store = reopen()
    store.record("a", 4)
    with (tmp_path / "state" / "bdseq.jsonl").open("a") as file:
        file.write('{"a": 5}\n{"a"')
    assert reopen().upcoming("a") == 6


def test_numbers_of_the_ledger_never_come_twice_also_when_the_clock_is_set_back(reopen, tmp_path):
    noon, morning = 1_780_000_000_000_000, 1_779_990_000_000_000
    assert reopen().first_number(noon) == noon
    assert reopen().first_number(noon + 60_000_000) == noon + 60_000_000
    store = reopen()
    first = store.first_number(morning)
    assert first > noon + 60_000_000
    store.record("a", 7)
    for last in range(first, first + 10 * RESERVED, RESERVED // 8):
        store.keep_ahead(last)
    assert (tmp_path / "state" / "bdseq.jsonl").read_text().count("\n") < 25
    store = reopen()
    assert store.first_number(morning) > last + RESERVED // 2
    assert store.upcoming("a") == 8


def test_ledger_counts_what_was_numbered():
    used, silent = Stream("d", "sparkplug", 100), Stream("d", "lwm2m", 100)
    assert [used.next(), used.next(), used.next()] == [100, 101, 102]
    assert as_json("f", [used, silent]) == {
        "fleet": "f",
        "streams": [{"device": "d", "stream": "sparkplug", "first": 100, "last": 102, "sent": 3}],
    }
