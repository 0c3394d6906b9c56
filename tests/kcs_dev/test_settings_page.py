"""docs/settings.md: every setting of the services, as it is now."""

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

import kcs_operator.settings as operator
import kcs_sfu.agent.settings as node
import kcs_signaling.settings as signaling
from kcs_contracts.generate.files import stale
from kcs_dev.settings_page import generated

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    assert stale(ROOT, generated()) == [], "run `make generate`"


@pytest.mark.parametrize(
    ("title", "settings"),
    [
        ("Signaling", signaling.Settings),
        ("SFU node", node.Settings),
        ("Operator", operator.Settings),
    ],
)
def test_a_service_s_section_names_every_variable_and_says_what_it_is(
    title: str, settings: type[BaseSettings]
) -> None:
    section = _page().split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| (`KCS_\w+`) \| .* \| (.+) \|$", section, re.MULTILINE))
    for group, field in settings.model_fields.items():
        assert field.annotation is not None
        for name in field.annotation.model_fields:
            if (group, name) != ("auth", "external"):  # a group within, with a table of its own
                assert rows[f"`KCS_{group}__{name}`".upper()].strip()
    assert rows["`KCS_REDIS__URL`"].strip()


def test_the_fields_of_groups_within_and_of_lists_stand_there_too() -> None:
    assert "| `KCS_AUTH__EXTERNAL__ISSUER` |" in _page()
    assert "### Each of `KCS_TURN__SERVERS`" in _page()
    assert "| `tls_port` |" in _page()


def test_no_default_is_hidden() -> None:
    assert "***" not in _page()


def _page() -> str:
    return generated()["docs/settings.md"]
