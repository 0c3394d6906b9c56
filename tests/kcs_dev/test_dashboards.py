"""The Grafana dashboards: up to date, and put together as people expect it."""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from tests.support.prometheus import selectors

from kcs_contracts.generate.files import stale
from kcs_dev.observability.dashboards.files import dashboard_files
from kcs_dev.stack import ROOT

_BUILT_IN = {"__rate_interval": "1m", "namespace": ".*", "pool": ".*"}
"""What Grafana puts into queries: variables' values when they show all."""


@dataclass(frozen=True)
class Panel:
    """A panel, its queries as Grafana sends them."""

    name: str
    queries: tuple[str, ...]


@cache
def boards() -> dict[str, Any]:
    """The files' contents by name."""
    return {path.rsplit("/")[-1]: json.loads(text) for path, text in dashboard_files().items()}


def panels() -> list[Panel]:
    """All panels that show something."""
    return [
        Panel(
            f"{board['title']} / {panel['id']} {panel['title']}",
            tuple(_filled(target["expr"], board) for target in panel["targets"]),
        )
        for board in boards().values()
        for panel in board["panels"]
        if panel["type"] != "row"
    ]


def _filled(query: str, board: Any) -> str:
    boxes = {v["name"]: v["query"] for v in board["templating"]["list"] if v["type"] == "textbox"}
    values = {**_BUILT_IN, **boxes}
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], query)


def test_the_charts_dashboards_are_up_to_date() -> None:
    assert stale(ROOT, dashboard_files()) == [], "run `make generate`"


def test_there_is_one_for_each_thing_to_look_at() -> None:
    uids = [board["uid"] for board in boards().values()]
    assert sorted(uids) == ["kcs-overview", "kcs-pool", "kcs-quality", "kcs-signaling", "kcs-turn"]


@pytest.mark.parametrize("name", sorted(boards()))
def test_panels_have_ids_words_a_unit_and_fit_the_grid(name: str) -> None:
    board = boards()[name]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"].endswith((".", "?"))
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["targets"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}


@pytest.mark.parametrize("name", sorted(boards()))
def test_queries_select_by_the_variables_that_there_are(name: str) -> None:
    board = boards()[name]
    variables = {each["name"] for each in board["templating"]["list"]} | {"__rate_interval"}
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables, target
            for selector in selectors(target["expr"]):
                assert ("namespace", 'namespace=~"$namespace"') in selector.labels, target


def test_legends_name_labels_that_the_query_keeps() -> None:
    for board in boards().values():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                kept = re.search(r"\bby \(([^)]*)\)", target["expr"])
                named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                if kept and named:
                    assert named <= set(kept[1].split(", ")), target


def test_what_a_query_selects_is_read_from_it() -> None:
    query = 'sum by (a) (rate(x_total{b="1}", c!~"d"}[5m])) / on (e) (f:g or vector(0)) > 1e9'
    assert [each.text for each in selectors(query)] == ['x_total{b="1}",c!~"d"}', "f:g{}"]
