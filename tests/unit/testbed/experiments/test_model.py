import pytest

from iiot.errors import InvalidValueError
from testbed.experiments.catalog import EXPERIMENTS, find
from testbed.experiments.model import PARTS, Expectation


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_says_what_it_does_and_runs_with_its_defaults(name):
    one = find(name)
    assert one.title
    assert one.does.endswith(".")
    assert one.expects.endswith(".")
    values = one.check({})
    assert list(values) == [parameter.name for parameter in one.parameters]
    assert isinstance(one.expectation(values), Expectation)


def test_an_unknown_experiment_names_those_there_are():
    with pytest.raises(InvalidValueError, match="part-kill"):
        find("nothing")


@pytest.mark.parametrize(
    ("parameters", "allowed"),
    [
        ({"rate": 0}, "a whole number from 1 to 20000"),
        ({"rate": "many"}, "a whole number from 1 to 20000"),
        ({"rate": True}, "a whole number from 1 to 20000"),
        ({"rate": 1.5}, "a whole number from 1 to 20000"),
        ({"shape": "round"}, "steady, bursts"),
        ({"colour": "red"}, "one of devices, rate, seconds, shape"),
    ],
)
def test_bad_parameters_say_what_is_allowed(parameters, allowed):
    with pytest.raises(InvalidValueError) as refused:
        find("load").check(parameters)
    assert refused.value.field in parameters
    assert refused.value.allowed == allowed


def test_numbers_may_come_as_text_from_a_command_line():
    assert find("load").check({"rate": "25"})["rate"] == 25


@pytest.mark.parametrize("name", [name for name, one in EXPERIMENTS.items() if one.breaks_parts])
@pytest.mark.parametrize("part", PARTS)
def test_only_the_broker_and_the_devices_may_lose_anything(name, part):
    one = find(name)
    expectation = one.expectation(one.check({"part": part}))
    assert (expectation.lost > 0) == (part in ("mosquitto", "device-simulator"))
    assert expectation.recovers_within
