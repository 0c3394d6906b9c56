"""Documents: what they link to is there, and the map of the sources leads to real rooms."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPED = {".venv", "node_modules", ".git", ".run", "guides"}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def _pages() -> list[Path]:
    found = (page for page in ROOT.rglob("*.md") if SKIPPED.isdisjoint(page.parts))
    return sorted(page.relative_to(ROOT) for page in found)


@pytest.mark.parametrize("page", _pages(), ids=str)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    broken = [link for link in _links(ROOT / page) if not _leads(ROOT / page, link)]
    assert broken == []


def test_the_map_of_the_sources_names_what_is_there() -> None:
    named = list(_map())
    assert len(named) > 60
    assert [path for path in named if not _exists(path)] == []


def test_the_map_of_the_sources_leaves_out_no_folder_of_ours() -> None:
    named = {path.rstrip("/") for path in _map()}
    folders = {each.parent.name for each in ROOT.glob("*/src/*/__init__.py")}
    assert folders <= {Path(path).name for path in named}
    at_the_top = {each.name for each in ROOT.iterdir() if each.is_dir() and each.name[0] != "."}
    ours = at_the_top - {"scripts", "build", "dist"}
    assert ours <= {Path(path).parts[0] for path in named}


def _links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return (link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link))


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    if not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in _anchors(target)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def _map() -> Iterator[str]:
    """Paths of the map: what begins a line, and what is named in the folder above it."""
    text = (ROOT / "ARCHITECTURE.md").read_text().split("## Map of the sources")[1]
    folder = ""
    for line in text.split("```")[1].strip().splitlines():
        if not line.startswith(" "):
            for folder in line.split("  ")[0].split():
                yield folder
        elif line[2] != " ":
            for name in line.strip().split("  ")[0].split(", "):
                yield f"{folder}{name}"


def _exists(path: str) -> bool:
    return (ROOT / path).exists() or (ROOT / f"{path}.py").exists()
