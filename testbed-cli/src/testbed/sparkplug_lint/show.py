"""The report for people: what was seen, then each broken rule with those who broke it."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iiot.sparkplug.lint.findings import Evidence, Finding, Kind, Subject
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.lint.report import blind_spots, violations
from iiot.sparkplug.lint.rule import Level
from iiot.sparkplug.lint.rules import RULES

ROWS = 20
"""Edge nodes and names listed at most; `--json` has all."""
_WIDEST = 300
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def print_report(console: Console, linter: Linter, findings: Sequence[Finding]) -> None:
    """Print everything that a person wants to know."""
    console.print(_units(linter, findings))
    for key in dict.fromkeys(finding.rule.key for finding in _by_weight(findings)):
        _print_rule(console, [finding for finding in findings if finding.rule.key == key])
    for spot in blind_spots(linter):
        console.print(f"[dim]Not judged: {escape(spot)}")
    failed = violations(list(findings))
    style = "red" if failed else "green"
    console.print(
        f"[{style}]{failed} violations[/], {len(findings) - failed} warnings in {linter.messages:,} messages"
        f" of {len(linter.nodes):,} edge nodes and {len(linter.hosts)} hosts"
    )


def print_rules(console: Console) -> None:
    """Print every rule with its assertions."""
    for rule in RULES.values():
        console.print(f"[bold]{rule.key}[/] ({rule.level.value}): {escape(rule.advice)}")
        console.print(f"  [dim]{' '.join(sorted(rule.all_identifiers()))}", soft_wrap=True)


def name_of(subject: Subject) -> str:
    """How a subject is called in the report."""
    if subject.kind is Kind.HOST:
        return f"host {subject.name}"
    if subject.kind is Kind.CLIENT:
        return f"client {subject.name}" if subject.name else "an unknown client"
    parts = [part for part in (subject.group, subject.name, subject.device) if part]
    return "/".join(parts) if subject.kind is not Kind.OTHER else subject.name


def _safe(text: str) -> str:
    """Text of peers for the terminal: neither markup nor control characters of theirs take effect."""
    return escape(_UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _clock(time: int) -> str:
    """Time of the day, UTC; a recording may hold times that no calendar has."""
    try:
        return datetime.fromtimestamp(time / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        return f"{time} ms"


def _units(linter: Linter, findings: Sequence[Finding]) -> Table:
    table = Table("edge node or host", box=None, pad_edge=False, header_style="bold")
    for column in ("devices", "messages", "violations", "warnings"):
        table.add_column(column, justify="right")
    rows = [
        (f"{group}/{name}", len(node.devices), node.messages, _about(findings, group, name))
        for (group, name), node in linter.nodes.items()
    ]
    rows.sort(key=lambda row: (-violations(row[3]), row[0]))
    for title, devices, messages, found in rows[:ROWS]:
        table.add_row(_safe(title), str(devices), f"{messages:,}", *_counts(found))
    if len(rows) > ROWS:
        table.add_row(f"and {len(rows) - ROWS:,} more")
    for name, host in linter.hosts.items():
        found = [finding for finding in findings if finding.subject == host.subject]
        table.add_row(_safe(f"host {name}"), "", str(host.messages), *_counts(found))
    return table


def _about(findings: Sequence[Finding], group: str, name: str) -> list[Finding]:
    return [
        finding
        for finding in findings
        if (finding.subject.group, finding.subject.name) == (group, name)
        and finding.subject.kind in (Kind.EDGE_NODE, Kind.DEVICE)
    ]


def _counts(found: list[Finding]) -> tuple[str, str]:
    failed = violations(found)
    return (f"[red]{failed}" if failed else "0", str(len(found) - failed))


def _by_weight(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (finding.rule.level is Level.SHOULD, -finding.count))


def _print_rule(console: Console, findings: Sequence[Finding]) -> None:
    rule = findings[0].rule
    word, style = ("VIOLATION", "red") if rule.level is Level.MUST else ("warning", "yellow")
    count = sum(finding.count for finding in findings)
    console.print(f"\n[bold {style}]{word}[/] [bold]{rule.key}[/], {count:,} times")
    names = [name_of(finding.subject) for finding in findings]
    more = f" and {len(names) - ROWS:,} more" if len(names) > ROWS else ""
    console.print(f"  {_safe(', '.join(names[:ROWS]))}{more}", soft_wrap=True)
    identifiers = sorted(set().union(*(finding.assertions for finding in findings)))
    console.print(f"  [dim]{' '.join(identifiers)}", soft_wrap=True)
    for evidence in findings[0].evidence[:2]:
        _print_evidence(console, evidence)
    console.print(f"  [green]{escape(rule.advice)}", soft_wrap=True)


def _print_evidence(console: Console, evidence: Evidence) -> None:
    where = f" {evidence.topic}" if evidence.topic else ""
    console.print(
        f"  {_clock(evidence.time)}{_safe(where)}: {_safe(evidence.detail)}", soft_wrap=True, highlight=False
    )
    if evidence.message is not None:
        text = orjson.dumps(evidence.message).decode()
        shown = text if len(text) <= _WIDEST else text[:_WIDEST] + "..."
        console.print(f"    [dim]{_safe(shown)}", soft_wrap=True, highlight=False)
