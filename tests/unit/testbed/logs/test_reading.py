import threading
from datetime import UTC, datetime

import pytest

from testbed.engines.native import logs
from testbed.logs.line import instant, moment

MORNING = datetime(2026, 11, 25, 9, 0, 0, 250_000, UTC)


def local(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ('{"event":"x","timestamp":"2026-11-25T09:00:00.250000Z"}', MORNING.timestamp()),
        ("2026-11-25T10:11:12: New connection", local("2026-11-25T10:11:12")),
        ("2026-11-25T10:11:12.345 [main] WARN kafka", local("2026-11-25T10:11:12.345")),
        ("[2026-11-25 10:11:12,345] INFO", local("2026-11-25T10:11:12.345")),
        ("INFO  2026-11-25 10:11:12,345 [shard 0] main", local("2026-11-25T10:11:12.345")),
        ("time=2026-11-25T09:00:00.250Z level=INFO", MORNING.timestamp()),
        ("ts=2026-11-25T09:00:00.250Z caller=main.go", MORNING.timestamp()),
        ("1764061200: mosquitto version 2", 1764061200),
        ("1764061200.123 mosquitto version 2", 1764061200),
        ("    at java.base/java.lang.Thread.run(Thread.java)", None),
        ("2026-13-45T10:11:12 is no date", None),
        ("", None),
    ],
)
def test_each_parts_way_to_write_the_time_is_understood(text, at):
    assert moment(text) == at


def test_docker_writes_ns():
    assert instant("2026-11-25T09:00:00.250000999Z") == MORNING.timestamp()
    assert instant("2026-11-25T09:00:00.25Z") == MORNING.timestamp()


def write(directory, name, *lines):
    file = directory / name
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def texts(files, *, lines=None, since=None):
    return [(line.part, line.text) for line in logs.read(files, follow=False, lines=lines, since=since)]


@pytest.fixture
def files(tmp_path):
    first = write(tmp_path, "a.log", "2026-11-25T10:00:00: one", "  its rest", "2026-11-25T10:00:02: three")
    second = write(tmp_path, "bc.log", "2026-11-25T10:00:01: two", "2026-11-25T10:00:03: four")
    write(tmp_path, "a.log.1", "2026-11-25T09:00:00: set aside")
    return [first, second]


def test_lines_of_all_parts_come_in_the_order_of_their_times(files):
    assert texts(files) == [
        ("a", "2026-11-25T09:00:00: set aside"),
        ("a", "2026-11-25T10:00:00: one"),
        ("a", "  its rest"),
        ("bc", "2026-11-25T10:00:01: two"),
        ("a", "2026-11-25T10:00:02: three"),
        ("bc", "2026-11-25T10:00:03: four"),
    ]


def test_the_last_lines_are_those_of_each_part(files):
    assert texts(files, lines=1) == [
        ("a", "2026-11-25T10:00:02: three"),
        ("bc", "2026-11-25T10:00:03: four"),
    ]
    assert texts(files, lines=0) == []


def test_older_lines_are_left_out_with_what_belongs_to_them(files):
    since = datetime.fromisoformat("2026-11-25T10:00:01").astimezone()
    assert [text[-5:] for _, text in texts(files, since=since)] == [": two", "three", " four"]


def test_following_goes_on_after_a_log_was_set_aside_and_waits_for_whole_lines(tmp_path):
    log = write(tmp_path, "a.log", "old line that is long")
    seen = []
    lines = logs.read([log], follow=True, lines=1, since=None)
    seen.append(next(lines).text)
    begun = threading.Timer(0.1, lambda: log.write_text("ne"))
    whole = threading.Timer(0.8, lambda: log.write_text("new\n"))
    begun.start()
    whole.start()
    seen.append(next(lines).text)
    begun.join()
    whole.join()
    assert seen == ["old line that is long", "new"]


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path):
    file = tmp_path / "a.log"
    file.write_bytes(b"\xff\xfe\x00\n\xc3\x28 rest\r\n")
    assert [text for _, text in texts([file])] == ["\ufffd\ufffd\x00", "\ufffd( rest"]
