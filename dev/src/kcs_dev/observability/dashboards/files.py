"""The dashboards as files of the chart, as Grafana reads them."""

import json

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from kcs_contracts.generate.files import Files
from kcs_dev.observability.dashboards.overview import overview
from kcs_dev.observability.dashboards.pool import pool
from kcs_dev.observability.dashboards.quality import quality
from kcs_dev.observability.dashboards.signaling import signaling
from kcs_dev.observability.dashboards.turn import turn

_FOLDER = "charts/kcs-meetings/dashboards"
_MADE = {
    "overview": overview,
    "pool": pool,
    "quality": quality,
    "signaling": signaling,
    "turn": turn,
}


def dashboard_files() -> Files:
    """Texts by path from the repository's root."""
    return {f"{_FOLDER}/{name}.json": _text(make()) for name, make in _MADE.items()}


def _text(made: Dashboard) -> str:
    built = made.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number  # links to a panel hold as long as the order does
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
