"""Judges topics that are not legal Sparkplug topics."""

from typing import Final

from iiot.sparkplug.lint.findings import Findings, Kind, Subject
from iiot.sparkplug.topic import NAMESPACE, MessageType

_VERBS: Final = {member.value: member for member in MessageType}
_STATE: Final = "STATE"


def check_topic(topic: str, findings: Findings) -> bool:
    """Judge a topic that could not be read; whether it has to do with Sparkplug at all."""
    namespace, *levels = topic.split("/")
    if namespace == _STATE and len(levels) == 1:
        findings.report("state-topic-legacy", Subject(Kind.HOST, name=levels[0]), topic)
    elif namespace != NAMESPACE:
        if len(levels) < 3 or levels[1] not in _VERBS:
            return False
        findings.report("topic-namespace", Subject(Kind.OTHER, name=topic), f"namespace {namespace!r}")
    elif levels[:1] == [_STATE]:
        _check_state(levels[1:], topic, findings)
    elif len(levels) < 2 or (verb := _VERBS.get(levels[1])) is None:
        findings.report("topic-verb", Subject(Kind.OTHER, name=topic), topic)
    else:
        _check_levels(verb, [levels[0], *levels[2:]], topic, findings)
    return True


def _check_state(ids: list[str], topic: str, findings: Findings) -> None:
    subject = Subject(Kind.HOST, name=ids[0]) if ids and ids[0] else Subject(Kind.OTHER, name=topic)
    if len(ids) > 1:
        findings.report("topic-device-present", subject, topic, _STATE)
    else:
        findings.report("topic-empty-id", subject, topic, "host")


def _check_levels(verb: MessageType, ids: list[str], topic: str, findings: Findings) -> None:
    group, *names = ids
    subject = Subject(Kind.OTHER, name=topic)
    if group and names and names[0]:
        subject = Subject(Kind.EDGE_NODE, group, names[0])
    for what, name in zip(("group", "edge_node", "device"), ids, strict=False):
        if not name:
            findings.report("topic-empty-id", subject, topic, what)
    if len(names) < 1 + verb.of_device:
        key = "topic-device-missing" if verb.of_device else "topic-empty-id"
        findings.report(key, subject, topic, verb if verb.of_device else "edge_node")
    elif len(names) > 1 + verb.of_device:
        findings.report("topic-device-present", subject, topic, "" if verb.of_device else verb)
