"""Experiments by the command line, on a running testbed: each does what it says, and the ledger judges."""

import json
import urllib.request

import pytest


def run(testbed, *arguments):
    process = testbed.popen("experiment", "run", *arguments, "--json")
    output, _ = process.communicate(timeout=180)
    report = json.loads(output[output.index("{\n") :])
    checks = {check["name"]: check for check in report["checks"]}
    assert process.returncode == 0, json.dumps({**report, "samples": []}, indent=1)
    return report, checks


@pytest.mark.parametrize(
    ("arguments", "check"),
    [
        (
            ("load", "--set", "devices=5", "--set", "rate=100", "--seconds", "5"),
            "the load was offered in full",
        ),
        (("poison", "--set", "messages=10"), "each is in a dead-letter topic, once"),
        (("sequence-gap", "--set", "devices=2"), "the host asks each edge node for a rebirth"),
        (("takeover", "--seconds", "5"), "the host sees the survivor online"),
        (("profiles", "--set", "reports=5"), "OMA needs fewer bytes"),
        (("part-kill", "--set", "part=mqtt-redpanda-bridge"), "traffic is as before"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_experiment_passes(testbed, arguments, check):
    report, checks = run(testbed, *arguments)
    assert report["verdict"] == "passed"
    assert checks[check]["good"]
    assert report["ledger"]["sent"] > 1000
    assert {sample["phase"] for sample in report["samples"]} >= {"before", "after"}
    assert (testbed.directory / "experiments" / "reports" / f"{report['id']}.md").is_file()


def test_nothing_of_an_experiment_stays_online(testbed):
    run(testbed, "sequence-gap", "--set", "devices=1")
    with urllib.request.urlopen(testbed.url(8080, "/api/clients"), timeout=5) as answer:  # noqa: S310 - loopback
        clients = json.load(answer)
    found = clients["clients"] if isinstance(clients, dict) else clients
    assert not [one["endpoint"] for one in found if one["endpoint"].startswith("experiment-")]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("nothing",), 2, "part-kill"),
        (("load", "--set", "rate=0"), 2, "a whole number from 1 to 20000"),
        (("load", "--set", "rate"), 2, "must be NAME=VALUE"),
    ],
)
def test_wrong_usage_says_what_is_allowed(testbed, arguments, status, said):
    result = testbed.run("experiment", "run", *arguments)
    assert result.returncode == status
    assert said in result.stdout
