"""All generated files of this package, by their path from the repository's root."""

from kcs_contracts.generate.files import Files
from kcs_dev.observability.dashboards.files import dashboard_files
from kcs_dev.observability.rules.files import rule_files


def generated() -> Files:
    """Dashboards and rules as they should be."""
    return {**dashboard_files(), **rule_files()}
