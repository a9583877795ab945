"""The report of a run: what was measured, what it is held to, the verdict; as JSON and Markdown. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from testbed.experiments.lab import Check
from testbed.experiments.model import PHASES, Expectation, Experiment, Values
from testbed.experiments.samples import Phases, Sample, longest_silence, mean_rate, recovery
from testbed.verify.histogram import Histogram
from testbed.verify.ledger import Verdict

_LEDGER: Final = ("sent", "delivered", "lost", "duplicated", "reordered")


def judge(
    expectation: Expectation, verdict: Verdict, samples: Sequence[Sample], disturbed_until: int
) -> list[Check]:
    """What the ledger and the course of the run say to the expectation."""
    rate = mean_rate(samples, PHASES[0]) or 0.0
    allowed = round(expectation.lost * rate)
    found = [
        Check(
            "nothing is lost" if not allowed else "little is lost",
            f"at most {allowed}" if allowed else "0",
            f"{verdict.lost} of {verdict.sent}",
            verdict.lost <= allowed,
        ),
        Check("in order per device", "0 reordered", f"{verdict.reordered}", not verdict.reordered),
    ]
    if not expectation.duplicated:
        found.append(
            Check("nothing comes twice", "0 duplicated", f"{verdict.duplicated}", not verdict.duplicated)
        )
    if expectation.recovers_within is not None:
        took = recovery(samples, disturbed_until)
        good = took is not None and took <= expectation.recovers_within
        text = "not while it was watched" if took is None else f"{took:.1f} s"
        found.append(Check("traffic is as before", f"within {expectation.recovers_within:g} s", text, good))
    return found


def measured(
    verdict: Verdict, phases: Phases, samples: Sequence[Sample], disturbed_until: int
) -> dict[str, Any]:
    """All figures of a run; ms and s as the names say, null for what was not measured."""
    ledger = {name: getattr(verdict, name) for name in _LEDGER}
    paths = {
        name: {figure: getattr(totals, figure) for figure in _LEDGER}
        for name, totals in verdict.paths.items()
    }
    by_phase = {
        phase: {
            "seconds": phases.seconds(phase),
            "records_per_second": _rounded(mean_rate(samples, phase)),
            "latency_ms": _quantiles(phases.latency[phase]),
            "rest_ms": _quantiles(phases.rest[phase], 1000),
            "outstanding_at_most": max((s.outstanding for s in samples if s.phase == phase), default=None),
        }
        for phase in PHASES
    }
    return {
        "ledger": ledger,
        "paths": paths,
        "phases": by_phase,
        "recovery_seconds": _rounded(recovery(samples, disturbed_until)),
        "longest_silence_seconds": longest_silence(samples),
        "devices": verdict.devices,
    }


def _quantiles(histogram: Histogram, divisor: int = 1) -> dict[str, float | None]:
    found = {name: histogram.quantile(q) for name, q in (("p50", 0.5), ("p99", 0.99))}
    if divisor == 1:
        return dict(found)
    return {name: None if value is None else round(value / divisor, 2) for name, value in found.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def as_markdown(report: Mapping[str, Any]) -> str:
    """The report for a person, readable anywhere."""
    lines = [f"# {report['title']}: {report['verdict']}", "", report["does"], ""]
    lines += [f"Expected: {report['expects']}", ""]
    parameters = ", ".join(f"{name} {value}" for name, value in report["parameters"].items())
    lines += [f"`{report['name']}` {f'with {parameters}, ' if parameters else ''}run `{report['id']}`", ""]
    if report.get("reason"):
        lines += [f"**{report['reason']}**", ""]
    if report.get("checks"):
        lines += _table(("", "check", "expected", "found"), map(_check_cells, report["checks"]))
    if "ledger" in report:
        lines += _ledger_lines(report)
        lines += _phase_lines(report)
    for name, rows in report.get("tables", {}).items():
        lines += [f"## {name}", "", *_table(tuple(rows[0]), (tuple(row.values()) for row in rows))]
    for name, value in report.get("figures", {}).items():
        lines += [f"- {name.replace('_', ' ')}: {value}"]
    if report.get("notes"):
        lines += [
            "",
            "## Course",
            "",
            *(f"- {note['seconds']:.1f} s: {note['text']}" for note in report["notes"]),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _check_cells(check: Mapping[str, Any]) -> tuple[str, ...]:
    return ("ok" if check["good"] else "**no**", check["name"], check["expected"], check["found"])


def _ledger_lines(report: Mapping[str, Any]) -> list[str]:
    rows = [(name, *(totals[figure] for figure in _LEDGER)) for name, totals in report["paths"].items()]
    rows.append(("messages", *(report["ledger"][figure] for figure in _LEDGER)))
    return ["## Ledger", "", *_table(("path", *_LEDGER), rows)]


def _phase_lines(report: Mapping[str, Any]) -> list[str]:
    heads = ("", *PHASES)
    phases = [report["phases"][phase] for phase in PHASES]
    rows = [
        ("seconds", *(_text(phase["seconds"]) for phase in phases)),
        ("records per second", *(_text(phase["records_per_second"]) for phase in phases)),
        ("device to Kafka p50 / p99, ms", *(_pair(phase["latency_ms"]) for phase in phases)),
        ("REST p50 / p99, ms", *(_pair(phase["rest_ms"]) for phase in phases)),
        ("on their way, at most", *(_text(phase["outstanding_at_most"]) for phase in phases)),
    ]
    for name, values in report.get("prometheus", {}).items():
        rows.append((name, *(_text(values.get(phase)) for phase in PHASES)))
    ends = [f"Recovered after {_text(report['recovery_seconds'])} s; longest silence of a path "]
    ends[0] += f"{report['longest_silence_seconds']} s."
    return ["## Before, during, after", "", *_table(heads, rows), *ends, ""]


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join('-' if cell is None else str(cell) for cell in row)} |" for row in rows]
    return [*lines, ""]


def _pair(quantiles: Mapping[str, Any]) -> str:
    return f"{_text(quantiles['p50'])} / {_text(quantiles['p99'])}"


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def heading(experiment: Experiment, values: Values) -> dict[str, Any]:
    """The part of a report that is known before the run."""
    texts = {"name": experiment.name, "title": experiment.title, "kind": experiment.kind}
    return {**texts, "does": experiment.does, "expects": experiment.expects, "parameters": dict(values)}
