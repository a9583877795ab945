"""The outcome of an observation as JSON values."""

from typing import Any

from iiot.sparkplug.lint.findings import Finding, Kind, Subject
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.lint.rule import Level


def violations(findings: list[Finding]) -> int:
    """How many findings break what the specification demands; the others are warnings."""
    return sum(finding.rule.level is Level.MUST for finding in findings)


def blind_spots(linter: Linter) -> list[str]:
    """What could not be judged from where the observer stood."""
    spots = []
    if not linter.sees_qos and linter.messages:
        spots.append(
            "QoS 0 was not judged: no message came with QoS 0, so the broker may raise QoS"
            " (Mosquitto: upgrade_outgoing_qos)"
        )
    if not linter.vantage.retain_as_published:
        spots.append("the retain flag of STATE was not judged: it takes MQTT 5")
    if linter.cuts:
        spots.append(f"the observer lost its connection {linter.cuts} times; each time it began anew")
    return spots


def as_json(linter: Linter, findings: list[Finding]) -> dict[str, Any]:
    """Everything, by edge node with its devices, by host, by client (null: not known), and the rest."""
    by_subject: dict[Subject, list[dict[str, Any]]] = {}
    for finding in findings:
        by_subject.setdefault(finding.subject, []).append(finding_as_json(finding))
    nodes = {(key[0], key[1]): dict.fromkeys(node.devices) for key, node in linter.nodes.items()}
    hosts = dict.fromkeys(linter.hosts)
    for subject in by_subject:
        if subject.kind in (Kind.EDGE_NODE, Kind.DEVICE):
            devices = nodes.setdefault((subject.group, subject.name), {})
            if subject.device:
                devices.setdefault(subject.device)
        elif subject.kind is Kind.HOST:
            hosts.setdefault(subject.name)
    failed = violations(findings)
    return {
        "seconds": (linter.last - linter.first) / 1000 if linter.first is not None else 0.0,
        "messages": linter.messages,
        "violations": failed,
        "warnings": len(findings) - failed,
        "not_judged": blind_spots(linter),
        "edge_nodes": [
            {
                "group": group,
                "edge_node": name,
                "findings": by_subject.get(Subject(Kind.EDGE_NODE, group, name), []),
                "devices": [
                    {
                        "device": device,
                        "findings": by_subject.get(Subject(Kind.DEVICE, group, name, device), []),
                    }
                    for device in devices
                ],
            }
            for (group, name), devices in nodes.items()
        ],
        "hosts": [
            {"host": name, "findings": by_subject.get(Subject(Kind.HOST, name=name), [])} for name in hosts
        ],
        "clients": [
            {"client": subject.name or None, "findings": found}
            for subject, found in by_subject.items()
            if subject.kind is Kind.CLIENT
        ],
        "others": [
            {"topic": subject.name, "findings": found}
            for subject, found in by_subject.items()
            if subject.kind is Kind.OTHER
        ],
    }


def finding_as_json(finding: Finding) -> dict[str, Any]:
    """One finding with its evidence."""
    return {
        "rule": finding.rule.key,
        "level": finding.rule.level.value,
        "assertions": sorted(finding.assertions),
        "count": finding.count,
        "advice": finding.rule.advice,
        "evidence": [evidence._asdict() for evidence in finding.evidence],
    }
