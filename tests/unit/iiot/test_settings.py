from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field, SecretStr

from iiot.errors import SettingsError
from iiot.settings import KafkaSettings, MqttSettings, ServiceSettings, effective, load


def even(value: int) -> int:
    if value % 2:
        raise ValueError("must be an even number")
    return value


class ExampleSettings(ServiceSettings, MqttSettings, KafkaSettings):
    telemetry_interval: float = Field(default=0.5, gt=0)
    pairs: Annotated[int, AfterValidator(even)] = 2
    api_token: SecretStr | None = None


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in ExampleSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_defaults_are_those_of_the_documentation():
    settings = load(ExampleSettings)
    assert (settings.log_level, settings.log_format, settings.http_host) == ("INFO", "auto", "127.0.0.1")
    assert (settings.mqtt_host, settings.mqtt_port, settings.mqtt_tls) == ("localhost", 8883, True)
    assert (settings.mqtt_version, settings.mqtt_keepalive) == ("5", 30)
    assert settings.kafka_brokers == "localhost:9092"


def test_variables_are_the_field_names_in_capitals(monkeypatch):
    monkeypatch.setenv("TELEMETRY_INTERVAL", "0.0105")
    monkeypatch.setenv("MQTT_CA", "/certs/ca.crt")
    monkeypatch.setenv("MQTT_TLS", "false")
    monkeypatch.setenv("UNRELATED", "1")
    settings = load(ExampleSettings)
    assert (settings.telemetry_interval, settings.mqtt_ca, settings.mqtt_tls) == (
        0.0105,
        Path("/certs/ca.crt"),
        False,
    )


def test_overrides_win_over_the_environment(monkeypatch):
    monkeypatch.setenv("MQTT_PORT", "1883")
    assert load(ExampleSettings, mqtt_port=18883).mqtt_port == 18883


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TELEMETRY_INTERVAL", "abc", "TELEMETRY_INTERVAL='abc': "),
        ("TELEMETRY_INTERVAL", "0", "greater than 0"),
        ("MQTT_PORT", "70000", "less than or equal to 65535"),
        ("MQTT_VERSION", "4", "'5' or '3.1.1'"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("PAIRS", "3", "PAIRS='3': must be an even number"),
        ("KAFKA_BROKERS", "", "KAFKA_BROKERS='': "),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(ExampleSettings)
    [problem] = caught.value.problems
    assert problem.startswith(f"{name}='{value}': ")
    assert said in problem


def test_every_bad_value_has_its_line(monkeypatch):
    monkeypatch.setenv("MQTT_PORT", "x")
    monkeypatch.setenv("HTTP_PORT", "-1")
    with pytest.raises(SettingsError) as caught:
        load(ExampleSettings)
    assert sorted(line.split("=")[0] for line in caught.value.problems) == ["HTTP_PORT", "MQTT_PORT"]


def test_a_bad_secret_is_not_repeated(monkeypatch):
    class TokenSettings(ServiceSettings):
        api_token: SecretStr = Field(min_length=16)

    monkeypatch.setenv("API_TOKEN", "hunter2")
    with pytest.raises(SettingsError) as caught:
        load(TokenSettings)
    assert "hunter2" not in str(caught.value)
    assert "API_TOKEN" in str(caught.value)


def test_a_missing_variable_is_said_to_be_missing(monkeypatch):
    class RequiredSettings(ServiceSettings):
        fleet_id: Literal["a", "b"]

    monkeypatch.delenv("FLEET_ID", raising=False)
    with pytest.raises(SettingsError) as caught:
        load(RequiredSettings)
    assert caught.value.problems == ["FLEET_ID: required, but not set"]


def test_effective_values_mask_secrets(monkeypatch):
    monkeypatch.setenv("API_TOKEN", "hunter2")
    shown = effective(load(ExampleSettings))
    assert shown["API_TOKEN"] == "********"
    assert shown["MQTT_PORT"] == "8883"
