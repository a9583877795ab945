import asyncio
import base64

import orjson
import pytest

from iiot import dead_letters, schemas
from iiot.errors import KafkaError
from testbed.connect import pump as pump_module
from testbed.connect.engine import Message
from testbed.connect.pump import Pump, Record, to_dead_letter, to_record

TOO_LARGE = "MSG_SIZE_TOO_LARGE: Broker: Message size too large"


class Journal:
    """Consumer, commit and producer in one, writing down in which order they are used."""

    def __init__(self, *batches, errors=()):
        self.steps, self.delivered = [], []
        self.fatal = None
        self._batches, self._errors = list(batches), list(errors)
        self._stopping = asyncio.Event()

    def poll(self):
        if self._batches:
            return self._batches.pop(0)
        self._stopping.set()
        return []

    def acknowledge(self):
        self.steps.append("acknowledged")

    def commit(self, message):
        self.steps.append(f"committed {message.payload.decode()}")

    def produce(self, topic, key, value, headers, on_delivery):
        error = self._errors.pop(0) if self._errors else None
        if isinstance(error, Exception):
            raise error
        if error is None:
            self.delivered.append((topic, value))
            self.steps.append("delivered")
        asyncio.get_running_loop().call_soon(on_delivery, error)

    async def run(self):
        pump = Pump("source", self, self.commit, self, lambda name: name.startswith("ce_"))
        async with asyncio.timeout(5):
            await pump.run(self._stopping)
        return pump.counts


def message(payload):
    return Message(
        payload, {"kafka_topic": "events", "kafka_key": "device", "ce_id": payload.decode(), "cursor": "7"}
    )


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(pump_module, "RETRY_AFTER", 0)


async def test_a_batch_is_committed_after_delivery_and_acknowledged_after_commit():
    journal = Journal([message(b"1"), message(b"2")], [], [message(b"3")])
    counts = await journal.run()
    assert journal.steps == [
        "delivered", "delivered", "committed 2", "acknowledged", "delivered", "committed 3", "acknowledged",
    ]  # fmt: skip
    assert (counts.received, counts.sent, counts.committed, counts.dead_letters) == (3, 3, 2, 0)


@pytest.mark.parametrize("error", [TOO_LARGE, KafkaError(TOO_LARGE)])
async def test_what_kafka_refuses_goes_to_the_dead_letters(error):
    journal = Journal([message(b"1"), message(b"2")], errors=[error])
    counts = await journal.run()
    (_, kept), (topic, letter) = journal.delivered
    assert kept == b"2"
    assert topic == "events.dlq"
    assert orjson.loads(letter)["reason"] == f"refused by Kafka: {TOO_LARGE}"
    assert journal.steps[-2:] == ["committed 2", "acknowledged"]
    assert (counts.sent, counts.refused, counts.dead_letters) == (2, 1, 1)


@pytest.mark.parametrize("error", ["UNKNOWN_TOPIC_OR_PART: no such topic", KafkaError("_QUEUE_FULL: full")])
async def test_other_errors_are_tried_again_and_hold_the_commit(error):
    journal = Journal([message(b"1")], errors=[error, error])
    counts = await journal.run()
    assert journal.steps == ["delivered", "committed 1", "acknowledged"]
    assert (counts.sent, counts.refused) == (1, 0)


async def test_a_dead_letter_that_is_too_large_is_cut_until_kafka_takes_it():
    journal = Journal([message(b"1" * 100_000)], errors=[TOO_LARGE] * 3)
    counts = await journal.run()
    ((topic, value),) = journal.delivered
    letter = dead_letters.read(value)
    assert (topic, letter.size, letter.payload) == ("events.dlq", 100_000, b"1" * 1024)
    assert (counts.refused, counts.dead_letters, counts.lost_letters) == (1, 1, 0)
    assert journal.steps[-1] == "acknowledged"


@pytest.mark.parametrize(
    "errors",
    [[TOO_LARGE] * 5, [TOO_LARGE, "POLICY_VIOLATION: no"],
     [TOO_LARGE] + ["UNKNOWN_TOPIC_OR_PART: no"] * dead_letters.TRIES],
)  # fmt: skip
async def test_a_record_of_which_kafka_takes_no_letter_is_counted_and_holds_nothing_up(errors):
    journal = Journal([message(b"1" * 100_000)], [message(b"2")], errors=errors)
    counts = await journal.run()
    assert [value for _, value in journal.delivered] == [b"2"]
    assert (counts.refused, counts.dead_letters, counts.lost_letters) == (1, 0, 1)
    assert journal.steps.count("acknowledged") == 2


async def test_a_letter_of_the_processors_is_cut_as_well():
    made = dead_letters.write("events", b"x" * 100_000, "missing endpoint")
    letter = Message(made, {"kafka_topic": "events.dlq", "kafka_key": "device"})
    journal = Journal([letter], errors=[TOO_LARGE])
    await journal.run()
    found = dead_letters.read(journal.delivered[0][1])
    assert (found.reason, found.size, len(found.payload)) == ("missing endpoint", 100_000, 65_536)


async def test_a_producer_that_is_beyond_repair_ends_the_process_without_a_commit():
    journal = Journal([message(b"1")], errors=["_FATAL: fenced"])
    journal.fatal = "fenced"
    with pytest.raises(KafkaError, match="fenced"):
        await journal.run()
    assert journal.steps == []


async def test_a_cancelled_batch_is_neither_committed_nor_acknowledged():
    journal = Journal([message(b"1")])
    journal.produce = lambda *_: None
    task = asyncio.create_task(journal.run())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal.steps == []


def test_metadata_say_where_a_message_goes():
    record = to_record(message(b"1"), lambda name: name.startswith("ce_"))
    assert record == Record("events", b"device", b"1", [("ce_id", b"1")])


def test_a_dead_letter_tells_why_and_keeps_everything():
    letter = to_dead_letter(Record("events", b"device", b"x" * 100_000, [("ce_id", b"1")]), "too large")
    value = orjson.loads(letter.value)
    assert letter.topic == "events.dlq"
    assert letter.headers == [
        ("ce_id", b"1"),
        ("ce_type", b"iot.dead-letter"),
        ("ce_dataschema", schemas.uri(schemas.DEAD_LETTER).encode()),
        ("error", b"too large"),
    ]
    assert (value["topic"], value["reason"], value["size"]) == ("events", "too large", 100_000)
    assert base64.b64decode(value["payload_base64"]) == b"x" * 100_000
