import asyncio
import threading
from pathlib import Path

import orjson
import pytest

from lwm2m_server import events as module
from lwm2m_server.events import open_log
from lwm2m_server.store import Store, StoreError
from support import eventually

MANY = 10**9


@pytest.fixture
def file(tmp_path):
    return tmp_path / "events.db"


def ids(page):
    return [orjson.loads(body)["id"] for body in page.bodies]


async def fill(log, count, size=0):
    numbers = [log.append("send", "d1", {"pad": "x" * size}) for _ in range(count)]
    await log.settled()
    return numbers


async def test_an_event_is_visible_when_it_is_durable_and_then_called_back(file):
    with Store(file, MANY, MANY) as store:
        async with open_log(store, MANY) as log:
            done = asyncio.Event()
            number = log.append("send", "d1", {"seq": 7}, seq=7, on_durable=done.set)
            assert (log.latest, log.pending, ids(await log.read(None, 10))) == (number - 1, 1, [])
            await asyncio.wait_for(done.wait(), 5)
            page = await log.read(None, 10)
            assert ids(page) == [number]
            event = orjson.loads(page.bodies[0])
            assert (event["type"], event["endpoint"], event["data"]) == ("send", "d1", {"seq": 7})
            assert event["timestamp"].endswith("Z")
            assert len(event["timestamp"]) == len("2026-11-24T06:30:00.123Z")
            assert store.events(0, 10) == [(number, page.bodies[0])]


async def test_pages_from_memory_and_from_disk_are_the_same(file):
    with Store(file, MANY, MANY) as store:
        async with open_log(store, 2000) as log:
            numbers = await fill(log, 100)
            assert log.memory_bytes <= 2000
            cursor, seen = 0, []
            while cursor < log.latest:
                page = await log.read(cursor, 7)
                assert page.gap is None
                seen += ids(page)
                cursor = page.next
            assert seen == numbers
            assert ids(await log.read(None, 5)) == numbers[-5:]
            assert ids(await log.read(numbers[-1], 5)) == []
            assert (await log.read(numbers[-1], 5)).next == numbers[-1]


async def test_a_cursor_older_than_what_is_kept_is_told_what_it_missed(file):
    with Store(file, 10, MANY) as store:
        async with open_log(store, MANY) as log:
            numbers = []
            for _ in range(6):
                numbers += await fill(log, 5)
            page = await log.read(numbers[2], 3)
            assert (page.gap, ids(page)) == ((numbers[3], numbers[19]), numbers[20:23])
            assert (await log.read(0, 3)).gap == (numbers[0], numbers[19])
            assert (await log.read(numbers[19], 3)).gap is None
            assert (log.oldest, log.latest) == (numbers[20], numbers[29])
            assert len(ids(await log.read(None, 100))) == 10


async def test_ids_go_on_after_a_restart_and_a_new_file_is_ahead_of_an_old_cursor(file):
    with Store(file, MANY, MANY) as store:
        async with open_log(store, MANY) as log:
            before = await fill(log, 3)
    with Store(file, MANY, MANY) as store:
        async with open_log(store, MANY) as log:
            assert ids(await log.read(0, 10)) == before
            assert await fill(log, 2) == [before[-1] + 1, before[-1] + 2]
            assert ids(await log.read(before[1], 10)) == [before[2], before[2] + 1, before[2] + 2]
    with Store(file.with_name("new.db"), MANY, MANY) as store:
        assert store.latest > before[-1]


async def test_what_was_appended_last_is_committed_at_the_end(file):
    with Store(file, MANY, MANY) as store:
        async with open_log(store, MANY) as log:
            await fill(log, 1)
            number = log.append("send", "d1", {})
        assert store.latest == number


async def test_a_failing_disk_holds_everything_back_until_it_works(file, monkeypatch):
    monkeypatch.setattr(module, "RETRY_AFTER", 0.01)
    with Store(file, MANY, MANY) as store:
        works, commit = False, store.commit

        def unreliable(*args):
            if not works:
                raise StoreError("disk full")
            commit(*args)

        monkeypatch.setattr(store, "commit", unreliable)
        async with open_log(store, MANY) as log:
            called = []
            first = log.append("send", "d1", {}, on_durable=lambda: called.append(1))
            await eventually(lambda: log.problem == "disk full", "the failure shows")
            second = log.append("send", "d1", {}, on_durable=lambda: called.append(2))
            assert (log.latest, called) == (first - 1, [])
            works = True
            await eventually(lambda: log.latest == second, "both events are stored")
            assert (log.problem, called, ids(await log.read(0, 9))) == (None, [1, 2], [first, second])


async def test_a_disk_that_fails_to_the_end_does_not_block_the_end(file, monkeypatch):
    with Store(file, MANY, MANY) as store:
        monkeypatch.setattr(store, "commit", lambda *_: (_ for _ in ()).throw(StoreError("disk full")))
        async with asyncio.timeout(5), open_log(store, MANY) as log:
            log.append("send", "d1", {})
        assert store.events(0, 9) == []


async def test_a_page_of_large_events_is_cut(file, monkeypatch):
    monkeypatch.setattr(module, "PAGE_BYTES", 1000)
    with Store(file, MANY, MANY) as store:
        async with open_log(store, MANY) as log:
            numbers = await fill(log, 6, size=250)
            page = await log.read(0, 6)
            assert (ids(page), page.next) == (numbers[:2], numbers[1])
            await fill(log, 2, size=5000)
            assert len((await log.read(numbers[-1], 5)).bodies) == 1


async def test_waiting_for_more(file):
    with Store(file, MANY, MANY) as store:
        async with open_log(store, MANY) as log:
            waiting = asyncio.create_task(log.changed())
            await asyncio.sleep(0.02)
            assert not waiting.done()
            await fill(log, 1)
            await asyncio.wait_for(waiting, 5)


async def test_events_in_memory_cost_little_more_than_their_size(file):
    with Store(file, MANY, MANY) as store:
        async with open_log(store, MANY) as log:
            await fill(log, 1000)
            before = resident_bytes()
            for _ in range(40):
                await fill(log, 500)
            grown = resident_bytes() - before
    assert grown < 20_000 * 1000, f"{grown / 20_000:.0f} bytes per event"


def resident_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


async def test_a_commit_that_hangs_is_a_problem_until_it_ends(file, monkeypatch):
    monkeypatch.setattr(module, "STUCK_AFTER", 0.05)
    with Store(file, MANY, MANY) as store:
        held, commit = threading.Event(), store.commit
        monkeypatch.setattr(store, "commit", lambda *batch: held.wait(10) and commit(*batch))
        async with open_log(store, MANY) as log:
            assert log.problem is None
            log.append("send", "d1", {})
            await eventually(lambda: log.problem and "has not ended" in log.problem, "it shows")
            held.set()
            await log.settled()
            assert log.problem is None


async def test_no_error_ends_the_log(file, monkeypatch):
    monkeypatch.setattr(module, "RETRY_AFTER", 0.01)
    with Store(file, MANY, MANY) as store:
        commit, errors = store.commit, [OverflowError("too large")]

        def fail_once(*batch):
            if errors:
                raise errors.pop()
            commit(*batch)

        monkeypatch.setattr(store, "commit", fail_once)
        async with open_log(store, MANY) as log:
            log.append("send", "d1", {}, on_durable=lambda: 1 / 0)
            await log.settled()
            assert await fill(log, 1) == [log.latest]
