"""What is generated from the declarations: up to date, complete and valid."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from kcs_contracts.generate import generated
from kcs_contracts.generate.asyncapi import CHANNELS, HEARD, REQUEST, example
from kcs_contracts.generate.events_page import PARTS
from kcs_contracts.generate.files import stale, write
from kcs_contracts.generate.shapes import Shapes
from kcs_contracts.protocol import CLIENT, MEETING, PROTOCOLS, SHARED, SHARED_HEARD, Protocol
from kcs_contracts.protocol.camel import camelized
from kcs_contracts.rooms import Role

ROOT = Path(__file__).parents[2]
ASYNCAPI = ROOT / "web/node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"
"""The official JSON Schema of AsyncAPI 3.0, as npm brings it."""

NAMESPACES = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.namespace)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """docs/asyncapi.json."""
    found: dict[str, Any] = json.loads((ROOT / "docs/asyncapi.json").read_text())
    return found


def test_generated_files_are_up_to_date() -> None:
    assert stale(ROOT, generated(ROOT)) == [], "run `make generate`"


def test_a_file_that_is_missing_or_differs_is_stale_until_it_is_written(tmp_path: Path) -> None:
    files = {"a.md": "new\n", "b.md": "same\n"}
    (tmp_path / "b.md").write_text("same\n")
    assert stale(tmp_path, files) == ["a.md"]
    (tmp_path / "a.md").write_text("old\n")
    assert stale(tmp_path, files) == ["a.md"]
    write(tmp_path, files)
    assert stale(tmp_path, files) == []


def test_the_pages_sections_hold_every_event_of_the_meeting_namespace() -> None:
    requests = [event for part in PARTS for event in part.CLIENT_EVENTS]
    heard = [event for part in PARTS for event in part.SERVER_EVENTS]
    assert (requests, heard) == ([*MEETING.client_events], [*MEETING.server_events])


def test_the_page_links_to_headings_that_are_there() -> None:
    page = (ROOT / "docs/events.md").read_text()
    headings = {
        "".join(c for c in line.lstrip("# ").lower() if c.isalnum() or c in " -_").replace(" ", "-")
        for line in page.splitlines()
        if line.startswith("#")
    }
    links = {part.split(")")[0] for part in page.split("](#")[1:]}
    assert links - headings == set()


def test_the_asyncapi_document_is_valid_by_the_official_schema(document: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(json.loads(ASYNCAPI.read_text()))
    assert [error.message for error in validator.iter_errors(document)] == []
    broken = copy.deepcopy(document)
    broken["operations"]["meeting.request.room:join"]["action"] = "await"
    assert not validator.is_valid(broken)


def test_everything_that_the_asyncapi_document_refers_to_is_there(document: dict[str, Any]) -> None:
    refs = list(_refs(document))
    assert len(refs) > 500
    for ref in refs:
        found = document
        for step in ref.removeprefix("#/").split("/"):
            found = found[step]


@NAMESPACES
def test_the_asyncapi_document_has_every_event(
    protocol: Protocol, document: dict[str, Any]
) -> None:
    name = CHANNELS[protocol.namespace]
    keys = [
        *(REQUEST + event.name for event in protocol.client_events),
        *(HEARD + event.name for event in protocol.server_events),
    ]
    channel = document["channels"][name]
    assert channel["address"] == protocol.namespace
    assert list(channel["messages"]) == keys
    assert {f"{name}.{key}" for key in keys} <= set(document["operations"])


@NAMESPACES
def test_the_schemas_agree_with_the_models_on_their_examples(protocol: Protocol) -> None:
    shapes = Shapes(protocol)
    samples = [(event, example(event, shapes)) for event in protocol.client_events]
    assert [event.name for event, sample in samples if sample is None] == [
        *("waiting:admit", "participant:add", "breakout:assign")  # they need one of two fields
    ]
    for event, sample in samples:
        if sample is not None:
            schema = {"$ref": f"#/$defs/{shapes.payload(event)}", "$defs": shapes.definitions}
            jsonschema_rs.validate(schema, sample)


def test_what_both_namespaces_have_is_spelled_as_the_dialect_spells_it() -> None:
    plain, camel = Shapes(MEETING), Shapes(CLIENT)
    events = [*SHARED_HEARD, *SHARED]
    for event in events:
        ours = plain.definitions[plain.payload(event)].get("properties", {})
        theirs = camel.definitions[camel.payload(event)].get("properties", {})
        assert list(theirs) == list(camelized(ours)), event.name


def test_the_web_clients_types_name_every_event_and_role() -> None:
    text = (ROOT / "web/src/meeting/protocol.generated.ts").read_text()
    for event in (*MEETING.client_events, *MEETING.server_events):
        key = event.name if event.name.isidentifier() else f"'{event.name}'"
        assert f"\n  {key}: " in text
    for role in Role:
        assert f"\n  {role.value}: [" in text


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _refs(each)
