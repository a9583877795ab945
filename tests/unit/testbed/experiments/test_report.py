import pytest

from testbed.experiments.catalog import find
from testbed.experiments.model import Expectation
from testbed.experiments.report import as_markdown, heading, judge, measured
from testbed.experiments.samples import Phases, Sample
from testbed.experiments.store import Reports
from testbed.verify.ledger import Counter, Ledger
from testbed.verify.paths import Entry


def verdict_of(numbers, sent=3):
    ledger = Ledger([])
    ledger.count([Counter("a", "sparkplug", 1, sent)])
    for number in numbers:
        ledger.observe("iot.telemetry.sparkplug.data", Entry("a", number, 1000), 1005)
    ledger.close([Counter("a", "sparkplug", 1, sent)], 10**15)
    return ledger.verdict()


def calm(seconds=8):
    return [
        Sample(1000 * at, "before" if at < 4 else "after", 100, 100, 5, 9, 0, 1.5)
        for at in range(1, seconds + 1)
    ]


@pytest.mark.parametrize(
    ("numbers", "expectation", "bad"),
    [
        ([1, 2, 3], Expectation(), []),
        ([1, 3], Expectation(), ["nothing is lost"]),
        ([1, 3], Expectation(lost=0.01), []),
        ([1, 2, 2, 3], Expectation(), ["nothing comes twice"]),
        ([1, 2, 2, 3], Expectation(duplicated=True), []),
        ([1, 3, 2], Expectation(), ["in order per device"]),
        ([1, 2, 3], Expectation(recovers_within=1), []),
    ],
)
def test_the_ledger_is_held_to_the_expectation(numbers, expectation, bad):
    checks = judge(expectation, verdict_of(numbers), calm(), disturbed_until=4000)
    assert [check.name for check in checks if not check.good] == bad


def test_traffic_that_stays_away_is_no_recovery():
    samples = [*calm(4), Sample(5000, "after", 0, 0, None, None, 3)]
    [*_, last] = judge(Expectation(recovers_within=5), verdict_of([1, 2, 3]), samples, 4000)
    assert (last.good, last.found) == (False, "not while it was watched")


@pytest.fixture
def report():
    experiment = find("load")
    phases = Phases(began={"before": 0, "during": 1000, "after": 2000}, ended=9000)
    phases.note("sparkplug.data", 500, 505)
    phases.rest["before"].add(1500)
    checks = [
        {"name": "nothing is lost", "expected": "0", "found": "0 of 3", "good": True},
        {"name": "in order per device", "expected": "0 reordered", "found": "1", "good": False},
    ]
    return {
        "id": "20260101-120000-load",
        **heading(experiment, experiment.check({})),
        "verdict": "failed",
        "started": 1,
        "checks": checks,
        **measured(verdict_of([1, 2, 3]), phases, calm(), 2000),
        "tables": {"Paths": [{"path": "a", "p50_ms": None}]},
        "figures": {"held_back": 0},
        "prometheus": {"CPU of x, ms per s": {"before": 1.5}},
        "notes": [{"seconds": 1.0, "text": "something happened"}],
    }


def test_the_report_reads_well(report):
    text = as_markdown(report)
    for expected in (
        "# More devices, more messages: failed",
        "| **no** | in order per device | 0 reordered | 1 |",
        "| sparkplug.data | 3 | 3 | 0 | 0 | 0 |",
        "| REST p50 / p99, ms | 1.5 / 1.5 | - / - | - / - |",
        "| CPU of x, ms per s | 1.5 | - | - |",
        "- 1.0 s: something happened",
        "- held back: 0",
    ):
        assert expected in text


def test_an_aborted_run_has_a_report_too():
    experiment = find("paths")
    text = as_markdown(
        {"id": "x", **heading(experiment, {}), "verdict": "aborted", "reason": "It was aborted."}
    )
    assert "**It was aborted.**" in text


def test_reports_are_kept_listed_and_forgotten(report, tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.experiments.store.KEEP", 2)
    reports = Reports(tmp_path / "reports")
    ids = [f"20260101-12000{n}-load" for n in range(3)]
    for run_id in ids:
        reports.keep(report | {"id": run_id})
    assert [one["id"] for one in reports.summaries()] == [ids[2], ids[1]]
    assert "samples" not in reports.summaries()[0]
    assert reports.get(ids[0]) is None
    assert reports.get(ids[1])["verdict"] == "failed"
    assert reports.text(ids[2]).startswith("# More devices")
    assert [one["id"] for one in Reports(tmp_path / "reports").summaries()] == [ids[2], ids[1]]


@pytest.mark.parametrize("run_id", ["../../etc/passwd", "", "20260101-120000-", "x" * 100])
def test_nothing_but_reports_is_read(run_id, tmp_path):
    assert Reports(tmp_path).get(run_id) is None
    assert Reports(tmp_path).text(run_id) is None


def test_a_damaged_report_hides_no_other(report, tmp_path):
    reports = Reports(tmp_path)
    reports.keep(report)
    (tmp_path / "20250101-120000-load.json").write_text("{")
    assert [one["id"] for one in Reports(tmp_path).summaries()] == [report["id"]]
