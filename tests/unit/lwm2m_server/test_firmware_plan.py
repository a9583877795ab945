import orjson
import pytest

from lwm2m_server.firmware.campaign import Campaign, Progress
from lwm2m_server.firmware.plan import Action, Step, decide


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
