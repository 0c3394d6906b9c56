"""What all dashboards are made of: variables, selectors, graphs, single numbers.

Queries select by the dashboard's variables, `$namespace` and where there is one `$pool`; their
defaults show everything. Bounds drawn are the architecture guide's targets.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

from kcs_dev.observability.scrape import JOBS

TAG = "kcs-meetings"
WINDOW = "$__rate_interval"
"""As long as Grafana finds fit for the panel's resolution and the scrape interval."""
SOURCE = model.DataSourceRef(type_val="prometheus", uid="$datasource")
Panel = timeseries.Panel | stat.Panel


@dataclass(frozen=True)
class Query:
    """A query and what its lines are called: `{{label}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Bound:
    """A value that is worth a colour: from it on red, or below it when `low`."""

    at: float
    low: bool = False


def of(metric: str, *more: str) -> str:
    """A metric of the namespace shown; `more` are further matchers."""
    return _selected(metric, ('namespace=~"$namespace"', *more))


def of_pool(metric: str, *more: str) -> str:
    """A metric of the pool shown."""
    return _selected(metric, ('namespace=~"$namespace"', 'pool=~"$pool"', *more))


def _selected(metric: str, matchers: Iterable[str]) -> str:
    return f"{metric}{{{', '.join(matchers)}}}"


def up(*jobs: str) -> str:
    """Whether each pod of these jobs answers Prometheus."""
    return of("up", f'job=~"{"|".join(jobs)}"')


def rate(selector: str, by: str = "") -> str:
    """Its sum per second."""
    return f"sum by ({by}) (rate({selector}[{WINDOW}]))"


def graph(
    title: str,
    unit: str,
    *queries: Query,
    help_text: str,
    bound: Bound | None = None,
    stacked: bool = False,
    width: int = 8,
) -> timeseries.Panel:
    """Lines over time, or areas upon each other; `unit` is Grafana's name of it."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(help_text)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(8)
        .axis_soft_min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(_tooltip())
    )
    if stacked:
        panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL))
    if bound is not None:
        panel.thresholds(_thresholds(bound))
        style = common.GraphThresholdsStyleMode.DASHED
        panel.thresholds_style(GraphThresholdsStyleConfig().mode(style))
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(_target(letter, query).range())
    return panel


def number(
    title: str, unit: str, expr: str, *, help_text: str, bound: Bound | None = None, width: int = 4
) -> stat.Panel:
    """The newest value, with its course behind it."""
    panel = (
        stat.Panel()
        .title(title)
        .description(help_text)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(4)
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(bound))
    )
    return panel.with_target(_target("A", Query(expr)).range())


def page(uid: str, title: str, text: str, *, pool: bool = False) -> build.Dashboard:
    """An empty dashboard with its variables and links to the others."""
    jobs = "|".join(JOBS)  # pools may be in another namespace than signaling
    made = (
        build.Dashboard(f"KCS / {title}")
        .uid(uid)
        .description(text)
        .tags([TAG])
        .readonly()
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_links())
        .with_variable(build.DatasourceVariable("datasource").label("Source").type("prometheus"))
        .with_variable(_variable("namespace", f'label_values(up{{job=~"{jobs}"}}, namespace)'))
    )
    if pool:
        pools = 'label_values(kcs_sfu_workers{namespace=~"$namespace"}, pool)'
        made.with_variable(_variable("pool", pools))
    return made


def row(to: build.Dashboard, title: str, *panels: Panel) -> None:
    """Adds a headed row of panels."""
    to.with_row(build.Row(title))
    for panel in panels:
        to.with_panel(panel)


def _target(letter: str, query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend)


def _variable(name: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(query)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def _links() -> build.DashboardLink:
    kind = model.DashboardLinkType.DASHBOARDS
    link = build.DashboardLink("KCS Meetings").type(kind).tags([TAG]).as_dropdown(False)
    return link.include_vars(True).keep_time(True)


def _thresholds(bound: Bound | None) -> build.ThresholdsConfig:
    steps = [model.Threshold(value=None, color="green")]
    if bound is not None:
        first, then = ("red", "green") if bound.low else ("green", "red")
        steps = [model.Threshold(value=None, color=first), model.Threshold(bound.at, then)]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _legend() -> VizLegendOptions:
    return (
        VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _tooltip() -> VizTooltipOptions:
    most_first = common.SortOrder.DESCENDING
    return VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(most_first)
