from hypothesis import given
from hypothesis import strategies as st

from testbed.experiments.samples import Phases, Sample, longest_silence, mean_rate, recovery


def course(*rates, outstanding=None, before=3):
    """Samples one second apart; the first `before` are undisturbed."""
    waiting = outstanding or [0] * len(rates)
    return [
        Sample(
            1000 * (at + 1),
            "before" if at < before else "during",
            rate,
            rate,
            5,
            9,
            waiting[at],
            paths={"lwm2m.http": rate, "lwm2m.bridge": 100.0, "idle": 0.1},
        )
        for at, rate in enumerate(rates)
    ]


def test_recovery_is_the_first_of_three_calm_seconds():
    samples = course(100, 100, 100, 0, 0, 100, 0, 100, 100, 100)
    assert recovery(samples, disturbed_until=4000) == 3.0


def test_a_backlog_is_no_recovery():
    samples = course(*[100] * 9, outstanding=[5, 5, 5, 900, 900, 900, 90, 5, 5])
    assert recovery(samples, disturbed_until=3000) == 3.0


def test_what_never_comes_back_has_not_recovered():
    assert recovery(course(100, 100, 100, 0, 0, 0, 100, 100), disturbed_until=3000) is None
    assert recovery(course(100, 100, 100), disturbed_until=3000) is None


def test_without_traffic_before_nothing_can_be_said():
    assert recovery(course(0, 0, 0, 100, 100, 100), disturbed_until=3000) is None
    assert mean_rate([], "before") is None


def test_silence_counts_from_the_disturbance_on():
    assert longest_silence(course(0, 0, 100, 0, 0, 0, 5, 0)) == 3


def test_one_silent_path_is_no_recovery_whatever_comes_on_the_others():
    samples = course(*[100] * 9)
    for sample in samples[3:6]:
        sample.paths["lwm2m.http"] = 0.0
    assert recovery(samples, disturbed_until=3000) == 3.0
    assert longest_silence(samples) == 3
    for sample in samples[3:]:
        sample.paths["idle"] = 0.0
    assert recovery(samples, disturbed_until=3000) == 3.0


@given(st.lists(st.floats(0, 1e6), max_size=40), st.integers(0, 50_000))
def test_recovery_never_fails_and_is_never_negative(rates, until):
    found = recovery(course(*rates), until)
    assert found is None or found >= 0


def test_a_latency_belongs_to_the_phase_in_which_it_was_sent():
    phases = Phases(began={"before": 1000, "during": 2000, "after": 3000}, ended=4000)
    for sent in (500, 1000, 1999, 2000, 3500):
        phases.note("lwm2m.http", sent, sent + 7)
    assert [phases.latency[phase].count for phase in phases.latency] == [2, 1, 1]
    assert phases.paths["lwm2m.http"]["during"].quantile(0.5) == 7
    assert phases.paths["lwm2m.bridge"]["during"].count == 0


def test_phases_know_their_length_and_the_one_that_holds():
    phases = Phases()
    assert (phases.current, phases.seconds("before")) == ("before", None)
    phases.began |= {"before": 0, "during": 1500}
    assert (phases.current, phases.seconds("before"), phases.seconds("during")) == ("during", 1.5, None)
    phases.ended = 4000
    assert phases.seconds("during") == 2.5
