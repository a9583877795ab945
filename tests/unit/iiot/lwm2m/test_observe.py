import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiot.errors import InvalidValueError
from iiot.lwm2m.datatypes import Type
from iiot.lwm2m.message import Attributes
from iiot.lwm2m.observe import AttributeStore, Defaults, Observation
from iiot.lwm2m.path import Path

TEMPERATURE = Path.parse("/3303/0/5700")
SWITCH = Path.parse("/3342/0/5500")


def observe(value, *, path=TEMPERATURE, defaults=Defaults(), now=0.0, **attributes):  # noqa: B008 - frozen
    return Observation({path: Attributes(**attributes)}, defaults, {path: value}, now)


def told(observation, steps, path=TEMPERATURE):
    """The (time, value) pairs of steps that made it notify."""
    return [(at, value) for at, value in steps if observation.evaluate({path: value}, at)]


@pytest.mark.parametrize(
    ("before", "after", "attributes", "notifies"),
    [
        (45, 50, {"gt": 45, "st": 10}, True),
        (38, 49, {"gt": 45, "st": 10}, True),
        (48, 42, {"gt": 45, "st": 10}, True),
        (48, 55, {"gt": 45, "st": 10}, False),
        (87, 99, {"lt": 20, "gt": 85, "st": 10}, True),
        (87, 96, {"lt": 20, "gt": 85, "st": 10}, False),
        (21, 19, {"lt": 20, "gt": 85}, True),
        (19, 20, {"lt": 20}, True),
        (15, 19, {"lt": 20}, False),
        (-71, -69, {"gt": -70}, True),
        (23.3, 23.4, {"st": 0.1}, True),
        (23.3, 23.39, {"st": 0.1}, False),
        (5, 5, {"st": 0}, False),
        (23.3, 23.4, {}, True),
        (23.3, 23.3, {}, False),
        ("a", "b", {}, True),
    ],
)
def test_a_change_notifies_by_its_thresholds(before, after, attributes, notifies):
    assert bool(told(observe(before, **attributes), [(1, after)])) is notifies


@pytest.mark.parametrize(("edge", "times"), [(None, [1, 2, 3]), (True, [2]), (False, [1, 3])])
def test_edges_of_a_boolean(edge, times):
    observation = observe(True, path=SWITCH, edge=edge)
    steps = [(1, False), (2, True), (3, False), (4, False)]
    assert [at for at, _ in told(observation, steps, SWITCH)] == times


def test_steps_count_from_the_last_notification_and_crossings_from_the_last_look():
    creeping = [(t, 20 + t * 0.4) for t in range(1, 11)]
    assert [at for at, _ in told(observe(20.0, st=1), creeping)] == [3, 6, 9]
    assert told(observe(44, gt=45), [(1, 46), (2, 44), (3, 44)]) == [(1, 46), (2, 44)]


def test_a_change_within_pmin_is_told_when_pmin_ends():
    observation = observe(20, pmin=10)
    assert told(observation, [(1, 21), (9.9, 22), (10, 23), (11, 23), (19, 24), (20, 24)]) == [
        (10, 23),
        (20, 24),
    ]


def test_a_crossing_within_pmin_is_told_even_when_the_value_came_back():
    assert told(observe(44, pmin=10, gt=45), [(1, 50), (2, 44), (10, 44)]) == [(10, 44)]


def test_pmax_forces_a_notification_and_every_notification_restarts_it():
    observation = observe(20, pmax=30)
    steps = [(10, 21), (39, 21), (40, 21), (69, 21), (70, 21)]
    assert [at for at, _ in told(observation, steps)] == [10, 40, 70]


@pytest.mark.parametrize("pmax", [0, 5])
def test_a_pmax_of_0_or_below_pmin_is_ignored(pmax):
    assert told(observe(20, pmin=10, pmax=pmax), [(t, 20) for t in range(100)]) == []


def test_defaults_of_the_server_object_hold_where_no_attribute_does():
    defaults = Defaults(pmin=5, pmax=60)
    assert told(observe(1, defaults=defaults), [(1, 2), (5, 2), (65, 2)]) == [(5, 2), (65, 2)]
    assert told(observe(1, defaults=defaults, pmin=0), [(1, 2)]) == [(1, 2)]


def test_epmin_spaces_the_looks_and_epmax_bounds_them():
    observation = observe(20, epmin=5, epmax=20)
    assert told(observation, [(1, 21), (4.9, 22), (5, 20), (10, 21)]) == [(10, 21)]
    assert observation.next_evaluation(period=1) == 15
    assert observation.next_evaluation(period=60) == 30


def test_the_next_look_is_due_for_whichever_timer_ends_first():
    observation = observe(20, pmin=10, pmax=60)
    assert observation.next_evaluation(period=100) == 60
    assert not observation.evaluate({TEMPERATURE: 21}, 8)
    assert observation.next_evaluation(period=100) == 10


def test_a_sensor_that_does_not_answer_is_no_change():
    observation = observe(20, pmax=10)
    assert not observation.evaluate({}, 5)
    assert not observation.evaluate({}, 11)
    assert observation.evaluate({TEMPERATURE: 20}, 12)


def test_an_instance_notifies_for_any_value_below_and_for_a_new_one():
    instance = Path.parse("/3303/0")
    values = {instance / 5700: 20.0, instance / 5701: "Cel"}
    observation = Observation({instance: Attributes()}, Defaults(), values, 0)
    assert not observation.evaluate(values, 1)
    assert observation.evaluate(values | {instance / 5701: "K"}, 2)
    assert observation.evaluate(values | {instance / 5701: "K", instance / 5750: "x"}, 3)


def test_a_composite_observation_notifies_by_each_path_and_shares_its_timers():
    battery = Path.parse("/3/0/9")
    targets = {TEMPERATURE: Attributes(st=5), battery: Attributes(pmin=10, pmax=100)}
    observation = Observation(targets, Defaults(), {TEMPERATURE: 20, battery: 90}, 0)
    at = [
        now
        for now, temperature, level in [(1, 26, 90), (2, 26, 89), (10, 26, 89), (11, 26, 89), (111, 26, 89)]
        if observation.evaluate({TEMPERATURE: temperature, battery: level}, now)
    ]
    assert at == [1, 11, 111]
    assert observation.paths == (TEMPERATURE, battery)


def test_changed_attributes_hold_at_once():
    observation = observe(20, pmin=1000)
    assert not observation.evaluate({TEMPERATURE: 21}, 1)
    observation.change({TEMPERATURE: Attributes(pmin=2, hqmax=7)}, Defaults())
    assert observation.history_limit == 7
    assert observation.evaluate({TEMPERATURE: 21}, 2)


def test_attributes_are_inherited_and_the_nearest_level_wins():
    store = AttributeStore()
    store.write(Path.of(3303), Attributes(pmin=10, pmax=100))
    store.write(Path.of(3303, 0), Attributes(pmin=20))
    store.write(TEMPERATURE, Attributes(st=0.5), Type.FLOAT)
    store.write(TEMPERATURE / 0, Attributes(pmax=7), Type.FLOAT)
    assert store.effective(TEMPERATURE) == Attributes(pmin=20, pmax=100, st=0.5)
    assert store.effective(TEMPERATURE / 0) == Attributes(pmin=20, pmax=7, st=0.5)
    assert store.effective(Path.of(3303, 1)) == Attributes(pmin=10, pmax=100)
    assert store.effective(Path.of(3, 0)) == Attributes()
    assert store.attached(Path.of(3303, 0)) == {"pmin": 20}
    store.write(Path.of(3303, 0), Attributes(unset=frozenset({"pmin"})))
    assert store.effective(TEMPERATURE).pmin == 10
    store.forget(Path.of(3303))
    assert store.effective(TEMPERATURE / 0) == Attributes()


@pytest.mark.parametrize(
    ("path", "kind", "given", "field"),
    [
        (TEMPERATURE, Type.FLOAT, {"lt": 30, "gt": 20}, "lt"),
        (TEMPERATURE, Type.FLOAT, {"lt": 20, "gt": 20}, "lt"),
        (TEMPERATURE, Type.FLOAT, {"lt": 20, "gt": 40, "st": 10}, "lt"),
        (TEMPERATURE, Type.FLOAT, {"epmin": 10, "epmax": 10}, "epmin"),
        (TEMPERATURE, Type.FLOAT, {"st": -1}, "st"),
        (TEMPERATURE, Type.FLOAT, {"edge": True}, "edge"),
        (TEMPERATURE.parent, None, {"gt": 20}, "gt"),
        (SWITCH, Type.BOOLEAN, {"st": 1}, "st"),
        (Path(), None, {"pmin": 1}, "path"),
    ],
)
def test_what_contradicts_is_refused_and_changes_nothing(path, kind, given, field):
    store = AttributeStore()
    with pytest.raises(InvalidValueError) as refused:
        store.write(path, Attributes(**given), kind)
    assert refused.value.field == field
    assert store.attached(path) == {}


def test_what_contradicts_an_inherited_attribute_is_refused():
    store = AttributeStore()
    store.write(TEMPERATURE, Attributes(lt=20, gt=85, st=10), Type.FLOAT)
    store.write(TEMPERATURE / 0, Attributes(epmax=10), Type.FLOAT)
    with pytest.raises(InvalidValueError):
        store.write(TEMPERATURE / 0, Attributes(gt=40), Type.FLOAT)
    with pytest.raises(InvalidValueError):
        store.write(Path.of(3303), Attributes(epmin=10))
    store.write(TEMPERATURE, Attributes(gt=30, unset=frozenset({"st"})), Type.FLOAT)
    assert store.effective(TEMPERATURE) == Attributes(lt=20, gt=30)


values = st.integers(-50, 50)
seconds = st.integers(0, 30)


@given(st.lists(st.tuples(st.integers(1, 5), values), max_size=60), seconds, st.integers(1, 60))
def test_pmin_and_pmax_bound_the_gaps_and_no_change_is_forgotten(steps, pmin, pmax):
    observation = observe(0, pmin=pmin, pmax=pmax)
    now, last_at, last_value, changed = 0, 0, 0, False
    for wait, value in steps:
        previous, now = now, now + wait
        changed = changed or value != last_value
        if observation.evaluate({TEMPERATURE: value}, now):
            assert now - last_at >= pmin
            last_at, last_value, changed = now, value, False
        else:
            assert not (changed and now - last_at >= pmin)
            assert pmax < pmin or now - last_at < pmax
        assert previous < now


@given(st.lists(values, max_size=40), values, st.integers(1, 40))
def test_without_timers_a_value_is_told_exactly_when_it_crosses_or_steps(series, gt, step):
    observation = observe(0, gt=gt, st=step)
    seen = notified = 0
    for now, value in enumerate(series, 1):
        expected = (seen > gt) != (value > gt) or abs(value - notified) >= step
        assert observation.evaluate({TEMPERATURE: value}, now) is expected
        seen = value
        notified = value if expected else notified
