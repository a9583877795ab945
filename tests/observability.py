"""Queries of dashboards and alerts, as Prometheus gets them."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
WINDOW = "5m"
"""One of the windows that the dashboards offer."""
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?(\{[^{}]*\})|([a-zA-Z_:][a-zA-Z0-9_:]*)(?=\[|\s|\)|$)")
# Words of PromQL that stand where a metric's name could.
_WORDS = frozenset(("and", "or", "unless", "on", "by", "bool", "offset", "sum", "min", "max", "count"))


class Query(NamedTuple):
    """A panel's query, or an alert's expression."""

    where: str
    expr: str


def panels() -> list[Query]:
    """Every query of every panel, with the variables filled in."""
    found = []
    for file in sorted((ROOT / "grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$window", WINDOW).replace("$fleet", ".*")
                legend = f", {target['legendFormat']}" if target.get("legendFormat") else ""
                found.append(Query(f"{file.stem}: {panel['title']}{legend}", expr))
    return found


def alerts() -> list[Query]:
    """The expression of every alert."""
    groups = yaml.safe_load((ROOT / "prometheus/rules/testbed.yml").read_text())["groups"]
    return [Query(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


def selectors(expr: str) -> list[str]:
    """The series that an expression looks at: names with their label matchers.

    ALERTS is left out: Prometheus has it only while something fires.
    """
    found = []
    names_no_series = r"\b(by|on|without|ignoring|group_left)\s*\([^)]*\)|\boffset\s+\w+"
    for match in _SELECTOR.finditer(re.sub(names_no_series, "", expr)):
        name, braces, bare = match.groups()
        if braces and name != "ALERTS":
            found.append(f"{name or ''}{braces}")
        elif bare and bare not in _WORDS:
            found.append(bare)
    return found


def ask(prometheus: str, expr: str) -> list[dict]:
    """The series that an instant query gives.

    Raises:
        AssertionError: Prometheus refuses the query.
    """
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - loopback
            return json.load(response)["data"]["result"]
    except urllib.error.HTTPError as exc:
        raise AssertionError(f"{expr}: {exc.read().decode()}") from exc


def has_figures(prometheus: str, expr: str) -> bool:
    """Whether a query gives at least one number; 0 is one, NaN is none."""
    return any(series["value"][1] != "NaN" for series in ask(prometheus, expr))
