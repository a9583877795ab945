import pytest

from iiot.lwm2m.message import Attributes, Code, Notify, Operation
from iiot.lwm2m.path import ROOT, Path
from lwm2m_bench import TEMPERATURE, Bench

PATHS = (TEMPERATURE.path,)


@pytest.fixture
def bench():
    made = Bench()
    made.registers()
    return made


def test_an_intent_keeps_its_token_over_registrations_and_restarts(bench):
    observation = bench.observations.intend("d1", PATHS, False)
    assert bench.observations.intend("d1", PATHS, False) is observation
    bench.registers()
    assert [(c.operation, c.path, c.token) for c in bench.sent] == [("observe", *PATHS, observation.token)]
    bench.answers(code=Code.CONTENT, records=(TEMPERATURE,))
    assert observation.state == "active"
    again = Bench()
    again.observations.restore(bench.log.documents.values())
    assert again.observations.path("d1", observation.token) == PATHS[0]
    again.registers()
    assert [command.token for command in again.sent] == [observation.token]


def test_attributes_of_an_observe_are_kept_with_the_intent(bench):
    own = Attributes(pmin=1, gt=20.5, edge=True)
    observation = bench.observations.intend("d1", PATHS, False, own)
    bench.registers()
    assert bench.sent[-1].attributes == own
    bench.answers(code=Code.CONTENT, records=(TEMPERATURE,))
    again = Bench()
    again.observations.restore(bench.log.documents.values())
    again.registers()
    assert again.sent[-1].attributes == own
    assert again.observations.of("d1")[0].describe()["attributes"] == {"pmin": 1, "gt": 20.5, "edge": True}
    bench.observations.agreed(observation, None)
    bench.registers()
    assert bench.sent[-1].attributes is None


def test_composite_intents_are_made_anew_as_such(bench):
    paths = (TEMPERATURE.path, Path.of(3, 0, 9))
    token = bench.observations.intend("d1", paths, True).token
    assert bench.observations.path("d1", token) == ROOT
    bench.registers()
    assert (bench.sent[-1].operation, bench.sent[-1].paths) == (Operation.OBSERVE_COMPOSITE, paths)


def test_a_refused_observation_tells_why_and_is_tried_again(bench):
    observation = bench.observations.intend("d1", PATHS, False)
    bench.registers()
    bench.answers(code=Code.METHOD_NOT_ALLOWED, error="not observable")
    assert (observation.state, observation.error) == ("failed", "not observable")
    bench.registers()
    assert len(bench.sent) == 2


def test_notifications_become_events_and_values(bench):
    observation = bench.observations.intend("d1", PATHS, False)
    bench.hears(Notify(token=observation.token, records=(TEMPERATURE,), seq=5))
    kind, _, data, *_ = bench.log.events[-1]
    assert (kind, data["kind"], data["paths"], data["seq"]) == ("notification", "single", ["/3303/0/5700"], 5)
    assert bench.values.latest("d1", ROOT) == {PATHS[0]: (bench.clock.wall, 23.5)}
    assert (observation.state, observation.notifications) == ("active", 1)


def test_an_unknown_token_is_cancelled_once(bench):
    for _ in range(3):
        bench.hears(Notify(token="4711", records=(TEMPERATURE,)))
    assert [(c.operation, c.token) for c in bench.sent] == [("cancel-observe", "4711")]
    assert bench.log.kinds == ["registered", "refused", "refused", "refused"]
    assert bench.values.latest("d1", ROOT) == {}
    bench.answers(code=Code.CONTENT)
    bench.hears(Notify(token="4711", records=(TEMPERATURE,)))
    assert len(bench.sent) == 2


def test_what_is_forgotten_does_not_come_back(bench):
    observation = bench.observations.intend("d1", PATHS, False)
    bench.observations.forget(observation)
    assert (len(bench.observations), bench.log.documents) == (0, {})
    bench.registers()
    assert bench.sent == []
