"""Typed settings of a service, read from environment variables; a bad value stops the service at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    DirectoryPath,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from iiot.errors import InvalidValueError, SettingsError, shown
from iiot.http_guard import HOST_NAME
from iiot.identity import check_prefix


def empty_is_none(value: Any) -> Any:
    """Compose hands over an unset variable as an empty one."""
    return None if value == "" else value


Directory = Annotated[DirectoryPath | None, BeforeValidator(empty_is_none)]
"""A directory that exists, or none."""
OptionalPath = Annotated[Path | None, BeforeValidator(empty_is_none)]
"""A path, or none."""


class ServiceSettings(BaseSettings):
    """What every service needs; a field `log_level` is the variable `LOG_LEVEL`."""

    model_config = SettingsConfigDict(
        env_prefix="", case_sensitive=False, extra="ignore", frozen=True, allow_inf_nan=False
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto`: coloured lines on a terminal, JSON elsewhere."""
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65535)
    """0 lets the system choose a free port."""
    allowed_hosts: str = ""
    """Further names, with commas between, that HTTP requests may be for (`Host`)."""

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, text: str) -> str:
        for name in filter(None, text.split(",")):
            if not HOST_NAME.fullmatch(name.strip().lower().removesuffix(".")):
                raise ValueError("must be names with commas between, without scheme, port and wildcards")
        return text

    @property
    def http_names(self) -> tuple[str, ...]:
        """`allowed_hosts` one by one."""
        return tuple(name.strip() for name in self.allowed_hosts.split(",") if name.strip())


class MqttSettings(BaseSettings):
    """How to reach the broker. Mix into a service's settings."""

    mqtt_host: str = Field(default="localhost", min_length=1)
    mqtt_port: int = Field(default=8883, ge=1, le=65535)
    mqtt_tls: bool = True
    mqtt_ca: Path | None = None
    """PEM file of the authorities that may vouch for the broker."""
    mqtt_cert: Path | None = None
    mqtt_key: Path | None = None
    mqtt_version: Literal["5", "3.1.1"] = "5"
    mqtt_keepalive: int = Field(default=30, ge=5, le=65535)
    """Seconds; the broker declares a silent client dead after 1.5 times this."""


def _prefix(text: str) -> str:
    try:
        return check_prefix(text)
    except InvalidValueError as error:
        raise ValueError(f"allowed: nothing, or {error.allowed}") from None


TopicPrefix = Annotated[str, AfterValidator(_prefix)]
"""`LWM2M_PREFIX`: a level in front of LwM2M topics, or nothing."""


class KafkaSettings(BaseSettings):
    """How to reach Kafka. Mix into a service's settings."""

    kafka_brokers: str = Field(default="localhost:9092", min_length=3)
    """Comma-separated `host:port` list."""


S = TypeVar("S", bound=BaseSettings)


def load(settings_type: type[S], **overrides: Any) -> S:
    """Read the settings from the environment.

    Args:
        settings_type: the settings class.
        overrides: field values that win over the environment (tests).

    Raises:
        SettingsError: with a line for each bad variable.
    """
    try:
        return settings_type(**overrides)
    except ValidationError as exc:
        raise SettingsError([_problem(settings_type, error) for error in exc.errors()]) from exc


def load_with_defaults(
    settings_type: type[S], defaults: Mapping[str, Any], environment: Mapping[str, str]
) -> S:
    """As `load`, with defaults for the variables that `environment` does not have.

    Raises:
        SettingsError: with a line for each bad variable.
    """
    return load(
        settings_type, **{name: value for name, value in defaults.items() if name.upper() not in environment}
    )


def effective(settings: BaseSettings) -> Mapping[str, str]:
    """The values in force by variable name, secrets masked."""
    return {
        name.upper(): "********" if isinstance(value, SecretStr) else str(value)
        for name, value in settings.model_dump().items()
    }


def _problem(settings_type: type[BaseSettings], error: Any) -> str:
    field = settings_type.model_fields.get(str(error["loc"][0])) if error["loc"] else None
    name = ".".join(str(part) for part in error["loc"]).upper() or "settings"
    if error["type"] == "missing":
        return f"{name}: required, but not set"
    secret = field is not None and SecretStr in (field.annotation, *get_args(field.annotation))
    given = error["input"]
    value = "********" if secret else repr(given) if given is None else shown(given)
    allowed = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{name}={value}: {allowed}"
