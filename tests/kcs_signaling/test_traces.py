"""What a whole call leaves in logs and metrics: what the guide asks for, and nothing of anybody."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.traced_call import ANN, BOB, CYR, GUEST, Traces, traced_call

from kcs_contracts.logs import KEYS
from kcs_dev.stack import ROOT
from kcs_signaling.keys import load_key
from kcs_signaling.pseudonyms import Pseudonyms

SERIES = re.compile(r"\| `((?:kcs|process)_\w+)` \|")
ALWAYS = {"event", "timestamp", "level"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("call")


@pytest.fixture(scope="module")
def traces(folder: Path) -> Iterator[Traces]:
    with asyncio.Runner() as runner:
        yield runner.run(traced_call(folder))


@pytest.fixture(scope="module")
def names(folder: Path) -> Pseudonyms:
    """Those of the installation, once the call has made it."""
    return Pseudonyms(load_key(folder / "stack" / "signing-key.pem"))


def lines(traces: Traces, service: str) -> list[dict[str, Any]]:
    """A service's log; every line must be JSON."""
    return [json.loads(line) for line in traces.logs[service].splitlines()]


def families(traces: Traces) -> dict[str, list[Any]]:
    """All samples of either service, by the name that the page has for their series."""
    found: dict[str, list[Any]] = {}
    for text in (each for texts in traces.scraped.values() for each in texts):
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.setdefault(name, []).extend(family.samples)
    return found


def documented(heading: str) -> list[str]:
    """The series in the tables of a part of docs/metrics.md."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    (part,) = [each for each in page.split("\n## ") if each.startswith(heading)]
    return SERIES.findall(part)


# --- metrics -------------------------------------------------------------------------------------


def test_every_key_metric_of_the_guide_has_data_after_a_call(traces: Traces) -> None:
    scraped, wanted = families(traces), documented("What the architecture guide asks for")
    assert len(wanted) > 25
    empty = [name for name in wanted if not any(s.value > 0 for s in scraped.get(name, []))]
    assert empty == []


def test_every_line_of_the_guides_list_is_on_the_page() -> None:
    guide = (ROOT / "docs" / "guides" / "architecture-guide.md").read_text()
    page = (ROOT / "docs" / "metrics.md").read_text().lower()
    listed = guide.partition("### Key Metrics")[2].partition("\n---")[0]
    asked = [line[2:] for line in listed.splitlines() if line.startswith("- ")]
    assert len(asked) > 15
    for line in asked:
        first = re.split(r"[ /(]", line)[0].lower().strip(",")
        assert f"| {first}" in page, line


def test_the_page_names_every_series_that_the_services_have_and_no_other(traces: Traces) -> None:
    named = documented("What the architecture") + documented("What there is beside")
    ours = {name for name in families(traces) if name.startswith("kcs_")}
    assert {name for name in named if name.startswith("kcs_")} == ours


def test_metrics_have_units_and_help_and_name_no_meeting_and_nobody(traces: Traces) -> None:
    texts = [text for texts in traces.scraped.values() for text in texts]
    for private in (*traces.meetings, *traces.private):
        assert not any(private in text for text in texts), private
    for family in (f for text in texts for f in text_string_to_metric_families(text)):
        assert family.documentation, family.name
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_ratio", "_per_second")), family.name


# --- logs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["signaling", "node"])
def test_every_line_has_the_guides_keys(traces: Traces, service: str) -> None:
    seen = lines(traces, service)
    assert seen
    for line in seen:
        assert set(line) <= KEYS, line
        assert set(line) >= ALWAYS, line
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None
        assert line["level"] in ("debug", "info", "warning", "error")
        assert isinstance(line.get("metadata", {}), dict)


@pytest.mark.parametrize("service", ["signaling", "node"])
def test_no_line_has_a_token_a_password_a_word_or_a_name(traces: Traces, service: str) -> None:
    log = traces.logs[service]
    assert len(traces.private) > 25
    for private in traces.private:
        assert private not in log, private[:12]


def test_people_are_named_by_pseudonyms_that_both_services_share(
    traces: Traces, names: Pseudonyms
) -> None:
    known = {names.of(each.id) for each in (ANN, BOB, CYR, GUEST)}
    for service in ("signaling", "node"):
        named = {line["user_id"] for line in lines(traces, service) if line.get("user_id")}
        assert {names.of(ANN.id), names.of(BOB.id)} <= named <= known


def test_who_comes_goes_and_sends_is_told_at_info(traces: Traces, names: Pseudonyms) -> None:
    (meeting,) = traces.meetings
    told = {
        (line["event"], line["user_id"])
        for line in lines(traces, "signaling")
        if line["level"] == "info" and line.get("meeting_id") == meeting and line.get("user_id")
    }
    ann, bob, cyr, guest = (names.of(each.id) for each in (ANN, BOB, CYR, GUEST))
    assert told >= {
        ("meeting_created", ann),
        ("participant_joined", ann),
        ("producer_opened", ann),
        ("participant_waits", bob),
        ("participant_joined", bob),
        ("participant_timed_out", bob),
        ("participant_joined", cyr),
        ("participant_removed", cyr),
        ("participant_waits", guest),
        ("producer_closed", ann),
        ("participant_left", ann),
    }


def test_what_a_consumer_meets_is_told_at_debug_alone(traces: Traces, names: Pseudonyms) -> None:
    failed = [line for line in lines(traces, "signaling") if line["event"] == "consumer_failed"]
    assert {(line["level"], line["user_id"]) for line in failed} == {("debug", names.of(BOB.id))}
    assert [line["metadata"]["error"] for line in failed] == ["CANNOT_CONSUME"] * 2
    others = [
        line
        for service in ("signaling", "node")
        for line in lines(traces, service)
        if "CANNOT_CONSUME" in json.dumps(line)
    ]
    assert {line["level"] for line in others} == {"debug"}
