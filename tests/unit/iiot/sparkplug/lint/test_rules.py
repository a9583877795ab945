from iiot.sparkplug.lint.coverage import NOT_JUDGED
from iiot.sparkplug.lint.rule import PREFIX
from iiot.sparkplug.lint.rules import RULES

TESTABLE = 299
"""Testable assertions in Sparkplug 3.0."""


def test_every_testable_assertion_is_judged_or_has_a_reason():
    judged = {name.removeprefix(PREFIX) for rule in RULES.values() for name in rule.all_identifiers()}

    assert not judged & NOT_JUDGED.keys()
    assert len(judged) + len(NOT_JUDGED) == TESTABLE


def test_every_rule_rests_on_an_assertion():
    assert all(rule.all_identifiers() and rule.advice.endswith(".") for rule in RULES.values())
