import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iiot import topics
from testbed.verify.intervals import MAX_RANGES, SESSION_GAP
from testbed.verify.ledger import Counter, Ledger
from testbed.verify.paths import PATHS, Entry

START = 1_800_000_000_000_000
NOW = START + 3600 * SESSION_GAP
TOPIC = {path.name: path.topics[-1] for path in PATHS}


def feed(ledger, path, device, numbers, *, sent_ms=1000, stored_ms=1010):
    for number in numbers:
        ledger.observe(TOPIC[path], Entry(device, number, sent_ms), stored_ms)


def sparkplug(last, *, device="d", first=START):
    return Counter(device, "sparkplug", first, last)


def lwm2m(last, *, device="d", first=START):
    return Counter(device, "lwm2m", first, last)


def test_only_what_was_sent_in_the_window_counts():
    ledger = Ledger([sparkplug(START + 9)])
    feed(ledger, "sparkplug.data", "d", range(START, START + 25))
    ledger.close([sparkplug(START + 19)], NOW)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.delivered, verdict.lost, verdict.duplicated) == (10, 10, 0, 0)
    assert verdict.devices == 1


def test_a_message_is_lost_when_one_of_its_paths_lacks_it():
    ledger = Ledger([lwm2m(START - 1)])
    numbers = range(START, START + 10)
    feed(ledger, "lwm2m.bridge", "d", numbers)
    feed(ledger, "lwm2m.http", "d", [n for n in numbers if n not in (START + 3, START + 4)])
    feed(ledger, "lwm2m.websocket", "d", [n for n in numbers if n not in (START + 4, START + 9)])
    ledger.close([lwm2m(START + 9)], NOW)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.delivered, verdict.lost) == (10, 7, 3)
    assert {name: totals.lost for name, totals in verdict.paths.items()} == {
        "sparkplug.data": 0,
        "lwm2m.bridge": 0,
        "lwm2m.http": 2,
        "lwm2m.websocket": 2,
    }
    assert ("d", "lwm2m.http", START + 3, START + 4) in verdict.missing


def test_nothing_seen_at_all_is_all_lost():
    ledger = Ledger([sparkplug(START)])
    ledger.close([sparkplug(START + 5)], NOW)
    assert ledger.verdict().lost == 5


def test_registration_and_update_topics_are_one_path_with_an_order_each():
    ledger = Ledger([lwm2m(START - 1)])
    for topic, numbers in ((topics.LWM2M_UPDATES, (1, 2, 4)), (topics.LWM2M_REGISTRATION, (0, 3))):
        for number in numbers:
            ledger.observe(topic, Entry("d", START + number, None), None)
    feed(ledger, "lwm2m.http", "d", range(START, START + 5))
    feed(ledger, "lwm2m.websocket", "d", range(START, START + 5))
    ledger.close([lwm2m(START + 4)], NOW)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.lost, verdict.reordered) == (5, 0, 0)


def test_a_restart_is_no_loss():
    second = START + 30 * SESSION_GAP
    ledger = Ledger([sparkplug(START + 9)])
    feed(ledger, "sparkplug.data", "d", [*range(START + 10, START + 20), *range(second, second + 5)])
    ledger.count([sparkplug(START + 14)])
    ledger.close([sparkplug(second + 4, first=second)], NOW)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.delivered, verdict.lost) == (15, 15, 0)


def test_holes_around_a_restart_are_loss():
    second = START + 30 * SESSION_GAP
    ledger = Ledger([sparkplug(START + 9)])
    feed(ledger, "sparkplug.data", "d", [START + 10, START + 13, second + 1, second + 2])
    ledger.count([sparkplug(START + 15)])
    ledger.close([sparkplug(second + 3, first=second)], NOW)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.delivered) == (6 + 4, 4)


def test_a_device_that_appears_counts_from_its_first():
    ledger = Ledger([])
    feed(ledger, "sparkplug.data", "new", range(START, START + 3))
    ledger.count([sparkplug(START + 2, device="new")])
    feed(ledger, "sparkplug.data", "new", range(START + 3, START + 6))
    ledger.close([sparkplug(START + 6, device="new")], NOW)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.delivered, verdict.lost) == (7, 6, 1)


def test_a_device_that_vanished_is_held_to_what_was_seen_of_it():
    ledger = Ledger([sparkplug(START - 1)])
    ledger.count([sparkplug(START + 4)])
    feed(ledger, "sparkplug.data", "d", [*range(START, START + 7), START + 8])
    ledger.close([], NOW)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.delivered, verdict.lost) == (9, 8, 1)


def test_devices_that_no_simulator_answers_for_count_for_nothing():
    ledger = Ledger([])
    feed(ledger, "sparkplug.data", "stranger", [1, 2, 2, 1, 9])
    ledger.close([], NOW)
    verdict = ledger.verdict()
    assert (verdict.sent, verdict.delivered, verdict.lost, verdict.duplicated, verdict.reordered) == (0,) * 5
    assert verdict.latency.count == 0


def test_latency_is_from_device_to_kafka():
    ledger = Ledger([sparkplug(START - 1)])
    feed(ledger, "sparkplug.data", "d", range(START, START + 99), sent_ms=5_000, stored_ms=5_007)
    feed(ledger, "sparkplug.data", "d", [START + 99], sent_ms=5_000, stored_ms=5_060)
    feed(ledger, "sparkplug.data", "d", [START + 100], sent_ms=None)
    ledger.close([sparkplug(START + 100)], NOW)
    latency = ledger.verdict().paths["sparkplug.data"].latency
    assert (latency.count, latency.quantile(0.5), latency.quantile(1.0)) == (100, 7, 60)


def test_more_holes_than_are_kept_apart_still_add_up():
    ledger = Ledger([sparkplug(START - 1)])
    last = START + 4 * MAX_RANGES
    feed(ledger, "sparkplug.data", "d", range(START, last + 1, 2))
    ledger.close([sparkplug(last)], NOW)
    verdict = ledger.verdict(max_missing=5)
    assert (verdict.sent, verdict.lost) == (4 * MAX_RANGES + 1, 2 * MAX_RANGES)
    assert len(verdict.missing) == 5


@st.composite
def traffic(draw):
    """Sessions of a device, and what a path makes of their messages: copies of each, and their order."""
    sessions = draw(st.lists(st.integers(1, 30), min_size=1, max_size=3))
    copies = {path.name: draw(st.lists(st.integers(0, 3), min_size=90, max_size=90)) for path in PATHS}
    return sessions, copies, draw(st.integers(0, 12)), draw(st.randoms(use_true_random=False))


@settings(max_examples=150)
@given(traffic(), st.integers(0, 10))
def test_injected_faults_are_counted_exactly(drawn, before):
    sessions, copies, shuffle, rng = drawn
    runs = [
        range(START + index * 60 * SESSION_GAP, START + index * 60 * SESSION_GAP + length)
        for index, length in enumerate(sessions)
    ]
    sent = [number for run in runs for number in run]
    before = min(before, sessions[0])
    due = sent[before:]
    ledger = Ledger([Counter("d", s, START, START + before - 1) for s in ("sparkplug", "lwm2m")])
    lost_anywhere = {"sparkplug": set(), "lwm2m": set()}
    expected = {}
    for path in PATHS:
        arrivals = [n for n, times in zip(sent, copies[path.name], strict=False) for _ in range(times)]
        arrivals = jumbled(arrivals, shuffle, rng)
        feed(ledger, path.name, "d", arrivals)
        expected[path.name] = reference(arrivals, set(due))
        lost_anywhere[path.stream] |= set(due) - set(arrivals)
    ends = [Counter("d", s, run[0], run[-1]) for s in ("sparkplug", "lwm2m") for run in runs]
    ledger.count(ends)
    ledger.close(ends[len(runs) - 1 :: len(runs)], NOW)

    verdict = ledger.verdict()
    found = {name: (p.delivered, p.duplicated, p.reordered) for name, p in verdict.paths.items()}
    assert found == expected
    assert all(p.sent == p.delivered + p.lost == len(due) for p in verdict.paths.values())
    assert verdict.sent == 2 * len(due)
    assert verdict.lost == sum(len(lost) for lost in lost_anywhere.values())


def jumbled(numbers, distance, rng):
    """Each moved back by up to `distance` places."""
    keyed = sorted(enumerate(numbers), key=lambda pair: pair[0] + rng.uniform(0, distance))
    return [number for _, number in keyed]


def reference(arrivals, due):
    seen, highest, duplicated, reordered = set(), 0, 0, 0
    for number in (n for n in arrivals if n in due):
        if number in seen:
            duplicated += 1
            continue
        reordered += number < highest
        highest = max(highest, number)
        seen.add(number)
    return len(seen), duplicated, reordered


@pytest.mark.parametrize("devices", [500])
def test_state_does_not_grow_with_messages(devices):
    ledger = Ledger([sparkplug(START - 1, device=f"d{i}") for i in range(devices)])
    rng = random.Random(7)
    for number in range(START, START + 200):
        for index in range(devices):
            if rng.random() > 0.001:
                ledger.observe(TOPIC["sparkplug.data"], Entry(f"d{index}", number, None), None)
    kept = sum(len(list(track.seen.ranges)) for track in ledger._tracks["sparkplug.data"].values())
    assert kept < 2 * devices


ROUNDS = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), max_size=6),
    min_size=1,
    max_size=12,
)
"""For each message of each round how often it comes on each of the three LwM2M paths."""


@settings(max_examples=60)
@given(ROUNDS, st.sets(st.integers(0, 11)), st.integers(0, 3), st.sets(st.integers(1, 11)))
def test_giving_up_now_and_then_changes_no_figure(rounds, given_up, lag, restarts):
    eternal, plain = (Ledger([lwm2m(START - 1)]) for _ in range(2))
    paths = [path for path in PATHS if path.stream == "lwm2m"]
    first = number = START
    marks = []
    for turn, messages in enumerate(rounds):
        if turn in restarts:
            first = number = number + 2 * SESSION_GAP
        for times in messages:
            for path, count in zip(paths, times, strict=True):
                for ledger in (eternal, plain):
                    feed(ledger, path.name, "d", [number] * count)
            number += 1
        for ledger in (eternal, plain):
            ledger.count([lwm2m(number - 1, first=first)])
        marks.append(eternal.sent_so_far())
        if turn in given_up and len(marks) > lag:
            eternal.give_up(marks[-1 - lag])
    found, expected = eternal.verdict(), plain.verdict()
    assert found.given_up <= found.lost
    for name, path in found.paths.items():
        same = expected.paths[name]
        assert (path.sent, path.delivered, path.lost) == (same.sent, same.delivered, same.lost)
        assert (path.duplicated, path.reordered) == (same.duplicated, same.reordered)
    assert (found.sent, found.delivered, found.lost) == (expected.sent, expected.delivered, expected.lost)
