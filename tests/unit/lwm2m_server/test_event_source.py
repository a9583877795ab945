import orjson
import pytest

from lwm2m_server.event_source import FeedSource
from lwm2m_server.events import open_log
from lwm2m_server.store import Store


@pytest.fixture
async def log(tmp_path):
    with Store(tmp_path / "events.db", 4, 10_000_000) as store:
        async with open_log(store, 1_000_000) as events:
            yield events


async def append(log, *kinds):
    numbers = [log.append(kind, f"device-{kind}", {"seq": 1}) for kind in kinds]
    await log.settled()
    return numbers


async def test_events_have_their_number_type_and_endpoint(log):
    numbers = await append(log, "registered", "send")
    batch = await FeedSource(log).read(numbers[0] - 1, 10)
    assert [(event.id, event.type, event.endpoint) for event in batch.events] == [
        (numbers[0], "registered", "device-registered"), (numbers[1], "send", "device-send"),
    ]  # fmt: skip
    assert orjson.loads(batch.events[1].body)["id"] == numbers[1]
    assert (batch.next, batch.skipped) == (numbers[1], False)


async def test_what_is_gone_and_a_cursor_from_elsewhere_are_told(log):
    numbers = await append(log, *["send"] * 8)
    source = FeedSource(log)
    behind = await source.read(numbers[0], 10)
    ahead = await source.read(numbers[-1] + 1000, 10)
    for batch in (behind, ahead):
        assert batch.skipped
        assert [event.id for event in batch.events] == list(range(source.oldest, source.latest + 1))
        assert batch.next == source.latest == numbers[-1]
    assert not (await source.read(source.latest, 10)).skipped
