"""Generated files: written, or compared with what is there."""

from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, str]
"""Texts by path from the repository's root."""


def write(root: Path, files: Files) -> None:
    """Writes those that have changed."""
    for path in stale(root, files):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")


def stale(root: Path, files: Files) -> list[str]:
    """Paths of those that are missing or differ."""
    return [path for path, text in files.items() if _text(root / path) != text]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
