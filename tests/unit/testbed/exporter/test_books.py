import pytest

from iiot import topics
from testbed.exporter.books import Books
from testbed.verify.ledger import Counter
from testbed.verify.paths import Entry

BORN = 1_000_000_000
DEVICE = "device-temp-001"


def counters(last, first=BORN, device=DEVICE):
    return [Counter(device, "sparkplug", first, last)]


def arrive(books, *numbers, device=DEVICE, latency=4):
    for number in numbers:
        books.observe(topics.SPARKPLUG_DATA, Entry(device, number, 1_000), 1_000 + latency)


def sums(books):
    book = books.paths["sparkplug.data"]
    return book.sent, book.delivered, book.lost, book.duplicated, book.reordered


@pytest.fixture
def books():
    books = Books(window=10, patience=60)
    books.count(counters(BORN + 99), now=0, wall_us=BORN + 100)
    return books


def test_a_window_is_settled_when_all_of_it_has_arrived(books):
    arrive(books, BORN + 100, BORN + 101)
    books.count(counters(BORN + 102), now=5, wall_us=BORN + 200)
    assert books.outstanding["sparkplug.data"] == 1
    books.count(counters(BORN + 102), now=10, wall_us=BORN + 300)
    assert sums(books) == (0, 0, 0, 0, 0)
    arrive(books, BORN + 102)
    books.balance(now=11)
    assert sums(books) == (3, 3, 0, 0, 0)
    assert books.outstanding["sparkplug.data"] == 0


def test_what_is_missing_is_lost_only_when_patience_ends(books):
    arrive(books, BORN + 100, BORN + 102)
    books.count(counters(BORN + 102), now=10, wall_us=BORN + 300)
    books.balance(now=69)
    assert sums(books) == (0, 0, 0, 0, 0)
    assert books.outstanding["sparkplug.data"] == 1
    books.balance(now=70)
    assert sums(books) == (3, 2, 1, 0, 0)
    assert books.outstanding["sparkplug.data"] == 0


def test_nothing_is_called_lost_while_reading_does_not_keep_up(books):
    books.count(counters(BORN + 100), now=10, wall_us=BORN + 300)
    books.behind = True
    books.balance(now=80)
    assert sums(books) == (0, 0, 0, 0, 0)
    books.behind = False
    arrive(books, BORN + 100)
    books.balance(now=81)
    assert sums(books) == (1, 1, 0, 0, 0)


def test_duplicates_and_late_comers_are_counted(books):
    arrive(books, BORN + 101, BORN + 100, BORN + 100)
    books.count(counters(BORN + 101), now=10, wall_us=BORN + 300)
    assert sums(books) == (2, 2, 0, 1, 1)


def test_each_message_belongs_to_one_window(books):
    arrive(books, BORN + 100)
    books.count(counters(BORN + 100), now=10, wall_us=BORN + 300)
    arrive(books, BORN + 101)
    books.count(counters(BORN + 101), now=20, wall_us=BORN + 400)
    assert sums(books) == (2, 2, 0, 0, 0)


def test_a_device_that_was_not_heard_before_counts_from_the_next_window(books):
    other = counters(BORN + 5_000, first=BORN - 10, device="device-air-001")
    books.count(counters(BORN + 99) + other, now=5, wall_us=BORN + 200)
    assert books.outstanding["sparkplug.data"] == 0
    books.count(counters(BORN + 99) + other, now=10, wall_us=BORN + 300)
    other = counters(BORN + 5_001, first=BORN - 10, device="device-air-001")
    books.count(counters(BORN + 99) + other, now=15, wall_us=BORN + 400)
    assert books.outstanding["sparkplug.data"] == 1


def test_a_restarted_device_counts_from_its_first_message(books):
    restarted = BORN + 5_000_000
    books.count(counters(restarted + 1, first=restarted), now=5, wall_us=restarted + 10)
    assert books.outstanding["sparkplug.data"] == 2
    arrive(books, restarted, restarted + 1)
    books.count(counters(restarted + 1, first=restarted), now=10, wall_us=restarted + 20)
    assert sums(books) == (2, 2, 0, 0, 0)


def test_latencies_are_those_of_every_record(books):
    arrive(books, BORN + 100, latency=4)
    arrive(books, BORN + 101, latency=40_000)
    arrive(books, BORN + 102, latency=-3)
    book = books.paths["sparkplug.data"]
    assert (book.latency_counts[0], book.latency_counts[1], sum(book.latency_counts)) == (1, 1, 3)
    assert book.latency_sum == 40_004
