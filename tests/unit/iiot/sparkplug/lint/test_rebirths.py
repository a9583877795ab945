"""Rebirth requests: what an answer is, and what explains that none comes."""

import pytest

from iiot.sparkplug.lint.events import Cut
from iiot.sparkplug.lint.linter import Linter
from sparkplug_traffic import FULL_VIEW, Traffic, lint


def asked(**births):
    traffic = Traffic()
    traffic.host_birth()
    traffic.births(**births)
    traffic.rebirth_request()
    return traffic


def rules(traffic, seconds=60):
    return {rule for rule, _ in lint(traffic.events, seconds=seconds)}


def test_an_edge_node_that_stays_quiet_has_not_answered():
    traffic = asked()
    found = lint(traffic.events, seconds=11)

    ((rule, subject),) = found
    assert (rule, subject.name) == ("rebirth-unanswered", "node")
    assert found[rule, subject].count == 1
    assert found[rule, subject].evidence[0].topic == "spBv1.0/group/NCMD/node"
    assert rules(traffic, seconds=9) == set()


def test_it_is_told_once_however_often_it_was_asked_and_however_often_the_report_is_made():
    traffic = asked()
    for _ in range(5):
        traffic.wait(5)
        traffic.rebirth_request()
    linter = Linter(FULL_VIEW)
    for event in traffic.events:
        linter.feed(event)
    for _ in range(2):
        (found,) = linter.finish(linter.last + 60_000)

    assert (found.rule.key, found.count) == ("rebirth-unanswered", 1)


@pytest.mark.parametrize("seconds", [1, 30, 55])
def test_births_however_late_are_an_answer(seconds):
    traffic = asked()
    traffic.wait(seconds)
    traffic.births()

    assert rules(traffic) == set()


def test_births_for_another_reason_are_no_answer():
    traffic = asked()
    traffic.wait(200)
    traffic.births()

    assert rules(traffic) == {"rebirth-unanswered"}


def test_an_edge_node_that_was_gone_could_not_answer():
    traffic = asked()
    traffic.wait(90)  # one and a half keep-alives, then the broker sends its will
    traffic.ndeath()

    assert rules(traffic) == set()


def test_an_edge_node_that_was_gone_and_came_back_could_not_answer():
    traffic = asked()
    traffic.wait(20)
    traffic.births(bd_seq=1)
    traffic.ndeath(bd_seq=0)

    assert rules(traffic) == set()


def test_a_death_long_afterwards_explains_nothing():
    traffic = asked()
    traffic.wait(500)
    traffic.ndeath()

    assert rules(traffic) == {"rebirth-unanswered"}


def test_a_device_that_dies_meanwhile_shows_that_the_edge_node_is_there():
    traffic = asked()
    traffic.wait(20)
    traffic.ddeath()

    assert rules(traffic) == {"rebirth-unanswered"}


@pytest.mark.parametrize("known", ["never seen", "dead", "before a cut"])
def test_one_that_is_not_known_to_be_there_owes_no_answer(known):
    traffic = Traffic()
    traffic.host_birth()
    if known != "never seen":
        traffic.births()
    if known == "dead":
        traffic.ndeath()
    if known == "before a cut":
        traffic.events.append(Cut(traffic.now))
        traffic.host_birth(traffic.host_time)
    traffic.rebirth_request()

    assert rules(traffic) == set()


def test_a_host_that_asked_in_vain_is_not_told_to_ask():
    traffic = Traffic()
    traffic.host_birth()
    traffic.births()
    traffic.next_seq()
    traffic.ddata()
    traffic.wait(3)
    traffic.rebirth_request()
    for _ in range(15):
        traffic.wait(10)
        traffic.ddata()

    found = {rule for rule, _ in lint(traffic.events, seconds=60)}
    assert found == {"seq-order", "rebirth-data-goes-on", "rebirth-unanswered"}
