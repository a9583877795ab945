import tracemalloc

import pytest

from iiot import topics
from testbed.verify.books import FORGET_AFTER, MARKS, Books
from testbed.verify.intervals import SESSION_GAP
from testbed.verify.ledger import Counter
from testbed.verify.paths import PATHS, Entry

BORN = 1_000_000_000_000
DEVICE = "device-temp-001"
PATIENCE = 60


def counters(last, first=BORN, device=DEVICE):
    return [Counter(device, "sparkplug", first, last)]


def arrive(books, *numbers, device=DEVICE, latency=4):
    for number in numbers:
        books.observe(topics.SPARKPLUG_DATA, Entry(device, number, 1_000), 1_000 + latency)


def sums(books):
    """Sent, delivered, lost for good, duplicated, reordered, on the way."""
    path = books.verdict().paths["sparkplug.data"]
    return (
        path.sent, path.delivered, path.given_up, path.duplicated, path.reordered, path.lost - path.given_up
    )  # fmt: skip


@pytest.fixture
def books():
    books = Books(PATIENCE)
    books.count(counters(BORN + 99), now=0, wall_us=BORN + 100)
    return books


def give_up_all(books, now):
    now += PATIENCE / MARKS
    books.balance(now)  # remembers what has been sent by now
    books.balance(now + PATIENCE)
    return now + PATIENCE


def test_what_is_not_there_yet_is_on_its_way(books):
    arrive(books, BORN + 100, BORN + 101)
    books.count(counters(BORN + 102), now=5, wall_us=BORN + 200)
    assert sums(books) == (3, 2, 0, 0, 0, 1)
    arrive(books, BORN + 102)
    assert sums(books) == (3, 3, 0, 0, 0, 0)


def test_what_is_missing_is_lost_only_when_patience_ends(books):
    arrive(books, BORN + 100, BORN + 102)
    books.count(counters(BORN + 102), now=10, wall_us=BORN + 300)
    books.balance(now=69)
    assert sums(books) == (3, 2, 0, 0, 0, 1)
    books.balance(now=70)
    assert sums(books) == (3, 2, 1, 0, 0, 0)
    verdict = books.verdict()
    assert (verdict.sent, verdict.delivered, verdict.lost, verdict.given_up) == (3, 2, 1, 1)


def test_nothing_is_called_lost_while_kafka_cannot_be_read(books):
    books.count(counters(BORN + 100), now=10, wall_us=BORN + 300)
    books.behind = True
    books.balance(now=80)
    assert sums(books) == (1, 0, 0, 0, 0, 1)
    books.behind = False
    books.balance(now=81)
    books.balance(now=80 + PATIENCE - 1)
    assert sums(books) == (1, 0, 0, 0, 0, 1), "patience begins anew"
    arrive(books, BORN + 100)
    books.balance(now=80 + PATIENCE)
    assert sums(books) == (1, 1, 0, 0, 0, 0)


def test_repeats_and_late_comers_are_counted_however_late(books):
    arrive(books, BORN + 101, BORN + 100, BORN + 100)
    books.count(counters(BORN + 101), now=10, wall_us=BORN + 300)
    assert sums(books) == (2, 2, 0, 1, 1, 0)
    give_up_all(books, 20)
    arrive(books, BORN + 101)
    assert sums(books) == (2, 2, 0, 2, 1, 0)


def test_a_message_that_comes_after_it_was_given_up_is_neither_a_repeat_nor_found(books):
    arrive(books, BORN + 100, BORN + 102)
    books.count(counters(BORN + 102), now=10, wall_us=BORN + 300)
    give_up_all(books, 20)
    arrive(books, BORN + 101)
    assert sums(books) == (3, 2, 1, 0, 1, 0)


def test_a_process_that_was_not_heard_at_the_start_counts_from_its_first_word(books):
    other = counters(BORN + 5_000, first=BORN - 10, device="device-air-001")
    arrive(books, BORN + 4_999, BORN + 5_000, device="device-air-001")
    books.count(counters(BORN + 99) + other, now=5, wall_us=BORN + 200)
    assert sums(books) == (0, 0, 0, 0, 0, 0)
    books.count(counters(BORN + 5_001, first=BORN - 10, device="device-air-001"), now=9, wall_us=BORN + 300)
    assert sums(books) == (1, 0, 0, 0, 0, 1)


def test_a_restarted_device_counts_from_its_first_message(books):
    restarted = BORN + 5_000_000
    books.count(counters(restarted + 1, first=restarted), now=5, wall_us=restarted + 10)
    assert sums(books) == (2, 0, 0, 0, 0, 2)
    arrive(books, restarted, restarted + 1)
    assert sums(books) == (2, 2, 0, 0, 0, 0)


def test_a_device_that_stops_answering_and_goes_on_sending_is_followed(books):
    arrive(books, BORN + 100)
    now = give_up_all(books, 10)
    arrive(books, BORN + 101, BORN + 103)
    assert sums(books) == (4, 3, 0, 0, 0, 1)
    give_up_all(books, now)
    assert sums(books) == (4, 3, 1, 0, 0, 0)
    books.count(counters(BORN + 105), now=now + 100, wall_us=BORN + 10**9)
    assert sums(books) == (6, 3, 1, 0, 0, 2)


def test_of_devices_that_are_gone_the_sums_stay(books):
    arrive(books, BORN + 100, BORN + 100, BORN + 102)
    arrive(books, BORN + 7, device="a-stranger")
    books.balance(now=FORGET_AFTER + 1)
    books.balance(now=2 * FORGET_AFTER + 2)
    assert sums(books) == (3, 2, 1, 1, 0, 0)
    assert books.verdict().devices == 0
    assert not any(books._ledger._tracks.values())


def test_latencies_are_those_of_every_record(books):
    for number, latency in enumerate((4, 40_000, -3), 100):
        arrive(books, BORN + number, latency=latency)
    found = books.verdict().paths["sparkplug.data"].latency
    assert found.up_to([2, 5, 30_000, 60_000]) == [1, 2, 2, 3]
    assert (found.count, found.total) == (3, 40_004)


def test_every_path_is_held_to_its_stream_for_ever(books):
    streams = [Counter(DEVICE, name, BORN, BORN + 99) for name in ("sparkplug", "lwm2m")]
    books = Books(PATIENCE)
    books.count(streams, now=0, wall_us=BORN + 100)
    for turn in range(5):
        number = BORN + 100 + turn
        for path in PATHS:
            if turn != 2 or path.name != "lwm2m.http":
                books.observe(path.topics[0], Entry(DEVICE, number, None), None)
        books.count([one._replace(last=number) for one in streams], now=(turn + 1) * 200, wall_us=number)
    verdict = books.verdict()
    assert (verdict.sent, verdict.delivered, verdict.lost) == (10, 9, 1)
    assert {name: path.lost for name, path in verdict.paths.items() if path.lost} == {"lwm2m.http": 1}


def test_a_day_with_restarts_losses_and_strangers_takes_no_more_memory_than_its_first_hours():
    books = Books(patience=300)
    devices = [f"device-{n}" for n in range(5)]
    first, numbers = BORN, dict.fromkeys(devices, BORN)
    held = []
    tracemalloc.start()
    try:
        for minute in range(24 * 60):
            now = minute * 60.0
            if minute % 30 == 0:  # every simulator starts anew
                first = BORN + minute * 60 * SESSION_GAP
                numbers = dict.fromkeys(devices, first - 1)
            for device in devices:
                numbers[device] += 3
                lost = minute % 7 == 0
                arrive(books, *range(numbers[device] - 2, numbers[device] + (not lost)), device=device)
            arrive(books, BORN + minute, device=f"stranger-{minute}")
            said = [Counter(device, "sparkplug", first, last) for device, last in numbers.items()]
            books.count(said, now, wall_us=BORN + minute * 60 * SESSION_GAP)
            if minute % 60 == 59:
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    verdict = books.verdict()
    assert verdict.sent == verdict.delivered + verdict.lost
    assert verdict.lost == len(devices) * (24 * 60 // 7)  # the first minute came before the books
    assert len(books._marks) <= MARKS + 1
    assert max(held[12:]) < 1.3 * max(held[4:8])
