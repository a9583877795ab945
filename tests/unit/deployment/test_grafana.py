"""Dashboards: what Grafana would only tell at run time."""

import json
import re
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

GRAFANA = Path(__file__).parents[3] / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
SOURCE = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]


TITLES = {
    "data-flow-pipeline": "Data Flow Pipeline",
    "lwm2m-http-bridge": "LwM2M HTTP Bridge Overview",
    "lwm2m-http-connector": "LwM2M HTTP Connector Detailed Analysis",
    "redpanda": "Redpanda",
    "devices": "Devices",
    "service-health": "Service health",
}


@pytest.fixture(params=DASHBOARDS, ids=lambda file: file.stem)
def dashboard(request):
    return json.loads(request.param.read_text()) | {"file": request.param.stem}


def test_every_dashboard_has_its_fixed_address(dashboard):
    assert dashboard["uid"] == dashboard["file"]
    assert dashboard["title"] == TITLES[dashboard["uid"]]


def test_all_dashboards_are_there():
    assert {file.stem for file in DASHBOARDS} == TITLES.keys()


def test_queries_name_the_provisioned_data_source(dashboard):
    for panel in panels_of(dashboard):
        assert panel["datasource"] == {"type": "prometheus", "uid": SOURCE["uid"]}
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == SOURCE["uid"]


def test_every_panel_has_a_description_a_place_and_an_id_of_its_own(dashboard):
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    cells = set()
    for panel in dashboard["panels"]:
        box = panel["gridPos"]
        assert box["x"] + box["w"] <= 24
        columns, rows = range(box["x"], box["x"] + box["w"]), range(box["y"], box["y"] + box["h"])
        own = {(x, y) for x in columns for y in rows}
        assert not own & cells, f"{panel['title']} covers another panel"
        cells |= own
        assert panel["type"] == "row" or panel["description"]


def test_rates_use_the_window_that_the_reader_chose(dashboard):
    for expr in expressions(dashboard):
        assert not re.search(r"\b(rate|increase)\(", expr) or "[$window]" in expr, expr


def test_the_reader_can_choose_fleet_and_window_and_go_to_the_other_dashboards(dashboard):
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["fleet"]["query"] == "label_values(simulator_devices, fleet)"
    assert variables["window"]["current"]["value"] == "1m"
    [link] = dashboard["links"]
    assert link["type"] == "dashboards"
    assert set(link["tags"]) <= set(dashboard["tags"])
    assert link["includeVars"]
    assert link["keepTime"]


def test_figures_of_simulators_follow_the_chosen_fleet_on_the_devices_dashboard():
    devices = json.loads((GRAFANA / "dashboards/devices.json").read_text())
    found = [expr for expr in expressions(devices) if "simulator_" in expr]
    assert found
    assert all('fleet=~"$fleet"' in expr for expr in found)


def test_every_figure_has_a_unit(dashboard):
    for panel in panels_of(dashboard):
        if panel["type"] not in ("state-timeline", "heatmap"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


UNITS = {value for name, value in vars(units).items() if not name.startswith("_")}
KINDS = {"stat", "timeseries", "bargauge", "heatmap", "state-timeline", "table"}


def test_units_and_kinds_of_panels_are_those_that_grafana_knows(dashboard):
    for panel in panels_of(dashboard):
        assert panel["fieldConfig"]["defaults"].get("unit", "none") in UNITS, panel["title"]
        assert panel["type"] in KINDS, panel["title"]


def test_a_file_says_only_what_grafanas_own_model_of_a_dashboard_knows(dashboard):
    """Reading into the model drops what it does not know, so whatever comes back was understood."""
    register_default_plugins()
    del dashboard["file"]
    model = Dashboard.from_json(dashboard)
    again = json.loads(JSONEncoder().encode(model))
    [annotation] = dashboard["annotations"]["list"]
    # A field of Prometheus's annotations, for which there is no model.
    assert annotation.pop("titleFormat") == "{{alertname}}"
    assert not differences(dashboard, again)


def differences(written, understood, where=""):
    """Members of `written` that are not in `understood`, or not the same there."""
    if isinstance(written, dict) and isinstance(understood, dict):
        return [
            found
            for name, value in written.items()
            for found in differences(value, understood.get(name), f"{where}.{name}")
            if value not in ({}, [])
        ]
    if isinstance(written, list) and isinstance(understood, list) and len(written) == len(understood):
        pairs = enumerate(zip(written, understood, strict=True))
        return [found for index, pair in pairs for found in differences(*pair, f"{where}[{index}]")]
    return [] if written == understood else [f"{where}: {written!r} is {understood!r}"]


def test_queries_use_variables_that_the_dashboard_has(dashboard):
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    for expr in expressions(dashboard):
        assert set(re.findall(r"\$\{?(\w+)", expr)) <= known, expr


def test_what_is_counted_by_the_second_says_what_it_counts(dashboard):
    named = {"http_requests": "reqps", "lwm2m_events_total": "eps", "_bytes": "Bps"}
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            [metric] = re.findall(r"^sum(?: by \([^)]*\))? \(rate\((\w+)", target["expr"])[:1] or [""]
            wanted = next((unit for name, unit in named.items() if name in metric), None)
            if wanted and panel["type"] in ("stat", "timeseries") and "/" not in target["expr"]:
                assert panel["fieldConfig"]["defaults"]["unit"] == wanted, panel["title"]


def test_legends_name_labels_that_the_query_gives(dashboard):
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            wanted = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            grouped = re.search(r"\bby \(([^)]*)\)", target["expr"])
            if wanted and grouped:
                assert wanted <= {label.strip() for label in grouped[1].split(",")}, target["expr"]
            elif wanted:
                assert not re.match(r"(sum|min|max|count)\b", target["expr"]), target["expr"]


def test_several_lines_of_a_graph_can_be_told_apart(dashboard):
    for panel in panels_of(dashboard):
        legends = [target.get("legendFormat", "") for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]
        assert len(legends) == 1 or all(legends), panel["title"]


def test_thresholds_grow_and_begin_at_the_bottom(dashboard):
    for panel in panels_of(dashboard):
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        values = [step.get("value") for step in steps]
        assert values[1:] == sorted(values[1:]), panel["title"]
        assert not values or values[0] is None, panel["title"]


def test_nobody_can_change_them_in_the_browser(dashboard):
    assert dashboard["editable"] is False
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/testbed.yml").read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["disableDeletion"] is True
    assert SOURCE["editable"] is False


def panels_of(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard):
    return [target["expr"] for panel in panels_of(dashboard) for target in panel["targets"]]
