import itertools

from iiot.sparkplug.rebirth import RebirthPolicy, RebirthReason, RebirthScheduler

A, B = ("IIoT", "a"), ("IIoT", "b")
GAP, UNKNOWN = RebirthReason.GAP, RebirthReason.UNKNOWN_METRIC


def scheduler(**limits):
    return RebirthScheduler(RebirthPolicy(debounce=1000, jitter=0, **limits), lambda: 0.0)


def test_many_bad_messages_are_one_request():
    rebirths = scheduler()
    for now in range(0, 500, 10):
        rebirths.want(A, GAP, now)
    assert rebirths.take_due(500) == [A]
    assert rebirths.wanted[GAP] == 1


def test_a_second_request_waits_for_the_debounce_time():
    rebirths = scheduler()
    rebirths.want(A, GAP, 0)
    assert rebirths.take_due(0) == [A]
    rebirths.want(A, UNKNOWN, 10)
    assert rebirths.take_due(999) == []
    assert rebirths.take_due(1000) == [A]


def test_a_birth_makes_the_request_needless():
    rebirths = scheduler()
    rebirths.want(A, GAP, 0)
    rebirths.want(B, GAP, 0)
    rebirths.born(A)
    assert rebirths.take_due(10) == [B]
    rebirths.want(A, GAP, 20)
    assert rebirths.take_due(20) == [A]


def test_jitter_delays():
    rebirths = RebirthScheduler(RebirthPolicy(jitter=1000), lambda: 0.5)
    rebirths.want(A, GAP, 0)
    assert rebirths.take_due(499) == []
    assert rebirths.take_due(500) == [A]


def test_the_overall_rate_holds_over_all_nodes():
    rebirths = scheduler(per_second=10)
    nodes = [("IIoT", f"n{i}") for i in range(100)]
    for node in nodes:
        rebirths.want(node, GAP, 0)
    asked = [len(rebirths.take_due(now)) for now in range(0, 5000, 100)]
    assert asked[0] == 10
    assert set(asked[1:]) == {1}
    asked += [len(rebirths.take_due(now)) for now in range(5000, 10_000, 100)]
    assert sum(asked) == 100


def test_a_clock_that_goes_back_is_survived():
    rebirths = scheduler()
    rebirths.want(A, GAP, 10_000)
    assert rebirths.take_due(10_000) == [A]
    rebirths.want(B, GAP, 5_000)
    assert rebirths.take_due(5_000) == [B]


def test_observe_only_counts_and_never_asks():
    rebirths = scheduler(observe_only=True)
    for now in (0, 10, 2000):
        rebirths.want(A, GAP, now)
    assert rebirths.take_due(100_000) == []
    assert rebirths.wanted[GAP] == 2


def test_reasons_can_be_turned_off():
    rebirths = scheduler(reasons=frozenset({GAP}))
    rebirths.want(A, UNKNOWN, 0)
    assert rebirths.take_due(0) == []
    assert rebirths.wanted[UNKNOWN] == 0
    rebirths.want(A, GAP, 0)
    assert rebirths.take_due(0) == [A]


def test_a_request_by_a_person_counts_for_the_debounce():
    rebirths = scheduler()
    rebirths.asked(A, 0)
    rebirths.want(A, GAP, 1)
    assert rebirths.take_due(500) == []
    assert rebirths.take_due(1000) == [A]


def test_a_node_that_births_do_not_cure_is_asked_ever_less():
    rebirths = scheduler()
    asked = []
    for now in range(0, 1_000_000, 100):
        rebirths.want(A, UNKNOWN, now)
        for node in rebirths.take_due(now):
            rebirths.born(node)
            asked.append(now)
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert waits[:8] == [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 64_000]


def test_after_a_calm_time_the_first_request_is_quick_again():
    rebirths = scheduler()
    for now in (0, 1000, 10_000):
        rebirths.want(A, GAP, now)
        assert rebirths.take_due(now) == [A]
    rebirths.want(A, GAP, 10_001)
    assert rebirths.take_due(11_000) == [A]
