"""Dashboards: what Grafana would only tell at run time."""

import json
import re
from pathlib import Path

import pytest
import yaml

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
