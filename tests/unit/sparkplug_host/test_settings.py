import pytest

from iiot.errors import SettingsError
from iiot.settings import load
from sparkplug_host.settings import Settings


def test_defaults_are_the_documented_ones():
    settings = load(Settings)
    policy = settings.policy()
    assert (settings.http_port, settings.sparkplug_group, settings.sparkplug_host_id) == (
        8081,
        "IIoT",
        "sparkplug-host",
    )
    assert (policy.reorder_timeout, policy.rebirth.debounce, policy.rebirth.observe_only) == (
        2000,
        30_000,
        False,
    )


def test_all_groups_and_observing(monkeypatch):
    monkeypatch.setenv("SPARKPLUG_GROUP", "+")
    monkeypatch.setenv("REBIRTH_MODE", "observe")
    assert load(Settings).policy().rebirth.observe_only


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPARKPLUG_GROUP", "a/b"),
        ("SPARKPLUG_GROUP", "STATE"),
        ("SPARKPLUG_HOST_ID", ""),
        ("SPARKPLUG_HOST_ID", "+"),
        ("REORDER_TIMEOUT", "-1"),
        ("REBIRTH_MODE", "sometimes"),
        ("REBIRTH_RATE", "0"),
        ("MAX_NODES", "none"),
        ("COMMANDS_WITHOUT_DATATYPES", "a/b/c"),
        ("COMMANDS_WITHOUT_DATATYPES", "n,STATE/m"),
        ("COMMANDS_WITHOUT_DATATYPES", "n/"),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(Settings)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}={value!r}: ")
