"""How all dashboards look: one data source, two variables, links, and a few kinds of panels."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="prometheus")
TAG: Final = "iot-testbed"
WINDOWS: Final = ("30s", "1m", "5m", "15m", "1h")
DEFAULT_WINDOW: Final = "1m"
Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from which value on which colour; None is the lowest."""
GOOD: Final[Steps] = ((None, "green"),)
NONE_ALLOWED: Final[Steps] = ((None, "green"), (1, "red"))
"""For counts of what must not happen."""
UP: Final[Steps] = ((None, "red"), (1, "green"))


class Board:
    """A dashboard in the making; panels are laid out in the order in which they come.

    Args:
        uid: its fixed address, also the name of its file.
        title: its name.
        description: what it answers.
    """

    def __init__(self, uid: str, title: str, description: str) -> None:
        self.uid = uid
        self._panels = 0
        self._dashboard = (
            dashboard.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags([TAG])
            .readonly()
            .timezone("utc")
            .refresh("5s")
            .time("now-15m", "now")
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
            .link(_other_dashboards())
            .annotation(_alerts())
            .with_variable(_fleet())
            .with_variable(_window())
        )

    def json(self) -> str:
        """The file's content."""
        document = json.loads(JSONEncoder().encode(self._dashboard.build()))
        for annotation in document["annotations"]["list"]:
            annotation["titleFormat"] = "{{alertname}}"  # the SDK does not know the field
        for panel in document["panels"]:
            if panel["type"] != "row":  # Grafana always writes these; the SDK only what was chosen
                panel.setdefault("options", {})
                panel.setdefault("fieldConfig", {"defaults": {}, "overrides": []})
        return json.dumps(document, sort_keys=True, indent=2) + "\n"

    def row(self, title: str) -> None:
        """A heading; what follows stands below it."""
        self._panels += 1
        self._dashboard.with_row(dashboard.Row(title).id(self._panels))

    def number(
        self, title: str, text: str, expr: str, *, unit: str = "short", steps: Steps = GOOD, width: int = 4
    ) -> None:
        """One figure with its course behind it."""
        panel = stat.Panel().unit(unit).decimals(0 if unit == "short" else 2).thresholds(_thresholds(steps))
        panel = panel.graph_mode(common_models.BigValueGraphMode.AREA)
        panel = panel.color_mode(common_models.BigValueColorMode.VALUE)
        self._add(panel.reduce_options(_last()), title, text, {"": expr}, width, 4)

    def graph(
        self,
        title: str,
        text: str,
        queries: Mapping[str, str],
        *,
        unit: str = "short",
        steps: Steps | None = None,
        stack: bool = False,
        width: int = 12,
    ) -> None:
        """Courses over time; `queries` by legend, in which `{{label}}` stands for a label's value."""
        panel = timeseries.Panel().unit(unit).min(0).line_width(1).fill_opacity(20 if stack else 8)
        panel = panel.show_points(common_models.VisibilityMode.NEVER).legend(_legend())
        if stack:
            normal = common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
            panel = panel.stacking(normal)
        if steps:
            style = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
            panel = panel.thresholds(_thresholds(steps)).thresholds_style(style)
        self._add(panel, title, text, queries, width, 8)

    def bars(
        self, title: str, text: str, queries: Mapping[str, str], *, unit: str = "short", width: int = 12
    ) -> None:
        """The present values side by side."""
        panel = bargauge.Panel().unit(unit).min(0).thresholds(_thresholds(GOOD)).reduce_options(_last())
        panel = panel.orientation(common_models.VizOrientation.HORIZONTAL)
        self._add(panel, title, text, queries, width, 8)

    def distribution(self, title: str, text: str, expr: str, *, unit: str = "s", width: int = 12) -> None:
        """A histogram over time; `expr` gives buckets by `le`."""
        panel = heatmap.Panel().color(
            heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
        )
        panel = panel.y_axis(heatmap.YAxisConfig().unit(unit)).calculate(False)
        panel = panel.mode(common_models.TooltipDisplayMode.SINGLE)
        self._add(panel, title, text, {"{{le}}": expr}, width, 8, PromQueryFormat.HEATMAP)

    def states(self, title: str, text: str, queries: Mapping[str, str], *, width: int = 12) -> None:
        """Whether things were up, over time: queries give 1 or 0."""
        results = {
            "0": models.ValueMappingResult(text="down", color="red", index=0),
            "1": models.ValueMappingResult(text="up", color="green", index=1),
        }
        panel = statetimeline.Panel().mappings([models.ValueMap(options=results)])
        self._add(panel.thresholds(_thresholds(UP)), title, text, queries, width, 8)

    def table(
        self,
        title: str,
        text: str,
        expr: str,
        columns: Mapping[str, str],
        *,
        unit: str = "short",
        width: int = 12,
    ) -> None:
        """The present series as rows; `columns` are the labels to show and their headings."""
        organize = models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", "Value", "__name__", "job"), True),
                "indexByName": {name: index for index, name in enumerate(columns)},
                "renameByName": dict(columns),
            },
        )
        self._add(
            table.Panel().unit(unit).with_transformation(organize), title, text, {"": expr}, width, 8,
            PromQueryFormat.TABLE,
        )  # fmt: skip

    def _add(
        self,
        panel: Any,
        title: str,
        text: str,
        queries: Mapping[str, str],
        width: int,
        height: int,
        kind: PromQueryFormat = PromQueryFormat.TIME_SERIES,
    ) -> None:
        self._panels += 1
        panel.id(self._panels).title(title).description(text).datasource(SOURCE).span(width).height(height)
        for letter, (legend, expr) in zip("ABCDEFGHIJ", queries.items(), strict=False):
            query = (
                prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(_one_line(expr)).format(kind)
            )
            query = query.legend_format(legend)
            panel.with_target(query.instant() if kind is PromQueryFormat.TABLE else query.range())
        self._dashboard.with_panel(panel)


def p(quantile: float, metric: str, by: str = "", **match: str) -> str:
    """A quantile of a histogram over `$window`; per value of the label `by` if given."""
    group = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({quantile}, sum by ({group}) (rate({metric}_bucket{_braces(match)}[$window])))"
    )


def percentiles(metric: str, *quantiles: float, **match: str) -> dict[str, str]:
    """Several quantiles of a histogram by legend, such as p95."""
    return {f"p{round(q * 100)}": p(q, metric, **match) for q in quantiles}


def rate(metric: str, by: str = "", **match: str) -> str:
    """Events a second over `$window`, over all instances; per value of the label `by` if given."""
    return f"sum{_by(by)} (rate({metric}{_braces(match)}[$window]))"


def more(metric: str, by: str = "", **match: str) -> str:
    """How many there were in `$window`."""
    return f"sum{_by(by)} (increase({metric}{_braces(match)}[$window]))"


def total(metric: str, by: str = "", **match: str) -> str:
    """The present sum over all instances."""
    return f"sum{_by(by)} ({metric}{_braces(match)})"


def _by(label: str) -> str:
    return f" by ({label})" if label else ""


def _braces(match: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}=~"{value}"' for name, value in match.items()) + "}" if match else ""


def _one_line(expr: str) -> str:
    return re.sub(r"\s+", " ", expr).strip()


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    found = [models.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _legend() -> common.VizLegendOptions:
    options = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.TABLE)
    options = options.placement(common_models.LegendPlacement.RIGHT).show_legend(True)
    return options.calcs(["lastNotNull", "max"])


def _other_dashboards() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(False).include_vars(True).keep_time(True)


def _alerts() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr('ALERTS{alertstate="firing"}')
    )


def _fleet() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("fleet")
        .label("Fleet")
        .description("Which simulators' own figures are shown; what broker and servers see is of all devices")
        .datasource(SOURCE)
        .query("label_values(simulator_devices, fleet)")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(text="All", value="$__all"))
    )


def _window() -> dashboard.IntervalVariable:
    return (
        dashboard.IntervalVariable("window")
        .label("Window")
        .description("Over which rates, counts and percentiles are taken")
        .values(",".join(WINDOWS))
        .current(models.VariableOption(text=DEFAULT_WINDOW, value=DEFAULT_WINDOW))
    )
