"""What dashboards and rules ask of parts that the live test does not run: their names and labels.

The operator and the exporter of TURN are asked what they have; docs/metrics.md is held against it.
"""

import importlib
import importlib.util
import re
from collections.abc import Mapping
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from tests.kcs_dev.test_dashboards import panels
from tests.support.prometheus import Selector, selectors

from kcs_dev.observability.rules.files import ALERTS, RECORDINGS
from kcs_dev.observability.scrape import JOBS, LABELS
from kcs_dev.stack import ROOT

_KUBELET = {
    "kubelet_volume_stats_available_bytes": {"namespace", "persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"namespace", "persistentvolumeclaim"},
}
"""As Kubernetes' reference of metrics has them."""


def test_what_is_asked_of_the_operator_of_turn_and_of_the_kubelet_is_there() -> None:
    known = {**of_the_operator(), **of_turn(), **_KUBELET}
    checked = [each for each in _asked() if each.name.startswith(_PREFIXES)]
    assert len(checked) > 15
    for each in checked:
        assert each.name in known, each.name
        unknown = {label for label, _ in each.labels} - known[each.name] - set(LABELS)
        assert not unknown, each.text


def test_the_page_names_every_series_of_the_operator_and_of_turn_and_no_other() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"^\| `(kcs_(?:operator|turn)_\w+)` \|", page, re.MULTILINE))
    ends = ("_bucket", "_sum", "_count")
    assert named == {name for name in {**of_the_operator(), **of_turn()} if not name.endswith(ends)}


_PREFIXES = ("kcs_operator_", "kcs_turn_", "kubelet_")


def _asked() -> set[Selector]:
    queries = [query for panel in panels() for query in panel.queries]
    queries += [alert.value for alert in ALERTS] + [rule.expr for rule in RECORDINGS]
    return {each for query in queries for each in selectors(query)}


def of_the_operator() -> dict[str, set[str]]:
    """Labels by series, from the operator's own declarations."""
    metrics = vars(importlib.import_module("kcs_operator.metrics")).values()
    found: dict[str, set[str]] = {}
    for each in (m for m in metrics if isinstance(m, MetricWrapperBase)):
        for family in each.describe():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = set(each._labelnames)
            if family.type == "histogram":
                found |= {f"{name}_{end}": found[name] for end in ("bucket", "sum", "count")}
    return found


def of_turn() -> Mapping[str, set[str]]:
    """Labels by series, as the coturn image's own program renders them."""
    counts = _exporter().Counts()
    counts.refused["allocate", "508"] = 1
    families = text_string_to_metric_families(counts.render("main"))
    return {s.name: set(s.labels) for family in families for s in family.samples}


def _exporter() -> ModuleType:
    path = ROOT / "images" / "coturn" / "kcs_coturn.py"
    spec = importlib.util.spec_from_file_location("kcs_coturn", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_charts_monitors_set_the_labels_that_queries_rely_on() -> None:
    text = (ROOT / "charts" / "kcs-meetings" / "templates" / "monitors.yaml").read_text()
    parts = re.findall(r"range \$(\w+), \$port := dict ((?:\"\w+\" \"\w+\" ?)+)", text)
    jobs = {
        f"kcs-{part}"
        for variable, listed in parts
        if f"{{targetLabel: job, replacement: kcs-{{{{ ${variable} }}}}}}" in text
        for part in re.findall(r'"(\w+)"', listed)[::2]
    }
    assert jobs == set(JOBS)
    assert "__meta_kubernetes_pod_label_meetings_kcs_dev_pool], targetLabel: pool" in text
    assert "honorLabels" not in text  # it would let a series' own `namespace` win
