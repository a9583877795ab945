import orjson
import pytest

from iiot.errors import InvalidValueError
from iiot.lwm2m.message import Record
from lwm2m_server.firmware.campaign import Campaign, Progress
from lwm2m_server.firmware.plan import Action, Step, decide
from lwm2m_server.firmware.protocols import SUPPORTED, check_uri, unsupported


@pytest.mark.parametrize(
    ("step", "state", "result", "since", "action"),
    [
        ("pending", 0, 0, 0, "transfer"),
        ("pending", 0, 1, 0, "transfer"),
        ("pending", 1, 0, 0, "reset"),
        ("pending", 2, 0, 0, "reset"),
        ("pending", 3, 0, 0, "wait"),
        ("transferring", 0, 0, 0, "transfer"),
        ("transferring", 1, 0, 0, "wait"),
        ("transferring", 2, 0, 0, "update"),
        ("downloading", 0, 0, 0, "wait"),
        ("downloading", 0, 0, 11, "transfer"),
        ("downloading", 1, 0, 99, "wait"),
        ("downloading", 2, 0, 0, "update"),
        ("downloading", 0, 5, 0, "fail"),
        ("downloading", 0, 1, 0, "succeed"),
        ("updating", 2, 0, 0, "wait"),
        ("updating", 2, 0, 11, "update"),
        ("updating", 2, 8, 0, "fail"),
        ("updating", 2, 11, 0, "wait"),
        ("updating", 3, 0, 99, "wait"),
        ("updating", 0, 0, 0, "wait"),
        ("updating", 0, 0, 11, "transfer"),
        ("updating", 0, 11, 99, "wait"),
        ("updating", 0, 1, 0, "succeed"),
        ("updating", 0, 8, 0, "fail"),
    ],
)
def test_what_to_do_next(step, state, result, since, action):
    assert decide(Step(step), state, result, since) is Action(action)


def test_a_stored_campaign_is_the_same():
    campaign = Campaign("c1", "spring", "ab" * 32, "pull", "https://x/1", 5, 60.0, 1)
    campaign.devices = {"d1": Progress(Step.UPDATING, "", 3, 0, 7), "d2": Progress()}
    stored = {"c1/d1": orjson.dumps(campaign.devices["d1"].describe())}
    assert Campaign.load(campaign.dump(), stored) == campaign
    told = campaign.describe(True)
    assert (told["state"], told["total"], told["progress"]["updating"]) == ("running", 2, 1)
    for progress in campaign.devices.values():
        progress.step = Step.FAILED
    assert campaign.state == "finished"


@pytest.mark.parametrize(
    ("uri", "numbers", "supported"),
    [
        ("http://h/fw", [2, 3], True),
        ("coap://h/fw", [2, 3], False),
        ("coaps+tcp://h/fw", [5], True),
        ("http://h/fw", [], True),
        ("http://h/fw", [99], False),
    ],
)
def test_what_a_device_says_that_it_can_fetch(uri, numbers, supported):
    told = [Record(SUPPORTED / instance, number) for instance, number in enumerate(numbers)]
    assert (unsupported(check_uri(uri), told) is None) is supported


def test_a_device_that_says_it_as_one_value_says_nothing():
    assert unsupported("http://h/fw", [Record(SUPPORTED, 0)]) is None


@pytest.mark.parametrize(
    "uri", ["", "fw", "coap:", "http://", "ftp://h/fw", "http://h:99999/", "http://" + "h" * 255]
)
def test_what_no_device_can_fetch_is_refused_by_name(uri):
    with pytest.raises(InvalidValueError, match="uri"):
        check_uri(uri)
