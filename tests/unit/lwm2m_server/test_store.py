import sqlite3
import time

import pytest

from lwm2m_server.store import Store, StoredEvent, StoreError

MANY = 10**9


def events(first, count, size=10, endpoint="d1"):
    return [StoredEvent(n, endpoint, n, b"x" * size) for n in range(first, first + count)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "sub" / "store.db"


def test_events_and_registrations_survive(file):
    with Store(file, MANY, MANY) as store:
        first = store.latest + 1
        assert abs(first - time.time_ns() // 1000) < 60_000_000
        assert store.oldest == first
        store.commit(events(first, 5), {"d1": b"one", "d2": b"two"}, {"a": 5, "b": 6})
        store.commit(events(first + 5, 2), {"d1": None}, {"a": 9, "b": None})
    with Store(file, MANY, MANY) as store:
        assert (store.first, store.oldest, store.latest, store.bytes) == (first - 1, first, first + 6, 70)
        assert store.registrations() == [b"two"]
        assert store.positions() == {"a": 9}
        assert [n for n, _ in store.events(first + 1, 3)] == [first + 2, first + 3, first + 4]
        assert [n for n, _ in store.newest(2, MANY)] == [first + 5, first + 6]
        assert [n for n, _ in store.newest(100, 35)] == [first + 4, first + 5, first + 6]
        assert list(store.numbers(3)) == [("d1", first + 4), ("d1", first + 5), ("d1", first + 6)]


@pytest.mark.parametrize(("keep", "keep_bytes"), [(10, MANY), (MANY, 100)])
def test_the_oldest_events_go(file, keep, keep_bytes):
    with Store(file, keep, keep_bytes) as store:
        first = store.latest + 1
        for start in range(first, first + 50, 5):
            store.commit(events(start, 5), {}, {})
        kept = [n for n, _ in store.events(0, 100)]
        assert kept == list(range(first + 40, first + 50))
        assert (store.oldest, store.latest, store.bytes) == (first + 40, first + 49, 100)


def test_the_newest_event_stays_so_that_no_id_comes_twice(file):
    with Store(file, MANY, 100) as store:
        first = store.latest + 1
        store.commit(events(first, 2, size=500), {}, {})
        assert (store.oldest, store.latest, store.bytes) == (first + 1, first + 1, 500)
    with Store(file, MANY, 100) as store:
        assert store.latest == first + 1


def test_a_failed_commit_writes_nothing(file):
    with Store(file, MANY, MANY) as store:
        first = store.latest + 1
        store.commit(events(first, 1), {"d1": b"one"}, {})
        with pytest.raises(StoreError, match="UNIQUE"):
            store.commit([*events(first + 1, 1), *events(first, 1)], {"d1": b"two"}, {})
        assert (store.latest, store.registrations()) == (first, [b"one"])
        store.commit(events(first + 1, 1), {}, {})


def test_newest_stops_at_a_hole(file):
    with Store(file, MANY, MANY) as store:
        store.commit([*events(5, 2), *events(8, 2)], {}, {})
        assert [n for n, _ in store.newest(10, MANY)] == [8, 9]


def test_what_is_no_store_is_refused(tmp_path):
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"this is no database, and long enough to be sure of that" * 100)
    with pytest.raises(StoreError, match=r"garbage\.db: "):
        Store(garbage, MANY, MANY)
    newer = tmp_path / "newer.db"
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(StoreError, match="made by another version"):
        Store(newer, MANY, MANY)
    with pytest.raises(StoreError, match=r"store\.db"):
        Store(garbage / "store.db", MANY, MANY)
