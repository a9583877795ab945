"""The parts of `redpanda-connect-config.yaml` that the embedded engine runs, taken from the file as it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from iiot.errors import IiotError
from iiot.topics import LWM2M_HTTP, LWM2M_WEBSOCKET
from iiot.yaml_budget import YamlBudgetError, check_aliases, check_text

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z0-9_.]+)(?::([^}]*))?\}")
_SHARED: Final = ("logger", "processor_resources", "rate_limit_resources")

_TOPICS: Final = {"lwm2m_http_source": LWM2M_HTTP, "lwm2m_websocket_source": LWM2M_WEBSOCKET}

Document = dict[str, Any]


class ConfigError(IiotError):
    """The file lacks what the embedded engine needs."""


@dataclass(frozen=True, slots=True)
class Source:
    """One path to Kafka.

    Attributes:
        name: as in `/connectors`.
        topic: where its events go.
        document: for the engine.
        url: of its WebSocket, if any.
    """

    name: str
    topic: str
    document: Document
    url: str | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """The file, taken apart.

    Attributes:
        sources: the inputs that lead to Kafka.
        commit: document of the output that stores the position of a delivered batch.
        headers: patterns of the metadata that become Kafka headers.
    """

    sources: tuple[Source, ...]
    commit: Document
    headers: tuple[re.Pattern[str], ...]

    def is_header(self, name: str) -> bool:
        """Whether the metadata `name` goes to Kafka."""
        return any(pattern.search(name) for pattern in self.headers)


def parse(text: str, environment: Mapping[str, str], health_directory: str) -> Configuration:
    """Take the file apart.

    Args:
        text: the YAML.
        environment: values for `${NAME:default}`.
        health_directory: where the cache `health` keeps its entries, one file each, for this process to read.

    Raises:
        ConfigError: not YAML, or not of the expected shape.
    """
    try:
        filled = fill_in(text, environment)
        check_text(filled)
        check_aliases(yaml.compose(filled, Loader=yaml.SafeLoader))
        whole = yaml.safe_load(filled)
        caches = [_visible(cache, health_directory) for cache in whole["cache_resources"]]
        inputs = whole["input"]["broker"]["inputs"]
        delivery, commit = whole["output"]["broker"]["outputs"]
        records = delivery["switch"]["cases"][0]["output"]["fallback"][0]["redpanda"]
        patterns = records["metadata"]["include_patterns"]
        shared = {key: whole[key] for key in _SHARED} | {"cache_resources": caches}
        sources = tuple(_source(each, shared, environment) for each in inputs if "http_server" not in each)
    except YamlBudgetError as exc:
        raise ConfigError(f"line {exc.line}: {exc}") from exc
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ConfigError(f"not a configuration of the two LwM2M paths: {exc!r}") from exc
    return Configuration(sources, {"output": commit, **shared}, tuple(map(re.compile, patterns)))


def fill_in(text: str, environment: Mapping[str, str]) -> str:
    """Replace `${NAME}` and `${NAME:default}` as Redpanda Connect does; `${! … }` is not a variable."""
    return _VARIABLE.sub(lambda match: environment.get(match[1]) or match[2] or "", text)


def _source(branch: Document, shared: Document, environment: Mapping[str, str]) -> Source:
    label = branch["label"]
    prefix = label.removesuffix("_source").upper()
    name = environment.get(f"{prefix}_CONSUMER") or label.replace("_", "-")
    topic = environment.get(f"{prefix}_TOPIC") or _TOPICS.get(label, "")
    child = branch["batched"]["child"] if "batched" in branch else {}
    url = child["websocket"]["url"] if "websocket" in child else None
    # More than one batch in flight would reorder them.
    return Source(name, topic, {"input": branch, "max_in_flight": 1, **shared}, url)


def _visible(cache: Document, health_directory: str) -> Document:
    return (
        {"label": "health", "file": {"directory": health_directory}} if cache["label"] == "health" else cache
    )
