"""Who is told of a faulty command: the host that is known to have sent it, else the client, else nobody."""

import pytest

from iiot.sparkplug.lint.findings import Kind, Subject
from iiot.sparkplug.lint.linter import Linter
from iiot.sparkplug.lint.report import as_json
from sparkplug_traffic import FULL_VIEW, HOST, Traffic, lint

HOST_ITSELF = Subject(Kind.HOST, name="host")


def commanded(traffic, client=None):
    """A command of this client that has a seq."""
    traffic.command(edit=lambda payload: setattr(payload, "seq", 3), double_value=1.0, client=client)


def told(traffic, rule="seq-forbidden"):
    return {subject for key, subject in lint(traffic.events) if key == rule}


def test_an_unknown_client_is_not_taken_for_the_only_host_online():
    traffic = Traffic()
    traffic.host_birth()
    traffic.births()
    commanded(traffic)

    assert told(traffic) == {Subject(Kind.CLIENT)}


def test_a_client_that_is_known_is_named():
    traffic = Traffic()
    traffic.host_birth(client="scada")
    traffic.births()
    commanded(traffic, client="script-7")

    assert told(traffic) == {Subject(Kind.CLIENT, name="script-7")}


@pytest.mark.parametrize("evidence", ["state", "will"])
def test_a_client_that_spoke_for_a_host_on_state_is_that_host(evidence):
    traffic = Traffic()
    if evidence == "state":
        traffic.host_birth(client="scada")
    else:
        traffic.connect_host(client="scada")
    traffic.publish("spBv1.0/STATE/other", b'{"online":true,"timestamp":%d}' % traffic.now, 1, True, "second")
    traffic.births()
    commanded(traffic, client="scada")

    assert told(traffic) == {HOST_ITSELF}


def test_a_client_that_never_spoke_on_state_is_told_although_a_host_is_online():
    traffic = Traffic()
    traffic.host_birth(client="scada")
    traffic.births()
    traffic.connect_without_will("script-7")
    traffic.command(double_value=1.0, client="script-7")

    assert told(traffic, "command-without-host") == {Subject(Kind.CLIENT, name="script-7")}


def test_a_host_that_said_it_is_offline_sends_no_commands():
    traffic = Traffic()
    traffic.host_birth(client="scada")
    traffic.births()
    traffic.host_death(client="scada")
    traffic.command(double_value=1.0, client="scada")

    assert told(traffic, "command-without-host") == {HOST_ITSELF}


def test_the_report_lists_clients_apart_from_hosts():
    traffic = Traffic()
    traffic.publish(HOST, b'{"online":true,"timestamp":%d}' % traffic.now, 1, True)
    commanded(traffic)
    commanded(traffic, client="script-7")
    linter = Linter(FULL_VIEW)
    for event in traffic.events:
        linter.feed(event)
    report = as_json(linter, linter.finish())

    assert [host["host"] for host in report["hosts"]] == ["host"]
    assert [client["client"] for client in report["clients"]] == [None, "script-7"]
