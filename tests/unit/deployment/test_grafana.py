"""Dashboards: what Grafana would only tell at run time."""

import json
from pathlib import Path

import pytest
import yaml

GRAFANA = Path(__file__).parents[3] / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
SOURCE = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]


@pytest.fixture(params=DASHBOARDS, ids=lambda file: file.stem)
def dashboard(request):
    return json.loads(request.param.read_text()) | {"file": request.param.stem}


def test_uid_is_the_file_name(dashboard):
    assert dashboard["uid"] == dashboard["file"]
    assert dashboard["title"]


def test_queries_name_the_provisioned_data_source(dashboard):
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert panels
    for panel in panels:
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


def test_rates_use_the_interval_that_fits_the_view(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            assert "rate(" not in target["expr"] or "$__rate_interval" in target["expr"]
