from console.streams import BATCH, batches
from console.tap import KEEP, KEEP_BYTES, Raw, Watch
from iiot.in_order import LARGE_BYTES
from sparkplug_hostile import HOSTILE


def test_a_page_that_is_too_slow_misses_the_oldest_messages():
    watch = Watch("device")
    for number in range(KEEP + 2):
        watch.put(str(number), b"", number)
    assert watch.skipped == 2
    assert watch.take()[0].topic == "2"


def test_messages_that_wait_take_so_many_bytes_at_most():
    watch = Watch("device")
    for number in range(12):
        watch.put(str(number), bytes(KEEP_BYTES // 8), number)
    assert [raw.topic for raw in watch.take()] == [str(number) for number in range(4, 12)]
    watch.put("next", bytes(KEEP_BYTES), 1)
    assert (watch.skipped, len(watch.take())) == (4, 1)


def test_batches_keep_the_order_and_hold_little():
    sizes = [10] * (BATCH + 5) + [LARGE_BYTES + 1, 10, LARGE_BYTES - 5, 10]
    messages = [Raw(str(number), bytes(size), 1) for number, size in enumerate(sizes)]
    found = batches(messages)
    assert [raw for batch in found for raw in batch] == messages
    assert [len(batch) for batch in found] == [BATCH, 5, 1, 1, 1, 1]
    assert batches([]) == []


def test_a_compressed_message_is_a_batch_of_its_own():
    small, bomb = Raw("a", b"x", 1), Raw("b", HOSTILE["4 kB of zlib"], 1)
    assert batches([small, bomb, small]) == [[small], [bomb], [small]]
